"""Modules come from where this program was installed, not from the folder in which somebody happens to run it.

Python puts the current folder first in the path of ``python -m`` and ``python -c``, and so of every process that
`multiprocessing` spawns: a ``random.py`` that lies there would be run. The processes that are started from here (ranks,
workers, cells of a study) have a safe path (Python's ``-P``), and in them `asrpar` is this copy and no other.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path

import asrpar

ROOT = Path(asrpar.__file__).resolve().parent.parent
# What variables that were changed here were before.
_before: dict[str, str | None] = {}


def leave_current_folder() -> None:
    """Take no modules from the folder that ``python -m`` has put first in the path."""
    if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]
        _be_found()


def leave_empty_entries() -> None:
    """Take none either for an entry of PYTHONPATH that is empty, as ``$PYTHONPATH:/x`` leaves one by mistake."""
    entries, here = os.environ.get("PYTHONPATH", "").split(os.pathsep), os.getcwd()
    if len(entries) > 1 and "" in entries and not any(entry and os.path.abspath(entry) == here for entry in entries):
        sys.path[:] = [entry for entry in sys.path if entry not in ("", here)]
        _be_found()


def _be_found() -> None:
    if not _is_installed():
        sys.path.insert(0, str(ROOT))


def environment() -> dict[str, str]:
    """Variables with which other processes find the modules that this one has found, and none beside them.

    The user's PYTHONPATH stays, without the empty entries that stand for the current folder.
    """
    path = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if not _is_installed() and str(ROOT) not in path[:1]:
        path.insert(0, str(ROOT))
    return {"PYTHONSAFEPATH": "1", **({"PYTHONPATH": os.pathsep.join(path)} if path else {})}


@contextmanager
def inherited() -> Iterator[None]:
    """All processes that the block starts have `environment`."""
    found = environment()
    _before.update({name: os.environ.get(name) for name in found})
    os.environ.update(found)
    try:
        yield
    finally:
        restored = users_environment()
        for name in found:
            os.environ.pop(name, None)
        os.environ.update(restored)
        _before.clear()


def users_environment() -> dict[str, str]:
    """The environment as it was, for commands of the user's own."""
    mine = {k: v for k, v in os.environ.items() if k not in _before}
    return mine | {name: value for name, value in _before.items() if value is not None}


def _is_installed() -> bool:
    """Whether this `asrpar` is the one that is found without the current folder."""
    path = [entry for entry in sys.path if entry not in ("", os.getcwd())]
    for finder in sys.meta_path:
        spec = finder.find_spec("asrpar", path if finder is PathFinder else None)
        if spec is not None and spec.origin is not None:
            return Path(spec.origin).resolve().parent.parent == ROOT
    return False
