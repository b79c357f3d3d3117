"""Ranges of numbers that options take."""

import math
from typing import Any

import click

SEED = click.IntRange(0, 2**32 - 1)
"""What numpy, Keras and scikit-learn all take as a seed."""


class FiniteRange(click.FloatRange):
    """A range without ``nan``, which is in every range of click's, and ``inf``, in most."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; fails where it is none, infinite or out of the range."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number.", param, ctx)
        return number
