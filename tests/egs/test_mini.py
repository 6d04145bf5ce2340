"""egs/mini from nothing to a word error rate, stage by stage, on two real learners."""

import json

import pytest

# In order, on two learners: one folder that grows from test to test.
pytestmark = [pytest.mark.mpi(turn=False), pytest.mark.slow, pytest.mark.xdist_group("egs_mini")]
EXPERIMENT = "ssgd_n2_seed0"
# Half of what the recipe has: enough to be far from where it began.
SHORT = ["--set", "epochs=20"]


@pytest.fixture(scope="module")
def exp_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("mini recipe")  # with a space: paths must be quoted everywhere


@pytest.fixture(scope="module")
def stage(recipe, exp_dir):
    def run(number, *options, **more):
        only = ["--stage", number, "--stop-stage", number]
        return recipe("mini", "--exp-dir", exp_dir, *only, *SHORT, *options, ranks=number == 6, **more)

    return run


def test_stages_say_what_is_missing_and_which_stage_makes_it(stage):
    for number, missing in ((1, "stage 0"), (2, "stage 1"), (3, "stage 1"), (5, "stage 3"), (6, "stage 2")):
        done = stage(number, check=False)
        assert done.returncode != 0
        assert missing in done.stderr, f"stage {number}: {done.stderr}"
        assert "Traceback" not in done.stderr


def test_stage_0_speaks_the_corpus(stage, exp_dir):
    stage(0)
    assert len(list((exp_dir / "data/corpus/wav/train").rglob("*.wav"))) == 600


def test_stage_1_makes_manifests(stage, exp_dir):
    stage(1)
    from lhotse import CutSet

    manifests = exp_dir / "data/manifests"
    sizes = {s: len(CutSet.from_file(manifests / f"cuts_{s}.jsonl.gz")) for s in ("train", "dev", "test")}
    assert sizes == {"train": 600, "dev": 60, "test": 100}


def test_stage_2_extracts_features(stage, exp_dir):
    stage(2)
    from asrpar.feats import eval_batches

    batch = next(eval_batches(exp_dir / "data/feats", "test", 5000))
    assert batch.features.shape[2] == 40
    # Normalised with the statistics of train: near mean 0 and variance 1 on test.
    frames = batch.features[0, : batch.feature_lens[0]]
    assert abs(frames.mean()) < 1.0 and 0.3 < frames.std() < 3.0


def test_stage_3_makes_lexicon_and_language_model(stage, exp_dir):
    stage(3)
    from asrpar.lang.lang import Lang

    lang = Lang.load(exp_dir / "data/lang")
    assert lang.encode("ONE") and lang.tokens[0] == "<blk>"
    assert (exp_dir / "data/lang/lm.arpa").read_text().lstrip().startswith("\\data\\")


def test_stage_4_is_for_hybrid_models(stage):
    assert "the loss ctc needs no alignment" in stage(4).stderr


def test_stage_5_makes_the_graph_for_both_engines(stage, exp_dir):
    stage(5)
    assert {"HLG.fst", "HLG.pt", "words.txt", "tokens.txt"} <= {p.name for p in (exp_dir / "data/graph").iterdir()}


def test_stage_6_trains_on_two_learners(stage, exp_dir):
    stage(6)
    summary = json.loads((exp_dir / EXPERIMENT / "train.json").read_text())
    assert (summary["learners"], summary["strategy"], summary["complete"]) == (2, "ssgd", True)
    assert summary["dev_error_rate"] < 30
    for rank in (0, 1):
        assert "2 learner(s)" in (exp_dir / EXPERIMENT / f"log/train.{rank}.log").read_text()


def test_stage_7_decodes_and_chooses_on_dev(stage, exp_dir):
    stage(7)
    facts = json.loads((exp_dir / EXPERIMENT / "decode_test/decode.json").read_text())
    assert facts["chosen_on"] == "dev"


def test_stage_8_scores(stage, exp_dir):
    done = stage(8)
    said = done.stdout + done.stderr
    assert "dev %WER" in said and "test %WER" in said
    result = json.loads((exp_dir / EXPERIMENT / "decode_test/wer.json").read_text())
    assert result["sentences"] == 100
    low, high = result["ci95"]
    assert low <= result["wer"] <= high
    assert result["wer"] < 30


def test_any_stage_can_be_run_again(stage, exp_dir):
    before = (exp_dir / EXPERIMENT / "final.pt").stat().st_mtime_ns
    for number in (1, 2, 3, 4, 5, 6, 7, 8):
        stage(number)
    assert (exp_dir / EXPERIMENT / "final.pt").stat().st_mtime_ns == before


def test_bmuf_shares_the_data(recipe, exp_dir):
    options = ["--exp-dir", exp_dir, "--strategy", "bmuf", "--set", "epochs=2"]
    recipe("mini", *options, "--stage", 6, "--stop-stage", 6, ranks=True, forked=False)
    done = recipe("mini", *options, "--stage", 7)
    assert "bmuf_n2_seed0/decode_test/wer.json" in done.stderr
    assert (exp_dir / "bmuf_n2_seed0/decode_test/wer.json").exists()
