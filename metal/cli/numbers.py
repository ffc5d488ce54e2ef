"""Numbers that a person gives: click takes nan and inf for such, and nan for any range's."""

import math
from typing import Any

import click


class Finite(click.FloatRange):
    """A FloatRange of numbers that can be counted to."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number", param, ctx)
        return number
