"""One process at a time in a folder that it writes to."""

import fcntl
from pathlib import Path
from typing import IO


def try_lock(folder: Path) -> IO[str] | None:
    """Hold ``folder``, which exists, until the file that is returned is closed here and in all processes that share it.

    None if another process holds it.
    """
    lock = (folder / ".lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock
