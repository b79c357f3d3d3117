"""Flows of one data set, dealt out to training, validation and test by their sources."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError, MissingInputError
from sensor.flows.sequences import SequenceBatch
from trainer.traffic.buckets import between_means, bucket, quantiles
from trainer.traffic.inputs import CLASS, TASKS

TRAINING, VALIDATION, TEST = range(3)
PARTS = ("train", "validation", "test")

Division = Literal["means", "quantiles"]
"""How bandwidths and durations become buckets (`trainer.traffic.buckets`)."""


@dataclass(frozen=True)
class Material:
    """Flows of a data set.

    Attributes:
        name: of the data set.
        about: a sentence: what it is, and what its sources are.
        classes: names of the traffic classes; empty where there are none.
        rows: first packets, a row a flow.
        bandwidth_bps, duration_s: ``(flows,)`` of the whole flow.
        whole: ``(flows,)`` bool, whether these are known.
        label: ``(flows,)`` int64 place in `classes`, −1 where it is not known.
        source: ``(flows,)`` int64 place in `sources`.
        sources: names, such as that of a capture file.
        part: ``(flows,)`` int8 place in `PARTS`; all flows of a source have the same.
    """

    name: str
    about: str
    classes: tuple[str, ...]
    rows: SequenceBatch
    bandwidth_bps: NDArray[np.float64]
    duration_s: NDArray[np.float64]
    whole: NDArray[np.bool_]
    label: NDArray[np.int64]
    source: NDArray[np.int64]
    sources: tuple[str, ...]
    part: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.rows)

    def require_parts(self) -> None:
        """Refuses a data set in which a part has nothing to measure.

        Raises:
            MissingInputError: no flow that is labelled, or whole, is in one of the parts.
        """
        usable = self.whole | (self.label >= 0)
        missing = [name for place, name in enumerate(PARTS) if not usable[self.part == place].any()]
        if missing:
            raise MissingInputError(
                f"{self.name}: nothing of its {len(self.sources)} sources is in the part "
                f"{missing[0]}; give more captures"
            )

    @property
    def divisions(self) -> tuple[Division, ...]:
        """Those that there are: class means only where the classes are as many as the buckets."""
        return ("means", "quantiles") if len(self.classes) == 5 else ("quantiles",)

    @cached_property
    def identity(self) -> str:
        """SHA-256, equal for equal flows, labels and parts."""
        digest = hashlib.sha256(f"{self.name}|{'|'.join(self.classes)}".encode())
        columns = [getattr(self.rows, name) for name in ("ip_length", "interarrival_us")]
        columns += [self.rows.direction, self.bandwidth_bps, self.duration_s, self.whole]
        for column in (*columns, self.label, self.source, self.part):
            digest.update(f"{column.dtype}{column.shape}".encode())
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()

    def labels(self, division: Division) -> NDArray[np.int32]:
        """``(flows, tasks)`` in the order of `TASKS`, −1 where not known.

        Dividers are those of the training part.
        """
        columns = np.full((len(self), len(TASKS)), -1, np.int32)
        for column, values in enumerate((self.bandwidth_bps, self.duration_s)):
            dividers = self.dividers(values, division)
            columns[:, column] = np.where(self.whole, bucket(values, dividers), -1)
        columns[:, CLASS] = self.label
        return columns

    def dividers(self, values: NDArray[np.float64], division: Division) -> NDArray[np.float64]:
        """Of a column, by the training part alone."""
        known = self.whole & (self.part == TRAINING)
        if division == "quantiles":
            return quantiles(values[known])
        known &= self.label >= 0
        return between_means(values[known], self.label[known])

    def sizes(self, division: Division) -> tuple[int, ...]:
        """Classes of each of `TASKS`; 0 for the last where there are none."""
        values = (self.bandwidth_bps, self.duration_s)
        counts = [self.dividers(column, division).size + 1 for column in values]
        return (*counts, len(self.classes))

    def labelled(self, count: int, seed: int) -> NDArray[np.intp]:
        """Training flows whose class is known to the learner: as many of each class as can be.

        Args:
            count: in total; 0 for all. Where it is no multiple of the classes, those that the
                seed draws have one more; a class with fewer flows gives all of them.
            seed: of the draw; for one seed, fewer labels are among more.

        Raises:
            LabelError: there are fewer labels than classes.
        """
        known = np.flatnonzero((self.part == TRAINING) & (self.label >= 0))
        if not count:
            return known
        if count < len(self.classes):
            raise LabelError(
                f"{self.name}: {count} labels are fewer than its {len(self.classes)} classes; "
                "take more"
            )
        generator = np.random.default_rng([seed, 8])
        turn = generator.permutation(len(self.classes))
        queues = [generator.permutation(known[self.label[known] == one]) for one in turn]
        # Round by round, so that the first labels of a longer list are those of a shorter one.
        longest = max(queue.size for queue in queues)
        rounds = [queue[place : place + 1] for place in range(longest) for queue in queues]
        return np.concatenate(rounds)[:count]


def deal(
    groups: Sequence[str], seed: int, shares: tuple[float, float] = (0.6, 0.2)
) -> NDArray[np.int8]:
    """``(sources,)`` part of each source; each group is dealt out in these shares.

    Args:
        groups: of each source, such as the class of what it holds.
        seed: of the draw.
        shares: of training and validation; the rest is tested on.
    """
    generator = np.random.default_rng(seed)
    part = np.full(len(groups), TEST, np.int8)
    names = np.array(groups)
    for group in sorted(set(groups)):
        of = generator.permutation(np.flatnonzero(names == group))
        ends = np.round(np.cumsum(shares) * of.size).astype(int)
        part[of[: ends[0]]], part[of[ends[0] : ends[1]]] = TRAINING, VALIDATION
    return part
