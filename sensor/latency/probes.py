"""Questions that wait for their answers: a fixed number of them, matched by the piece.

The first packet of a question begins its time. Until that is over further ones are the same
question, and the first answer that fits is its answer; what comes after it is neither.
"""

import numpy as np
from numpy.typing import NDArray

from sensor.flows.index import FIRST_SLOT, KeyIndex
from sensor.flows.segments import group
from sensor.flows.slots import FOREVER
from sensor.flows.state import put, take
from sensor.latency.measurements import KINDS, PROBE, SYN_ACK_KIND, measurements_of, probes_of
from sensor.latency.questions import EITHER, KEY_WORDS, MOST, Questions
from sensor.packets.headers import Headers

PIECE = 4_096
"""Packets of the stream after which room is made, if there is too little for as many again."""
SLOTS = 32_768
"""Questions that are held at once."""
SAME_NS = 2_000_000
"""Until then the same question again is a copy that the capture made, not one that was sent."""

_NEVER = -(1 << 62)

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]
Records = NDArray[np.void]
Slots = NDArray[np.int32]


class Probes:
    """Questions of some kinds.

    Attributes:
        evicted: questions without an answer that made room for others, so far.
        ambiguous: answers so far that were for one of several packets, nobody knows which.
    """

    def __init__(self, timeout_ns: int, failing: tuple[int, ...], *, certain: bool) -> None:
        """Starts without any.

        Args:
            timeout_ns: how long a question waits.
            failing: kinds whose questions are failed measurements then.
            certain: whether the answer to a question that was sent again is for the first one.
        """
        self.evicted = self.ambiguous = 0
        self._timeout_ns, self._certain = timeout_ns, certain
        self._fails = np.zeros(len(KINDS), np.bool_)
        self._fails[list(failing)] = True
        self._index = KeyIndex(SLOTS, KEY_WORDS)
        size = SLOTS + FIRST_SLOT
        self._probe = np.zeros(size, PROBE)
        self._live = np.zeros(size, np.bool_)
        self._due = np.full(size, FOREVER, np.int64)
        self._scratch = np.zeros(size, np.uint16)

    @property
    def held(self) -> int:
        """Questions that are held now, those included that have their answer."""
        return SLOTS - self._index.free

    def restart(self) -> None:
        """Forgets everything but the counters."""
        self._free(np.flatnonzero(self._live).astype(np.int32))

    def add(self, headers: Headers, questions: Questions, clock: Index, first: int) -> Records:
        """Takes a piece; the measurements that are decided by its end, in no order.

        Args:
            headers: at most `PIECE` packets.
            questions: of them.
            clock: flow clock at each of them.
            first: number of the first one in the stream.
        """
        now = int(clock[-1])
        if not len(questions):
            return self.advance(now)
        slot, _ = self._index.find(questions.words, questions.long)
        order = group(slot, self._scratch)
        packet, asks, kind = (
            column[order] for column in (questions.packet, questions.asks, questions.kind)
        )
        at = clock[packet]
        heads = np.flatnonzero(np.diff(slot[order], prepend=-1))
        slots = slot[order[heads]]
        begins = self._begins(slots, heads, packet, asks, clock)
        fresh = probes_of(headers, packet[begins], clock, first)
        fresh["kind"] = kind[begins]
        runs, run, first_of = self._runs(slots, fresh, heads, begins, packet.size)

        within = at <= runs["clock_ns"][run] + self._timeout_ns
        again = within & asks & (at > runs["clock_ns"][run] + SAME_NS)
        asked = runs["kind"][run]
        fits = (kind == asked) | ((kind == EITHER) & (asked <= SYN_ACK_KIND))
        # where the capture is out of order the question may be far older than the clock
        rtt = headers.timestamp_ns[packet] - runs["sent_ns"][run]
        fits &= rtt <= self._timeout_ns
        open_ = within & ~asks & ~runs["answered"][run] & fits
        match = np.flatnonzero(open_)
        match = match[np.diff(run[match], prepend=-1) != 0]
        count = np.append(0, np.cumsum(again))
        repeated = runs["repeated"][run[match]] | (count[match] > count[first_of[match]])
        runs["answered"][run[match]] = True
        runs["repeated"][run[again]] = True

        sure = np.flatnonzero(~repeated | self._certain)
        self.ambiguous += match.size - sure.size
        match = match[sure]
        found = measurements_of(runs[run[match]])
        found["answered"] = True
        found["refused"] = questions.refuses[order[match]]
        found["decided_ns"], found["number"] = at[match], first + packet[match]
        found["rtt_ns"] = np.maximum(rtt[match], 0)

        last = runs[run[np.append(heads[1:], packet.size) - 1]]
        return np.concatenate((found, self._settle(slots, runs, last, now), self.advance(now)))

    def advance(self, now: int) -> Records:
        """Moves time on; the questions whose time was over before, as failed measurements."""
        slots = np.flatnonzero(self._due < now).astype(np.int32)
        failed = self._failed(take(self._probe, slots))
        self._free(slots)
        return failed

    def make_room(self) -> None:
        """Where another piece may not fit, forgets questions, the oldest first, down to a half."""
        if self._index.free >= MOST * PIECE:
            return
        slots = np.flatnonzero(self._live).astype(np.int32)
        number = self._probe["number"][slots]
        chosen = np.argsort(number, kind="stable")[: slots.size - SLOTS // 2]
        slots = slots[chosen]
        self.evicted += int(np.count_nonzero(~self._probe["answered"][slots]))
        self._free(slots)

    def _runs(
        self, slots: Slots, fresh: Records, heads: Index, begins: Index, entries: int
    ) -> tuple[Records, Index, Index]:
        """Questions of a piece, each with its entries, which are neighbours.

        Args:
            slots: of the groups.
            fresh: questions that begin in the piece.
            heads: first entry of each group.
            begins: entries with which the fresh ones begin.
            entries: how many there are.

        Returns:
            What each group has waited for, then the fresh ones; of each entry the place of its
            question among these, and the question's first entry.
        """
        waited = take(self._probe, slots)
        waited["clock_ns"][~self._live[slots]] = _NEVER
        run = np.zeros(entries, np.int64)
        run[heads] = np.arange(heads.size)
        run[begins] = heads.size + np.arange(begins.size)
        starts = np.zeros(entries, np.bool_)
        starts[heads] = starts[begins] = True
        first_of = np.flatnonzero(starts)[np.cumsum(starts) - 1]
        return np.concatenate((waited, fresh)), run[first_of], first_of

    def _settle(self, slots: Slots, runs: Records, last: Records, now: int) -> Records:
        """Keeps what still waits after a piece; the failed ones of all its questions.

        Args:
            slots: of the groups.
            runs: all questions of the piece.
            last: the last one of each group.
            now: flow clock at the end.
        """
        failed = self._failed(runs[runs["clock_ns"] + self._timeout_ns < now])
        stays = last["clock_ns"] + self._timeout_ns >= now
        put(self._probe, slots[stays], last[stays])
        self._live[slots] = stays
        self._due[slots[stays]] = last["clock_ns"][stays] + self._timeout_ns
        self._free(slots[~stays])
        return failed

    def _begins(self, slots: Slots, heads: Index, packet: Index, asks: Mask, clock: Index) -> Index:
        """Entries with which a question begins: none waits then, or its time is over.

        All groups look for their next one together; a key hardly ever has two in a piece.
        """
        ends = np.append(heads[1:], packet.size)
        group_of = np.repeat(np.arange(heads.size), ends - heads)
        place = group_of * clock.size + packet  # ascending
        asking = np.flatnonzero(asks)
        over = np.searchsorted(clock, self._due[slots], side="right")
        over[~self._live[slots]] = 0
        active = np.arange(heads.size)
        found = []
        while active.size:
            entry = np.searchsorted(place, active * clock.size + over)
            entry = np.append(asking, packet.size)[np.searchsorted(asking, entry)]
            # where time is over with no packet of the piece, the next group's entries are found
            some = (over < clock.size) & (entry < ends[active])
            active, entry = active[some], entry[some]
            found.append(entry)
            over = np.searchsorted(clock, clock[packet[entry]] + self._timeout_ns, side="right")
        return np.sort(np.concatenate(found)) if found else active

    def _failed(self, probes: Records) -> Records:
        """Those of the questions that are failed measurements, as such."""
        failing = ~probes["answered"] & self._fails[probes["kind"]]
        failing &= probes["clock_ns"] > _NEVER
        found = measurements_of(probes[failing])
        found["decided_ns"] = probes["clock_ns"][failing] + self._timeout_ns
        return found

    def _free(self, slots: Slots) -> None:
        self._index.delete(slots)
        self._live[slots] = False
        self._due[slots] = FOREVER
