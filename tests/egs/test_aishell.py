"""egs/aishell on its tree, stage by stage: characters with CTC, and a hybrid model whose averages are scored apart."""

import json

import pytest
from trees.aishell import make_aishell
from trees.mandarin import OTHERS

# In order: one folder that grows from test to test.
pytestmark = [pytest.mark.mpi(turn=False), pytest.mark.slow, pytest.mark.xdist_group("egs_aishell")]
TINY = ["--set", "epochs=1", "--set", "autocast=none"]
CTC = ["--strategy", "single", "--learners", 1, "--model", "tdnn"]
CTC += [*TINY, "--set", "models.tdnn.channels=16", "--set", "models.tdnn.conv_maps=4"]
HYBRID = ["--loss", "frame_ce", "--model", "dnn", "--tree", "mono", "--strategy", "model_averaging", "--learners", 2]
HYBRID += [*TINY, "--config", "conf/train_sample.yaml", "--set", "models.dnn.width=32"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_aishell(tmp_path_factory.mktemp("aishell"))


@pytest.fixture(scope="module")
def exp_dir(tmp_path_factory):
    grid = tmp_path_factory.mktemp("aishell recipe")  # with a space: paths must be quoted everywhere
    (grid / "decode.yaml").write_text("lm_scales: [1.0]\nblank_penalties: [0]\nbeams: [8.0]\n")
    (grid / "hybrid.yaml").write_text("lm_scales: [5.0]\nbeams: [50.0]\n")
    return grid


@pytest.fixture(scope="module")
def stage(recipe, exp_dir, corpus):
    def run(first, *options, last=None, **more):
        span = ["--stage", first, "--stop-stage", last or first, "--partial", "true"]
        places = ["--corpus-dir", corpus, "--exp-dir", exp_dir, "--feats-config", "conf/feats_sample.yaml"]
        decode = exp_dir / ("hybrid.yaml" if "frame_ce" in options else "decode.yaml")
        return recipe("aishell", *places, "--decode-config", decode, *span, *options, ranks=first == 6, **more)

    return run


def test_stages_say_what_is_missing(stage):
    for number, options, missing in ((2, (), 1), (3, (), 1), (5, (), 3), (6, CTC, 2), (4, HYBRID, 2)):
        done = stage(number, *options, check=False)
        assert done.returncode == 1 and f"stage {missing}" in done.stderr and "Traceback" not in done.stderr


def test_stage_0_checks_the_corpus(stage, recipe, corpus, exp_dir):
    stage(0)
    places = ["--exp-dir", exp_dir, "--stop-stage", 0]
    done = recipe("aishell", "--corpus-dir", corpus / "data_aishell", *places, check=False)
    assert done.returncode == 1 and f"give its parent {corpus}" in done.stderr


def test_stage_1_opens_the_archives_and_counts(stage, corpus, exp_dir):
    done = stage(1, "--partial", "false", check=False)
    assert done.returncode == 1 and "recordings: 51 instead of 141,925 (141,874 too few)" in done.stderr
    assert "1 of 51 recordings have no transcript" in stage(1).stderr
    from lhotse import SupervisionSet

    texts = {s: [u.text for u in SupervisionSet.from_file(exp_dir / f"data/manifests/supervisions_{s}.jsonl.gz")]
             for s in ("train", "dev", "test")}  # fmt: skip
    assert {s: len(of) for s, of in texts.items()} == {"train": 40, "dev": 5, "test": 5}
    assert "他 有 大 T 恤" in texts["train"] and texts["dev"] == list(OTHERS[:5])
    assert len(list((corpus / "data_aishell/wav").glob("*.tar.gz"))) == 4


def test_stage_2_extracts_features(stage, exp_dir):
    stage(2)
    from asrpar.feats import eval_batches

    assert next(eval_batches(exp_dir / "data/feats", "test", 5000)).features.shape[2] == 80


def test_stage_3_knows_the_text_of_train_alone(stage, exp_dir):
    stage(3)
    from asrpar.lang.lang import Lang

    lang = Lang.load(exp_dir / "data/lang")
    assert {"今", "T"} <= set(lang.tokens) and lang.encode("今天") == lang.encode("今 天")
    for file in ("words.txt", "lm.arpa"):
        content = (exp_dir / "data/lang" / file).read_text(encoding="utf-8")
        assert "恤" in content and "晚" not in content  # which is said in dev and test alone


@pytest.mark.parametrize(("units", "word"), [("phones", "今"), ("words", "今天")])
def test_stage_3_with_the_lexicon(stage, exp_dir, units, word):
    stage(3, "--units", units)
    lines = (exp_dir / f"data/lang_{units}/lexicon.txt").read_text(encoding="utf-8").splitlines()
    spoken = {line.split()[0]: line.split()[2:] for line in lines}
    assert spoken[word][:2] == ["j", "in1"] and "晚" not in spoken
    assert "sil" not in (exp_dir / f"data/lang_{units}/tokens.txt").read_text().split()


def test_stage_5_makes_a_small_graph_of_characters(stage, exp_dir):
    assert "the loss ctc needs no alignment" in stage(4, last=5).stderr
    assert "topology: ctc_modified" in (exp_dir / "data/graph/graph.yaml").read_text()


def test_ctc_of_characters_is_scored_by_characters(stage, exp_dir):
    stage(6, *CTC)
    done = stage(7, *CTC, last=8)
    assert "test %CER" in done.stdout and "CER of single" in done.stderr
    found = json.loads((exp_dir / "tdnn_single_n1_seed0/decode_test/wer.json").read_text())
    assert found["metric"] == "CER" and found["ref_words"] == sum(len(text.replace(" ", "")) for text in OTHERS[5:])


def test_hybrid_models_average_over_time_beside_the_training(stage, exp_dir):
    stage(4, *HYBRID, last=5)
    stage(6, *HYBRID)
    done = stage(7, *HYBRID, last=8)
    assert "scores without the average over time" in done.stderr and done.stdout.count("test %CER") == 2
    exp = exp_dir / "phones_dnn_frame_ce_mono_model_averaging_n2_seed0"
    models = {json.loads((exp / f"decode_test{s}/wer.json").read_text())["model_sha256"] for s in ("", "_unaveraged")}
    assert len(models) == 2


def test_any_stage_can_be_run_again(stage, exp_dir):
    exp = exp_dir / "tdnn_single_n1_seed0"
    before = (exp / "final.pt").stat().st_mtime_ns
    stage(1, *CTC, last=3)
    stage(5, *CTC, last=8)
    assert (exp / "final.pt").stat().st_mtime_ns == before


@pytest.mark.corpora
@pytest.mark.mpi(turn=False)
def test_real_speech_in_the_form_of_the_corpus(corpora, tmp_path):
    pytest.importorskip("pypinyin")
    from asrpar.corpus.corpora import aishell

    corpus = make_aishell(tmp_path / "corpus", corpora)
    splits = aishell.prepare(corpus, tmp_path / "audio", partial=True)
    sizes = {name: (len(s.supervisions), len(s.speakers), round(s.seconds / 60, 1)) for name, s in splits.items()}
    assert sizes == {"train": (800, 2, 58.2), "dev": (100, 2, 7.4), "test": (120, 22, 8.7)}
    spelled = next(s.text for s in splits["train"].supervisions if s.id == "BAC009S0150W0071")
    assert spelled.split()[-3:] == ["BECAUSE", "OF", "YOU"]
    aishell.dictionary(corpus, tmp_path / "manifests", tmp_path / "local")
    words = {line.split()[0] for line in (tmp_path / "local/lexicon.txt").read_text(encoding="utf-8").splitlines()}
    silent = {w for s in splits.values() for u in s.supervisions for w in u.text.split()} - words
    assert all(word.isascii() for word in silent)  # of foreign words alone
