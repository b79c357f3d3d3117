"""Several processes that capture and decode, for one that assembles and detects.

Each worker has a ring of its own in one fan-out, so the frames are shared among them. Their
packets are merged in order of time, so flows, context and incidents live in one place, and rows
and alerts are those of one process. What is apart are the memories of the decoders: fragments of a
datagram come to the same worker, but each worker remembers, and takes the slow path, for itself.
"""

import json
import os
import select
import signal
import socket
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, fields
from functools import partial
from typing import Any

import sensor.errors
from sensor.capture.block import CaptureCounters
from sensor.capture.ring import SNAP_BYTES, Ring
from sensor.capture.tap import open_packet_socket
from sensor.capture.watched import NEW_FANOUT
from sensor.errors import HostError
from sensor.packets.headers import Headers
from sensor.service.health.counts import DecodedCounts, FrameCounts
from sensor.service.workers.merging import NEVER, Merger
from sensor.service.workers.shared_columns import SharedColumns
from sensor.service.workers.worker import STOP, TIMEOUT_MS, Worker, become_worker

_TICK_S = 0.1
_TICK_MARGIN_NS = 180_000_000
"""How far the clock stays behind what the workers' silence says: what orders packets may be wrong
where a processor is late, the clock may not. With `MARGIN_NS` that is the margin of one ring."""

_MESSAGE_BYTES = 1 << 16
ENDING_S = 10
"""Many times as long as a worker takes for a full ring."""


class _Process:
    """A worker as the sensor sees it."""

    def __init__(self, ring: Ring, optional: Collection[str]) -> None:
        self.ring = ring
        self.columns = SharedColumns(optional)
        # Messages stay apart, and whoever is left hears of the other's end.
        self.channel, self.other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = 0
        self.decoded = DecodedCounts()
        self.capture = CaptureCounters()

    def free(self, slot: int) -> None:
        with suppress(OSError):
            self.channel.send(bytes([slot]))

    def close(self) -> None:
        self.channel.close()
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


class Workers:
    """Decoded packets of one or several interfaces, in order of time (`LiveSource`, but decoded).

    Attributes:
        interface: its name, or their names with commas between them.
        counters: of all rings together.
        frames, decoded: what all workers have seen and decoded.
        blind: see `sensor.capture.watched.Watched`.
    """

    def __init__(
        self,
        interfaces: Sequence[str],
        count: int,
        optional: Collection[str],
        *,
        blocks: int,
        promiscuous: bool = True,
        opener: Callable[[], socket.socket] = open_packet_socket,
    ) -> None:
        """Opens the rings and starts the workers; from here on frames are received.

        Args:
            interfaces: see `Ring`.
            count: of workers.
            optional: columns that are decoded besides (`Decoder`).
            blocks: of all rings together.
            promiscuous: see `Ring`.
            opener: see `Ring`.

        Raises:
            MultaError: as `Ring` does.
        """
        self.interface = ",".join(interfaces)
        self.counters = CaptureCounters()
        self.frames, self.decoded = FrameCounts(), DecodedCounts()
        self._merger = Merger(count)
        self._processes: list[_Process] = []
        self._none = SharedColumns(optional).read(0, 0)
        self._end_by = float("inf")
        fanout = NEW_FANOUT
        with ExitStack() as undo, ExitStack() as opened:
            undo.callback(self.close)
            for _ in range(count):
                ring = Ring(
                    *interfaces,
                    blocks=max(8, blocks // count),
                    timeout_ms=TIMEOUT_MS,
                    snap_bytes=SNAP_BYTES,
                    promiscuous=promiscuous,
                    fanout=fanout,
                    opener=opener,
                )
                opened.enter_context(closing(ring))
                fanout = ring.fanout if ring.fanout is not None else NEW_FANOUT
                self._processes.append(_Process(ring, optional))
            self.blind: Mapping[str, str] = dict(ring.blind)
            for process in self._processes:
                self._start(process, optional)
            undo.pop_all()
        for process in self._processes:
            process.other.close()

    @property
    def pressed(self) -> bool:
        """Whether half of a ring is full."""
        return any(each.columns.flag for each in self._processes)

    def __iter__(self) -> Iterator[tuple[Headers, int]]:
        """Packets with a lower bound of the clock (`PacketBlock.clock_ns`), until `stop`.

        Raises:
            MultaError: a worker failed; what it had sent has been delivered.
        """
        heard = False
        working = dict(enumerate(self._processes))
        yielded = time.monotonic()
        failure: sensor.errors.MultaError | None = None
        while working and not failure:
            channels = [each.channel for each in working.values()]
            ready = select.select(channels, [], [], _TICK_S)[0]
            for number, process in list(working.items()):
                if process.channel in ready:
                    failure = self._listen(number, process) or failure
                    if process.pid == 0:
                        del working[number]
            if time.monotonic() > self._end_by:
                # One that stands still would keep the others' packets, and the run, for ever.
                for process in working.values():
                    os.kill(process.pid, signal.SIGKILL)
            headers = self._merger.take()
            if headers is not None:
                heard = True
                yielded = time.monotonic()
                yield headers, 0
            elif time.monotonic() - yielded >= _TICK_S:
                # Not the time since the last packet: a worker may have more, and no processor.
                silent = heard and not self._merger.waits
                yielded = time.monotonic()
                yield self._none, self._merger.mark_ns - _TICK_MARGIN_NS if silent else 0
        for number in range(len(self._processes)):
            self._merger.mark(number, NEVER)
        headers = self._merger.take()
        if headers is not None:
            yield headers, 0
        if failure:
            raise failure

    def stop(self) -> None:
        """Ends the iteration after what has been received; a signal handler may call it.

        A worker that has not ended within `ENDING_S` is killed, which is a failure.
        """
        self._end_by = time.monotonic() + ENDING_S
        for process in self._processes:
            process.free(STOP)

    def close(self) -> None:
        """Ends the workers; closing twice is allowed."""
        for process in self._processes:
            process.close()

    def _start(self, process: _Process, optional: Collection[str]) -> None:
        with warnings.catch_warnings():
            # Of threads: numpy's stand still, and a worker needs none of them.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.pid = os.fork()
        if process.pid:
            return
        for each in self._processes:
            # Or a worker would not hear of the sensor's end, as others held its channel.
            each.channel.close()
            if each is not process:
                each.other.close()
                each.ring.close()
        make = partial(Worker, process.ring, optional, process.columns, process.other)
        become_worker(make, process.other)

    def _listen(self, number: int, process: _Process) -> sensor.errors.MultaError | None:
        """Takes in what a worker has said; returns what it failed with, if it did."""
        while True:
            try:
                said = process.channel.recv(_MESSAGE_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return None
            except ConnectionResetError:
                continue  # it ended before it had heard all; what it said comes yet
            if not said:
                return self._ended(process)
            message = json.loads(said)
            if "error" in message:
                self._ended(process)
                kind = getattr(sensor.errors, message["error"])
                return kind(message["text"])  # type: ignore[no-any-return]
            if "end" in message:
                self._merger.mark(number, NEVER)
                self._ended(process)
                return None
            self._take(number, process, message)

    def _take(self, number: int, process: _Process, message: dict[str, Any]) -> None:
        if message["slot"] is not None:
            headers = process.columns.read(message["slot"], message["rows"])
            self._merger.add(number, headers, partial(process.free, message["slot"]))
        self._merger.mark(number, message["mark"])
        self.frames.join(FrameCounts(*message["frames"]))
        process.decoded = DecodedCounts(**message["decoded"])
        process.capture = CaptureCounters(**message["capture"])
        self.blind = message["blind"]
        decoded = DecodedCounts()
        for each in self._processes:
            decoded.join(each.decoded)
        for entry in fields(decoded):
            setattr(self.decoded, entry.name, getattr(decoded, entry.name))
        counted = [asdict(each.capture) for each in self._processes]
        for name in counted[0]:
            setattr(self.counters, name, sum(each[name] for each in counted))

    @staticmethod
    def _ended(process: _Process) -> HostError | None:
        """Buries a worker; what is to be told if it did not end by itself."""
        _, status = os.waitpid(process.pid, 0)
        process.pid = 0
        code = os.waitstatus_to_exitcode(status)
        how = f"was ended by signal {-code}" if code < 0 else "ended"
        return HostError(
            f"a process that captures {how}; start the sensor again, perhaps with more memory or "
            "fewer --workers"
        )
