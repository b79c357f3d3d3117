"""One stream out of several: decoded packets put in order of time.

Every source gives its packets in its own order, and a *mark*: the time before which nothing more
will come from it. A packet is passed on once it lies before the marks of all other sources. So the
stream is in order of time, where that is what the marks promise; of one source the order stays
whatever the times are.

A mark may turn out wrong (the clock was set back), and packets may lie ahead of marks that will
not reach them soon. Nothing waits for longer than `PATIENCE_S`, in which pauses of whoever takes
do not count: the sources' marks had no chance either.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from sensor.flows.epochs import part_of
from sensor.packets.headers import Headers

PATIENCE_S = 1.0
PAUSE_S = 0.1
"""Time between two looks that counts at most."""

NEVER = 2**63 - 1
"""The mark of a source that has ended."""


@dataclass(slots=True)
class _Piece:
    """Packets of a source that wait; `keys` are their times, but never less than one before."""

    headers: Headers
    keys: NDArray[np.int64]
    heard: float
    used: Callable[[], None]
    done: int = 0


class Merger:
    """Merges the packets of several sources."""

    def __init__(self, sources: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts without packets and marks.

        Args:
            sources: how many there are.
            clock: seconds, of which only differences matter.
        """
        self._waiting: list[deque[_Piece]] = [deque() for _ in range(sources)]
        self._marks = [0] * sources
        self._clock = clock
        self._looked = clock()
        self._now = 0.0

    def add(self, source: int, headers: Headers, used: Callable[[], None]) -> None:
        """Takes the next packets of a source.

        Args:
            source: its number.
            headers: columns that stay as they are until they have been used.
            used: called when they may change, as they have been passed on.
        """
        if not len(headers):
            used()
            return
        keys: NDArray[np.int64] = np.maximum.accumulate(headers.timestamp_ns)
        self._waiting[source].append(_Piece(headers, keys, self._now, used))

    def mark(self, source: int, before_ns: int) -> None:
        """Says that all packets of a source before a time have been added; `NEVER` ends it."""
        self._marks[source] = before_ns

    @property
    def mark_ns(self) -> int:
        """The time before which nothing more will be added by any source."""
        return min(self._marks)

    @property
    def waits(self) -> bool:
        """Whether there are packets that could not be passed on yet."""
        return any(self._waiting)

    def take(self) -> Headers | None:
        """The packets that can be passed on, in order; columns of their own."""
        looked = self._clock()
        self._now += min(looked - self._looked, PAUSE_S)
        self._looked = looked
        heard = [pieces[0].heard for pieces in self._waiting if pieces]
        late = bool(heard) and self._now - min(heard) >= PATIENCE_S
        taken: list[Headers] = []
        keys: list[NDArray[np.int64]] = []
        used: list[Callable[[], None]] = []
        for source, pieces in enumerate(self._waiting):
            others = self._marks[:source] + self._marks[source + 1 :]
            before_ns = NEVER if late else min(others, default=NEVER)
            least = 0
            while pieces:
                piece = pieces[0]
                stop = int(np.searchsorted(piece.keys, before_ns))
                if stop > piece.done:
                    part = slice(piece.done, stop)
                    taken.append(part_of(piece.headers, part))
                    keys.append(np.maximum(piece.keys[part], least))
                    least = int(keys[-1][-1])
                    piece.done = stop
                if stop < piece.keys.size:
                    break
                used.append(pieces.popleft().used)
        merged = _merged(taken, keys) if taken else None
        for each in used:
            each()
        return merged


def _merged(parts: Sequence[Headers], keys: Sequence[NDArray[np.int64]]) -> Headers:
    order = np.argsort(np.concatenate(keys), kind="stable")
    return Headers(
        *(
            np.concatenate([getattr(part, column.name) for part in parts])[order]
            for column in fields(Headers)
        )
    )
