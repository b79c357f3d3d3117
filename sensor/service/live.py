"""What a live run does beside the chain: signals, limits, and saying what goes wrong."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from sensor.alerts.sinks import AlertLog
from sensor.capture.block import PacketBlock
from sensor.capture.files import cut
from sensor.capture.ring import Ring
from sensor.service.notify import ServiceManager
from sensor.service.statistics import Statistics

REPEAT_S = 60
"""How often a loss that goes on is told."""


def limited(
    ring: Ring, count: int | None = None, duration_s: float | None = None
) -> Iterator[PacketBlock]:
    """The ring's blocks, ended after so many packets or seconds.

    Args:
        ring: the source.
        count: exactly so many packets are delivered.
        duration_s: after this time the ring is stopped, and what it holds is delivered.
    """
    until = None if duration_s is None else time.monotonic() + duration_s
    left = count
    for block in ring:
        if left is not None:
            if left <= len(block):
                yield cut(block, slice(left))
                return
            left -= len(block)
        yield block
        if until is not None and time.monotonic() >= until:
            ring.stop()


class Attendant:
    """Looks after a live run between its blocks.

    The messages are about what a person should know now; everything is counted in the statistics
    as well.
    """

    def __init__(
        self,
        ring: Ring,
        log: AlertLog,
        statistics: Statistics,
        manager: ServiceManager,
        say: Callable[[str], None],
    ) -> None:
        """Takes the parts that it looks after; `say` shows a line to a person."""
        self._ring, self._log, self._statistics = ring, log, statistics
        self._manager, self._say = manager, say
        self._reopen = False
        self._up = True
        self._told_offload = False
        self._drops = self._lost = 0
        self._drops_told_at = -float(REPEAT_S)
        self._waiting = False

    def attended(self, blocks: Iterable[PacketBlock]) -> Iterator[PacketBlock]:
        """The blocks; after each one the chain has dealt with it, and the watchdog hears so."""
        for block in blocks:
            yield block
            self._manager.alive()
            self._look()
        self._look()

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Handles signals while the run lasts.

        SIGTERM and SIGINT end it after what has been received; a second SIGINT ends it at once.
        SIGUSR1 writes the statistics to standard error. SIGHUP opens the alert log anew.
        """
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            signal.SIGTERM: self._stop,
            signal.SIGINT: self._stop,
            signal.SIGUSR1: self._dump,
            signal.SIGHUP: self._rotate,
        }
        before = {number: signal.signal(number, act) for number, act in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._manager.stopping()
        self._ring.stop()

    def _dump(self, _number: int, _frame: FrameType | None) -> None:
        # Not through sys.stderr: the signal may have come in the middle of a write to it.
        os.write(2, self._statistics.line().encode())

    def _rotate(self, _number: int, _frame: FrameType | None) -> None:
        self._reopen = True

    def _look(self) -> None:
        if self._reopen:
            self._reopen = False
            self._log.reopen()
        self._log.flush()
        self._look_at_log()
        self._look_at_ring()

    def _look_at_log(self) -> None:
        waiting = self._log.spooled > 0
        if waiting and not self._waiting:
            self._say("the alert log can't be written; alerts wait in memory")
        if self._waiting and not waiting:
            self._say(f"the alert log can be written again; {self._log.lost} alerts were lost")
        self._waiting = waiting

    def _look_at_ring(self) -> None:
        ring, counters = self._ring, self._ring.counters
        if ring.up != self._up:
            self._up = ring.up
            self._say(
                f"interface {ring.interface} is back"
                if ring.up
                else f"interface {ring.interface} is down or gone: blind until it comes back"
            )
        if counters.offload_frames and not self._told_offload:
            self._told_offload = True
            self._say(
                f"interface {ring.interface} merges frames, so packet sizes are not those of the "
                f"wire; run: ethtool -K {ring.interface} gro off lro off gso off tso off"
            )
        now = time.monotonic()
        if counters.kernel_drops > self._drops and now - self._drops_told_at >= REPEAT_S:
            self._say(
                f"the kernel dropped {counters.kernel_drops - self._drops} frames of "
                f"{ring.interface} that came faster than they were read "
                f"({counters.kernel_drops} so far)"
            )
            self._drops, self._drops_told_at = counters.kernel_drops, now
