"""Carries the lines of a log to one destination, in a thread of its own.

The log is the queue: where a destination is slow or gone, lines are read later. No more than
`WINDOW` of them are held in memory. A line counts as sent when the destination says so, and the
place behind it is what the next process goes on from; so a line may be sent twice where a
connection is lost or the process is killed, but none is left out while its file is there.

Files can rotate away before they were read. Their lines are counted meanwhile, so that what is
lost is known.
"""

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from io import RawIOBase
from pathlib import Path

from sensor.reporting.alert_follow import POLL_S, Follower, Identity, Place
from sensor.reporting.alert_log import Alert, Unread, parse
from sensor.service.forwarding.destination import WINDOW, Destination, UnsendableError

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
"""How long it waits between attempts to connect: twice as long after each, up to this."""

GOODBYE_S = 3.0
"""How long it waits at the end for what is under way."""

LOOK_S = 1.0
"""How often it counts the lines of files that are to come, while it can't send."""

_CHUNK = 1 << 20
_HEAD = 256
"""Bytes at the beginning that tell files apart: they hold the time of the first alert."""


class Courier:
    """One destination, and how far it is.

    Attributes:
        sent: alerts that have arrived.
        lost: alerts that were in files that are gone, or that the destination can't take.
        connected: whether it can send now.
        failure: what ended it, if it was a defect or the log can't be read.
    """

    def __init__(
        self,
        destination: Destination,
        log: str,
        places: Sequence[Place],
        say: Callable[[str], None],
        pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        """Prepares it; `start` begins.

        Args:
            destination: where lines go.
            log: path of the alert log.
            places: from which on to send; none is from the beginning of the log.
            say: shows a line to a person.
            pause_s: the first pause between two attempts.
        """
        self.destination, self._log, self._say, self._pause_s = destination, log, say, pause_s
        self.sent = self.lost = 0
        self.connected = False
        self.failure: Exception | None = None
        self._unread = Unread()
        self._places = list(places)
        self._under_way: deque[tuple[Alert | None, list[Place]]] = deque()
        self._counted: dict[Identity, _Counted] = {}
        self._missing: set[Identity] = set()
        self._looked = 0.0
        self._told = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=destination.name)

    @property
    def places(self) -> list[Place]:
        """Behind the last line that has arrived."""
        return self._places

    @property
    def left_out(self) -> int:
        """Lines of the log that are no alerts."""
        return self._unread.lines + self._unread.torn

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def stop(self) -> None:
        """Asks it to end."""
        self._stop.set()

    def join(self) -> None:
        """Waits for its end."""
        self._thread.join()

    @property
    def ended(self) -> bool:
        """Whether it does nothing any more."""
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            follower = Follower(self._log, self._unread, places=self._places)
            with contextlib.closing(follower):
                if follower.gap:
                    self._say(
                        f"{self.destination.address}: the file of {self._log} that was sent last "
                        "is gone; alerts that came after that may be lost"
                    )
                self._carry(follower)
        except Exception as error:  # noqa: BLE001 -- the main thread raises it
            self.failure = error
        finally:
            self.connected = False

    def _carry(self, follower: Follower) -> None:
        """Sends until it is asked to stop; connects anew as often as necessary."""
        lines = self._alerts(follower)
        pause_s = self._pause_s
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self.destination.connect()
                self._exchange(follower, lines)
            except OSError as error:
                self.connected = False
                self._tell_failure((error.strerror or str(error)).lower())
                # A connection that is lost as soon as it is there is none.
                if time.monotonic() - began > LONGEST_PAUSE_S:
                    pause_s = self._pause_s
                self._wait(follower, pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            finally:
                self.destination.close()

    def _exchange(
        self, follower: Follower, lines: Iterator[tuple[Alert, list[Place]] | None]
    ) -> None:
        """Sends over one connection, first what was under way on the one before."""
        arrived = 0
        for place in range(len(self._under_way)):
            self._send(place)
        while not self._stop.is_set():
            idle = False
            while len(self._under_way) < WINDOW and not idle:
                if (found := next(lines)) is None:
                    idle = True
                else:
                    self._under_way.append(found)
                    self._send(-1)
            arrived = self._settle(arrived, POLL_S)
            self._tell_success()
            if idle and not self._under_way:
                # Also what was left out counts as done.
                self._places = follower.places() or self._places
                self._stop.wait(POLL_S)
            elif not idle:
                self._look_ahead(follower)
        until = time.monotonic() + GOODBYE_S
        while self._under_way and time.monotonic() < until:
            arrived = self._settle(arrived, POLL_S)

    def _send(self, place: int) -> None:
        """Sends what is under way at a place; what can't be sent is left out."""
        alert, places = self._under_way[place]
        if alert is None:
            return
        try:
            self.destination.send(alert)
        except UnsendableError as error:
            self._under_way[place] = (None, places)
            self.lost += 1
            self._say(f"{self.destination.address}: an alert is left out ({error})")

    def _settle(self, arrived: int, wait_s: float) -> int:
        """Takes note of what has arrived over this connection, so far and now."""
        now = self.destination.delivered(wait_s)
        more = now - arrived
        while self._under_way and (more or self._under_way[0][0] is None):
            alert, self._places = self._under_way.popleft()
            if alert is not None:
                more -= 1
                self.sent += 1
        return now

    def _tell_success(self) -> None:
        if not self.connected:
            self._say(f"{self.destination.address}: alerts are sent")
        self.connected, self._told = True, ""

    def _tell_failure(self, why: str) -> None:
        if why != self._told:
            self._say(
                f"{self.destination.address}: can't be reached ({why}); alerts wait in {self._log}"
            )
        self._told = why

    def _alerts(self, follower: Follower) -> Iterator[tuple[Alert, list[Place]] | None]:
        """Alerts with the places behind them; None where there is none at the moment."""
        while True:
            for line in follower.lines():
                alert, places = parse(line), follower.places()
                for identity in [each for each in self._counted if each[1] == places[-1].inode]:
                    del self._counted[identity]  # it is being read
                if alert is None:
                    self._unread.lines += 1
                else:
                    yield alert, places
            yield None

    def _wait(self, follower: Follower, pause_s: float) -> None:
        """Waits for the next attempt, and looks what becomes of the log meanwhile."""
        until = time.monotonic() + pause_s
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            self._look_ahead(follower)
            self._stop.wait(min(left, LOOK_S))

    def _look_ahead(self, follower: Follower) -> None:
        """Counts the lines of files that are to come, and those of files that never will."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        coming = follower.to_come()
        for identity, path in coming.items():
            with contextlib.suppress(OSError):
                self._count(identity, path)
        gone = {each for each in self._counted.keys() - coming.keys() if not follower.is_open(each)}
        # Twice, as one that is renamed at this moment may not be seen once.
        for identity in gone & self._missing:
            if not self._counted[identity].is_packed(coming):
                self._lose(self._counted[identity])
            del self._counted[identity]
        self._missing = gone

    def _count(self, identity: Identity, path: Path) -> None:
        """Counts the lines of a file, if the path is still its."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) != identity:
                return
            counted = self._counted.get(identity)
            if counted and counted.is_another(file):
                self._lose(counted)
                counted = None
            self._counted[identity] = counted = counted or _Counted()
            counted.count(file)

    def _lose(self, gone: "_Counted") -> None:
        if gone.lines:
            self.lost += gone.lines
            self._say(
                f"{self.destination.address}: {gone.lines} alerts are lost; their file was rotated "
                f"away before they could be sent ({self.lost} so far)"
            )


class _Counted:
    """Lines of a file that has not been read yet."""

    def __init__(self) -> None:
        self.lines = 0
        self._size = 0
        self._head = b""
        self._written_ns = 0

    def is_another(self, file: RawIOBase) -> bool:
        """Whether the file has only got the number of the one that was counted."""
        return os.pread(file.fileno(), len(self._head), 0) != self._head

    def count(self, file: RawIOBase) -> None:
        """Counts what was added."""
        descriptor = file.fileno()
        self._head = os.pread(descriptor, _HEAD, 0)
        self._written_ns = os.fstat(descriptor).st_mtime_ns
        while chunk := os.pread(descriptor, _CHUNK, self._size):
            self.lines += chunk.count(b"\n")
            self._size += len(chunk)

    def is_packed(self, coming: dict[Identity, Path]) -> bool:
        """Whether one of the files to come is this one, packed, which has its time."""
        for path in coming.values():
            with contextlib.suppress(OSError):
                if path.suffix == ".gz" and path.stat().st_mtime_ns == self._written_ns:
                    return True
        return False
