"""Parallel training: strategies over flat vectors, and the transports that carry their messages.

Nothing here knows of speech. A strategy is given a `Learner` and a `Comm`, and does one step at a time. What a training
loop of any PyTorch module needs can be imported from here; see docs/library.md.
"""

from importlib import import_module
from typing import Any

# Found when they are asked for: most of what is below needs no torch, or no MPI.
_DOOR = {
    "FlatLearner": "asrpar.parallel.learner",
    "Parallel": "asrpar.parallel.loops.parallel",
    "make_strategy": "asrpar.parallel.strategies",
    "make_wire": "asrpar.parallel.compress",
    "world": "asrpar.parallel.comm",
}


def __getattr__(name: str) -> Any:
    if name not in _DOOR:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_DOOR[name]), name)
