"""Stage 4: a decision tree from an alignment and its features."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from asrpar.config import check
from asrpar.errors import DataError
from asrpar.feats.cepstra import cepstra
from asrpar.feats.front_end import front_end
from asrpar.feats.store import FeatureStore
from asrpar.files.lock import alone_with, reading
from asrpar.files.replacing import check_replaceable, replacing_folder, replacing_text
from asrpar.hmm.alignment_files import check_output
from asrpar.hmm.alignments import Alignments
from asrpar.hmm.building import Built, build, report
from asrpar.hmm.config import TreeConfig
from asrpar.hmm.questions import write_questions
from asrpar.hmm.relabel import check_relabels, relabel_folder
from asrpar.hmm.segments import Segments
from asrpar.hmm.statistics import count
from asrpar.hmm.tree import FILE, Tree
from asrpar.log import get_logger
from asrpar.train.identity import summary

LOG = get_logger(__name__)
TREE_ALONE = re.compile(r"tree\.txt|questions\.txt|report\.txt")


def build_tree(
    config: TreeConfig, ali_dir: str | Path, feats_dir: str | Path, output: str | Path, tree_only: bool = False
) -> None:
    """Write a tree, its questions and a report into the folder ``output``, and the alignment with its labels.

    Args:
        config: settings.
        ali_dir: an alignment whose phones are known, of any tree.
        feats_dir: the features that were aligned.
        output: ALI folder; it takes the place of an older one when it is whole.
        tree_only: leave the labels out.

    Raises:
        MissingInputError, DataError: an alignment or features that are not there, are damaged or do not fit.
        ConfigError: settings that cannot be, fewer leaves than roots among them; or ``output`` holds something else.
    """
    check(config)
    output = Path(output)
    _other_folder(ali_dir, output)
    if tree_only:
        check_replaceable(output, TREE_ALONE, "a tree by itself")
    else:
        check_output(output)
    with reading(ali_dir), reading(feats_dir), alone_with(output):
        ali = Alignments.open(ali_dir)
        check_relabels(ali, ali.tree)
        segments = ali.segments(config.split)
        store = FeatureStore(feats_dir, config.split)
        shift = front_end(store.config)["fbank.frame_shift"]
        ali.check(config.split, shift, summary(store.utterances))
        found = count(_counted(store, segments, ali.subsampling, config.cepstra), config.width)
        built = build(ali.tree, found, config)
        LOG.info(
            "%s: %d leaves of %d roots, gain %.3f a frame",
            output, built.tree.num_pdfs, len(built.growth.trees), built.gain_per_frame,
        )  # fmt: skip

        def beside(folder: Path) -> None:
            _write(built, folder)

        if tree_only:
            with replacing_folder(output) as fresh:
                built.tree.write(fresh / FILE)
                beside(fresh)
        else:
            relabel_folder(ali, built.tree, output, {"tree": asdict(config)}, beside)


def label_with(tree: str | Path, ali_dir: str | Path, output: str | Path) -> None:
    """Write the alignment with the labels of a tree that there is.

    Args:
        tree: tree.txt, or a folder with one.
        ali_dir: an alignment whose phones are known.
        output: ALI folder; it takes the place of an older one when it is whole.

    Raises:
        MissingInputError, DataError: files that are not there or are damaged, or a tree of other phones or states.
    """
    _other_folder(ali_dir, output)
    with reading(ali_dir), alone_with(output):
        relabel_folder(Alignments.open(ali_dir), Tree.read(tree), output)


def _other_folder(ali_dir: str | Path, output: str | Path) -> None:
    if Path(output).resolve() == Path(ali_dir).resolve():
        raise DataError(f"{output} is the alignment itself: choose another folder for the tree")


def _counted(
    store: FeatureStore, segments: dict[str, Segments], subsampling: int, num_cepstra: int
) -> Iterator[tuple[Segments, np.ndarray]]:
    """Of each aligned utterance its segments, and the frames that labels stand for."""
    for index, utterance in enumerate(store.utterances):
        if utterance.id in segments:
            yield segments[utterance.id], cepstra(store.load(index), num_cepstra)[::subsampling]


def _write(built: Built, folder: Path) -> None:
    write_questions(folder / "questions.txt", built.questions, built.tree.phones)
    with replacing_text(folder / "report.txt") as file:
        file.writelines(f"{line}\n" for line in report(built))
