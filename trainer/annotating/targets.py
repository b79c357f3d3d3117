"""What a network learns of whole flows: traffic classes, and ranges of bandwidth and duration.

The ranges hold as many training flows each. Their edges are rounded, as far as that leaves them
apart, so that what a class is called and where it ends are the same number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError
from trainer.traffic.buckets import bucket, quantiles
from trainer.traffic.inputs import CLASS, TASKS
from trainer.traffic.material import TRAINING, Material

_UNITS = {"bandwidth": ((1e6, "Mbps"), (1e3, "kbps"), (1.0, "bps")), "duration": ((1.0, "s"),)}
"""By task, what its edges are told in: the largest unit of which the lowest edge has one."""

_DIGITS = range(2, 7)


@dataclass(frozen=True)
class Target:
    """One task.

    Attributes:
        name: of the task, one of `TASKS`.
        classes: names, in the order of the network's output.
        labels: ``(flows,)`` int32 place in `classes`, −1 where it is not known.
        edges: of the ranges, in bits of IP datagrams a second or in seconds; of classes none.
    """

    name: str
    classes: tuple[str, ...]
    labels: NDArray[np.int32]
    edges: tuple[float, ...] = ()

    @property
    def measured(self) -> str:
        """What of a whole flow tells the class (`sensor.model.schema.AnnotationSpec`)."""
        return self.name if self.edges else ""


def targets(material: Material, buckets: int) -> tuple[Target, ...]:
    """Of all flows of a data set, in the order of `TASKS`.

    Args:
        material: the data set; the training part alone decides the edges.
        buckets: ranges of bandwidth, and of duration.

    Raises:
        LabelError: bandwidths or durations are too much alike for so many ranges, or the data set
            has no classes.
    """
    if len(material.classes) < 2:
        raise LabelError(
            f"{material.name}: has {len(material.classes)} traffic classes; give captures with "
            f"labels of at least 2 (the first line of a label file: {TASKS[CLASS]}{{music|video}})"
        )
    found = []
    known = material.whole & (material.part == TRAINING)
    for name, values in zip(TASKS, (material.bandwidth_bps, material.duration_s), strict=False):
        edges = rounded(quantiles(values[known], buckets))
        if not edges:
            raise LabelError(
                f"{material.name}: the {name} of its training flows is too much alike for "
                f"{buckets} ranges; give other captures, or set fewer buckets"
            )
        labels = np.where(material.whole, bucket(values, np.array(edges)), -1).astype(np.int32)
        found.append(Target(name, range_names(name, edges), labels, edges))
    found.append(Target(TASKS[CLASS], material.classes, material.label.astype(np.int32)))
    return tuple(found)


def rounded(edges: Sequence[float] | NDArray[np.float64]) -> tuple[float, ...]:
    """Edges with as few digits as leave them apart, at least 2; nothing where none do."""
    for digits in _DIGITS:
        short = [float(f"{edge:.{digits}g}") for edge in edges]
        if short[0] > 0 and all(a < b for a, b in pairwise(short)):
            return tuple(short)
    return ()


def range_names(task: str, edges: Sequence[float]) -> tuple[str, ...]:
    """What people call the ranges: ``below 6.3 s``, ``6.3 to 12 s``, ``12 s and more``."""
    units = _UNITS[task]
    size, unit = next((each for each in units if edges[0] >= each[0]), units[-1])
    told = [f"{edge / size:.{_DIGITS[-1]}g}" for edge in edges]
    between = [f"{low} to {high} {unit}" for low, high in pairwise(told)]
    return (f"below {told[0]} {unit}", *between, f"{told[-1]} {unit} and more")
