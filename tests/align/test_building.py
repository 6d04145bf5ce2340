"""From an alignment and features to a tree and its labels, through the command."""

import itertools

import numpy as np
import pytest
from aligned import Made, write_ali, write_feats

from asrpar.cli import main
from asrpar.hmm.alignments import Alignments
from asrpar.hmm.phones import Phones
from asrpar.hmm.segments import Segments, relabel
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.hmm.tree import Tree

PHONES = Phones.with_silence(["M", "S", "AA"])
M, S, AA, SIL = PHONES.ids
MEANS = {M: 0.0, S: 20.0, AA: -30.0, SIL: 60.0}


def topology(name):
    return TOPOLOGIES.load(name)(TOPOLOGIES.settings(name))


def mono(name="three_state"):
    return Tree.monophone(PHONES, topology(name))


def speech(seed, number, subsampling=1, classes=3):
    """Utterances in which AA is higher behind M."""
    draw = np.random.default_rng(seed)
    found = {}
    for n in range(number):
        phones = np.concatenate([[SIL], draw.choice([M, S, AA], size=8), [SIL]]).astype(np.int32)
        lengths = draw.integers(3, 7, size=len(phones)).astype(np.int32)
        kinds = np.concatenate([np.minimum(np.arange(k), classes - 1) for k in lengths]).astype(np.uint8)
        means = [MEANS[p] + (8.0 if p == AA and before == M else 0) for before, p in itertools.pairwise([0, *phones])]
        frames = np.repeat(np.repeat(means, lengths) + kinds, subsampling)[:, None]
        frames = frames + draw.normal(scale=0.5, size=(len(frames), 4))
        if subsampling > 1:
            frames = frames[:-1]  # labels are for the begun rest, too
        found[f"u{seed}-{n}"] = Made(Segments(phones, lengths, kinds), frames)
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    sets = {"train": speech(1, 40), "dev": speech(2, 3)}
    for split, utterances in sets.items():
        write_feats(folder / "feats", split, utterances)
    write_ali(folder / "ali", folder / "feats", mono(), sets)
    return folder


def run(arguments):
    try:
        main(arguments)
    except SystemExit as e:
        return e.code
    return 0


def build(data, output, *more, ali="ali", feats="feats"):
    options = ["--set", "cepstra=0", "--set", "min_frames=20", "--set", "leaves=15"]
    return run(
        ["build-tree", "--ali", str(data / ali), "--feats", str(data / feats), "--output", str(output), *options, *more]
    )


def test_the_command_builds_a_tree_and_labels_all_sets(data, tmp_path):
    assert build(data, tmp_path / "cd") == 0
    made, old = Alignments.open(tmp_path / "cd"), Alignments.open(data / "ali")
    assert made.tree.num_pdfs == made.num_pdfs == 15 and made.tree.width == 3 and made.sets == ["train", "dev"]
    assert made.info.settings["seed"] == 1 and made.info.settings["tree"]["leaves"] == 15
    for split in made.sets:
        segments, labels = old.segments(split), made.labels(split)
        assert list(labels) == list(segments)
        for name, own in segments.items():
            assert labels[name].tolist() == relabel(own, made.tree).tolist()
        assert made.left_out(split) == old.left_out(split)
        for new, was in zip(made.utterances(split), old.utterances(split), strict=True):
            assert (new.words, new.phones, new.speaker, new.seconds) == (
                was.words,
                was.phones,
                was.speaker,
                was.seconds,
            )
    old_data, new_data = dict(old.info.sets["train"]), dict(made.info.sets["train"])
    assert new_data == old_data and made.counts().sum() == old.counts().sum()
    # AA behind M is what there is to find.
    assert made.tree.pdf((M, AA, S), 1) != made.tree.pdf((S, AA, S), 1)
    report = (tmp_path / "cd" / "report.txt").read_text()
    assert "leaves 15\n" in report and "gain_per_frame" in report
    assert "<none> SIL\n" in (tmp_path / "cd" / "questions.txt").read_text()


def test_the_tree_alone_and_questions_of_ones_own(data, tmp_path):
    (tmp_path / "q.txt").write_text("M\n")
    more = ["--tree-only", "--set", f"questions={tmp_path / 'q.txt'}", "--set", "context=biphone"]
    assert build(data, tmp_path / "tree", *more) == 0
    assert sorted(p.name for p in (tmp_path / "tree").iterdir()) == ["questions.txt", "report.txt", "tree.txt"]
    assert (tmp_path / "tree" / "questions.txt").read_text() == "M\n"
    tree = Tree.read(tmp_path / "tree")
    assert tree.width == 2 and {root.phones for root in (tree.roots[AA, k] for k in range(3))} == {frozenset({M})}


def test_labels_of_a_tree_that_there_is(data, tmp_path, capsys):
    assert build(data, tmp_path / "cd") == 0
    options = ["build-tree", "--ali", str(data / "ali"), "--output", str(tmp_path / "again")]
    assert run([*options, "--tree", str(tmp_path / "cd")]) == 0
    made, again = (Alignments.open(tmp_path / name) for name in ("cd", "again"))
    assert again.tree.digest == made.tree.digest and again.sets == made.sets
    assert all(np.array_equal(again.labels("dev")[name], labels) for name, labels in made.labels("dev").items())
    mono("chain").write(tmp_path / "chain.txt")
    Tree.monophone(Phones.with_silence(["M", "S"]), topology("three_state")).write(tmp_path / "other.txt")
    for more, message in [
        (["--tree", str(tmp_path / "chain.txt")], "the tree is of topology chain"),
        (["--tree", str(tmp_path / "other.txt")], "the tree has other phones than"),
        (["--tree", str(tmp_path / "cd"), "--tree-only"], "--tree builds no tree"),
        ([], "give --feats"),
    ]:
        assert run([*options, *more]) == 1
        assert message in capsys.readouterr().err


def test_labels_of_every_third_frame(tmp_path):
    sets = {"train": speech(1, 40, subsampling=3, classes=2)}
    write_feats(tmp_path / "feats", "train", sets["train"])
    write_ali(tmp_path / "ali", tmp_path / "feats", mono("chain"), sets, subsampling=3)
    assert build(tmp_path, tmp_path / "cd", "--set", "leaves=10") == 0
    made = Alignments.open(tmp_path / "cd")
    assert made.num_pdfs == 10 and made.tree.pdf((M, AA, S), 1) != made.tree.pdf((S, AA, S), 1)


def test_what_does_not_go_together(data, tmp_path, capsys):
    write_feats(tmp_path / "other", "train", speech(5, 4))
    for output, more, message in [
        (tmp_path / "x", {"feats": "../" + "nowhere"}, "stage 2 (asrpar extract-features)"),
        (tmp_path / "x", {"ali": "feats"}, "asrpar align"),
        (data / "ali", {}, "is the alignment itself"),
    ]:
        assert build(data, output, **more) == 1
        assert message in (told := capsys.readouterr().err) and told.count("\n") == 1
    options = ["build-tree", "--ali", str(data / "ali"), "--output", str(tmp_path / "x")]
    assert run([*options, "--feats", str(tmp_path / "other")]) == 1
    assert "was aligned on other features of train" in capsys.readouterr().err
    assert run([*options, "--feats", str(data / "feats"), "--set", "leaves=11"]) == 1
    assert "leaves is 11, but 4 phones have 12 states" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
