"""Splits by source, and what a split is worth.

Rows of one capture share its network, its day and its tools; a figure from the same captures
that were trained on is memorisation. So whole sources are held out. Patterns are never dropped:
how many of the tested ones occur in training is reported instead (`docs/semantics.md` 18).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError
from trainer.datasets.dataset import Dataset

PARTS = ("train", "validation", "test")
"""Weights are fitted on the first, stopping, calibration and thresholds on the second."""


@dataclass(frozen=True)
class Split:
    """Names of the sources of each part; no source is in two."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


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
        LabelError: a source is in two parts, or training or validation lacks flows with or
            without one of the tasks.
    """
    names = [record.name for record in dataset.sources]
    named = [name for part in PARTS for name in given.get(part, ())]
    if twice := {name for name in named if named.count(name) > 1}:
        raise LabelError(f"source {min(twice)} is in two parts of the split; name it once")
    dataset.of_sources(named)
    if named:
        rest = tuple(name for name in names if name not in named)
        split = Split(
            (*given.get("train", ()), *rest),
            tuple(given.get("validation", ())),
            tuple(given.get("test", ())),
        )
    else:
        split = _drawn(dataset, names, shares, seed)
    for part in ("train", "validation"):
        _both_classes(dataset, part, getattr(split, part))
    return split


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
    return Split(*(tuple(sorted(parts[part])) for part in PARTS))


def _both_classes(dataset: Dataset, part: str, names: Sequence[str]) -> None:
    labels = dataset.of_sources(names).labels
    for column, task in enumerate(dataset.tasks):
        for value in (1, 0):
            if not (labels[:, column] == value).any():
                raise LabelError(
                    f"no row of {part} has {task} = {value}; add a source that has, or name the "
                    f"sources of {part}"
                )


def without_repeated_flows(dataset: Dataset) -> tuple[Dataset, int]:
    """Removes flows that an earlier source holds as well, as overlapping captures do.

    Two flows are the same if endpoints, protocol, IP version and start (to the microsecond, for
    captures of different resolution) are.

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
    source = dataset.source[first]
    earliest = np.full(int(kind.max(initial=-1)) + 1, np.iinfo(np.int32).max, np.int32)
    np.minimum.at(earliest, kind, source)
    repeated = source > earliest[kind]
    if not repeated.any():
        return dataset, 0
    return dataset.take(~np.isin(dataset.flow, dataset.flow[first][repeated])), int(repeated.sum())


def patterns(x: NDArray[np.float32], c: NDArray[np.float32]) -> NDArray[np.int64]:
    """Numbers that are equal where two rows are equal to the network.

    Args:
        x: ``(rows, n, channels)`` float32, on the grid.
        c: ``(rows, context)`` float32, on the grid.

    Returns:
        ``(rows,)`` int64, from 0 in order of first appearance.
    """
    rows = len(x)
    joined = np.concatenate([x.reshape(rows, -1), c.reshape(rows, -1)], axis=1)
    # −0.0 and 0.0 are equal to the network but not as bytes.
    joined = np.ascontiguousarray(joined) + np.float32(0)
    digests = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in joined]
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(digest, len(numbers)) for digest in digests], np.int64)


def share_seen(test: NDArray[np.int64], train: NDArray[np.int64]) -> float:
    """Share of test rows whose pattern occurs in training; NaN without rows."""
    return float(np.isin(test, train).mean()) if test.size else float("nan")
