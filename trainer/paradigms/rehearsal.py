"""Rehearsal: what a network learns again so that it does not forget.

R. Ratcliff, Connectionist Models of Recognition Memory, Psychological Review 97 (1990): a network
that goes on learning from new examples alone forgets the old ones; some of these, mixed in, hold
them. MULTA, section IV-C, trains on the new task's dataset alone, and its Fig. 5 shows the fall.
"""

import numpy as np
from numpy.typing import NDArray

from trainer.datasets.dataset import Dataset


def rehearsed(
    dataset: Dataset, rows: NDArray[np.bool_], share: float, seed: int
) -> NDArray[np.bool_]:
    """Draws a share of the flows of each source, and within a source of each combination of labels.

    Attacks are few beside floods of them, and some are in few flows; so each combination is drawn
    from by itself, and at least one flow of it is taken. All rows of a flow are drawn together.

    Args:
        dataset: the rows.
        rows: ``(rows,)`` those to draw from.
        share: from 0, which draws none, to 1, which draws all.
        seed: of the draw.

    Returns:
        ``(rows,)`` those drawn.
    """
    drawn = np.zeros(len(dataset), np.bool_)
    candidates = np.flatnonzero(rows)
    if not share or not candidates.size:
        return drawn
    flows, first = np.unique(dataset.flow[candidates], return_index=True)
    sources = dataset.source[candidates[first], None]
    labels = dataset.labels[candidates[first]]
    _, kind = np.unique(np.concatenate([sources, labels], axis=1), axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    generator = np.random.default_rng(seed)
    chosen = []
    for each in range(int(kind.max()) + 1):
        of_kind = flows[kind == each]
        # Rounded first: 0.05 · 100 is a little more than 5.
        count = int(np.ceil(round(share * of_kind.size, 6)))
        chosen.append(generator.permutation(of_kind)[:count])
    drawn[candidates] = np.isin(dataset.flow[candidates], np.concatenate(chosen))
    return drawn
