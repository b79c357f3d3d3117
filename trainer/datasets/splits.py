"""Splits by source or by time, and what a split is worth.

Rows of one capture share its network, its day and its tools; a figure from the same captures
that were trained on is memorisation. So whole sources are held out; the split by time within
each source is there to show by how much such an in-source figure flatters. Patterns are never
dropped: how many of the tested ones occur in training is reported (`docs/semantics.md` 18).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError
from trainer.datasets.dataset import Dataset

PARTS = ("train", "validation", "test")
"""Weights are fitted on the first, stopping, calibration and thresholds on the second."""


TIME_PERCENT = (55, 15, 30)
"""Share of a source's flows of the same labels, by their start, of each part of a split by time."""


@dataclass(frozen=True)
class Split:
    """Which rows belong to which part.

    Attributes:
        kind: ``source``: whole sources; ``time``: the flows of each source in order of time.
        train, validation, test: names of the sources of each part; of a split by source, no
            source is in two, of a split by time, all are in all.
    """

    kind: Literal["source", "time"]
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def rows(self, dataset: Dataset) -> dict[str, NDArray[np.bool_]]:
        """``(rows,)`` bool for every part; rows of sources that are not named are in none."""
        names = np.array([record.name for record in dataset.sources])
        parts = {
            part: np.isin(names, getattr(self, part))[dataset.source].astype(np.bool_)
            for part in PARTS
        }
        if self.kind == "time":
            percent = _time_percent(dataset)
            begin = 0
            for part, share in zip(PARTS, TIME_PERCENT, strict=True):
                parts[part] &= (percent >= begin) & (percent < begin + share)
                begin += share
        return parts


def split_by_source(
    dataset: Dataset, given: Mapping[str, Sequence[str]], shares: tuple[float, float], seed: int
) -> Split:
    """Divides the sources among the parts.

    Args:
        dataset: the rows.
        given: sources by part (`PARTS`) where the user named them. If any is named, those not
            named are trained on.
        shares: shares of the sources that go to validation and test where none is named.
        seed: of the division.

    Raises:
        LabelError: a source is in two parts.
        MissingInputError: there is no such source.
    """
    names = [record.name for record in dataset.sources]
    named = [name for part in PARTS for name in given.get(part, ())]
    if twice := {name for name in named if named.count(name) > 1}:
        raise LabelError(f"source {min(twice)} is in two parts of the split; name it once")
    dataset.of_sources(named)
    if named:
        rest = tuple(name for name in names if name not in named)
        return Split(
            "source",
            (*given.get("train", ()), *rest),
            tuple(given.get("validation", ())),
            tuple(given.get("test", ())),
        )
    return _drawn(dataset, names, shares, seed)


def split_by_time(dataset: Dataset) -> Split:
    """Divides the flows of each source and label by their start (`TIME_PERCENT`)."""
    names = tuple(record.name for record in dataset.sources)
    return Split("time", names, names, names)


def _drawn(dataset: Dataset, names: list[str], shares: tuple[float, float], seed: int) -> Split:
    """A division in which attacks and benign sources are each spread over the parts."""
    attacked = {
        index for index in range(len(names)) if (dataset.labels[dataset.source == index] == 1).any()
    }
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    generator = np.random.default_rng(seed)
    for group in (sorted(attacked), sorted(set(range(len(names))) - attacked)):
        order = [names[index] for index in generator.permutation(np.array(group, int))]
        # A part with a share gets at least one source, if training keeps one.
        counts = [max(1, round(share * len(order))) if share else 0 for share in shares]
        while sum(counts) >= max(1, len(order)):
            counts[counts.index(max(counts))] -= 1
        parts["validation"] += order[: counts[0]]
        parts["test"] += order[counts[0] : sum(counts)]
        parts["train"] += order[sum(counts) :]
    return Split("source", *(tuple(sorted(parts[part])) for part in PARTS))


def require_classes(
    rows: Mapping[str, NDArray[np.bool_]], labels: NDArray[np.int8], task_names: Sequence[str]
) -> None:
    """Makes sure that training and validation hold both classes of every task.

    Weights need them, and so do calibration and thresholds.

    Args:
        rows: ``(rows,)`` of every part, as `Split.rows` gives them.
        labels: ``(rows, tasks)``.
        task_names: its columns.

    Raises:
        LabelError: one lacks flows with or without one of the tasks.
    """
    for part in ("train", "validation"):
        for column, name in enumerate(task_names):
            for value in (1, 0):
                if not (labels[rows[part], column] == value).any():
                    raise LabelError(
                        f"no row of {part} has {name} = {value}; add a source that has, name "
                        f"the sources of {part}, or leave the task out (`train --task`)"
                    )


def _time_percent(dataset: Dataset) -> NDArray[np.int64]:
    """``(rows,)`` place of each row's flow by start, from 0 to 99.

    Its place is that among the flows of its source with the same labels: attacks are short, and
    each has to be in every part.
    """
    flows, first, inverse = np.unique(dataset.flow, return_index=True, return_inverse=True)
    labels = dataset.labels[first].astype(np.int64) + 1
    digits = 3 ** np.arange(labels.shape[1] + 1)
    kind = np.concatenate([labels, dataset.source[first, None]], axis=1) @ digits
    _, kind = np.unique(kind, return_inverse=True)
    kind = kind.reshape(-1)
    order = np.lexsort((flows, dataset.batch.flow_start_ns[first], kind))
    counts = np.bincount(kind)
    begin = np.cumsum(counts) - counts
    place = np.empty(flows.size, np.int64)
    place[order] = np.arange(flows.size) - begin[kind[order]]
    percent: NDArray[np.int64] = place * 100 // counts[kind]
    return percent[inverse.reshape(-1)]


def without_repeated_flows(dataset: Dataset, known: Sequence[str] = ()) -> tuple[Dataset, int]:
    """Removes flows that another source holds as well, as overlapping captures do.

    Two flows are the same if endpoints, protocol, IP version and start (to the microsecond, for
    captures of different resolution) are.

    Args:
        dataset: the rows.
        known: sources whose flows are kept before those of all others, in this order: those that
            a run has learnt from. Of the others, the earlier source keeps the flow.

    Returns:
        The rest, and the number of flows removed.
    """
    _, first = np.unique(dataset.flow, return_index=True)
    batch = dataset.batch.take(first)
    keys = np.stack(
        [
            batch.flow_start_ns // 1000,
            batch.version.astype(np.int64) << 8 | batch.protocol,
            *(
                getattr(batch, f"{side}_{word}").view(np.int64)
                for side in ("source", "destination")
                for word in ("high", "low")
            ),
            batch.source_port.astype(np.int64) << 16 | batch.destination_port,
        ],
        axis=1,
    )
    _, kind = np.unique(keys, axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    names = [record.name for record in dataset.sources]
    order = sorted(names, key=lambda name: known.index(name) if name in known else len(known))
    place = np.array([order.index(name) for name in names], np.int32)[dataset.source[first]]
    earliest = np.full(int(kind.max(initial=-1)) + 1, np.iinfo(np.int32).max, np.int32)
    np.minimum.at(earliest, kind, place)
    repeated = place > earliest[kind]
    if not repeated.any():
        return dataset, 0
    return dataset.take(~np.isin(dataset.flow, dataset.flow[first][repeated])), int(repeated.sum())


def share_seen(test: NDArray[np.int64], train: NDArray[np.int64]) -> float:
    """Share of test rows whose pattern occurs in training; NaN without rows."""
    return float(np.isin(test, train).mean()) if test.size else float("nan")
