"""Alignments that Kaldi made become ALI folders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from asrpar.align.run import lang_digest
from asrpar.align.words import words_of
from asrpar.corpus.kaldi.labels import read_labels
from asrpar.errors import DataError, MissingInputError
from asrpar.feats.front_end import front_end
from asrpar.feats.store import FeatureStore
from asrpar.files.lock import alone_with, reading
from asrpar.hmm.alignment_files import Aligned, SetWriter, check_output, writing_alignments
from asrpar.hmm.alignments import AlignmentInfo
from asrpar.hmm.kaldi.model import import_tree, scaled_counts
from asrpar.hmm.kaldi.phones import SYMBOLS, kaldi_phones
from asrpar.hmm.kaldi.stream import Stream
from asrpar.hmm.kaldi.transitions import TransitionModel, read_transition_model
from asrpar.hmm.kaldi.tree import read_context_dependency
from asrpar.hmm.phones import Phones
from asrpar.hmm.segments import Segments
from asrpar.hmm.tree import Tree
from asrpar.lang.lang import Lang
from asrpar.lang.symbols import write_symbols
from asrpar.log import get_logger
from asrpar.train.identity import summary

LOG = get_logger(__name__)
MOST_MISFITS = 0.1  # of a set's utterances


@dataclass(frozen=True)
class Given:
    """What an alignment is imported from.

    Attributes:
        sets: by name, a folder with ``ali.*.gz``, or an ark or scp file; the one for training first.
        model: ``final.mdl``; empty for that of the first set's folder.
        tree: ``tree``, likewise.
        phones: ``phones.txt``, or a language folder of Kaldi's with it; empty likewise.
        silence: names of phones that stand for no speech, that between words first; empty to go by the language
            folder, or by names.
        pdf_ids: labels are pdfs, and not transition-ids.
        subsampling: feature frames for each label.
        counts: a vector of counts or priors of pdfs to keep in place of those of the alignment; None without.
    """

    sets: Mapping[str, Path]
    model: Path | None = None
    tree: Path | None = None
    phones: Path | None = None
    silence: Sequence[str] = ()
    pdf_ids: bool = False
    subsampling: int = 1
    counts: Path | None = None

    def beside(self, path: Path | None, *names: str) -> Path:
        """A file that was given, or one of ``names`` in the first set's folder.

        Raises:
            MissingInputError: it is not there.
        """
        first = next(iter(self.sets.values()))
        folder = first if first.is_dir() else first.parent
        options = [path] if path else [folder / name for name in names]
        found = next((p for p in options if p.exists()), None)
        if found is None:
            raise MissingInputError(f"{options[0]} is missing: say where Kaldi's {options[0].name} is")
        return found


@dataclass
class Imported:
    """Kaldi's model of phones, with the phones of a language folder here if there is one.

    Attributes:
        tree: of the alignment to be written.
        model: Kaldi's.
        new_phone: the phone here of each of Kaldi's.
        symbols: Kaldi's phones, in its order.
    """

    tree: Tree
    model: TransitionModel
    new_phone: np.ndarray
    symbols: list[str]

    @cached_property
    def tells_classes(self) -> bool:
        """Whether each pdf is of one pdf class; Kaldi's roots may be shared by states."""
        return all(len({k for _, k in self.tree.phones_of(pdf)}) == 1 for pdf in range(self.tree.num_pdfs))

    def aligned(self, labels: np.ndarray, utterance: str, pdf_ids: bool) -> tuple[np.ndarray, Segments | None]:
        """Pdfs of an utterance, and its phones where there are transition-ids.

        Raises:
            DataError: labels that the model has not.
        """
        if pdf_ids:
            if not len(labels) or labels.min() < 0 or labels.max() >= self.tree.num_pdfs:
                raise DataError(f"the alignment of {utterance} has labels beyond the {self.tree.num_pdfs} pdfs")
            return labels, None
        found = self.model.segments(labels, utterance)
        own = Segments(self.new_phone[found.phones].astype(np.int32), found.lengths, found.classes)
        return self.model.pdf_of[labels].astype(np.int32), own


def read_model(given: Given, lang: Lang | None) -> Imported:
    """Tree, transition model and phones.

    Raises:
        MissingInputError, DataError: files that are not there, are damaged or do not belong together.
    """
    tree_file = given.beside(given.tree, "tree")
    symbols, silences = kaldi_phones(given.beside(given.phones, "phones.txt"), given.silence)
    phones = Phones(tuple(symbols), tuple(symbols.index(s) + 1 for s in silences))
    model = read_transition_model(given.beside(given.model, "final.mdl"))
    tree = import_tree(read_context_dependency(tree_file), model, phones, str(tree_file))
    own = phones
    if lang is not None:
        units = lang.tokens[1:]
        absent = [unit for unit in units if unit not in symbols]
        if absent:
            raise DataError(
                f"unit {absent[0]} of the language folder is no phone of Kaldi's ({' '.join(symbols[:6])} ...): "
                "prepare it with Kaldi's lexicon, and with unit_settings.phones.position_dependent if Kaldi's phones "
                "end in _B _I _E _S"
            )
        names = (*units, *(name for name in symbols if name not in units))
        own = Phones(names, tuple(names.index(s) + 1 for s in silences))
    new = np.array([0, *(own.id(name) for name in symbols)], np.int64)
    return Imported(tree.with_phones(own), model, new, list(symbols))


def import_alignments(given: Given, feats_dir: str | Path, output: str | Path, lang_dir: str | Path | None) -> None:
    """Write an ALI folder from alignments of Kaldi's.

    Args:
        given: where they are.
        feats_dir: the features that they are of, for the same sets.
        output: ALI folder; an older one is replaced when the new one is whole.
        lang_dir: language folder whose units the phones are, for the times of words and the order of phones; None
            keeps Kaldi's order.

    Raises:
        MissingInputError, DataError: files that are not there, are damaged or do not belong together.
    """
    check_output(output)
    lang = Lang.load(lang_dir) if lang_dir else None
    imported = read_model(given, lang)
    with reading(feats_dir), alone_with(output):
        stores = {name: FeatureStore(feats_dir, name) for name in given.sets}
        shift = float(front_end(next(iter(stores.values())).config)["fbank.frame_shift"])
        info = AlignmentInfo("kaldi", shift, given.subsampling, lang_digest(lang) if lang else "")
        info.settings = {"ali": {name: str(path) for name, path in given.sets.items()}, "pdf_ids": given.pdf_ids}
        with writing_alignments(output, imported.tree, info) as out:
            for name, store in stores.items():
                with out.split(name, summary(store.utterances)) as writer:
                    _import_set(writer, imported, given, store, lang, shift)
            write_symbols(out.folder / SYMBOLS, ["<eps>", *imported.symbols])
            if given.counts:
                _keep_counts(given.counts, out.folder / f"counts_{next(iter(stores))}.txt", imported.tree.num_pdfs)


def _import_set(
    writer: SetWriter, imported: Imported, given: Given, store: FeatureStore, lang: Lang | None, shift: float
) -> None:
    path = given.sets[store.split]
    known = {u.id: u for u in store.utterances}
    left_out: dict[str, str] = {}
    strange, unworded, done = 0, 0, set()
    for key, labels in read_labels(path):
        utterance = known.get(key)
        if utterance is None:
            strange += 1
            continue
        done.add(key)
        wanted = -(-utterance.num_frames // given.subsampling)
        if len(labels) != wanted:
            left_out[key] = f"other frames: {len(labels)} labels, its features need {wanted}"
            continue
        try:
            pdfs, segments = imported.aligned(labels, key, given.pdf_ids)
        except DataError as e:
            left_out[key] = f"no path: {e}"
            continue
        rows, words, classes = None, lang.split(utterance.text) if lang else [], None
        if segments is not None:
            classes = None if imported.tells_classes else segments.classes
            numbers = words_of(segments.phones, utterance.text, lang, imported.tree.phones) if lang else None
            unworded += lang is not None and numbers is None
            numbers = np.full(len(segments.phones), -1) if numbers is None else numbers
            rows = np.stack([segments.phones, segments.lengths, numbers], axis=1)
        seconds = utterance.num_frames * shift
        writer.add(Aligned(key, pdfs, rows, words, utterance.text, utterance.speaker, seconds, classes))
    left_out |= {key: "no alignment" for key in known if key not in done}
    for key, reason in left_out.items():
        writer.leave_out(key, reason)
    if len(left_out) > MOST_MISFITS * len(known):
        first = next(iter(left_out))
        raise DataError(
            f"{path}: {len(left_out)} of {len(known)} utterances of {store.split} have no labels that fit ({first}: "
            f"{left_out[first]}): is it of these features, and is the subsampling {given.subsampling}?"
        )
    for count, what in (
        (len(left_out), "utterances of the features are left out"),
        (strange, "alignments are of utterances that the features have not, and are ignored"),
        (unworded, "utterances have phones that no pronunciation of their words gives: no times of words"),
    ):
        if count:
            LOG.warning("%s: %d %s", path, count, what)
    LOG.info("%s: %d utterances with labels of %d pdfs", store.split, writer.aligned, imported.tree.num_pdfs)


def _keep_counts(path: Path, place: Path, num_pdfs: int) -> None:
    values = Stream.of_file(path).reals()
    if len(values) != num_pdfs:
        raise DataError(f"{path} has {len(values)} counts, the tree {num_pdfs} pdfs")
    frames = sum(int(x) for x in place.read_text().split()[1:-1])
    try:
        counts = scaled_counts(values, frames)
    except DataError as e:
        raise DataError(f"{path}: {e}") from e
    place.write_text(f"[ {' '.join(map(str, counts))} ]\n")
