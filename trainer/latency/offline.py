"""What can be looked at where a whole series is there: both sides of a measurement.

Labeling functions look at more than 1,000 measurements on either side; the sensor has the last 64.
A network that is to be held against their label model offline, as the latency paper does it, sees
what they see: the measurements around one, and how all of that stands to the background.

Round-trip times are told in units of jitter, which is the usual distance between a measurement and
the median of its neighbours, above the low quarter of the background (`trainer.weak.latency` has
the same two). The unit is the same for near and far peers. asinh keeps what is far out in reach.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.model.schema import PEER_LATENCY, FeatureSchema
from trainer.latency.series import LatencySeries
from trainer.weak.rolling import (
    Floats,
    rolling_median,
    rolling_minimum,
    rolling_quantiles,
    rolling_sum,
)

STEPS = 8
"""Measurements on each side that a network sees one by one."""

NEAR = (3, 12, 32, 96)
"""Measurements on each side of which it sees the median, the least and how many were answered."""

LONG, STEP = 1_024, 16
"""Measurements on each side that are the background, and every how many are looked at."""

REACH = LONG + NEAR[0]
"""Measurements on each side on which an input depends, at most."""

_LEAST_JITTER = 1e-3
"""Of the background, in its own units: equal round-trip times have no other scale."""

OWN = ("own", "own_answered", *(f"own_{width}" for width in NEAR[:3]))
"""The measurement in the middle by itself, and above the median of those around it."""

_CONTEXT = OWN + tuple(
    f"{what}_{width}" for width in NEAR for what in ("median", "least", "answered")
)

SCHEMA = FeatureSchema(
    lengths=(2 * STEPS + 1,),
    fields=("rtt", "answered", "valid"),
    context=_CONTEXT,
    key=PEER_LATENCY,
)
"""Sizes of a network's inputs; nothing that the sensor could make rows of."""


@dataclass(frozen=True, eq=False)
class Centred:
    """Inputs of measurements with both sides of them.

    Attributes:
        x: ``(m, 2 · STEPS + 1, 3)`` float32, from the earliest to the latest.
        c: ``(m, context)`` float32.
    """

    x: NDArray[np.float32]
    c: NDArray[np.float32]

    @classmethod
    def of(cls, series: LatencySeries) -> "Centred":
        """Of every measurement of a series."""
        rtt = series.rtt_ms
        usual = rolling_median(rtt, NEAR[0], NEAR[0])
        low, middle = rolling_quantiles(rtt, LONG, LONG, (0.25, 0.5), STEP)
        (jitter,) = rolling_quantiles(np.abs(rtt - usual), LONG, LONG, (0.5,), STEP)
        unit = np.maximum(jitter, _LEAST_JITTER * middle)
        return cls(_steps(rtt, low, unit), _context(rtt, low, unit))

    @classmethod
    def concatenate(cls, every: Sequence["Centred"]) -> "Centred":
        """Of several series, one after the other."""
        return cls(
            np.concatenate([each.x for each in every]), np.concatenate([each.c for each in every])
        )

    @property
    def schema(self) -> FeatureSchema:
        """Says the sizes."""
        return SCHEMA

    def __len__(self) -> int:
        return len(self.x)

    def take(self, places: NDArray[np.intp]) -> "Centred":
        """The given measurements."""
        return Centred(self.x[places], self.c[places])

    def flat(self) -> NDArray[np.float32]:
        """``(m, features)``, all of it side by side."""
        return np.concatenate([self.x.reshape(len(self), -1), self.c], axis=1)

    def expand(
        self, rows: NDArray[np.intp] | slice = slice(None)
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The network's inputs for some of them."""
        return self.x[rows], self.c[rows]


def _steps(rtt: Floats, low: Floats, unit: Floats) -> NDArray[np.float32]:
    """All of a window in the background of its middle."""
    width = 2 * STEPS + 1
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(rtt, STEPS, constant_values=np.nan), width
    )
    valid = np.lib.stride_tricks.sliding_window_view(np.pad(np.ones(len(rtt)), STEPS), width)
    above = _told(around, low[:, None], unit[:, None])
    return np.stack([above, ~np.isnan(around), valid], axis=2).astype(np.float32)


def _context(rtt: Floats, low: Floats, unit: Floats) -> NDArray[np.float32]:
    there = ~np.isnan(rtt)
    medians = [rolling_median(rtt, width, width) for width in NEAR]
    columns = [_told(rtt, low, unit), there.astype(np.float64)]
    columns += [_told(rtt, medians[i], unit) for i in range(len(OWN) - 2)]
    for width, median in zip(NEAR, medians, strict=True):
        columns += [
            _told(median, low, unit),
            _told(rolling_minimum(rtt, width, width), low, unit),
            rolling_sum(there, width, width) / (2 * width + 1),
        ]
    return np.stack(columns, axis=1).astype(np.float32)


def _told(rtt: Floats, low: Floats, unit: Floats) -> Floats:
    """Units above the background; 0 for what was not answered, or where nothing ever was."""
    with np.errstate(invalid="ignore", divide="ignore"):
        above: Floats = np.nan_to_num(np.arcsinh((rtt - low) / unit) / 4, posinf=0.0, neginf=0.0)
    return above
