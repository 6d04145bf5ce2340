"""Folders with a file of each rank, which are complete or not there, and files of torch's that are whole.

A folder is written under a temporary name, and renamed once every rank has written.
"""

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch

from asrpar.errors import DataError, TrainingError
from asrpar.parallel.comm import Comm


def save_together(final: Path, state: dict[str, Any], comm: Comm) -> None:
    """Make the folder ``final`` with a file ``rank-R.pt`` of each rank's ``state``. Collective.

    Raises:
        TrainingError: on all ranks, if one of them could not write; nothing of the folder stays then.
    """
    temporary, error = final.with_suffix(".tmp"), ""
    if comm.rank == 0:
        error = _begin(temporary, final.name.partition("-")[0])
    error = comm.broadcast_object(error) or _write(temporary / f"rank-{comm.rank}.pt", state, comm.rank)
    failed = sorted({e for e in comm.allgather_object(error) if e})
    if comm.rank == 0:
        if failed:
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.rename(final)
    if failed:
        raise TrainingError(
            f"cannot write checkpoint {final} ({'; '.join(failed)}): free space, then run again to resume"
        )


def _begin(folder: Path, kind: str) -> str:
    """An empty folder, of names that begin with ``kind``; returns why that was not possible, or an empty string."""
    try:
        for leftover in folder.parent.glob(f"{kind}-*.tmp"):  # of runs that were killed while they saved
            shutil.rmtree(leftover, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as e:
        return f"rank 0: {e}"
    return ""


def _write(path: Path, state: dict[str, Any], rank: int) -> str:
    """One rank's file; returns why that was not possible, or an empty string."""
    try:
        with path.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as e:
        return f"rank {rank}: {e}"
    return ""


def remove(folder: Path) -> None:
    """Remove a folder, which is at no moment there in part."""
    shutil.rmtree(folder.rename(folder.with_suffix(".tmp")), ignore_errors=True)


def load_saved(path: str | Path, device: str | torch.device = "cpu") -> Any:
    """What `torch.save` wrote, without pickled code; checks that nothing of it has changed, which torch does not.

    Raises:
        DataError: it is cut short or damaged.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            whole = packed.testzip() is None
    except OSError:
        raise
    except Exception:  # zipfile has many kinds for what is no archive
        whole = False
    if not whole:
        raise DataError(f"{path} is cut short or damaged")
    return torch.load(path, map_location=device, weights_only=True)
