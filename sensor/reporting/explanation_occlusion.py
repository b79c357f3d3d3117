"""What a score rests on: it is taken again with a packet or a part of the row left out.

**A packet is left out** as if it had never been captured: the row is one packet shorter, and the
gap before the next one is the sum of both (0 where the next one becomes the flow's first,
`docs/semantics.md` 3). Counts of flows stay as they are. A row of one packet has nothing to leave
out.

**A part is neutralised** by what benign traffic has in its place: the values of the bundle's benign
golden rows of the same transport, packet for packet (the last one again where such a row is
shorter), all of a part from one row at a time. The score told is the mean over these rows. Golden
rows are real rows that the bundle's author chose; benign are those that no task finds positive. For
the transport itself they are those of other transports.

**A row of measurements** is treated likewise: one is left out as if it had never been made, and the
gap before the next one is the sum of both (0 where the next one becomes the series' first). A part
is neutralised by what is usual in the series: each round-trip time, or each missing answer, by what
was usual before it (`with_usual`), and each gap by the median of the row's. What was usual stays as
it is, whatever is left out.

Both say what this network makes of a row that differs in one thing, no more. Parts that say the
same hide each other: each may be left out without harm, as the other still says it. And a changed
row may be one that no network has ever carried.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import (
    CONTEXT_COLUMNS,
    LONGEST_MS,
    LONGEST_US,
    ROW_TYPES,
    SequenceBatch,
)
from sensor.model.bundle import Bundle
from sensor.model.detector import BundleDetector
from sensor.model.inference import calibrate
from sensor.model.schema import PEER_LATENCY
from sensor.packets.headers import ICMP, ICMPV6
from sensor.reporting.explanation_words import lower_median

GAP_US, GAP_MS = LONGEST_US, LONGEST_MS
"""The clips of gaps between packets and between measurements."""

COUNTS = "flow counts"

_PACKET_PARTS = {
    "sizes": ("ip_length", "payload_length"),
    "sizes and directions": ("signed_length",),
    "gaps": ("interarrival",),
    "directions": ("direction",),
    "TCP flags": ("tcp_flags",),
    "protocol": ("protocol",),
    "TTL": ("ttl",),
    "TCP window": ("tcp_window",),
}
_MEASURED_PARTS: dict[str, tuple[str, ...]] = {
    "round-trip times": ("rtt",),
    "missing answers": ("answered",),
    "time between measurements": ("rtt_gap",),
}
"""Parts of a row of measurements by its columns, of which the other fields are made."""
"""Parts of a row by the fields of a packet; what `valid` says is the length."""

_PACKET_COLUMNS = (
    "ip_length",
    "payload_length",
    "interarrival_us",
    "direction",
    "tcp_flags",
    *ROW_TYPES,
)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a row, or a field of such a part.

    Attributes:
        name: for people.
        fields: of the schema.
    """

    name: str
    fields: tuple[str, ...]


class Occlusion:
    """Scores rows of one task again, whole and with something left out.

    Attributes:
        parts: that can be neutralised.
        given: what is put in their place, in words.
    """

    def __init__(self, bundle: Bundle, task: str) -> None:
        """Loads the bundle's network.

        Args:
            bundle: that scored the rows.
            task: one of its tasks.

        Raises:
            HostError: no TFLite runtime is installed.
            BundleError: the runtime refuses the model.
        """
        self._detector = BundleDetector(bundle)
        self._column = [each.name for each in bundle.tasks].index(task)
        self._benign = benign_rows(bundle)
        schema = bundle.schema
        self._measured = schema.key == PEER_LATENCY
        found = {
            name: tuple(field for field in fields if field in schema.fields)
            for name, fields in _PACKET_PARTS.items()
        }
        found = _MEASURED_PARTS if self._measured else {COUNTS: schema.context, **found}
        self.given = "what is usual in the series" if self._measured else "values of benign traffic"
        self.parts = tuple(Part(name, fields) for name, fields in found.items() if fields)

    @property
    def runtime(self) -> str:
        """Name and version of the TFLite runtime."""
        return self._detector.runtime

    @property
    def references(self) -> int:
        """Benign rows whose values neutralise a part, of all transports."""
        return len(self._benign)

    def scores(self, rows: SequenceBatch) -> NDArray[np.float32]:
        """Calibrated scores ``(b,)``."""
        return self._detector.score(rows)[:, self._column]

    def without_packets(self, row: SequenceBatch) -> tuple[float, ...]:
        """The score without each of a row's packets; none for a row of one packet."""
        return tuple(self.scores(without_each_packet(row)).tolist()) if row.length[0] > 1 else ()

    def without(self, row: SequenceBatch, fields: Sequence[str]) -> float | None:
        """The mean score with some fields neutralised; None where nothing can do it.

        Args:
            row: one row.
            fields: of a packet or of its flow; of a row of measurements one column.
        """
        if self._measured:
            calm = with_usual(row, fields[0])
            return None if calm is None else float(self.scores(calm)[0])
        same = _transport(self._benign.protocol) == _transport(row.protocol)
        given = self._benign.take(~same if tuple(fields) == ("protocol",) else same)
        if not len(given):
            return None
        return float(self.scores(neutralised(row, given, fields)).mean(dtype=np.float64))


def benign_rows(bundle: Bundle) -> SequenceBatch:
    """The golden rows that no task of a bundle finds positive."""
    threshold = np.array([task.threshold for task in bundle.tasks])
    positive = calibrate(bundle.tasks, bundle.golden.scores) >= threshold
    return bundle.golden.rows.take(np.flatnonzero(~positive.any(axis=1)))


def without_each_packet(row: SequenceBatch) -> SequenceBatch:
    """A row of m > 1 packets or measurements, m times, each time without another one of them."""
    count = int(row.length[0])
    variants = row.take(np.zeros(count, np.intp))
    measured = bool(row.rtt.shape[1])
    name_of_gap, longest = ("rtt_gap", GAP_MS) if measured else ("interarrival_us", GAP_US)
    gaps = getattr(row, name_of_gap)[0].astype(np.int64)
    begins = row.row[0] == count - 1 if measured else row.sequence_index[0] == 0
    for k in range(count):
        for name in _PACKET_COLUMNS:
            column = getattr(variants, name)
            if column.shape[1]:
                column[k, k : count - 1] = column[k, k + 1 : count]
                column[k, count - 1] = 0
        if k + 1 < count:
            gap = 0 if k == 0 and begins else min(longest, gaps[k] + gaps[k + 1])
            getattr(variants, name_of_gap)[k, k] = gap
    variants.length[:] = count - 1
    return variants


def neutralised(row: SequenceBatch, given: SequenceBatch, fields: Sequence[str]) -> SequenceBatch:
    """A row with some fields from other rows, once for each of these.

    Args:
        row: one row.
        given: rows that give their values, packet for packet; a shorter one its last again.
        fields: of a packet or of its flow.
    """
    count = int(row.length[0])
    variants = row.take(np.zeros(len(given), np.intp))
    places = np.minimum(np.arange(count), given.length[:, None].astype(np.intp) - 1)
    for field in fields:
        if field in CONTEXT_COLUMNS:
            column = CONTEXT_COLUMNS.index(field)
            variants.context[:, column] = given.context[:, column]
        elif field == "protocol":
            variants.protocol[:] = given.protocol
        elif field == "signed_length":
            for name in ("ip_length", "direction"):
                values = np.take_along_axis(getattr(given, name), places, axis=1)
                getattr(variants, name)[:, :count] = values
        else:
            name = "interarrival_us" if field == "interarrival" else field
            values = np.take_along_axis(getattr(given, name), places, axis=1)
            getattr(variants, name)[:, :count] = values
    return variants


def with_usual(row: SequenceBatch, column: str) -> SequenceBatch | None:
    """A row of measurements with what is usual in place of a column's values.

    Usual is what was so in the series before each measurement; where nothing was yet, the lower
    median of the row's answered ones.

    Args:
        row: one row.
        column: ``rtt``, ``answered`` or ``rtt_gap``.

    Returns:
        One row; None where nothing was answered, so that nothing is usual.
    """
    count, calm = int(row.length[0]), row.take(np.zeros(1, np.intp))
    if column == "rtt_gap":
        calm.rtt_gap[0, :count] = lower_median(row.rtt_gap[0, :count])
        return calm
    answered = row.answered[0, :count] > 0
    usual = row.rtt_usual[0, :count].copy()
    if answered.any():
        usual[usual == 0] = lower_median(row.rtt[0, :count][answered])
    elif not usual.all():
        return None
    changed = answered if column == "rtt" else ~answered
    calm.rtt[0, :count][changed] = usual[changed]
    if column == "answered":
        calm.answered[0, :count] = 1
    return calm


def _transport(protocol: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The protocol, ICMPv6 being ICMP as in the field `protocol`."""
    return np.where(protocol == ICMPV6, np.uint8(ICMP), protocol)
