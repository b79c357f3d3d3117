"""Positive rows sorted by the address that an incident would be about, and flows counted once.

Columns only: in a flood, hundreds of thousands of rows a second are positive.
"""

import mmap
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.event import evidence, evidence_type, row_flags
from sensor.flows.sequences import SequenceBatch
from sensor.model.schema import IncidentRule

COUNTED_FLOWS = 1 << 17
"""Places in a table of counted flows: two for each flow that the flow table holds by default."""


class PositiveRows:
    """The positive rows of a batch, and the remembered rows of the stream before them.

    All columns are sorted by address, then in stream order; so the rows of an address are
    neighbours and its remembered ones come first. Remembered rows of other addresses than those
    of the batch need not be among them.

    Attributes:
        position: int64, place of a row in the stream, from 0 for the oldest remembered row.
        remembered: number of remembered rows, which is the position of the batch's first row.
        address: version, high and low words.
        starts, stops: slices of the addresses.
        time: int64, flow clock at the decision, in nanoseconds.
        ordinal: int64, the flow.
        score: float32.
    """

    def __init__(
        self,
        rule: IncidentRule,
        remembered: NDArray[np.void],
        batch: SequenceBatch,
        rows: NDArray[np.intp],
        scores: NDArray[np.float32],
    ) -> None:
        """Sorts `remembered` records and the given rows of a batch with their scores.

        The records are of `sensor.alerts.event.evidence_type`, or have packets (`with_packets`).
        """
        self.remembered = remembered.size
        self._rule = rule
        self._records, self._batch, self._rows, self._scores = remembered, batch, rows, scores
        address = _addresses(rule, {name: getattr(batch, name)[rows] for name in _ENDPOINTS})
        self._chosen = np.zeros(0, np.intp)
        if remembered.size:
            earlier = _addresses(rule, {name: remembered[name] for name in _ENDPOINTS})
            self._chosen = _perhaps_among(earlier[-1], address[-1])
            address = [
                np.concatenate([old[self._chosen], new])
                for old, new in zip(earlier, address, strict=True)
            ]
        self._order, self.starts, self.stops = group(address)
        self.address = [column[self._order] for column in address]
        places = np.arange(self.remembered, self.remembered + rows.size)
        self.position = np.concatenate([self._chosen, places])[self._order]
        self.time = self.column("decided_ns")
        self.ordinal = self.column("flow_ordinal")
        self.score = np.concatenate([remembered["score"][self._chosen], scores])[self._order]

    def __len__(self) -> int:
        return int(self.position.size)

    def column(self, name: str) -> NDArray[Any]:
        """A column of the rows that evidence keeps."""
        column: NDArray[Any] = getattr(self._batch, name)[self._rows]
        if self._chosen.size:
            column = np.concatenate([self._records[name][self._chosen], column])
        return column[self._order]

    def ends(self) -> tuple[list[NDArray[Any]], ...]:
        """Version, high and low words of the rows' originators, responders and peers.

        The peer is the end that the incident would not be about.
        """
        columns = {name: self.column(name) for name in _ENDPOINTS}
        source, destination = (
            [columns["version"], columns[f"{side}_high"], columns[f"{side}_low"]]
            for side in ("source", "destination")
        )
        return source, destination, _addresses(self._rule, columns, peer=True)

    def flags(self) -> NDArray[np.bool_]:
        """The `sensor.alerts.event.ROW_FLAGS` of the rows, a column for each."""
        flags = row_flags(self._batch, self._rows)
        if self._chosen.size:
            flags = np.concatenate([self._records["flags"][self._chosen], flags])
        return flags[self._order]

    def record(self, index: int) -> Any:
        """Evidence of the row at `index`; a copy, which does not keep the others alive."""
        position = int(self.position[index])
        if position < self.remembered:
            return self._records[position].copy()
        return self._evidence[position - self.remembered].copy()

    def records(self, indices: NDArray[np.intp]) -> NDArray[np.void]:
        """Records of the rows at `indices`, of the type of the remembered ones."""
        position = self.position[indices]
        old, new = position < self.remembered, position[position >= self.remembered]
        records = np.empty(indices.size, self._records.dtype)
        records[old] = self._records[position[old]]
        records[~old] = self._of_batch(new - self.remembered)
        return records

    def without(self, taken: NDArray[np.bool_]) -> NDArray[np.void]:
        """Records of all rows but those marked as taken, in stream order."""
        left = np.ones(self.remembered + self._rows.size, np.bool_)
        left[self.position[taken]] = False
        old, rows = left[: self.remembered], np.flatnonzero(left[self.remembered :])
        kept = self._records if old.all() else self._records[old]
        if not rows.size:
            return kept
        return np.concatenate([kept, self._of_batch(rows)])

    def _of_batch(self, rows: NDArray[np.intp]) -> NDArray[np.void]:
        kind = self._records.dtype
        return evidence(self._batch, self._rows[rows], self._scores[rows], kind)

    @cached_property
    def _evidence(self) -> NDArray[np.void]:
        return evidence(self._batch, self._rows, self._scores, evidence_type(self._batch))


_ENDPOINTS = (
    "version",
    "source_high",
    "source_low",
    "source_port",
    "destination_high",
    "destination_low",
    "destination_port",
)


def _addresses(
    rule: IncidentRule, columns: dict[str, NDArray[Any]], *, peer: bool = False
) -> list[NDArray[Any]]:
    """Version, high and low words of the address in the task's role, or of its peer.

    See `IncidentRule`.
    """
    source, destination = (
        [columns[f"{side}_high"], columns[f"{side}_low"]] for side in ("source", "destination")
    )
    if peer:
        source, destination = destination, source
    if rule.role == "originator":
        return [columns["version"], *source]
    if rule.role == "responder":
        return [columns["version"], *destination]
    request = (columns["destination_port"] == rule.service_port) & (
        columns["source_port"] != rule.service_port
    )
    words = [np.where(request, *pair) for pair in zip(source, destination, strict=True)]
    return [columns["version"], *words]


def _perhaps_among(words: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Where `words` may be one of `wanted`; certainly where it is. Cheaper than sorting both."""
    hashed, wanted_hashed = (
        (each * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(48)) for each in (words, wanted)
    )
    among = np.zeros(1 << 16, np.bool_)
    among[wanted_hashed] = True
    return np.flatnonzero(among[hashed])


def group(
    columns: list[NDArray[Any]],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """A stable order in which equal tuples are neighbours, and the slices of equal ones."""
    size = columns[0].size
    varying = [column for column in columns if (column != column[0]).any()]
    order = np.lexsort(varying) if varying else np.arange(size)
    boundary = np.zeros(size - 1, np.bool_)
    for column in varying:
        ordered = column[order]
        boundary |= ordered[1:] != ordered[:-1]
    edges = np.concatenate([[0], np.flatnonzero(boundary) + 1, [size]])
    return order, edges[:-1], edges[1:]


class CountedFlows:
    """Remembers which flows were counted for which incident, in fixed memory (1 MiB).

    A flow has one place, the remainder of its ordinal, and holds it until another flow that is
    counted has the same. So a flow is forgotten only if a flow that began a multiple of
    `COUNTED_FLOWS` flows before or after it was counted since.
    """

    def __init__(self) -> None:
        # From the kernel, so that what is never written takes no memory, and all of it goes back:
        # a detector has a dozen tables, and malloc, which takes its cue from what was freed before,
        # would zero them in a heap that keeps them for good once detectors have been exchanged.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        memory = mmap.mmap(-1, COUNTED_FLOWS * np.uint64().itemsize, flags)
        self._places: NDArray[np.uint64] = np.frombuffer(memory, np.uint64)

    def count(self, ordinals: NDArray[np.int64], incidents: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Marks the rows with which a flow is counted; one after the other, in the given order.

        Args:
            ordinals: ``(rows,)`` flows, below 2^49.
            incidents: ``(rows,)`` serial numbers of their incidents, from 1, below 2^32.

        Returns:
            ``(rows,)`` True where the incident did not hold the flow.
        """
        place = ordinals & (COUNTED_FLOWS - 1)
        mark = ((incidents << 32) | (ordinals // COUNTED_FLOWS)).astype(np.uint64)
        order = np.argsort(place, kind="stable")
        place, mark = place[order], mark[order]
        last = np.ones(place.size, np.bool_)
        last[:-1] = place[1:] != place[:-1]
        before = self._places[place]
        before[1:] = np.where(last[:-1], before[1:], mark[:-1])
        self._places[place[last]] = mark[last]
        new = np.empty(place.size, np.bool_)
        new[order] = mark != before
        return new
