"""A process that reads a ring, decodes, and hands packets over: one of those behind `Workers`.

It is forked from the sensor and owns nothing else. What it says are messages on a socket pair;
packets lie in shared memory meanwhile. It ends with its ring, or with the sensor: then nobody
hears its messages any more.
"""

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, astuple
from typing import Any, NoReturn

from sensor.capture.block import PacketBlock
from sensor.capture.ring import Ring
from sensor.errors import MultaError
from sensor.flows.epochs import part_of
from sensor.packets.decode import Decoder
from sensor.packets.headers import Headers
from sensor.service.health.counts import DecodedCounts, FrameCounts
from sensor.service.workers.shared_columns import ROWS, SLOTS, SharedColumns
from sensor.unexpected import explained

TIMEOUT_MS = 20
"""After which the kernel hands a worker its frames: until then those of the others wait."""

MARGIN_NS = 20_000_000
"""A frame that was stamped this long ago is in a ring: that takes microseconds, and longer where
all processors are busy."""

STOP = 0xFF
"""What a worker is told to end with; lower numbers are slots that it may fill again."""

_LOOK_S = 0.01


class Worker:
    """The work of such a process."""

    def __init__(
        self,
        ring: Ring,
        optional: Collection[str],
        columns: SharedColumns,
        channel: socket.socket,
    ) -> None:
        """Takes what it works with; `optional` columns are decoded (`Decoder`)."""
        self._ring, self._columns, self._channel = ring, columns, channel
        self._decoder = Decoder(optional)
        self._frames = FrameCounts()
        self._free = list(range(SLOTS))
        self._mark_ns = 0

    def work(self) -> None:
        """Hands over what comes until it is told to stop, and then what has come.

        Raises:
            OSError: nobody listens any more.
        """
        for block in self._ring:
            self._listen(0)
            self._hand_over(block)
        self._tell(end=True)

    def _hand_over(self, block: PacketBlock) -> None:
        headers = self._decoder.decode(block)
        self._frames.add(block)
        done = 0
        while len(headers) - done > ROWS:
            part = part_of(headers, slice(done, done + ROWS))
            self._mark_ns = int(part.timestamp_ns[-1])
            self._send(part)
            done += ROWS
        # The wall clock is the one that stamps packets. Only where packets of other workers stand
        # among these depends on it.
        now_ns = time.time_ns()
        if len(block):
            self._mark_ns = int(block.timestamp_ns[-1])
        elif self._ring.is_read:
            self._mark_ns = now_ns - MARGIN_NS
        self._send(part_of(headers, slice(done, None)))

    def _send(self, headers: Headers) -> None:
        slot = None
        self._columns.flag = self._ring.pressed
        if len(headers):
            while not self._free:
                self._listen(_LOOK_S)
                self._columns.flag = self._ring.pressed
            slot = self._free.pop()
            self._columns.write(slot, headers)
        decoded = DecodedCounts()
        decoded.join(self._decoder)
        self._tell(
            slot=slot,
            rows=len(headers),
            mark=self._mark_ns,
            frames=astuple(self._frames),
            decoded=asdict(decoded),
            capture=asdict(self._ring.counters),
            blind=dict(self._ring.blind),
        )
        self._frames = FrameCounts()

    def _listen(self, wait_s: float) -> None:
        """Takes in what it was told."""
        while select.select([self._channel], [], [], wait_s)[0]:
            said = self._channel.recv(1)
            if not said:
                raise BrokenPipeError
            if said[0] == STOP:
                self._ring.stop()
            else:
                self._free.append(said[0])
            wait_s = 0

    def _tell(self, **message: Any) -> None:
        self._channel.send(json.dumps(message).encode())


def become_worker(make: Callable[[], Worker], channel: socket.socket) -> NoReturn:
    """Turns a process that was just forked into a worker, to its end.

    Args:
        make: its work.
        channel: where its messages go; what it fails with is the last one.
    """
    # These go to all processes of a terminal or of a service; the sensor decides what they mean.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    try:
        make().work()
    except (BrokenPipeError, ConnectionResetError):
        pass  # the sensor has gone
    except Exception as error:  # noqa: BLE001 -- told by the sensor
        told = error if isinstance(error, MultaError) else explained(error)
        message = {"error": type(told).__name__, "text": str(told)}
        with contextlib.suppress(OSError):
            channel.send(json.dumps(message).encode())
    finally:
        # Nothing of the sensor's may be flushed or cleaned up here.
        os._exit(0)
