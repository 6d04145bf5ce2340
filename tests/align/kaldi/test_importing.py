"""Alignments of Kaldi's that are otherwise, or wrong."""

import numpy as np
import pytest
from aligned import Made, write_feats
from kaldi_system import MODEL, PHONES, TREE, write_system

from asrpar.align.kaldi import importing
from asrpar.cli import main
from asrpar.corpus.kaldi.labels import read_labels
from asrpar.hmm.alignments import Alignments
from asrpar.hmm.segments import Segments


def run(*arguments):
    try:
        main([str(a) for a in arguments])
    except SystemExit as e:
        return e.code
    return 0


@pytest.fixture
def system(tmp_path):
    """Features and an alignment of one set."""
    made = write_system(tmp_path, {"train": 6})["train"]
    utterances = {
        name: Made(Segments(np.array(u.phones), np.array(u.lengths), np.zeros(len(u.pdfs))), u.features, u.text)
        for name, u in made.items()
    }
    write_feats(tmp_path / "feats", "train", utterances)
    return tmp_path, made


def import_ali(folder, *more, ali="ali_train"):
    options = ["--ali", f"train={folder / ali}", "--feats", folder / "feats", "--output", folder / "ali"]
    return run("import-kaldi-ali", *options, *more)


def test_pdf_ids_have_no_phones(system, capsys):
    folder, made = system
    text = "".join(f"{name} {' '.join(map(str, u.pdfs))}\n" for name, u in made.items())
    (folder / "pdfs.txt").write_text(text)
    more = [f"--{x}={folder / 'ali_train' / y}" for x, y in (("tree", "tree"), ("model", "final.mdl"))]
    more += ["--phones", folder / "phones.txt", "--pdf-ids"]
    assert import_ali(folder, *more, ali="pdfs.txt") == 0
    ali = Alignments.open(folder / "ali")
    assert {k: v.tolist() for k, v in ali.labels("train").items()} == {k: u.pdfs for k, u in made.items()}
    assert ali.segments("train") is None
    capsys.readouterr()
    assert run("export-kaldi-ali", folder / "ali", "--output", folder / "out") == 1
    assert "has pdfs of train and no phones, as it was imported: export pdfs (--pdf-ids)" in capsys.readouterr().err
    assert not (folder / "out").exists()
    assert run("build-tree", "--ali", folder / "ali", "--feats", folder / "feats", "--output", folder / "cd") == 1
    assert "another tree cannot label it" in capsys.readouterr().err
    assert run("export-kaldi-ali", folder / "ali", "--output", folder / "out", "--pdf-ids") == 0
    assert {k: v.tolist() for k, v in read_labels(folder / "out")} == {k: u.pdfs for k, u in made.items()}


@pytest.mark.parametrize("kind", ["counts", "priors"])
def test_counts_of_pdfs_are_kept(system, kind):
    folder, made = system
    counts = np.arange(1, 13) * 10
    total = sum(len(u.pdfs) for u in made.values())
    values = counts if kind == "counts" else counts / counts.sum()
    (folder / "counts").write_text(f" [ {' '.join(map(str, values))} ]\n")
    assert import_ali(folder, "--counts", folder / "counts") == 0
    wanted = counts if kind == "counts" else np.rint(values * total)
    assert Alignments.open(folder / "ali").counts().tolist() == wanted.tolist()


def test_utterances_that_do_not_fit_are_listed(system, capsys, monkeypatch):
    folder, made = system
    names = list(made)
    for job in (1, 2):
        (folder / "ali_train" / f"ali.{job}.gz").unlink()
    lines = {name: list(u.ids) for name, u in made.items()} | {"unknown": [2]}
    lines[names[0]] += [2]
    lines[names[1]][-1] = 999
    (folder / "ali_train" / "ali.1.gz").write_text("".join(f"{k} {' '.join(map(str, v))}\n" for k, v in lines.items()))
    assert import_ali(folder) == 1
    told = capsys.readouterr().err
    frames = len(made[names[0]].pdfs)
    assert f"2 of 6 utterances of train have no labels that fit ({names[0]}: other frames: {frames + 1} labels" in told
    assert not (folder / "ali").exists()
    monkeypatch.setattr(importing, "MOST_MISFITS", 0.5)
    assert import_ali(folder) == 0
    left_out = Alignments.open(folder / "ali").left_out("train")
    assert list(left_out) == names[:2] and "no path: the alignment of" in left_out[names[1]]
    told = capsys.readouterr().err
    assert "2 utterances of the features are left out" in told
    assert "1 alignments are of utterances that the features have not" in told


@pytest.mark.parametrize(
    ("name", "content", "more", "message"),
    [
        (
            "tree",
            TREE.replace("CE 8 CE 9", "CE 9 CE 8"),
            [],
            "or others for the same states: give the tree that this model",
        ),
        ("tree", TREE.replace("CE 6", "CE 5"), [], "ali_train/tree: a tree's 11 pdfs are not numbered from 0"),
        ("tree", "x", [], "expected ContextDependency at line 1, where 'x'"),
        ("final.mdl", MODEL.replace("2 3 4\n</For", "2 3\n</For"), [], "state 0 of phone 4"),
        ("phones.txt", "".join(f"{p} {i}\n" for i, p in enumerate(PHONES[:4])), [], "do not belong together (phone 4)"),
        ("phones.txt", "SIL 0\nA 1\n", [], "the first symbol of Kaldi's phones is <eps>"),
        ("phones.txt", "<eps> 0\nX 1\nA 2\nB 3\nC 4\n", [], "no phone is called SIL or the like: say which"),
        (None, None, ["--silence", "Q"], "Q is not one of its phones"),
        (None, None, ["--subsampling", "3"], "is the subsampling 3?"),
        (None, None, ["--pdf-ids"], "has labels beyond the 12 pdfs"),
        (None, None, ["--tree", "nowhere"], "nowhere is missing"),
        (None, None, ["--counts", "{}/phones.txt"], "expected a vector"),
        (None, None, ["--ali", "x=nowhere"], "there is no nowhere"),
        (None, None, ["--ali", "train={}"], "train=... is given twice"),
        (None, None, ["--ali", "train"], "expected SET=DIR"),
    ],
)
def test_what_does_not_go_together(system, capsys, name, content, more, message):
    folder, _ = system
    if name:
        (folder / "ali_train" / name).write_text(content)
    assert import_ali(folder, *(x.replace("{}", str(folder)) for x in more)) == 1
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told and not (folder / "ali").exists()
