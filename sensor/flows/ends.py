"""How flows ended: one entry each, with what all of their packets came to (`docs/semantics.md` 37).

Rows of packets (`sensor.flows.sequences`) tell how flows begin; ends tell the rest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_NS = 1_000
"""What a flow without duration counts as, so that it has a bandwidth."""


@dataclass(frozen=True, slots=True)
class FlowEnds:
    """Flows that have ended, in order of (ended_ns, flow_ordinal); f flows.

    The source of a flow is its originator, or the owner of its key (`docs/semantics.md` 4). Counted
    are the packets that belong to the flow; what trails a closed one enters nothing.

    Attributes:
        flow_ordinal: ``(f,)`` int64, the same number as in `SequenceBatch`.
        start_ns, last_ns: ``(f,)`` int64 times of the first and the latest counted packet.
        ended_ns: ``(f,)`` int64 flow clock at which it ended, as `SequenceBatch.decided_ns`.
        end_reason: ``(f,)`` uint8 index into `END_REASONS`: closed, idle or evicted.
        whole: ``(f,)`` bool: volume and duration are those of the flow. It began within the capture
            (it is not midstream), and has closed or been silent for the idle timeout before its
            stream ended.
        packets, octets: ``(f, 2)`` int64 counted packets and their IP bytes, those from the source
            first, then those to it.
        midstream: ``(f,)`` bool: TCP whose first packet was not a SYN.
        version, protocol: ``(f,)`` uint8.
        source_high, source_low, destination_high, destination_low: ``(f,)`` uint64, as in
            `sensor.packets.headers.Headers`.
        source_port, destination_port: ``(f,)`` uint16.
    """

    flow_ordinal: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    last_ns: NDArray[np.int64]
    ended_ns: NDArray[np.int64]
    end_reason: NDArray[np.uint8]
    whole: NDArray[np.bool_]
    packets: NDArray[np.int64]
    octets: NDArray[np.int64]
    midstream: NDArray[np.bool_]
    version: NDArray[np.uint8]
    protocol: NDArray[np.uint8]
    source_high: NDArray[np.uint64]
    source_low: NDArray[np.uint64]
    destination_high: NDArray[np.uint64]
    destination_low: NDArray[np.uint64]
    source_port: NDArray[np.uint16]
    destination_port: NDArray[np.uint16]

    def __len__(self) -> int:
        return int(self.flow_ordinal.size)

    @property
    def duration_ns(self) -> NDArray[np.int64]:
        """``(f,)`` from the first counted packet to the latest, never negative."""
        duration: NDArray[np.int64] = self.last_ns - self.start_ns
        return duration

    @property
    def bandwidth_bps(self) -> NDArray[np.float64]:
        """``(f,)`` IP bits a second, both ways, over the duration, at least 1 µs."""
        bits = 8e9 * self.octets.sum(axis=1)
        bandwidth: NDArray[np.float64] = bits / np.maximum(self.duration_ns, LEAST_NS)
        return bandwidth

    def take(self, flows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "FlowEnds":
        """The given flows, in the given order."""
        return FlowEnds(*[getattr(self, name)[flows] for name in _DTYPES])

    @classmethod
    def concatenate(cls, ends: "list[FlowEnds]") -> "FlowEnds":
        """All flows in one; at least one is given."""
        if len(ends) == 1:
            return ends[0]
        return cls(*[np.concatenate([getattr(each, name) for each in ends]) for name in _DTYPES])

    @classmethod
    def empty(cls) -> "FlowEnds":
        """No flows, with every column's type."""
        return cls(
            *[
                np.zeros((0, 2) if name in ("packets", "octets") else 0, dtype)
                for name, dtype in _DTYPES.items()
            ]
        )


_DTYPES: dict[str, type[np.generic]] = {
    "flow_ordinal": np.int64,
    "start_ns": np.int64,
    "last_ns": np.int64,
    "ended_ns": np.int64,
    "end_reason": np.uint8,
    "whole": np.bool_,
    "packets": np.int64,
    "octets": np.int64,
    "midstream": np.bool_,
    "version": np.uint8,
    "protocol": np.uint8,
    "source_high": np.uint64,
    "source_low": np.uint64,
    "destination_high": np.uint64,
    "destination_low": np.uint64,
    "source_port": np.uint16,
    "destination_port": np.uint16,
}

NO_ENDS = FlowEnds.empty()
