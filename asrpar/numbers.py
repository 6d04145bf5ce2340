"""Numbers that there may not be: what is a mean over nothing, and how JSON says so."""

import math
from typing import Any


def ratio(total: float, count: float) -> float:
    """``total / count``; not a number if there is nothing to divide by, for 0 would pass for a result."""
    return total / count if count else math.nan


def known(value: float | None) -> float | None:
    """The value; None if it is not finite."""
    return value if value is not None and math.isfinite(value) else None


def plain(value: Any) -> Any:
    """The value with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return known(value) if isinstance(value, float) else value
