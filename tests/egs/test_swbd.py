"""egs/swbd on its miniature: every stage, both sizes, Hub5'00 and RT03 through hubscr.pl."""

import gzip
import json
import shutil

import pytest
from trees.fisher import make_fisher
from trees.hub5 import make_hub5, make_rt03
from trees.swbd import make_swbd

# In order: one folder that grows from test to test.
pytestmark = [pytest.mark.mpi(turn=False), pytest.mark.slow, pytest.mark.xdist_group("egs_swbd")]
TINY = [f"models.tdnn.{s}" for s in ("channels=32", "conv_maps=4", "dilations=[1]")]
TINY += ["epochs=4", "batch.size=2000", "autocast=none"]
SETS = ("dev", "eval2000", "rt03")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("the LDC")  # with a space: paths must be quoted everywhere
    for make in (make_swbd, make_fisher, make_hub5, make_rt03):
        make(folder)
    return folder


@pytest.fixture(scope="module")
def exp_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("telephone recipe")


@pytest.fixture(scope="module")
def stage(recipe, tree, exp_dir):
    grid = exp_dir / "decode.yaml"
    grid.write_text("lm_scales: [0.7, 1.0]\nblank_penalties: [0]\nbeams: [7.0]\n")
    always = ["--corpus-dir", tree, "--partial", "true", "--dev-size", 10, "--tests", "eval2000,rt03"]
    always += ["--cmudict", tree / "cmudict/cmudict.dict", "--rescore-lm", "none", "--decode-config", grid]
    always += ["--model", "tdnn", "--learners", 1, "--strategy", "single", "--name", "tiny"]
    always += [word for setting in TINY for word in ("--set", setting)]

    def run(first, last=None, *options, **more):
        span = ["--stage", first, "--stop-stage", last or first]
        given = [*always, "--exp-dir", exp_dir, *span, *options]
        return recipe("swbd", *given, ranks=first <= 6 <= (last or first), **more)

    return run


def texts(folder, name):
    with gzip.open(folder / f"manifests/supervisions_{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--size", "swb30"], "--size swb30: expected swb300 or swb2000"),
        (["--tests", "eval2001"], "--tests eval2001: expected eval2000"),
        (["--corpus-dir", ""], "--corpus-dir is needed"),
    ],
)
def test_options_that_cannot_be(stage, options, says):
    done = stage(0, 0, *options, check=False)
    assert done.returncode == 1 and says in done.stderr and done.stderr.count("\n") == 1


def test_stages_say_what_is_missing(stage):
    for number, missing in ((2, "stage 1"), (3, "stage 1"), (5, "stage 3")):
        done = stage(number, check=False)
        assert done.returncode != 0 and missing in done.stderr and "Traceback" not in done.stderr


def test_stages_0_and_1_find_the_corpora(stage, exp_dir):
    stage(0, 1)
    data = exp_dir / "data"
    train, dev, eval2000 = (texts(data, name) for name in ("train", "dev", "eval2000"))
    assert len(dev) == 10 and len(train) > 30 and len(eval2000) == 14
    assert not {u["speaker"] for u in train} & {u["speaker"] for u in dev}
    assert {u["channel"] for u in train} == {0, 1}
    said = " ".join(u["text"] for u in train)
    assert not any(mark in said for mark in "{}<>/") and "laughter-" not in said and "[silence]" not in said
    report = (data / "manifests/report_swbd.txt").read_text()
    for told in ("without audio: 1", "without transcript: 1", "nearly empty: 1", "cut at the end", "in no table"):
        assert told in report, told


def test_stage_2_reads_each_side_by_itself(stage, exp_dir):
    stage(2)
    from asrpar.feats import eval_batches

    batch = next(eval_batches(exp_dir / "data/feats", "eval2000", 5000))
    assert batch.features.shape[2] == 40
    # Both sides are loud in their own segments: the other channel has next to nothing there.
    import soundfile
    from lhotse import CutSet

    for cut in CutSet.from_file(exp_dir / "data/manifests/cuts_eval2000.jsonl.gz"):
        path = cut.recording.sources[0].source
        samples, rate = soundfile.read(path, start=int(cut.start * 8000) + 2400, frames=8000)
        assert rate == 8000 and abs(samples[:, cut.channel]).mean() > 0.01


def test_stage_3_makes_lexicon_and_language_model(stage, exp_dir):
    stage(3)
    from asrpar.lang.lang import Lang

    lang = Lang.load(exp_dir / "data/lang")
    assert lang.encode("t. v.") and lang.encode("[laughter]") and lang.encode("<unk>")
    assert not (exp_dir / "data/lang_4gram").exists()


def test_fisher_comes_along_with_the_other_size(stage, exp_dir):
    data = exp_dir / "both"
    stage(1, 1, "--size", "swb2000", "--data-dir", data)
    done = stage(3, 3, "--size", "swb2000", "--data-dir", data, "--rescore-lm", "own")
    assert done.stderr.count("INFO: weight ") == 4  # of two texts, in two models
    assert (data / "lang_4gram/lm.arpa").exists()
    train = texts(data, "train")
    assert {u["id"][:2] for u in train} == {"sw", "fe"} and any("i._b._m." in u["text"] for u in train)
    report = (data / "manifests/report_swbd.txt").read_text()
    assert "fe_03_00446" in report and "fe_03_00099" in report


def test_stages_5_to_7_train_and_decode(stage, exp_dir):
    stage(5, 7)
    facts = json.loads((exp_dir / "tiny/decode_rt03/decode.json").read_text())
    assert facts["chosen_on"] == "dev"


@pytest.mark.skipif(not shutil.which("sctk"), reason="no sctk on this machine (apt-get install sctk)")
def test_stage_8_scores_by_hubscr(stage, exp_dir):
    done = stage(8)
    results = {name: json.loads((exp_dir / f"tiny/decode_{name}/wer.json").read_text()) for name in SETS}
    assert [results[name]["sentences"] for name in SETS] == [10, 14, 16], results
    assert set(results["eval2000"]["subsets"]) == {"swbd", "callhm"} and set(results["rt03"]["subsets"]) == {
        "fsh",
        "swbd",
    }
    assert "eval2000 %WER" in done.stdout + done.stderr
    assert f"; WER of single on 1 learner(s): {exp_dir}/tiny/decode_rt03/wer.json" in done.stderr
