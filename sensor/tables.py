"""What makes rows of packets for a lane: flows, or windows of round-trip times."""

from collections.abc import Iterator
from typing import Protocol

from sensor.flows.ends import FlowEnds
from sensor.flows.sequences import SequenceBatch
from sensor.flows.slots import DEFAULT_SLOTS
from sensor.flows.table import FlowTable
from sensor.model.schema import PEER_LATENCY, FeatureSchema
from sensor.packets.headers import Headers


class Table(Protocol):
    """A table; `FlowTable` says what each of these is.

    What others call a flow is a series for the table of round-trip times.
    """

    schema: FeatureSchema
    clock_steps: int

    @property
    def clock_ns(self) -> int:
        """Time before which everything has been decided and released."""
        ...

    @property
    def flows(self) -> int:
        """Flows that have begun so far."""
        ...

    @property
    def evicted(self) -> int:
        """Flows that were evicted so far."""
        ...

    @property
    def conversations_evicted(self) -> int:
        """Conversations that were evicted so far."""
        ...

    @property
    def skipped(self) -> int:
        """Rows so far that were left out by rule."""
        ...

    @property
    def ambiguous(self) -> int:
        """Answers so far to packets that had been sent again; of flows none."""
        ...

    @property
    def unknown(self) -> int:
        """Packets so far that were not answered, of peers that had not lately; of flows none."""
        ...

    @property
    def late(self) -> int:
        """Packets older than the clock to which silence had advanced the table."""
        ...

    @property
    def trailing(self) -> int:
        """Packets of flows that had closed."""
        ...

    @property
    def active(self) -> int:
        """Flows that are held now."""
        ...

    @property
    def capacity(self) -> int:
        """Flows that can be held."""
        ...

    @property
    def keeps_ends(self) -> bool:
        """Whether `take_ends` gives any."""
        ...

    def keep_ends(self) -> None:
        """Keeps the ends of flows from now on, where flows have any."""
        ...

    def take_ends(self) -> FlowEnds:
        """The flows that have ended since."""
        ...

    def add(self, headers: Headers, clock_ns: int = 0) -> SequenceBatch:
        """Takes a block of packets and returns the rows that are decided."""
        ...

    def finish(self) -> Iterator[SequenceBatch]:
        """The rows that are left."""
        ...

    def restart(self) -> None:
        """Begins another stream after `finish`."""
        ...


def table_of(schema: FeatureSchema, slots: int = DEFAULT_SLOTS) -> Table:
    """An empty table that makes the rows of a schema.

    Args:
        schema: says what rows are made of.
        slots: flows that are held at once, at least 65,536; series have a number of their own.
    """
    if schema.key == PEER_LATENCY:
        # a megabyte of code and columns, which only those sensors pay that have such a bundle
        from sensor.latency.latency_table import LatencyTable  # noqa: PLC0415

        return LatencyTable(schema)
    return FlowTable(schema, slots)
