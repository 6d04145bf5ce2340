"""An experiment's folder: held by one training at a time, and looked at before another goes on in it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from asrpar.config import load_config
from asrpar.errors import ConfigError, DataError, TrainingError
from asrpar.files.json_files import read_json
from asrpar.files.lock import busy, holder, try_lock
from asrpar.log import get_logger
from asrpar.parallel.comm import Comm
from asrpar.train.config import TrainConfig
from asrpar.train.digests import differences

log = get_logger(__name__)

# Seconds in which what a killed launcher has left ends itself.
ORPHANS_END = 10.0


def lock_or_wait(exp: Path) -> IO[str] | None:
    """The lock of ``exp``, or None if another has it; one whose launcher has gone is given some seconds to end."""
    deadline = time.monotonic() + ORPHANS_END
    while (lock := try_lock(exp)) is None:
        who = holder(exp)
        if who is None or not who.orphaned() or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return lock


@contextmanager
def claim(exp: Path, comm: Comm) -> Iterator[bool]:
    """Hold ``exp`` for one job; yields True on rank 0. `TrainingError` on all ranks if another job has it."""
    lock = lock_or_wait(exp) if comm.rank == 0 else None
    try:
        if problem := comm.broadcast_object("" if lock or comm.rank else busy(exp)):
            raise TrainingError(problem)
        yield comm.rank == 0
    finally:
        if lock is not None:
            lock.close()


def look(exp: Path, config: TrainConfig) -> tuple[bool, str]:
    """Whether ``exp`` holds this very training, finished; and why it cannot be used, or an empty string."""
    previous = exp / "config.yaml"
    if not previous.exists():
        return False, ""
    try:
        changed = differences(load_config(TrainConfig, previous), config)
        summary = exp / "train.json"
        done = summary.exists() and read_json(summary).get("complete", False)
    except (ConfigError, DataError) as e:
        return False, f"{exp} holds a training that cannot be continued ({e}): choose another exp folder"
    if changed:
        more = " ..." if len(changed) > 5 else ""
        return False, (
            f"{exp} holds a training with other settings ({'; '.join(changed[:5])}{more}): choose another exp folder, "
            "or remove this one"
        )
    done = done and (exp / "final.pt").exists()
    return done, data_changed(exp, config) if done else ""


def finished(exp: Path, done: bool, error: str) -> bool:
    """What `look` found, told: an ``error`` is raised as `ConfigError`."""
    if error:
        raise ConfigError(error)
    if done:
        log.info("%s is trained already; remove the folder or choose another --set exp=... to train anew", exp)
    return done


def data_changed(exp: Path, config: TrainConfig) -> str:
    """Why the finished training in ``exp`` is not one on the data that are there now; an empty string if it is."""
    from asrpar.train.identity import Identity, other_data
    from asrpar.train.model_io import load_acoustic_model

    known = read_json(exp / "train.json").get("data_digest")
    if known is None:  # of an earlier version
        return ""
    now = Identity.of_data(config.data)
    before = load_acoustic_model(exp / "final.pt")[1]["identity"] if now.digest() != known else None
    return other_data(exp, before.other_data(now)) if before is not None else ""
