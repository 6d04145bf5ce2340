"""The strategies by name. Each module is one page and reads like the algorithm box of its paper."""

from importlib import import_module

from asrpar.errors import ConfigError
from asrpar.parallel.comm import Comm
from asrpar.parallel.strategies.base import Learner, Strategy
from asrpar.parallel.wire import Wire

# name: module that holds `Settings` (a dataclass) and `Algorithm` (a Strategy)
STRATEGIES: dict[str, str] = {
    "single": "asrpar.parallel.strategies.single",
    "ssgd": "asrpar.parallel.strategies.ssgd",
    "model_averaging": "asrpar.parallel.strategies.model_averaging",
    "bmuf": "asrpar.parallel.strategies.bmuf",
    "slowmo": "asrpar.parallel.strategies.slowmo",
    "diloco": "asrpar.parallel.strategies.diloco",
    "easgd": "asrpar.parallel.strategies.easgd",
    "dpsgd": "asrpar.parallel.strategies.dpsgd",
    "sgp": "asrpar.parallel.strategies.sgp",
    "delayed": "asrpar.parallel.strategies.delayed",
    "hadpsgd": "asrpar.parallel.strategies.hadpsgd",
    "adpsgd": "asrpar.parallel.strategies.adpsgd",
    "easgd_async": "asrpar.parallel.strategies.easgd_async",
    "asgd": "asrpar.parallel.strategies.asgd",
}

__all__ = ["STRATEGIES", "Learner", "Strategy", "algorithm_class", "make_strategy", "settings_class"]


def settings_class(name: str) -> type:
    """The dataclass of a strategy's settings.

    Raises:
        ConfigError: no such strategy.
    """
    if name not in STRATEGIES:
        from difflib import get_close_matches

        near = get_close_matches(name, STRATEGIES, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ConfigError(f"no strategy '{name}'{hint} (known: {', '.join(STRATEGIES)})")
    return import_module(STRATEGIES[name]).Settings


def algorithm_class(name: str) -> type[Strategy]:
    """The class of a strategy; `ConfigError` if there is none of this name."""
    settings_class(name)
    return import_module(STRATEGIES[name]).Algorithm


def make_strategy(name: str, settings: object, learner: Learner, comm: Comm, wire: Wire | None = None) -> Strategy:
    """The strategy ``name`` for one learner; ``settings`` is an instance of its `settings_class`."""
    return algorithm_class(name)(settings, learner, comm, wire)
