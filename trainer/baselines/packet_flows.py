"""Which flow each packet of a recording is in, and what the labels say about that flow.

Flows, labels and rows of other figures come from the sensor's flow table; so do these, so that a
figure about packets speaks of the same flows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.capture.formats import open_capture
from sensor.errors import TruncatedCaptureError
from sensor.flows.epochs import Epochs
from sensor.flows.rows import Pieces
from sensor.flows.segments import Segments
from sensor.flows.sequences import SequenceBatch
from sensor.flows.table import FlowTable
from sensor.model.schema import FeatureSchema
from sensor.packets.decode import Decoder
from sensor.packets.headers import Headers
from trainer.datasets.captured_twice import copies, without
from trainer.datasets.extraction import Recording
from trainer.datasets.labels import MASKED, LabelFile, Labeller, read_labels
from trainer.tasks import KNOWN


@dataclass(frozen=True)
class PacketFlows:
    """Flows of the decoded packets of a recording.

    Attributes:
        flow: ``(packets,)`` int64 ordinal of each packet's flow.
        labels: ``(flows, len(KNOWN))`` int8, as in `trainer.datasets.labels`.
    """

    flow: NDArray[np.int64]
    labels: NDArray[np.int8]

    @property
    def attacked(self) -> NDArray[np.bool_]:
        """``(flows,)`` whether a flow is part of any attack."""
        attacked: NDArray[np.bool_] = (self.labels == 1).any(axis=1)
        return attacked

    @property
    def beginning(self) -> int:
        """Packets before the first one of an attack."""
        attack = np.flatnonzero(self.attacked[self.flow])
        return int(attack[0]) if attack.size else self.flow.size


def parts_of(recording: Recording) -> Iterator[tuple[bool, Headers, int]]:
    """Decoded packets of a recording, block by block, as `Epochs.cut` gives them.

    Raises:
        MultaError: the capture can't be read, or ends within a record.
    """
    drop = copies(recording.capture) if recording.captured_twice else None
    decoder, epochs, begin = Decoder(), Epochs(), 0
    source = open_capture(recording.capture)
    try:
        for block in source:
            kept = block if drop is None else without(block, drop[begin : begin + len(block)])
            begin += len(block)
            yield from epochs.cut(decoder.decode(kept), kept.clock_ns)
        if source.truncated:
            raise TruncatedCaptureError(f"{source.truncated}; repair it with editcap")
    finally:
        source.close()


def flows_of(recording: Recording) -> PacketFlows:
    """Reads a recording and its labels.

    Raises:
        MultaError: the capture or the labels can't be read or contradict each other.
    """
    labels = (
        LabelFile.benign(recording.capture, KNOWN)
        if recording.labels is None
        else read_labels(recording.labels, KNOWN)
    )
    labeller, table = Labeller(labels, KNOWN), NumberingTable(FeatureSchema())
    ordinals, each = [np.zeros(0, np.int64)], [np.zeros((0, len(KNOWN)), np.int8)]

    def label(batches: Sequence[SequenceBatch]) -> None:
        for batch in batches:
            ordinals.append(batch.flow_ordinal)
            each.append(labeller.label(batch))

    for begins, headers, clock_ns in parts_of(recording):
        if begins:
            label(list(table.finish()))
            table.restart()
        label([table.add(headers, clock_ns)])
    label(list(table.finish()))
    labeller.finish()
    of_flow = np.full((table.flows, len(KNOWN)), MASKED, np.int8)
    # all rows of a flow have its labels, and every flow has a row
    of_flow[np.concatenate(ordinals)] = np.concatenate(each)
    return PacketFlows(np.concatenate([np.zeros(0, np.int64), *table.numbered]), of_flow)


class NumberingTable(FlowTable):
    """The flow table, which also says to which flow it gave each packet.

    Attributes:
        numbered: ordinals of the packets of each piece so far, in packet order.
    """

    def __init__(self, schema: FeatureSchema) -> None:
        super().__init__(schema)
        self.numbered: list[NDArray[np.int64]] = []

    def _number(
        self,
        segments: Segments,
        flow: NDArray[np.void],
        headers: Headers,
        forward: NDArray[np.bool_],
        clock: NDArray[np.int64],
    ) -> Pieces:
        ordinal = np.empty(len(headers), np.int64)
        ordinal[segments.order] = flow["ordinal"][segments.of_packet]
        self.numbered.append(ordinal)
        return super()._number(segments, flow, headers, forward, clock)
