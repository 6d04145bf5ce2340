"""An alignment with the labels of another tree: the same phones and times, other classes of frames."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from asrpar.errors import DataError
from asrpar.hmm.alignment_files import Aligned, writing_alignments
from asrpar.hmm.alignments import Alignments
from asrpar.hmm.segments import relabel
from asrpar.hmm.tree import Tree
from asrpar.log import get_logger

LOG = get_logger(__name__)


def relabel_folder(
    ali: Alignments,
    tree: Tree,
    output: str | Path,
    settings: Mapping[str, Any] | None = None,
    more: Callable[[Path], None] | None = None,
) -> None:
    """Write an ALI folder: all sets of ``ali``, speed-perturbed copies included, with the pdfs of ``tree``.

    Args:
        ali: an alignment whose phones are known.
        tree: with the same phones and pdf classes.
        output: the new folder, which takes the place of an older one when it is whole; hold it meanwhile.
        settings: put beside those of ``ali`` into ali.yaml.
        more: called with the new folder before it takes its place, to put further files there.

    Raises:
        DataError: the tree is of other phones or states, or the alignment has pdfs alone.
    """
    check_relabels(ali, tree)
    info = dataclasses.replace(ali.info, sets={}, settings={**ali.info.settings, **(settings or {})})
    with writing_alignments(output, tree, info) as writer:
        for name in ali.sets:
            segments, words = ali.segments(name), ali.word_numbers(name)
            data = {key: value for key, value in ali.info.sets[name].items() if key != "aligned"}
            with writer.split(name, data) as made:
                for utterance in ali.utterances(name):
                    own = segments[utterance.id]
                    rows = np.stack([own.phones, own.lengths, words[utterance.id]], axis=1)
                    made.add(
                        Aligned(
                            utterance.id,
                            relabel(own, tree),
                            rows,
                            [word for word, *_ in utterance.words],
                            utterance.text,
                            utterance.speaker,
                            utterance.seconds,
                        )
                    )
                for utterance_id, reason in ali.left_out(name).items():
                    made.leave_out(utterance_id, reason)
                LOG.info("%s: %d utterances have labels of %d pdfs", name, made.aligned, tree.num_pdfs)
        if more:
            more(writer.folder)


def check_relabels(ali: Alignments, tree: Tree) -> None:
    """Raise `DataError` unless an alignment's phones can have the labels of a tree."""
    missing = [name for name in ali.sets if ali.segments(name) is None]
    if missing:
        raise DataError(
            f"{ali.folder} has pdfs of {missing[0]} and no phones, as it was imported: another tree cannot label it"
        )
    if ali.tree.phones != tree.phones:
        raise DataError(f"the tree has other phones than {ali.folder}: build one on this alignment")
    if set(ali.tree.roots) != set(tree.roots):
        raise DataError(
            f"the tree is of topology {tree.topology}, {ali.folder} of {ali.tree.topology}: their phones have other "
            "states; build a tree on this alignment"
        )
