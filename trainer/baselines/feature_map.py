"""KitNET's feature map: which statistics share an autoencoder.

Mirsky et al., Kitsune, NDSS 2018, section V-B: statistics are clustered by their correlation
distance 1 − r, single linkage, and the dendrogram is cut from the top until no cluster has more
than m statistics.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def correlation_distance(x: Array) -> Array:
    """1 − r between the columns of ``(packets, statistics)``, none of which is constant."""
    centred = x - x.mean(axis=0)
    centred /= np.sqrt((centred * centred).sum(axis=0))
    distance: Array = np.maximum(1 - centred.T @ centred, 0)
    return distance


def clusters(distance: Array, largest: int) -> tuple[tuple[int, ...], ...]:
    """Single-linkage clusters of at most `largest` members, in order of their first ones.

    Args:
        distance: ``(n, n)``, symmetric.
        largest: at least 1.
    """
    members: dict[int, tuple[int, ...]] = {each: (each,) for each in range(len(distance))}
    group = list(members)
    whole: list[tuple[int, ...]] = []
    for a, b in _spanning_tree(distance):
        kept, gone = group[a], group[b]
        parts = [members.get(kept, ()), members.get(gone, ())]
        group = [kept if each == gone else each for each in group]
        members.pop(kept, None)
        members.pop(gone, None)
        # a group without an entry has been cut already, and so is whatever joins it
        if all(parts) and len(parts[0]) + len(parts[1]) <= largest:
            members[kept] = parts[0] + parts[1]
        else:
            whole += [part for part in parts if part]
    return tuple(sorted(tuple(sorted(each)) for each in [*whole, *members.values()]))


def _spanning_tree(distance: Array) -> list[tuple[int, int]]:
    """Edges of a minimum spanning tree, shortest first: the merges of single linkage.

    (Gower and Ross, Minimum spanning trees and single linkage cluster analysis, 1969; the tree is
    Prim's.)
    """
    count = len(distance)
    nearest = np.zeros(count, np.int64)
    away = distance[0].copy() if count else np.zeros(0)
    outside = np.ones(count, np.bool_)
    outside[:1] = False
    edges = []
    for _ in range(count - 1):
        new = int(np.argmin(np.where(outside, away, np.inf)))
        edges.append((float(away[new]), int(nearest[new]), new))
        outside[new] = False
        closer = distance[new] < away
        nearest[closer], away[closer] = new, distance[new][closer]
    return [(a, b) for _, a, b in sorted(edges)]
