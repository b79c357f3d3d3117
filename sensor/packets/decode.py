"""Vectorized decoder: a block of frames to columns of header fields, on one screen.

link → slow path → encapsulation → datagrams → transport → fragments. Nothing is read past the
captured length of a frame, and every frame is either decoded or counted under one reason
(`docs/semantics.md`, "Decoding"). What outlives a block are counters, the first fragments that
later ones need, and the slow path's budget; none of them depends on where blocks end.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.capture.block import PacketBlock
from sensor.hops import hop
from sensor.packets.datagrams import Datagrams, read_datagrams
from sensor.packets.encapsulation import strip
from sensor.packets.fragments import FragmentMemory
from sensor.packets.gather import Index
from sensor.packets.headers import (
    ASKED_FOR,
    COLUMN_TYPES,
    DECODED,
    OFFLOADED_BYTES,
    REFUSALS,
    Headers,
)
from sensor.packets.link import read_links
from sensor.packets.probe_numbers import read_sequence_numbers, read_timestamps
from sensor.packets.slow import SlowPath
from sensor.packets.transport import Segments, read_segments, read_windows

_ADDRESSES = ("source_high", "source_low", "destination_high", "destination_low")


class Decoder:
    """Decodes blocks and counts what it refuses.

    Attributes:
        decoded: packets decoded so far.
        refused: frames refused so far, by reason (`REFUSALS`).
        offloaded: decoded packets of more than `OFFLOADED_BYTES`.
    """

    def __init__(self, optional: Collection[str] = ()) -> None:
        """Begins to decode a stream.

        Args:
            optional: which of `sensor.packets.headers.ASKED_FOR` to decode; a schema's are
                `FeatureSchema.decoded`.
        """
        self._optional = frozenset(optional)
        self.decoded = 0
        self.refused = dict.fromkeys(REFUSALS, 0)
        self.offloaded = 0
        self._slow = SlowPath()
        self._fragments = FragmentMemory()

    @property
    def slow(self) -> int:
        """Frames that took the slow path so far."""
        return self._slow.frames

    @property
    def fragments_unmatched(self) -> int:
        """Later fragments so far whose first one was not known."""
        return self._fragments.unmatched

    @hop("decode")
    def decode(self, block: PacketBlock) -> Headers:
        """Columns of the decodable packets of a block, in order; the rest is counted."""
        links = read_links(block)
        self._slow.read(block, links)
        strip(block, links)
        layers = read_datagrams(block, links)
        segments = [read_segments(datagrams) for datagrams in layers]
        refusal = links.refusal
        for datagrams in layers:
            refusal[datagrams.rows] = datagrams.refusal
        headers, place = _merge(block, refusal, layers, segments, self._optional)
        if fragments := [each.fragments for each in layers if each.fragments is not None]:
            self._fragments.join(headers, place, fragments)
        self._count(refusal, headers)
        return headers

    def _count(self, refusal: NDArray[np.uint8], headers: Headers) -> None:
        refused = np.bincount(refusal, minlength=len(REFUSALS) + 1)
        for reason, count in zip(REFUSALS, refused[1:].tolist(), strict=True):
            self.refused[reason] += count
        self.decoded += len(headers)
        self.offloaded += int(np.count_nonzero(headers.ip_length > OFFLOADED_BYTES))


def _merge(
    block: PacketBlock,
    refusal: NDArray[np.uint8],
    layers: Sequence[Datagrams],
    segments: Sequence[Segments],
    optional: Collection[str],
) -> tuple[Headers, Index]:
    """Columns of all layers in packet order, without the refused, and each frame's position."""
    keep = refusal == DECODED
    kept = int(np.count_nonzero(keep))
    place = np.where(keep, np.cumsum(keep) - 1, -1)
    columns: dict[str, Any] = {
        name: np.empty((kept, 0) if name in ASKED_FOR and name not in optional else kept, kind)
        for name, kind in COLUMN_TYPES.items()
        if name != "timestamp_ns"
    }
    merged = Headers(timestamp_ns=block.timestamp_ns[keep], **columns)
    for layer, segment in zip(layers, segments, strict=True):
        whole = not layer.refusal.any()
        good = slice(None) if whole else np.flatnonzero(layer.refusal == DECODED)
        to = place[layer.rows[good]]
        merged.version[to] = layer.version
        merged.protocol[to] = layer.protocol[good]
        for name, words in zip(_ADDRESSES, layer.addresses, strict=True):
            getattr(merged, name)[to] = words[good]
        merged.source_port[to] = segment.source_port[good]
        merged.destination_port[to] = segment.destination_port[good]
        merged.ip_length[to] = layer.total[good]
        merged.payload_length[to] = segment.payload_length[good]
        merged.tcp_flags[to] = segment.tcp_flags[good]
        if "ttl" in optional:
            merged.ttl[to] = layer.ttl[good]
        if "tcp_window" in optional:
            merged.tcp_window[to] = read_windows(layer)[good]
        if "sequence_numbers" in optional:
            merged.sequence_numbers[to] = read_sequence_numbers(layer)[good]
        if "tcp_timestamps" in optional:
            merged.tcp_timestamps[to] = read_timestamps(block, layer)[good]
    return merged, place
