"""Checkpoints of a loop: ``FOLDER/step-00001234/rank-R.pt``, complete or not there."""

from pathlib import Path
from typing import Any

from asrpar.errors import DataError, TrainingError
from asrpar.files.paths import entries
from asrpar.parallel.comm import Comm
from asrpar.parallel.loops.checks import check_plain
from asrpar.parallel.rank_files import load_saved, remove, save_together

FORMAT = 1


def save_step(folder: Path, state: dict[str, Any], more: dict[str, Any], comm: Comm, keep: int) -> None:
    """Save this rank's state, with ``steps`` in it, and what the loop wants to be kept with it. Collective."""
    check_plain(more, "parallel.save: more")
    # Learners at their own pace have taken different numbers.
    steps = comm.broadcast_object(state["steps"])
    final = folder / f"step-{steps:08d}"
    if comm.broadcast_object(final.exists()):
        if comm.rank == 0:
            remove(final)
        comm.barrier()
    save_together(final, {"format": FORMAT, "learners": comm.size, "more": more, **state}, comm)
    if comm.rank == 0:
        for old in complete(folder)[:-keep]:
            remove(old)
    comm.barrier()


def complete(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return [path for path in entries(folder, "step-" + "[0-9]" * 8) if path.is_dir()]


def load_newest(folder: Path, facts: dict[str, Any], comm: Comm) -> dict[str, Any] | None:
    """This rank's state from the newest checkpoint; None if there is none. Collective.

    Raises:
        TrainingError: on all ranks, if one of them cannot go on from it.
    """
    # Rank 0 decides, so that all ranks read the same one even where a file system lags.
    found = [str(path) for path in complete(folder)] if comm.rank == 0 else []
    if comm.broadcast_object(folder.exists() and not folder.is_dir()):
        raise TrainingError(f"{folder} is no folder of checkpoints: give another, which may be new")
    newest = (comm.broadcast_object(found) or [None])[-1]
    if newest is None:
        return None
    state, error = None, ""
    try:
        state = _read(Path(newest), facts, comm)
    except (TrainingError, DataError, OSError) as e:
        error = str(e)
    errors = [e for e in comm.allgather_object(error) if e]
    if errors:
        raise TrainingError(errors[0])
    return state


def _read(newest: Path, facts: dict[str, Any], comm: Comm) -> dict[str, Any]:
    files = len(entries(newest, "rank-*.pt"))
    if files != comm.size:
        raise TrainingError(
            f"{newest} was saved by {files} learners, now there are {comm.size}: start as many as before"
        )
    path = newest / f"rank-{comm.rank}.pt"
    try:
        state = load_saved(path)
    except OSError:
        raise
    except Exception as e:  # torch has many kinds for what is not its own
        raise TrainingError(f"{path} is damaged ({e}): remove its folder to go on from an older one") from e
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise TrainingError(f"{path} is no checkpoint of Parallel.save: remove its folder to go on from an older one")
    for what, value in facts.items():
        if state["facts"].get(what) != value:
            raise TrainingError(f"{newest} was saved by a training with another {what}: give another folder")
    return state
