"""Whole flows of a capture: their first packets, and what all their packets come to.

Both are told by the sensor's own flow table (`docs/semantics.md` 7 and 37), so what a network
learns is exactly what a sensor later measures of it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sensor.capture.formats import open_capture
from sensor.errors import TruncatedCaptureError
from sensor.exchange import Change, Lanes
from sensor.flows.ends import NO_ENDS, FlowEnds
from sensor.flows.sequences import SequenceBatch
from sensor.flows.table import FlowTable
from sensor.lane import Lane
from sensor.model.schema import FeatureSchema
from sensor.packets.decode import Decoder
from sensor.pipeline import decide, decoded


@dataclass(frozen=True)
class WholeFlows:
    """The flows of a capture, in order of their first packets.

    Attributes:
        rows: the first packets of each flow, up to the schema's n.
        ends: of the same flows. Bandwidth and duration are those of the flow where it is whole.
    """

    rows: SequenceBatch
    ends: FlowEnds


def whole_flows(capture: Path, schema: FeatureSchema) -> WholeFlows:
    """The flows of a capture.

    Args:
        capture: pcap or pcapng file.
        schema: of the rows.

    Raises:
        MultaError: the capture can't be read.
        TruncatedCaptureError: it ends within a record.
    """
    rows, ends = [SequenceBatch.empty(schema.n, schema.optional)], [NO_ENDS]
    lanes = Lanes([Lane(FlowTable(schema, ends=True))])
    source = open_capture(capture)
    try:
        for each in decide(decoded(source, Decoder(schema.decoded)), lanes):
            if not isinstance(each, Change):
                rows.append(each.batch.take(each.batch.sequence_index == 0))
                ends.append(each.ends)
        if source.truncated:
            raise TruncatedCaptureError(f"{source.truncated}; repair it with editcap")
    finally:
        source.close()
    batch, of_each = SequenceBatch.concatenate(rows), FlowEnds.concatenate(ends)
    # Of a flow that was looked at early and again, the later row has more packets.
    order = np.lexsort((batch.row, batch.flow_ordinal))
    last = np.append(np.diff(batch.flow_ordinal[order]) > 0, True)[: order.size]
    return WholeFlows(
        batch.take(order[last]), of_each.take(np.argsort(of_each.flow_ordinal, kind="stable"))
    )
