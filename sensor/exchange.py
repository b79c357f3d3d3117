"""The lanes of a run, and how their detectors are exchanged while it goes on (rule 35).

Two threads take part. The one that captures decides which lanes are given packets, and draws the
boundary; what follows from that for the thread that detects is a `Change`, which reaches it in
order, behind all rows that were decided before.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import END_REASONS
from sensor.lane import Boundary, Lane, Watch
from sensor.model.schema import FeatureSchema
from sensor.tables import table_of

BOUNDARIES = 2
"""Exchanges whose older detectors still wait for rows; with another one, the oldest stop waiting.
A detector in waiting takes as much memory as one in force."""

_MS = 1_000_000

_OF_FIRST = ("flows", "late", "trailing", "clock_steps")
_OF_ALL = ("evicted", "conversations_evicted", "skipped", "ambiguous", "unknown")
"""Counts of flow tables: all tables see the same packets, and lose what they lose."""

_OF_LANES = ("decided_flows", "looked_at", "looked_at_flows")
"""What lanes count of their rows and flows, beside `Lane.decided`."""

Group = tuple[FeatureSchema, Sequence[Watch]]
"""Detectors of equal features, in force together."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an exchange means for the thread that detects.

    Attributes:
        begun: watches that begin, each with its lane.
        ended: watches that end.
        boundary: between the two.
        cut: an older boundary behind which nobody waits any longer.
        gone: lanes that are given no packets any more, and have no rows left.
        then: what else takes effect with it, once the watches have changed.
    """

    begun: tuple[tuple[Lane, Watch], ...] = ()
    ended: tuple[Watch, ...] = ()
    boundary: Boundary | None = None
    cut: Boundary | None = None
    gone: tuple[Lane, ...] = ()
    then: Callable[[], None] | None = None

    def apply(self) -> None:
        """Takes effect after all rows that were decided before it, but for `then`."""
        if self.cut and self.boundary:
            # What was decided before is older than the clock, and what will be is not.
            self.cut.until_ns = min(self.cut.until_ns, self.boundary.clock_ns - 1)
        for watch in self.ended:
            watch.to = self.boundary
            watch.tracker.replaced()
        for lane, watch in self.begun:
            watch.since = self.boundary
            lane.watches = (*lane.watches, watch)


class Lanes:
    """The lanes of a run.

    Attributes:
        running: those that are given packets, the thread that captures says which.
    """

    def __init__(self, lanes: Iterable[Lane]) -> None:
        self.running = tuple(lanes)
        self._in_force = tuple((lane, watch) for lane in self.running for watch in lane.watches)
        self._boundaries: deque[Boundary] = deque()
        self._changes: deque[Change] = deque()
        # What both threads change together; a signal handler may interrupt who holds it, and ask.
        self._counting = threading.RLock()
        self._counted = self.running
        self._past: Counter[str] = Counter()
        self._decided = np.zeros(len(END_REASONS), np.int64)

    def __iter__(self) -> Iterator[Lane]:
        return iter(self.running)

    @property
    def watches(self) -> tuple[Watch, ...]:
        """Those in force, of all lanes."""
        return tuple(watch for _, watch in self._in_force)

    def exchange(self, groups: Iterable[Group], then: Callable[[], None] | None = None) -> None:
        """Puts other detectors in force, for rows that begin from now on.

        A watch that is among the groups and in force already goes on as it is. Detectors of
        features that a lane has join it; others get a table of their own, which begins empty, as
        at the start of a run. Called by the thread that captures, between two blocks; `then` is
        called by the other one, where the boundary is.
        """
        clock_ns = max(lane.table.clock_ns for lane in self.running)
        longest_ms = max(lane.table.schema.idle_timeout_ms for lane in self.running)
        boundary = Boundary(clock_ns, clock_ns + longest_ms * _MS)
        lanes = {lane.table.schema.fingerprint(): lane for lane in self.running if not lane.to}
        in_force: list[tuple[Lane, Watch]] = []
        for schema, watches in groups:
            lane = lanes.get(schema.fingerprint()) or Lane(table_of(schema))
            lanes[schema.fingerprint()] = lane
            lane.expect((*(each for of, each in self._in_force if of is lane), *watches))
            in_force += [(lane, watch) for watch in watches]
        before, after = self.watches, tuple(watch for _, watch in in_force)
        begun = tuple(pair for pair in in_force if pair[1] not in before)
        ended = tuple(watch for watch in before if watch not in after)
        if not begun and not ended:
            if then:
                self._changes.append(Change(then=then))
            return
        kept = list(dict.fromkeys(lane for lane, _ in in_force))
        ending = [lane for lane in self.running if lane not in kept]
        for lane in ending:
            lane.to = lane.to or boundary
        with self._counting:
            self._keep_counts_of_first(kept[0])
            self._counted = (*self._counted, *(lane for lane in kept if lane not in self._counted))
            self.running, self._in_force = (*kept, *ending), tuple(in_force)
        self._boundaries.append(boundary)
        cut = self._boundaries.popleft() if len(self._boundaries) > BOUNDARIES else None
        self._changes.append(Change(begun, ended, boundary, cut, then=then))

    def changes(self) -> Iterator[Change]:
        """What the thread that detects has not been told yet."""
        over = [lane for lane in self.running if lane.to and lane.to.until_ns < lane.table.clock_ns]
        self._stop(over)
        while self._changes:
            yield self._changes.popleft()

    def restart(self) -> None:
        """Begins another stream, as the clock was set back; lanes that were ending have ended."""
        self._stop([lane for lane in self.running if lane.to])
        self._boundaries.clear()
        for lane in self.running:
            lane.table.restart()

    def forget(self, gone: Sequence[Lane]) -> None:
        """Keeps what lanes have counted, as all of their rows have been looked at."""
        with self._counting:
            for lane in gone:
                self._past.update(lane.counts())
                self._past.update({name: getattr(lane.table, name) for name in _OF_ALL})
                self._decided += lane.decided
                # Flows that had no row by then have begun once more in the lanes that go on.
                self._past.update({name: getattr(lane, name) for name in _OF_LANES})
            self._counted = tuple(lane for lane in self._counted if lane not in gone)

    def counts(self) -> Counter[str]:
        """What lanes have counted so far, those that are gone too.

        Beside `Lane.counts`, of the tables: ``flows``, ``late``, ``trailing``, ``clock_steps``,
        ``evicted``, ``conversations_evicted``, ``skipped``, ``ambiguous`` and ``unknown``. Of the
        lanes: ``decided_flows``, ``looked_at`` and ``looked_at_flows`` (`Lane`), and
        ``undecided_flows``, which have begun and have no row yet.
        """
        with self._counting:
            counts = Counter(self._past)
            for lane in self._counted:
                counts.update(lane.counts())
                counts.update({name: getattr(lane.table, name) for name in _OF_ALL})
                counts.update({name: getattr(lane, name) for name in _OF_LANES})
                counts["undecided_flows"] += lane.table.flows - lane.decided_flows
            counts.update({name: getattr(self.running[0].table, name) for name in _OF_FIRST})
            return counts

    def agreement(self) -> dict[str, dict[str, Any]]:
        """How shadows agree with what is in force: by name and version, task by task."""
        return {
            f"{watch.detector.name} {watch.detector.version}": watch.agreement.document()
            for watch in self.watches
            if watch.agreement
        }

    def decided(self) -> NDArray[np.int64]:
        """Rows so far by end reason, ``(len(END_REASONS),)``."""
        with self._counting:
            return self._decided + sum(lane.decided for lane in self._counted)

    def _stop(self, lanes: Sequence[Lane]) -> None:
        if lanes:
            self.running = tuple(lane for lane in self.running if lane not in lanes)
            self._changes.append(Change(gone=tuple(lanes)))

    def _keep_counts_of_first(self, first: Lane) -> None:
        before = self.running[0]
        if first is not before:
            for name in _OF_FIRST:
                self._past[name] += getattr(before.table, name) - getattr(first.table, name)
