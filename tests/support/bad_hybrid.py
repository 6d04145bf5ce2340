"""Mistakes with alignments, trees and what is made of trained models, for ``test_bad_input.py``."""

import numpy as np
from bad_input import Case
from mistakes import edit, empty, keep_lines, rare_word, spoil, unlink


def align(w, *options, feats=None):
    return ["align", "--feats", feats or w.feats, "--lang", w.lang, "--output", w.out, *options]


def tree(w, *options, ali=None):
    return ["build-tree", "--ali", ali or w.ali, "--feats", w.feats, "--output", w.out, *options]


def asking(w, text):
    return "--set", f"questions={w.file('q.txt', text)}"


def hybrid(w, *options, **settings):
    usual = {"loss": "frame_ce", "models__tdnn__subsampling": 1, "data__ali": w.ali, "data__dev": "train"}
    return w.train(*options, **usual | settings)


def occupied(w):
    """A folder of the user's, who forgot what was in it."""
    w.file("out/thesis.tex", "years of work")
    return w.out


def another_label(w):
    """The alignment with a label changed to one that there is."""
    path = w.copy("ali") / "pdfs_train.npy"
    labels = np.load(path)
    labels[0] = (labels[0] + 1) % 3
    np.save(path, labels)
    return path.parent


def without_digests(w, name):
    """The alignment, whose files nobody checks, with one of them spoilt."""
    ali = spoil(w.copy("ali") / name).parent
    return unlink(ali / "files.sha256").parent


def average(w, *options):
    """With models of epochs kept, as far as their names go."""
    exp = w.copy("exp")
    (exp / "epochs").mkdir()
    for epoch in (1, 2):
        (exp / f"epochs/epoch-000{epoch}.pt").write_bytes(b"")
    w.file("exp/final.pt", "not to be lost")
    return ["average", exp, *options]


HYBRID_CASES = [
    # Stage 4
    Case("align-no-such-set", r"has no set 'eval'", lambda w: align(w, "--sets", "train,eval")),
    Case("align-model-without-exp", r"method=model needs .*--exp", lambda w: align(w, "--method", "model")),
    Case("align-of-ctc", r"was trained with ctc.*--method ctc", lambda w: align(w, "--exp", w.exp)),
    Case("align-elsewhere", r"out exists and is no alignment", lambda w: (occupied(w), align(w))[1]),
    Case(
        "align-unknown-words",
        r"4 of 4 utterances of train cannot be aligned \(4 words without pronunciation",
        lambda w: align(w, feats=edit(w.copy("feats") / "cuts_train.jsonl.gz", rare_word).parent),
    ),
    Case("align-full-disk", r"File too large", lambda w: align(w, "--set", "max_silence=1"), file_size=1000),
    Case("export-alignment-elsewhere", r"out holds something else.*\(thesis\.tex\)", lambda w: times(w, occupied(w))),
    Case("export-alignment-to-a-file", r"file is no folder", lambda w: times(w, w.file("file", "mine"))),
    Case(
        "export-kaldi-ali-elsewhere", r"out holds something else.*\(thesis\.tex\)", lambda w: for_kaldi(w, occupied(w))
    ),
    Case(
        "tree-elsewhere",
        r"out holds something else.*\(thesis\.tex\)",
        lambda w: (occupied(w), tree(w, "--tree-only"))[1],
    ),
    Case("tree-before-align", r"ali\.yaml is missing: run asrpar align", lambda w: tree(w, ali=w.here)),
    Case("tree-of-no-tree", r"nowhere is missing: run asrpar align or build-tree", lambda w: relabel(w, "nowhere")),
    Case("tree-few-leaves", r"leaves is 10, but \d+ phones have \d+ states", lambda w: tree(w, "--set", "leaves=10")),
    Case("tree-no-leaves", r"leaves is 0: it must be at least 1", lambda w: tree(w, "--set", "leaves=0")),
    Case(
        "tree-unknown-phone",
        r"q\.txt:2: 'ZZ' is not a phone of the alignment",
        lambda w: tree(w, *asking(w, "N\nZZ N\n")),
    ),
    Case("tree-no-questions", r"nowhere is missing: questions=FILE", lambda w: tree(w, "--set", "questions=nowhere")),
    Case("tree-cut-short", r"tree\.txt is cut short: run", lambda w: relabel(w, w.file("tree.txt", ""))),
    # Stages 5 and 6
    Case("graph-of-no-tree", r"nowhere is missing: run asrpar align or build-tree", lambda w: graph_of(w, "nowhere")),
    Case("train-ctc-with-labels", r"loss is ctc, which has no use for data\.ali", lambda w: hybrid(w, loss="ctc")),
    Case("train-no-labels", r"needs labels of frames.*data\.ali=FOLDER", lambda w: hybrid(w, data__ali="")),
    Case("train-changed-label", r"pdfs_train\.npy is not as it was", lambda w: hybrid(w, data__ali=another_label(w))),
    Case(
        "train-spoilt-alignment",
        r"the alignment of train in .* is damaged",
        lambda w: hybrid(w, data__ali=without_digests(w, "supervisions_train.jsonl.gz")),
    ),
    Case(
        "train-aligned-other-data",
        r"was aligned on other features of train \(4 utterances, there are 3 now\)",
        lambda w: hybrid(w, data__feats=keep_lines(w, 3)),
    ),
    Case(
        "train-late-labels",
        r"4 of 4 utterances are too short \(.*needs 5001\)",
        lambda w: hybrid(w, losses__frame_ce__label_delay=5000),
    ),
    Case(
        "train-labels-behind-windows",
        r"label_delay is 21, 21 input frames: windows of 21 frames end before .* batch\.context to \[0, 21\]",
        lambda w: hybrid(w, batch__pieces="windows", batch__unit="windows", losses__frame_ce__label_delay=21),
    ),
    Case("train-wide-context", r"input\.splice is .*at most", lambda w: w.train("--set", "input.splice=[100000,0]")),
    Case(
        "train-spoilt-cuts", r"cuts_train\.jsonl\.gz is not a manifest", lambda w: w.train(data__feats=spoilt_cuts(w))
    ),
    # Stage 7 and trained models
    Case("decode-spoilt-graph", r"HLG\.fst is (no usable|damaged)", lambda w: w.decode(graph=spoilt_graph(w))),
    Case("decode-no-priors", r"this model has no priors", lambda w: w.decode("--set", "prior_scale=0.5")),
    Case("rescore-no-experiment", r"no experiment nowhere", lambda w: ["rescore", "--exp", "nowhere"]),
    Case("rescore-no-lattices", r"no lattices: run asrpar decode", lambda w: ["rescore", "--exp", w.copy("exp")]),
    Case("average-nothing-kept", r"checkpoint\.keep_epochs=N", lambda w: ["average", w.copy("exp"), "--last", 1]),
    Case("average-missing-epoch", r"epoch-0007\.pt is not there", lambda w: average(w, "--epochs", 7)),
    Case("average-damaged-epoch", r"epoch-0001\.pt is cut short", lambda w: average(w, "--last", 2)),
    Case(
        "average-over-a-model",
        r"final\.pt is there, and is no average",
        lambda w: average(w, "--last", 2, "--output", w.here / "exp/final.pt"),
    ),
    Case("plot-nothing", r"has no epoch that has ended", lambda w: ["plot", w.here]),
    Case("export-no-experiment", r"no experiment nowhere", lambda w: ["export", "nowhere"]),
    Case(
        "export-elsewhere",
        r"out holds something else.*\(thesis\.tex\)",
        lambda w: ["export", w.exp, "--output", occupied(w)],
    ),
    Case(
        "plot-damaged",
        r"train\.json is no JSON",
        lambda w: ["plot", empty(w.copy("exp") / "train.json", "{").parent],
    ),
]


def times(w, output):
    return ["export-alignment", "--ali", w.ali, "--output", output]


def for_kaldi(w, output):
    return ["export-kaldi-ali", w.ali, "--output", output]


def relabel(w, found):
    return ["build-tree", "--ali", w.ali, "--output", w.out, "--tree", found]


def graph_of(w, found):
    return ["make-graph", "--lang", w.lang, "--output", w.out, "--tree", found]


def spoilt_cuts(w):
    feats = spoil(w.copy("feats") / "cuts_train.jsonl.gz").parent
    (feats / "index_train.npz").unlink()  # with it, the damage does not matter: cuts are not read
    return feats


def spoilt_graph(w):
    return spoil(w.copy("graph") / "HLG.fst").parent
