"""The strategies by name. Each module is one page and reads like the algorithm box of its paper."""

from typing import Any

from asrpar.choices import Family
from asrpar.parallel.comm import Comm
from asrpar.parallel.compress.wire import Wire
from asrpar.parallel.contract import Learner, Strategy

# Modules with `Settings` and `Algorithm` (a Strategy).
STRATEGIES = Family("asrpar.parallel.strategies", "strategy", "Algorithm")

__all__ = ["STRATEGIES", "Learner", "Strategy", "make_strategy", "settings_class"]

settings_class = STRATEGIES.settings_class


def make_strategy(name: str, settings: Any, learner: Learner, comm: Comm, wire: Wire | None = None) -> Strategy:
    """The strategy ``name`` for one learner.

    Args:
        name: of a module of this package.
        settings: an instance of its `settings_class`, or a dictionary of those that are not as by default.
        learner: what it drives.
        comm: the learners.
        wire: how vectors travel; as they are by default.

    Raises:
        ConfigError: no strategy of that name, or settings that cannot be.
    """
    algorithm = STRATEGIES.load(name)
    if isinstance(settings, dict):
        settings = STRATEGIES.settings(name, {name: settings})
    STRATEGIES.check(name, settings)
    return algorithm(settings, learner, comm, wire)
