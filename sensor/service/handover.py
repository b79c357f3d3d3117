"""From the thread that captures to the thread that detects: a bounded queue of decided rows.

Frames wait in the kernel's ring for the thread that captures, which must not be late for long;
inference, and writing alerts, may take longer than frames come. So they have a thread of their
own, and this queue is between the two. Numpy's loops and the TFLite runtime let go of
Python's lock, so the two run at once where there are two cores.

Nothing is shed without need: while the ring has room the capturing thread waits for the other one,
and the frames wait in the ring, as they would without threads. Rows are shed only where the queue
is full *and* the ring is filling up, as then the choice is between rows, which were
counted, and frames, which nobody would have seen. Rows of at most `SHORT_PACKETS` packets go, of
which a flood is made; longer ones, and the ends of flows that something may have been said of, only
where as many of these wait, so no flood pushes out the rows of connections.
"""

import ctypes
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from sensor.exchange import Change
from sensor.flows.ends import NO_ENDS
from sensor.pipeline import Decided

ROWS = 4_096
"""Rows that may wait before the queue is full: a megabyte. What comes while it is not full is
taken whole; a batch has hardly more rows than its block has packets. As many longer ones may wait
besides."""

SHORT_PACKETS = 2
"""As short as the flows that the table gives up first (`docs/semantics.md` 6)."""

_LEAST_ROWS = 16
"""What a batch counts for at least, so that ticks can't fill the memory either."""

_M_ARENA_MAX = -8
"""Of glibc's malloc.h."""

_LOOK_S = 0.01
_PATIENCE_S = 2.0


class Handover:
    """Hands over in order what one thread decides and another takes.

    A context manager around the capturing thread's work: the other thread runs within it. Whoever
    leaves it by an exception leaves behind what waits.

    Attributes:
        shed: rows that were not handed over.
        shed_flows: how many of them were the first ones of their flows.
        shed_ends: ends of flows that were not handed over.
    """

    def __init__(self, pressed: Callable[[], bool]) -> None:
        """Makes an empty queue; `take_with` says who takes.

        Args:
            pressed: whether the source is in danger of losing frames if it is not read soon.
        """
        self.shed = self.shed_flows = self.shed_ends = 0
        self._pressed = pressed
        self._take: Callable[[Decided | Change], None] = lambda _: None
        self._queue: deque[Decided | Change | None] = deque()
        self._load = self._long = 0
        self._taken = self._taken_before = 0
        self._idle = True
        self._failure: BaseException | None = None
        self._abandoned = False
        self._changed = threading.Condition()
        # Nothing may keep an interrupted sensor from ending, such as a pipe that nobody reads.
        self._thread = threading.Thread(target=self._work, name="detection", daemon=True)

    def take_with(self, take: Callable[[Decided | Change], None]) -> "Handover":
        """Names what the other thread does with each thing that it is handed."""
        self._take = take
        return self

    def __enter__(self) -> None:
        _share_memory()
        self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Waits until all has been taken.

        Raises:
            Exception: what the other thread ended with.
        """
        if error is not None:
            self._abandoned = True
        with self._changed:
            self._queue.append(None)
            self._changed.notify_all()
        self._thread.join(None if error is None else _PATIENCE_S)
        if error is None:
            self._raise_failure()

    def put(self, decided: Decided | Change) -> None:
        """Hands over, or sheds rows of it.

        What ends a stream is kept, without rows if need be, and so is a change.

        Raises:
            Exception: what the other thread ended with.
        """
        with self._changed:
            while self._is_full() and not self._failure and not self._pressed():
                self._changed.wait(_LOOK_S)
            self._raise_failure()
            kept = self._without_shed(decided) if self._is_full() else decided
            if kept is None:
                return  # the next one's clock is a later one
            self._queue.append(kept)
            self._load += _load(kept)
            self._long += _long_rows(kept)
            self._changed.notify_all()

    def is_moving(self) -> bool:
        """Whether the other thread has taken something since this was last asked, or has to wait.

        If it is not, for as long as the service manager is patient, it hangs.
        """
        with self._changed:
            moving = self._idle or self._taken != self._taken_before
            self._taken_before = self._taken
        return moving

    def _is_full(self) -> bool:
        return self._load >= ROWS

    def _without_shed(self, decided: Decided | Change) -> Decided | Change | None:
        if isinstance(decided, Change):
            return decided
        batch, ends = decided.batch, decided.ends
        if self._long < ROWS:
            kept = batch.take(_is_long(decided))
        else:
            kept = batch.take(slice(0))
            self.shed_ends += len(ends)
            ends = NO_ENDS
        self.shed += len(batch) - len(kept)
        self.shed_flows += int(np.count_nonzero(batch.row == 0) - np.count_nonzero(kept.row == 0))
        if len(kept) or len(ends) or decided.finishing:
            return replace(decided, batch=kept, ends=ends)
        return None

    def _raise_failure(self) -> None:
        if self._failure:
            raise self._failure

    def _work(self) -> None:
        try:
            while decided := self._next():
                self._take(decided)
                self._taken += 1
        except BaseException as error:  # noqa: BLE001 -- raised again in the capturing thread
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _next(self) -> Decided | Change | None:
        with self._changed:
            self._idle = True
            while not self._queue:
                self._changed.wait()
            self._idle = False
            decided = None if self._abandoned else self._queue.popleft()
            if decided:
                self._load -= _load(decided)
                self._long -= _long_rows(decided)
                self._changed.notify_all()
            return decided


def _load(decided: Decided | Change) -> int:
    if not isinstance(decided, Decided):
        return _LEAST_ROWS
    return max(len(decided.batch) + len(decided.ends), _LEAST_ROWS)


def _long_rows(decided: Decided | Change) -> int:
    if not isinstance(decided, Decided):
        return 0
    return int(np.count_nonzero(_is_long(decided))) + len(decided.ends)


def _is_long(decided: Decided) -> NDArray[np.bool_]:
    return decided.batch.length > SHORT_PACKETS


def _share_memory() -> None:
    """Lets threads allocate from one arena, where this is glibc: one each would take 2 MiB more."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option:
        set_option(_M_ARENA_MAX, 1)
