"""Random forests on statistics of a flow's first packets, one forest a task.

After V. F. Taylor et al., AppScanner (2016), the paper's [26]: statistics of packet lengths and
inter-arrival times in both directions together and apart.
"""

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import SequenceBatch

TREES = 200

_SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)

Table = NDArray[np.float32]


def statistics(rows: SequenceBatch) -> Table:
    """``(flows, 64)``: of each direction and of both: 10 of lengths, 10 of gaps, a count.

    Args:
        rows: first packets, as many as the forest may see. The first packet has no gap.
            The last column is the time from the first packet to the last.
    """
    step = np.arange(rows.ip_length.shape[1])
    held = step < rows.length[:, None]
    lengths = rows.ip_length.astype(np.float64)
    gaps = np.log2(1.0 + rows.interarrival_us)
    columns = []
    for side in (held, held & (rows.direction > 0), held & (rows.direction < 0)):
        columns += _summary(lengths, side)
        columns += _summary(gaps, side & (step > 0))
        columns.append(side.sum(axis=1))
    columns.append(np.log2(1.0 + np.where(held, rows.interarrival_us, 0).sum(axis=1)))
    return np.stack(columns, axis=1).astype(np.float32)


def _summary(values: NDArray[np.float64], chosen: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Mean, deviation, sum and quantiles of each row's chosen values; 0 where there are none."""
    count = chosen.sum(axis=1)
    some = np.maximum(count, 1)
    total = np.where(chosen, values, 0).sum(axis=1)
    mean = total / some
    deviation = np.sqrt(np.where(chosen, (values - mean[:, None]) ** 2, 0).sum(axis=1) / some)
    ordered = np.sort(np.where(chosen, values, np.inf), axis=1)
    rows = np.arange(len(values))
    quantiles = [
        np.where(count > 0, ordered[rows, np.rint(share * (some - 1)).astype(np.intp)], 0)
        for share in _SHARES
    ]
    return [mean, deviation, total, *quantiles]


def predicted(
    table: Table,
    labels: NDArray[np.int32],
    training: NDArray[np.intp],
    seed: int,
    leaf: int,
) -> NDArray[np.int64]:
    """``(flows,)`` what a forest says of every flow.

    Args:
        table: of `statistics`.
        labels: ``(flows,)`` of one task.
        training: flows that it learns from, all labelled.
        seed: of the forest.
        leaf: flows of a leaf, at least.
    """
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415 -- slow to load

    forest = RandomForestClassifier(TREES, min_samples_leaf=leaf, random_state=seed, n_jobs=1)
    forest.fit(table[training], labels[training])
    return np.asarray(forest.predict(table), np.int64)
