"""Checkpoints: the whole state of every rank, so that a killed run goes on to the same numbers.

A checkpoint is a folder with one file for each rank. It is written under a temporary name and renamed once every rank
has written; one that is to go is renamed before it is emptied. So a folder with a final name is always complete.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from asrpar.errors import DataError, TrainingError
from asrpar.files.paths import entries, naming
from asrpar.log import get_logger
from asrpar.parallel.comm import Comm
from asrpar.parallel.rank_files import load_saved, remove, save_together

log = get_logger(__name__)
# In the first format what `asrpar.train.state.Machine` keeps were parts of their own.
FORMAT, KNOWN = 2, (1, 2)
_NAME = re.compile(r"epoch-(\d+)-step-(\d+)(?:-(\d+))?")


class Checkpoints:
    """The checkpoints of one experiment.

    Args:
        folder: ``exp/<name>/checkpoints``.
        comm: all learners.
        keep: newest ones kept.
    """

    def __init__(self, folder: Path, comm: Comm, keep: int) -> None:
        self.folder = folder
        self.comm = comm
        self.keep = keep
        # Where this rank was when it saved or loaded last.
        self.place: tuple[int, ...] | None = None

    def regroup(self, comm: Comm) -> None:
        """Go on among the learners of ``comm`` after others were lost."""
        self.comm = comm

    def save(self, epoch: int, step: int, make: Callable[[], dict[str, Any]]) -> Path:
        """Save this rank's state, which ``make()`` makes, after ``epoch`` whole epochs and ``step`` steps in all.

        All ranks call it.

        Returns the folder. If no rank has got any further, it is left as it is.
        """
        state = make()
        place = _place(state)
        still = all(self.comm.allgather_object(place == self.place))
        final = self.folder / self.comm.broadcast_object(self._name(epoch, step, still))
        if self.comm.broadcast_object(final.exists()):
            return final
        save_together(final, {"format": FORMAT, "learners": self.comm.size, **state}, self.comm)
        if self.comm.rank == 0:
            for old in self.complete()[: -self.keep]:
                remove(old)
        self.place = place
        self.comm.barrier()
        return final

    def complete(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        # If the folder may not be read, a training must not begin anew.
        found = [path for path in entries(self.folder, "epoch-*") if _NAME.fullmatch(path.name) and path.is_dir()]
        return sorted(found, key=_numbers)

    def _name(self, epoch: int, step: int, still: bool) -> str:
        """Of this rank's next checkpoint; that of the last one at this place if all ``still`` are where they were."""
        name = f"epoch-{epoch:04d}-step-{step:08d}"
        there = [path for path in self.complete() if _numbers(path)[:2] == (epoch, step)]
        if there:
            # Learners that go at their own pace may have got further while rank 0, whose place this is, has not.
            return there[-1].name if still else f"{name}-{_numbers(there[-1])[2] + 1}"
        return name

    def load(self, device: torch.device, allow_learner_change: bool) -> dict[str, Any] | None:
        """This rank's state from the newest checkpoint; None if there is none.

        Raises:
            TrainingError: it was made by another number of learners, or cannot be read.
        """
        # Rank 0 decides, so that all ranks read the same one even where a file system lags.
        newest = self.comm.broadcast_object(str(self.complete()[-1]) if self.complete() else "")
        if not newest:
            return None
        files = entries(newest, "rank-*.pt")
        changed = len(files) != self.comm.size
        path = Path(newest) / f"rank-{self.comm.rank}.pt"
        # One that is missing is another thing than another number of learners; any that is there can tell.
        state = self._read(files[0] if changed and files else path, device)
        self._check_learners(newest, state, len(files), allow_learner_change)
        self.place = None if changed else _place(state)
        log.info("resuming from %s", newest)
        return state

    def _check_learners(self, newest: str, state: dict[str, Any], files: int, allow_change: bool) -> None:
        """`TrainingError` unless the learners that are there now can go on from a checkpoint of so many ``files``."""
        if state["learners"] != files:
            raise TrainingError(
                f"{newest}: {files} of {state['learners']} files are there: remove the folder to resume from an "
                "older one"
            )
        if files == self.comm.size:
            return
        if not allow_change:
            raise TrainingError(
                f"{newest} was saved by {files} learners, now there are {self.comm.size}: start with --learners "
                f"{files}, or give --allow-learner-change to go on from an epoch boundary with other shares"
            )
        if state["position"]["step"] or state["position"].get("done"):
            raise TrainingError(
                f"{newest} lies within an epoch: the number of learners can change only at an epoch's end; "
                f"finish the epoch with --learners {files} first (--set stop_after_epochs=...)"
            )

    def _read(self, path: Path, device: torch.device) -> dict[str, Any]:
        try:
            with naming(path):
                state = load_saved(path, device)
            if not isinstance(state, dict) or state.get("format") not in KNOWN:
                raise DataError(f"{path} is no checkpoint of this version of asrpar")
        except OSError:  # no fault of the file's: removing it would lose a good one
            raise
        except DataError as e:
            raise TrainingError(f"{e}: remove its folder to resume from an older one") from e
        except Exception as e:  # torch has many kinds for what is not its own
            raise TrainingError(f"{path} is no checkpoint: remove its folder to resume from an older one") from e
        return state


def _place(state: dict[str, Any]) -> tuple[int, ...]:
    """Epochs, steps, and shares of later steps."""
    position = state["position"]
    return position["epoch"], position["steps"], len(position.get("done", ()))


def _numbers(path: Path) -> tuple[int, ...]:
    """Epochs, steps of rank 0, and how many were saved there before, of a checkpoint."""
    return tuple(int(number or 0) for number in _NAME.fullmatch(path.name).groups())
