"""A system of Kaldi's comes in, is trained on, and goes out again as it was."""

import itertools

import numpy as np
import pytest
from kaldi_system import PHONES, SIL, A, B, C, pdf, write_system
from minidata import train_options

from asrpar.cli import main
from asrpar.config import load_config
from asrpar.corpus.kaldi.ark import read_matrices
from asrpar.corpus.kaldi.labels import read_labels
from asrpar.decode.config import DecodeConfig
from asrpar.decode.decoder import make_decoder
from asrpar.errors import DataError
from asrpar.feats.store import StoredFeatures
from asrpar.hmm.alignments import Alignments
from asrpar.hmm.segments import relabel
from asrpar.lang.lang import Lang
from asrpar.parallel.comm import LocalComm
from asrpar.train.config import TrainConfig
from asrpar.train.experiment import train
from asrpar.train.model_io import load_acoustic_model

SIZES = {"train": 10, "dev": 4}


def run(*arguments):
    try:
        main([str(a) for a in arguments])
    except SystemExit as e:
        return e.code
    return 0


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """The folder, imported up to the alignment, and what was said."""
    folder = tmp_path_factory.mktemp("kaldi")
    made = write_system(folder, SIZES)
    for split in SIZES:
        data = folder / f"data_{split}"
        assert run("import-kaldi", data, "--output", folder / "manifests", "--split", split) == 0
    options = ["--set", "from_kaldi=true", "--set", "speeds=[1.0]", "--set", "fbank.num_filters=8", "--jobs", 1]
    options += ["--set", "min_frames=5", "--splits", "train,dev"]
    assert run("extract-features", *options, "--manifests", folder / "manifests", "--output", folder / "feats") == 0
    options = ["--set", f"unit_settings.phones.lexicon={folder / 'lexicon.txt'}", "--set", "lm.order=2"]
    assert run("prepare-lang", *options, "--manifests", folder / "manifests", "--output", folder / "lang") == 0
    assert import_ali(folder, "ali", "--lang", folder / "lang") == 0
    return folder, made


def import_ali(folder, output, *more, source="ali"):
    alis = [x for split in SIZES for x in ("--ali", f"{split}={folder / f'{source}_{split}'}")]
    return run("import-kaldi-ali", *alis, "--feats", folder / "feats", "--output", folder / output, *more)


def test_labels_phones_and_words_are_read(system):
    folder, made = system
    ali = Alignments.open(folder / "ali")
    names = ali.tree.phones.names
    assert names == (*Lang.load(folder / "lang").tokens[1:], "SIL") and ali.tree.num_pdfs == 12
    for split, utterances in made.items():
        labels, segments = ali.labels(split), ali.segments(split)
        assert ali.left_out(split) == {} and list(labels) == list(utterances)
        for name, known in utterances.items():
            assert labels[name].tolist() == known.pdfs == relabel(segments[name], ali.tree).tolist()
            assert [names[p - 1] for p in segments[name].phones] == [PHONES[p] for p in known.phones]
            assert segments[name].lengths.tolist() == known.lengths
        for found in ali.utterances(split):
            assert [word for word, *_ in found.words] == utterances[found.id].text.split()
            assert found.pdfs.tolist() == utterances[found.id].pdfs
    counted = np.bincount(np.concatenate([u.pdfs for u in made["train"].values()]), minlength=12)
    assert ali.counts().tolist() == counted.tolist()
    first = next(iter(made["train"]))
    begin = next(ali.utterances("train")).words[0][1]
    assert begin == pytest.approx(0.01 * made["train"][first].lengths[0])  # behind the silence


def test_the_tree_says_what_kaldis_says(system):
    folder, _ = system
    tree = Alignments.open(folder / "ali").tree
    new = [tree.phones.id(name) for name in PHONES[1:5]]
    for left, (phone, states) in itertools.product(range(5), ((SIL, 1), (A, 3), (B, 3), (C, 3))):
        for state in range(states):
            window = ((0, *new)[left], new[phone - 1])
            assert tree.pdf(window, state) == pdf(left, phone, state)
    assert [s.loop for s in tree.states(new[0])] == [pytest.approx(0.75)] * 3 or tree.phones.is_silence(new[0])
    assert tree.states(tree.phones.silence)[0].loop == pytest.approx(0.5)


def test_features_are_those_of_the_compressed_archive(system):
    folder, made = system
    for split, utterances in made.items():
        archive = dict(read_matrices(folder / f"data_{split}" / "feats.scp"))
        for name, found in StoredFeatures(folder / "feats", split).of(utterances):
            assert np.array_equal(found, archive[name])
            assert np.abs(found - utterances[name].features).max() < 0.1


def test_a_model_trains_on_it(system, tmp_path):
    folder, _ = system
    tiny = {"models__tdnn__channels": 8, "models__tdnn__dilations": "[1]", "models__tdnn__conv_maps": 4}
    more = {"loss": "frame_ce", "data__ali": folder / "ali", "epochs": 3, "batch__size": 300}
    options = [o.removeprefix("--set=") for o in train_options(folder, tmp_path / "exp", **tiny, **more)]
    assert train(load_config(TrainConfig, None, options), LocalComm()) == 0
    module, facts = load_acoustic_model(tmp_path / "exp" / "final.pt")
    ali = Alignments.open(folder / "ali")
    assert module.output.out_features == 12 and facts["identity"].tree == ali.tree.digest
    counts = ali.counts()
    assert facts["log_priors"].numpy() == pytest.approx(np.log((counts + 1) / (counts.sum() + 12)), abs=1e-5)


def test_a_graph_of_the_tree_goes_with_such_a_model(system, tmp_path):
    folder, _ = system
    graph = tmp_path / "graph"
    assert run("make-graph", "--lang", folder / "lang", "--tree", folder / "ali", "--output", graph) == 0
    with make_decoder(DecodeConfig(), graph, 1.0, blank=None) as decoder:
        assert decoder.axes
    with pytest.raises(DataError, match=r"the model has class 0 for blank, but .* was made with a tree"):
        make_decoder(DecodeConfig(), graph, 1.0, blank=0)


def test_what_goes_out_is_what_came_in(system, tmp_path):
    folder, made = system
    for split, utterances in made.items():
        out = tmp_path / f"ali_{split}"
        assert run("export-kaldi-ali", folder / "ali", "--split", split, "--output", out) == 0
        assert {k: v.tolist() for k, v in read_labels(out)} == {k: u.ids for k, u in utterances.items()}
        assert (out / "phones.txt").read_text().split("\n")[:5] == [f"{p} {i}" for i, p in enumerate(PHONES[:5])]
        came, went = ((x / "final.mdl").read_text().split() for x in (folder / f"ali_{split}", out))
        numbers = slice(came.index("<Triples>"), came.index("<LogProbs>"))
        assert went[went.index("<Triples>") : went.index("<LogProbs>")] == came[numbers]
        assert (out / "tree").read_text().split() == (folder / f"ali_{split}" / "tree").read_text().split()
        data = tmp_path / f"data_{split}"
        options = ["--split", split, "--output", data, "--features", folder / "feats"]
        assert run("export-kaldi", folder / "manifests", *options) == 0
        for name in ("text", "utt2spk", "spk2utt", "segments", "wav.scp"):
            assert (data / name).read_text() == (folder / f"data_{split}" / name).read_text()
        before = dict(read_matrices(folder / f"data_{split}" / "feats.scp"))
        for name, matrix in read_matrices(data / "feats.scp"):
            assert np.array_equal(matrix, before[name])
    # And in again, without the language folder: Kaldi's order of phones, the same labels.
    assert import_ali(tmp_path, "again", "--feats", folder / "feats") == 0
    again = Alignments.open(tmp_path / "again")
    assert again.tree.phones.names == tuple(PHONES[1:5])
    for split, utterances in made.items():
        assert {k: v.tolist() for k, v in again.labels(split).items()} == {k: u.pdfs for k, u in utterances.items()}
    assert next(again.utterances("train")).words == []


def test_a_tree_of_ones_own_is_built_on_it(system, tmp_path):
    folder, made = system
    options = ["--feats", folder / "feats", "--set", "leaves=12", "--set", "min_frames=5", "--set", "cepstra=0"]
    assert run("build-tree", "--ali", folder / "ali", *options, "--output", tmp_path / "cd") == 0
    found = Alignments.open(tmp_path / "cd")
    assert found.tree.num_pdfs == 12 and len(found.labels("dev")) == SIZES["dev"]
    assert run("export-kaldi-ali", tmp_path / "cd", "--output", tmp_path / "out") == 0
    assert {k: len(v) for k, v in read_labels(tmp_path / "out")} == {k: len(u.pdfs) for k, u in made["train"].items()}
