"""Types of options that several commands have."""

import math
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A number within bounds, and neither nan, which no bound keeps out, nor inf."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number", param, ctx)
        return number


FINITE = FiniteRange()
