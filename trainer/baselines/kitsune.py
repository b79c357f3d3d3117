"""Kitsune ×N: an instance of Kitsune for each task, which is what one deploys without MULTA.

Mirsky et al., NDSS 2018 (`afterimage`, `kitnet`); MULTA, section IV, has one instance a task as a
baseline. An instance learns from benign packets at the beginning of captures, and scores packets
by how unusual they are. It can't tell one attack from another. Here are the statistics of a whole
recording; `trainer.reproduce.fig4.unusual` trains instances on them and tests them.

What to expect: it finds what makes a host or a connection unlike itself before, above all more of
it. A flood of which each packet has another sender is in no stream with a past, and nothing is
keyed by the victim: such packets look like the beginning of any conversation, which is what an
autoencoder knows best, so an AUC may lie far below a half.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainer.baselines.afterimage import FEATURES, AfterImage
from trainer.baselines.packet_flows import parts_of
from trainer.datasets.extraction import Recording

Array = NDArray[np.float64]


def statistics(recording: Recording) -> Iterator[Array]:
    """AfterImage ``(packets, 115)`` of a recording, block by block.

    Raises:
        MultaError: the capture can't be read.
    """
    image = AfterImage()
    for begins, headers, _ in parts_of(recording):
        if begins:
            image.restart()
        yield image.add(headers)


def some_of(recording: Recording, packets: int, every: int) -> Array:
    """Statistics of every so many of the first packets of a recording, ``(some, 115)``.

    Args:
        recording: read as far as needed.
        packets: of its beginning.
        every: 1 for all of them.
    """
    parts, begin = [np.zeros((0, len(FEATURES)))], 0
    for block in statistics(recording):
        if begin >= packets:
            break
        parts.append(block[-begin % every : packets - begin : every])
        begin += len(block)
    return np.concatenate(parts)
