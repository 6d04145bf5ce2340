"""Checks of speech data before hours are spent on it: a Kaldi data folder, or a folder of Lhotse manifests.

Every check goes on after a problem, so that one run tells all that is wrong.
"""

from collections.abc import Sequence
from pathlib import Path

from asrpar.corpus.checks.kaldi import check_kaldi_dir
from asrpar.corpus.checks.manifests import check_split, find_splits
from asrpar.corpus.checks.report import DataSet, Limits, compare_sets
from asrpar.corpus.problems import Problem, sort_problems
from asrpar.errors import DataError


def check_paths(
    paths: Sequence[str | Path], kind: str | None = None, limits: Limits | None = None
) -> tuple[list[DataSet], list[Problem]]:
    """Check several folders, and all their sets against each other.

    Args:
        paths: Kaldi data folders (each a set, named as the folder) and manifest folders (a set for each split).
        kind: ``"kaldi"`` or ``"manifests"``; None to see what each folder holds.
        limits: what counts as a problem.

    Returns:
        The sets, and all problems, by file and line.

    Raises:
        DataError: a path is not a folder, or holds neither.
    """
    limits = limits or Limits()
    sets: list[DataSet] = []
    for path in paths:
        folder = _folder(path)
        if (kind or kind_of(folder)) == "kaldi":
            sets.append(check_kaldi_dir(folder, limits).found)
        else:
            sets += _manifest_sets(folder, limits)
    return sets, sort_problems([p for s in sets for p in s.problems] + list(compare_sets(sets, limits)))


def kind_of(folder: Path) -> str:
    """``"manifests"`` or ``"kaldi"``, by the files in ``folder``; raises DataError if it is neither."""
    if find_splits(folder):
        return "manifests"
    if any((folder / name).is_file() for name in ("wav.scp", "text", "utt2spk", "spk2utt", "segments")):
        return "kaldi"
    raise DataError(
        f"{folder} holds neither manifests (recordings_train.jsonl.gz ...) nor Kaldi data (wav.scp, text ...)"
    )


def _manifest_sets(folder: Path, limits: Limits) -> list[DataSet]:
    splits = find_splits(folder)
    if not splits:
        raise DataError(f"{folder} holds no manifests (recordings_train.jsonl.gz and so on): run stage 1 first")
    return [check_split(folder, split, limits) for split in splits]


def _folder(path: str | Path) -> Path:
    if not Path(path).is_dir():
        raise DataError(f"no folder {path} to check")
    return Path(path)
