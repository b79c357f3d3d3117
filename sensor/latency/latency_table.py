"""The table of a lane whose rows are windows of round-trip times: headers in, rows out.

packets → measurements (`round_trips`) → series (`peers`) → steps (`steps`) → rows
(`peer_windows`). It has what a flow table has (`sensor.tables.Table`), a flow being a series.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sensor.flows.ends import NO_ENDS, FlowEnds
from sensor.flows.sequences import SequenceBatch
from sensor.hops import hop
from sensor.latency.peer_windows import Windows
from sensor.latency.peers import SERIES, Placed, SeriesTable
from sensor.latency.round_trips import RoundTrips
from sensor.latency.steps import Steps
from sensor.model.schema import FeatureSchema
from sensor.packets.headers import Headers


class Measured:
    """Measurements of peers that have a series, as they become known.

    Attributes:
        trips: where they come from.
        series: of whom they are.
    """

    def __init__(self) -> None:
        self.trips = RoundTrips()
        self.series = SeriesTable()

    def add(self, headers: Headers, clock_ns: int = 0) -> Iterator[tuple[NDArray[np.void], Placed]]:
        """Takes a block of packets (`RoundTrips.add`); pieces of measurements with their series."""
        yield from self._placed(self.trips.add(headers, clock_ns))

    def finish(self) -> Iterator[tuple[NDArray[np.void], Placed]]:
        """What is left; the stream's end is silence without end."""
        yield from self._placed(self.trips.finish())

    def restart(self) -> None:
        """Begins another stream after `finish`, as its clock was set back."""
        self.trips.restart()
        self.series.restart()

    def _placed(self, found: NDArray[np.void]) -> Iterator[tuple[NDArray[np.void], Placed]]:
        while found.size:
            piece, found = np.split(found, [self.series.piece_size(found.size)])
            yield piece, self.series.place(piece)
            self.series.make_room(piece.size)


class LatencyTable:
    """Measures round-trip times and makes windows of them.

    Attributes:
        schema: its key is `PEER_LATENCY`.
        trailing, conversations_evicted, keeps_ends: nothing, as there is nothing like that.
        clock_steps: how often the stream began anew, as its clock was set back.
    """

    trailing = conversations_evicted = 0
    keeps_ends = False

    def __init__(self, schema: FeatureSchema) -> None:
        """Makes an empty table."""
        self.schema = schema
        self.clock_steps = 0
        self._measured = Measured()
        self._steps = Steps()
        self._windows = Windows(schema.n, schema.optional)
        self._none = SequenceBatch.empty(schema.n, schema.optional)

    @property
    def clock_ns(self) -> int:
        """Time before which everything has been decided and released."""
        return self._measured.trips.clock_ns

    @property
    def flows(self) -> int:
        """Series that have begun so far."""
        return self._measured.series.begun

    @property
    def active(self) -> int:
        """Series that are remembered now."""
        return self._measured.series.held

    @property
    def capacity(self) -> int:
        """Series that can be remembered."""
        return SERIES

    @property
    def evicted(self) -> int:
        """Series, and packets without an answer yet, that made room for others so far."""
        return self._measured.series.evicted + self._measured.trips.evicted

    @property
    def skipped(self) -> int:
        """Measurements so far that are in no window, as others of their time are."""
        return self._steps.skipped

    @property
    def ambiguous(self) -> int:
        """Answers so far to packets that had been sent again."""
        return self._measured.trips.ambiguous

    @property
    def unknown(self) -> int:
        """Packets so far that were not answered, of peers that had not lately."""
        return self._measured.series.unknown

    @property
    def late(self) -> int:
        """Packets older than the clock to which silence had advanced the table."""
        return self._measured.trips.late

    def keep_ends(self) -> None:
        """Nothing, as no series has an end."""

    def take_ends(self) -> FlowEnds:
        """None."""
        return NO_ENDS

    @hop("table")
    def add(self, headers: Headers, clock_ns: int = 0) -> SequenceBatch:
        """Takes a block of packets and returns the rows that are decided.

        Args:
            headers: decoded packets with `FeatureSchema.decoded`, in the order of the capture.
            clock_ns: lower bound of the clock afterwards, for a silent live link; else 0.
        """
        return self._rows(self._measured.add(headers, clock_ns))

    def finish(self) -> Iterator[SequenceBatch]:
        """The rows that are left; the stream's end is silence without end."""
        yield self._rows(self._measured.finish())
        self._steps.restart()

    def restart(self) -> None:
        """Begins another stream after `finish`, as its clock was set back; counts go on."""
        self.clock_steps += 1
        self._measured.restart()

    def _rows(self, pieces: Iterator[tuple[NDArray[np.void], Placed]]) -> SequenceBatch:
        batches = []
        for found, placed in pieces:
            self._windows.begin(placed.begun)
            batches.append(self._windows.rows(self._steps.take(found, placed)))
        return SequenceBatch.concatenate(batches) if batches else self._none
