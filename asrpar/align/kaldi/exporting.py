"""ALI folders become what Kaldi's align scripts leave."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from asrpar.corpus.kaldi.labels import write_labels
from asrpar.errors import DataError
from asrpar.files.lock import alone_with
from asrpar.files.replacing import check_replaceable, replacing_folder
from asrpar.hmm.alignments import Alignments
from asrpar.hmm.kaldi.model import TransitionIds, export_model
from asrpar.hmm.kaldi.phones import SYMBOLS, kaldi_phones
from asrpar.hmm.kaldi.topology import topology_text
from asrpar.hmm.kaldi.transitions import TransitionModel, transition_model_text
from asrpar.hmm.kaldi.tree import tree_text
from asrpar.hmm.phones import Phones
from asrpar.hmm.segments import Segments, relabel
from asrpar.hmm.tree import Tree
from asrpar.lang.symbols import write_symbols
from asrpar.log import get_logger

LOG = get_logger(__name__)
COUNTS = "ali_train_pdf.counts"  # as nnet1 calls it
OWN = re.compile(rf"ali\.1\.gz|num_jobs|tree|topo|final\.mdl|phones\.txt|{re.escape(COUNTS)}")


def export_alignments(ali_dir: str | Path, split: str, output: str | Path, pdf_ids: bool = False) -> None:
    """Write a folder as Kaldi's align scripts leave one, without an acoustic model in ``final.mdl``.

    Phones have Kaldi's numbers if the alignment was imported, else those of the language folder.

    Args:
        ali_dir: ALI folder.
        split: a set of it.
        output: gets ali.1.gz, tree, final.mdl, topo, phones.txt, num_jobs, ali_train_pdf.counts.
        pdf_ids: labels are pdfs, in place of transition-ids, for which phones have to be known.

    Raises:
        MissingInputError, DataError: an alignment that is not there, or has no phones.
        ConfigError: ``output`` holds something else.
    """
    check_replaceable(output, OWN, "an alignment for Kaldi")
    ali = Alignments.open(ali_dir)
    counts, labels = ali.counts(split), ali.labels(split)
    tree = ali.tree.with_phones(_phones(ali))
    model = export_model(tree)
    with alone_with(output), replacing_folder(output) as folder:
        items = ((key, labels[key]) for key in sorted(labels)) if pdf_ids else _transition_ids(ali, split, tree, model)
        write_labels(folder / "ali.1.gz", items)
        (folder / "num_jobs").write_text("1\n")
        (folder / "tree").write_text(tree_text(tree))
        (folder / "topo").write_text(topology_text(model.topology))
        (folder / "final.mdl").write_text(transition_model_text(model))
        (folder / COUNTS).write_text(f"[ {' '.join(map(str, counts))} ]\n")
        write_symbols(folder / "phones.txt", ["<eps>", *tree.phones.names])
    LOG.info("%s: %d utterances, %d pdfs", output, len(labels), tree.num_pdfs)


def _transition_ids(
    ali: Alignments, split: str, tree: Tree, model: TransitionModel
) -> Iterator[tuple[str, np.ndarray]]:
    segments, labels = ali.segments(split), ali.labels(split)
    if segments is None:
        raise DataError(f"{ali.folder} has pdfs of {split} and no phones, as it was imported: export pdfs (--pdf-ids)")
    new = np.array([0, *(tree.phones.id(name) for name in ali.tree.phones.names)])
    ids = TransitionIds(tree, model)
    for key in sorted(segments):
        own = segments[key]
        moved = Segments(new[own.phones].astype(np.int32), own.lengths, own.classes)
        if not np.array_equal(relabel(moved, tree), labels[key]):
            raise DataError(f"{ali.folder}: the labels of {key} are not those of its phones and the tree")
        yield key, ids.of(moved, key)


def _phones(ali: Alignments) -> Phones:
    """In Kaldi's order, where that is known."""
    own = ali.tree.phones
    if not (ali.folder / SYMBOLS).is_file():
        return own
    silences = [own.name(p) for p in own.silences]
    symbols, _ = kaldi_phones(ali.folder / SYMBOLS, silences)
    return Phones(tuple(symbols), tuple(symbols.index(s) + 1 for s in silences))
