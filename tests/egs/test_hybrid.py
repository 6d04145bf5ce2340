"""Recipes with models of phones' states: alignment, tree, graph, training, decoding on a few spoken utterances."""

import json

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.mpi(turn=False), pytest.mark.xdist_group("egs_hybrid")]
ALONE = ["--learners", 1, "--strategy", "single"]
TINY = ["--set", "epochs=2", "--set", "models.dnn.width=32", "--set", "autocast=none"]
DNN = ["--loss", "frame_ce", "--model", "dnn", *ALONE, *TINY]


@pytest.fixture(scope="module")
def exp_dir(tmp_path_factory, recipe):
    """Stages 1 to 3 of egs/mini with a few utterances."""
    from minidata import asrpar

    folder = tmp_path_factory.mktemp("hybrid recipe")
    sizes = [f"--set={split}.utterances={n}" for split, n in (("train", 40), ("dev", 6), ("test", 6))]
    asrpar("synthesize", "--set", "words_max=4", *sizes, "--output", folder / "data/corpus")
    recipe("mini", "--exp-dir", folder, "--stage", 1, "--stop-stage", 3)
    return folder


@pytest.fixture(scope="module")
def stages(recipe, exp_dir):
    def run(first, last, *options, **more):
        span = ["--stage", first, "--stop-stage", last]
        return recipe("mini", "--exp-dir", exp_dir, *span, *options, ranks=first <= 6 <= last, **more)

    return run


@pytest.fixture(scope="module")
def aligned(stages, exp_dir):
    stages(4, 5, *DNN)
    return exp_dir / "data"


def test_what_is_missing_is_named(stages):
    for number, missing in ((5, "stage 4"), (6, "stage 4")):
        done = stages(number, number, *DNN, check=False)
        assert done.returncode == 1 and missing in done.stderr and "Traceback" not in done.stderr
    done = stages(4, 4, *DNN, "--set", "data.ali=/nowhere", check=False)
    assert "/nowhere/ali.yaml (the alignment) is missing" in done.stderr
    assert "the loss ctc needs no alignment" in stages(4, 4).stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--loss", "frame_ce", "--tree", "huge"], "conf/trees/huge.yaml (settings of the tree) is missing"),
        (["--tree", "mono"], "--tree mono: only models that are trained on states of phones have one"),
        (["--loss", "lfmmi", "--tree", "cd"], "--tree cd: lfmmi has no tree"),
        (["--lm", "other"], "--lm other: there is no"),
        (["--lm", "../x"], "expected names"),
    ],
)
def test_names_that_cannot_be(stages, options, message):
    done = stages(5, 5, *options, check=False)
    assert done.returncode == 1 and message in done.stderr


def test_stages_4_and_5_align_and_make_the_graph(aligned):
    from asrpar.graph.folder import graph_tree
    from asrpar.hmm.alignments import Alignments
    from asrpar.hmm.tree import Tree

    mono, cd = (Alignments.open(aligned / f"ali_{name}") for name in ("mono", "cd"))
    assert (mono.tree.width, cd.tree.width) == (1, 3) and cd.tree.num_pdfs >= mono.tree.num_pdfs
    assert graph_tree(aligned / "graph_cd").digest == Tree.read(aligned / "ali_cd").digest
    assert (aligned / "graph_cd/HCLG.fst").exists() and not (aligned / "graph").exists()


def test_training_and_decoding_of_a_hybrid_model(stages, aligned, exp_dir):
    stages(6, 8, *DNN)
    exp = exp_dir / "dnn_frame_ce_single_n1_seed0"
    facts = json.loads((exp / "decode_test/decode.json").read_text())
    assert facts["prior_scale"] == 1.0 and facts["chosen_on"] == "dev" and "blank_penalty" not in facts
    assert json.loads((exp / "decode_test/wer.json").read_text())["sentences"] == 6
    # Monophones: their own graph and experiment; the same model with the other graph is refused in one line.
    stages(5, 5, *DNN, "--tree", "mono")
    from minidata import asrpar

    places = ["--feats", aligned / "feats", "--lang", aligned / "lang", "--jobs", 1]
    done = asrpar("decode", "--exp", exp, "--graph", aligned / "graph_mono", *places, check=False)
    assert done.returncode == 1 and "classes, but" in done.stderr and "Traceback" not in done.stderr
    audio = next((aligned / "corpus/wav/test").rglob("*.wav"))
    done = asrpar("transcribe", "--exp", exp, "--graph", aligned / "graph_cd", "--lang", aligned / "lang", audio)
    assert done.stdout.startswith(f"{audio.stem}\t")


def test_lfmmi_needs_no_alignment(stages, exp_dir):
    small = ["--set", "epochs=1", "--set", "models.tdnn.channels=16", "--set", "models.tdnn.conv_maps=4"]
    done = stages(4, 8, "--loss", "lfmmi", *ALONE, *small, "--set", "autocast=none")
    assert "the loss lfmmi needs no alignment" in done.stderr
    assert (exp_dir / "data/graph_lfmmi/HCLG.fst").exists()
    beside = [exp_dir / "data/graph_lfmmi/tree.txt", exp_dir / "lfmmi_single_n1_seed0/tree.txt"]
    assert len({path.read_text() for path in beside}) == 1
    facts = json.loads((exp_dir / "lfmmi_single_n1_seed0/decode_test/decode.json").read_text())
    assert "prior_scale" not in facts and facts["lm_scale"] <= 2.4
