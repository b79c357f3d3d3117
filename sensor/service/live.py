"""What a live run does beside the chain: limits, and saying what goes wrong.

Two threads call here: the one that captures between its blocks (`Attendant.attended`), and the one
that detects after what it has written (`Attendant.look_at_log`). The log is the latter's alone.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from sensor.alerts.sinks import OLD_SUFFIX, EventLog
from sensor.capture.block import PacketBlock
from sensor.capture.files import cut
from sensor.capture.live import LiveSource, Watching
from sensor.capture.record import Recorder
from sensor.errors import MultaError
from sensor.service.handover import Handover
from sensor.service.health.health import Health
from sensor.service.health.statistics import Statistics
from sensor.service.notify import ServiceManager
from sensor.service.reload import Reload
from sensor.service.signals import Signals

REPEAT_S = 60
"""How often a loss that goes on is told."""


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class _Stoppable(Protocol[T_co]):
    """A source, whatever its items are."""

    def __iter__(self) -> Iterator[T_co]: ...
    def stop(self) -> None: ...


def within(source: _Stoppable[T], duration_s: float | None) -> Iterator[T]:
    """A source's items; after this time it is stopped, and what it holds is delivered."""
    until = None if duration_s is None else time.monotonic() + duration_s
    for item in source:
        yield item
        if until is not None and time.monotonic() >= until:
            source.stop()


def limited(
    ring: LiveSource, count: int | None = None, duration_s: float | None = None
) -> Iterator[PacketBlock]:
    """The ring's blocks, ended after so many packets or seconds.

    Args:
        ring: the source.
        count: exactly so many packets are delivered.
        duration_s: after this time the ring is stopped, and what it holds is delivered.
    """
    left = count
    for block in within(ring, duration_s):
        if left is not None:
            if left <= len(block):
                yield cut(block, slice(left))
                return
            left -= len(block)
        yield block


class UntilFailure(Generic[T]):
    """A source's items to the end, be it a failure: what it delivered is then still dealt with.

    Attributes:
        failure: what ended it, or `None`.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items
        self.failure: MultaError | None = None

    def __iter__(self) -> Iterator[T]:
        """The items."""
        try:
            yield from self._items
        except MultaError as error:
            self.failure = error


class Attendant:
    """Looks after a live run between its blocks.

    The messages are about what a person should know now; everything is counted in the statistics
    as well.
    """

    def __init__(
        self,
        ring: Watching,
        log: EventLog,
        recorder: Recorder | None,
        statistics: Statistics,
        signals: Signals,
        say: Callable[[str], None],
        *others: EventLog,
    ) -> None:
        """Takes the parts that it looks after; `say` shows a line to a person.

        Whatever else is logged than alerts is opened anew with their log.

        Attributes:
            handover: between the threads of the run.
        """
        self._ring, self._log, self._recorder = ring, log, recorder
        self._logs = (log, *others)
        self._reload: Reload | None = None
        self._health: Health | None = None
        self._over = self._ending = False
        self.handover = Handover(lambda: not self._over and ring.pressed)
        self._statistics, self._signals, self._say = statistics, signals, say
        self._manager = ServiceManager()
        self._blind: dict[str, str] = {}
        self._told_offload = self._told_bypass = self._told_recorder = False
        self._drops, self._shed = _Repeated(), _Repeated()
        self._waiting = False
        self._rotations = 0
        signals.are_about(self._stop, statistics.line)

    def reload_with(self, reload: Reload) -> None:
        """Names what SIGHUP has reloaded."""
        self._reload = reload

    def tell_health_to(self, health: Health) -> None:
        """Names who watches how the run is."""
        self._health = health

    def attended(self, blocks: Iterable[T]) -> Iterator[T]:
        """The blocks; after each one, its rows have been handed over.

        The watchdog hears so if the thread that detects is at work too.
        """
        self._manager.ready()
        self._look_at_ring()
        for block in blocks:
            yield block
            if self.handover.is_moving():
                self._manager.alive()
            self._look()
        self._over = self._ending = True
        self._manager.stopping()
        self._look()

    def look_at_log(self) -> None:
        """What there is to do for the log after something was perhaps written to it."""
        reopen = self._signals.reopen_asked()
        for log in self._logs:
            if reopen:
                log.reopen()
            log.flush()
        waiting = self._log.spooled > 0
        if waiting and not self._waiting:
            self._say("the alert log can't be written; alerts wait in memory")
        if self._waiting and not waiting:
            self._say(f"the alert log can be written again; {self._log.lost} alerts were lost")
        self._waiting = waiting
        if self._log.rotations > self._rotations:
            self._rotations, path = self._log.rotations, self._log.path
            self._say(f"{path} was full and is {path}{OLD_SUFFIX} now; what that held is gone")

    def _stop(self) -> None:
        self._ending = True
        self._manager.stopping()
        self._ring.stop()

    def _look(self) -> None:
        self._look_at_handover()
        self._look_at_recorder()
        self._look_at_ring()
        self._look_at_reload()
        if self._health:
            self._health.look(time.monotonic())

    def _look_at_reload(self) -> None:
        reload = self._reload
        if reload is None or self._ending:
            return  # what is in force now has the last word, and nothing new is begun
        if reload.finish():
            self._statistics.expect(reload.lanes)
            if self._health:
                self._health.reloaded(reload.failure)
            self._manager.ready()
        if not reload.busy and self._signals.reload_asked():
            self._manager.reloading()
            reload.begin()

    def _look_at_handover(self) -> None:
        self._statistics.shed = shed = self.handover.shed
        self._statistics.shed_ends = self.handover.shed_ends
        if more := self._shed.more(shed):
            self._say(
                f"{more} rows were not looked at, as detection fell behind the packets "
                f"({shed} so far)"
            )

    def _look_at_recorder(self) -> None:
        recorder = self._recorder
        if recorder is None:
            return
        self._statistics.unrecorded = recorder.unrecorded
        if recorder.failure and not self._told_recorder:
            self._told_recorder = True
            self._say(
                f"{recorder.path}: the recording can't be written ({recorder.failure}) and ends "
                f"after {recorder.recorded} frames; detection goes on"
            )

    def _look_at_ring(self) -> None:
        ring, counters = self._ring, self._ring.counters
        for name, why in ring.blind.items():
            if self._blind.get(name) != why:
                self._say(f"interface {name} {why}: blind until it comes back")
        for name in self._blind.keys() - ring.blind.keys():
            self._say(f"interface {name} is back")
        self._blind = dict(ring.blind)
        if counters.offload_frames and not self._told_offload:
            self._told_offload = True
            names = ring.interface.split(",")
            commands = (f"ethtool -K {name} gro off lro off gso off tso off" for name in names)
            self._say(
                f"interface {ring.interface} merges frames, so packet sizes are not those of the "
                f"wire; run: {'; '.join(commands)}"
            )
        if counters.bypassed and not self._told_bypass:
            self._told_bypass = True
            self._say(
                f"interface {ring.interface} handled {counters.bypassed} more packets than it "
                "showed: a network card, a switch or XDP forwards them past the kernel, so most of "
                "each connection is not seen; switch hardware flow offload off (nftables: no "
                "`flags offload` in a flowtable; OpenWrt: flow_offloading_hw '0')"
            )
        if more := self._drops.more(counters.kernel_drops):
            self._say(
                f"the kernel dropped {more} frames of {ring.interface} that came faster than they "
                f"were read ({counters.kernel_drops} so far)"
            )


class _Repeated:
    """A loss that goes on, and how much of it was told."""

    def __init__(self) -> None:
        self._told = 0
        self._told_at = -float(REPEAT_S)

    def more(self, so_far: int) -> int:
        """How much was lost since this was last told; 0 where it is not to be told again yet."""
        now = time.monotonic()
        if so_far == self._told or now - self._told_at < REPEAT_S:
            return 0
        more, self._told, self._told_at = so_far - self._told, so_far, now
        return more
