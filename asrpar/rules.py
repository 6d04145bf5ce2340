"""What values of settings may be: called by the `validate` of a settings dataclass.

An error begins with the setting's name as its dataclass knows it; `asrpar.config.check` puts the sections in front.
"""

import math
from typing import Any

from asrpar.errors import ConfigError
from asrpar.names import unknown


def need(settings: Any, key: str, good: bool, rule: str) -> None:
    """Raise `ConfigError`, ``key is VALUE: it RULE``, unless ``good``."""
    if not good:
        raise ConfigError(f"{key} is {getattr(settings, key)}: it {rule}")


def positive(settings: Any, *keys: str) -> None:
    """Numbers above 0, and finite; None passes, here and below."""
    for key in keys:
        value = getattr(settings, key)
        need(settings, key, value is None or 0 < value < math.inf, "must be greater than 0, and finite")


def not_negative(settings: Any, *keys: str) -> None:
    """Numbers from 0, and finite."""
    for key in keys:
        value = getattr(settings, key)
        need(settings, key, value is None or 0 <= value < math.inf, "must not be negative, and finite")


def at_least(settings: Any, least: int, *keys: str) -> None:
    """Numbers from ``least``."""
    for key in keys:
        need(settings, key, getattr(settings, key) >= least, f"must be at least {least}")


def fraction(settings: Any, *keys: str) -> None:
    """Numbers from 0 to 1."""
    for key in keys:
        value = getattr(settings, key)
        need(settings, key, value is None or 0 <= value <= 1, "is a fraction, from 0 to 1")


def below_one(settings: Any, *keys: str) -> None:
    """Numbers from 0 and below 1, such as momenta."""
    for key in keys:
        value = getattr(settings, key)
        need(settings, key, value is None or 0 <= value < 1, "must be in [0, 1)")


def one_of(settings: Any, key: str, known: tuple[str, ...]) -> None:
    """One of a few words that have no settings of their own; the nearest is in the error."""
    if getattr(settings, key) not in known:
        raise unknown(key, getattr(settings, key), known)
