"""Whole flows of a capture: their first packets, and what all their packets come to.

The first packets are a row of the sensor's own flow table. The totals are a pass of their own over
the same decoded headers: each packet belongs to the latest flow of its five-tuple that had begun by
its time, so what comes behind a close (a late ACK) still counts for the flow.

A flow ends with RST, with FIN from both sides, or with the schema's idle timeout (120 s). It is
*truncated*, and its bandwidth and duration are not known, if its beginning is missing (TCP whose
first packet is no SYN), or if neither a close nor the idle timeout lies between its last packet and
the end of the capture. That a flow without TCP had begun before the capture can't be seen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sensor.capture.block import PacketBlock
from sensor.capture.formats import open_capture
from sensor.errors import TruncatedCaptureError
from sensor.flows.key import KEY_WORDS, five_tuple
from sensor.flows.sequences import SequenceBatch
from sensor.flows.table import FlowTable
from sensor.model.schema import FeatureSchema
from sensor.packets.decode import Decoder
from sensor.packets.headers import FIN, RST, Headers
from sensor.pipeline import assemble

_KEY = np.dtype((np.void, KEY_WORDS * 8))


@dataclass(frozen=True)
class WholeFlows:
    """The flows of a capture that have a row, one entry each.

    Attributes:
        rows: the first packets, up to the schema's n.
        packets, bytes: ``(flows,)`` int64, of both directions; bytes are those of the IP headers.
        duration_ns: ``(flows,)`` int64 from the first packet to the last.
        truncated: ``(flows,)`` bool.
    """

    rows: SequenceBatch
    packets: NDArray[np.int64]
    bytes: NDArray[np.int64]
    duration_ns: NDArray[np.int64]
    truncated: NDArray[np.bool_]

    @property
    def bandwidth_bps(self) -> NDArray[np.float64]:
        """``(flows,)`` bits a second over the whole flow; one without duration counts as 1 µs."""
        bandwidth: NDArray[np.float64] = 8e9 * self.bytes / np.maximum(self.duration_ns, 1_000)
        return bandwidth


@dataclass(frozen=True)
class _Packets:
    """Columns of all decoded packets."""

    key: NDArray[np.void]
    time: NDArray[np.int64]
    length: NDArray[np.int64]
    flags: NDArray[np.uint8]
    from_lower: NDArray[np.bool_]


def whole_flows(capture: Path, schema: FeatureSchema) -> WholeFlows:
    """The flows of a capture.

    Args:
        capture: pcap or pcapng file.
        schema: of the rows; with the policy ``first``.

    Raises:
        MultaError: the capture can't be read.
        TruncatedCaptureError: it ends within a record.
    """
    table, decoder = FlowTable(schema), _Keeping()
    source = open_capture(capture)
    try:
        rows = [batch.take(batch.sequence_index == 0) for batch in assemble(source, decoder, table)]
        if source.truncated:
            raise TruncatedCaptureError(f"{source.truncated}; repair it with editcap")
    finally:
        source.close()
    batch = SequenceBatch.concatenate([SequenceBatch.empty(schema.n), *rows])
    # Of a flow that was looked at early and again, the later row has more packets.
    order = np.lexsort((batch.row, batch.flow_ordinal))
    last = np.append(np.diff(batch.flow_ordinal[order]) > 0, True)[: order.size]
    batch = batch.take(order[last])
    packets = decoder.packets()
    flow = _flow_of(packets, batch)
    return _totals(batch, packets, flow, schema.idle_timeout_ms * 1_000_000)


class _Keeping(Decoder):
    """A decoder that keeps what the totals are made of."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[_Packets] = []

    def decode(self, block: PacketBlock) -> Headers:
        """Headers of a block."""
        headers = super().decode(block)
        key, from_lower = _keys(headers)
        self._kept.append(
            _Packets(
                key,
                headers.timestamp_ns.copy(),
                headers.ip_length.astype(np.int64),
                headers.tcp_flags.copy(),
                from_lower,
            )
        )
        return headers

    def packets(self) -> _Packets:
        """Of all blocks so far."""
        return _Packets(*(np.concatenate(column) for column in self._columns()))

    def _columns(self) -> Iterator[list[NDArray[np.generic]]]:
        empty = _Packets(
            np.zeros(0, _KEY),
            np.zeros(0, np.int64),
            np.zeros(0, np.int64),
            np.zeros(0, np.uint8),
            np.zeros(0, np.bool_),
        )
        for name in ("key", "time", "length", "flags", "from_lower"):
            yield [getattr(kept, name) for kept in (empty, *self._kept)]


def _keys(headers: Headers | SequenceBatch) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
    """Five-tuples as opaque words; a row has the columns that this takes of headers."""
    words, from_lower = five_tuple(cast("Headers", headers))
    wide = np.zeros((len(headers), KEY_WORDS), np.uint64)
    wide[:, : len(words)] = words.T
    return wide.view(_KEY)[:, 0], from_lower


def _flow_of(packets: _Packets, batch: SequenceBatch) -> NDArray[np.int64]:
    """``(packets,)`` the row of each packet's flow; −1 where no row is of its flow."""
    keys, _ = _keys(batch)
    _, key = np.unique(np.concatenate([keys, packets.key]), return_inverse=True)
    time = np.concatenate([batch.flow_start_ns, packets.time])
    is_packet = np.arange(key.size) >= len(batch)
    order = np.lexsort((is_packet, time, key))
    flow = np.where(is_packet, -1, np.arange(key.size))[order]
    # The latest flow so far; it is the packet's if it has the packet's key.
    begun = np.maximum.accumulate(np.where(flow >= 0, np.arange(flow.size), -1))
    latest = np.where(begun >= 0, flow[begun], -1)
    same = (latest >= 0) & (key[latest] == key[order])
    of_each = np.empty(key.size, np.int64)
    of_each[order] = np.where(same, latest, -1)
    return of_each[len(batch) :]


def _totals(
    batch: SequenceBatch, packets: _Packets, flow: NDArray[np.int64], idle_ns: int
) -> WholeFlows:
    held = np.flatnonzero(flow >= 0)
    of, count = flow[held], len(batch)

    def any_of(which: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.bincount(of[which[held]], minlength=count) > 0

    last = batch.flow_start_ns.copy()
    np.maximum.at(last, of, packets.time[held])
    fin = (packets.flags & FIN) != 0
    closed = any_of(fin & packets.from_lower) & any_of(fin & ~packets.from_lower)
    closed |= any_of((packets.flags & RST) != 0)
    end = int(packets.time.max(initial=0))
    return WholeFlows(
        rows=batch,
        packets=np.bincount(of, minlength=count),
        bytes=np.bincount(of, packets.length[held], count).astype(np.int64),
        duration_ns=last - batch.flow_start_ns,
        truncated=batch.midstream | (~closed & (end - last < idle_ns)),
    )
