"""Follows an alert log as it grows, like ``tail -F``: by name, across whatever happens to the file.

- Renamed: the file that was open is read to its end, and for `GRACE_S` more, as a sensor may have
  looked at the name just before; then the one that has the name now. Files that had the name in
  between, while nobody looked, are found by their times among the rotated ones.
- Cut off, or written anew: it is read from its beginning. (What a program cut off before it was
  read here is lost; logrotate's ``copytruncate`` does that.)
- Gone, or not there yet: waited for.

A line is told when its newline is there. Who wants to go on later asks for the places up to which
lines were told, and gives them to the next follower.
"""

import contextlib
import hashlib
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sensor.errors import MultaError
from sensor.reporting.alert_log import LineCutter, Unread, read, rotated, unreadable

GRACE_S = 5.0
"""How long a file that was renamed is still looked at."""

POLL_S = 0.25
"""How often somebody who waits looks: lines show at once for people, and it costs nothing."""

_CHUNK = 1 << 16

_REMEMBERED = 1 << 14
"""Bytes before the place up to which a file is read: where they differ, it was written anew.

They hold the whole of an alert; the ends of alerts are often the same.
"""

Identity = tuple[int, int]

_NEVER = 1 << 63

_BEGINNING = 256

_PROOF = 1 << 12
"""Bytes before a place that prove that it is one of the same file: numbers of inodes come again."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file that had the name of the log.

    Attributes:
        inode: of the file.
        offset: behind the last line that was told.
        proof: of what stands before it.
        written_ns: when the file was last written to.
        behind: whether more stood in the file.
    """

    inode: int
    offset: int
    proof: str
    written_ns: int
    behind: bool


class _Followed:
    """A file that is open and read up to a place."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        # A named pipe would wait for its writer: it is read like a file that is empty until then.
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self.status = os.fstat(self.descriptor)
        if stat.S_ISDIR(self.status.st_mode):
            self.close()
            raise IsADirectoryError(21, "is a folder", str(path))
        self.regular = stat.S_ISREG(self.status.st_mode)
        self._cutter = LineCutter()
        self._place = offset
        self._before = self._bytes_before(offset, _REMEMBERED) if offset else b""

    def place(self) -> Place:
        """Behind the line that was told last; of a named pipe it has no meaning."""
        offset = max(0, self._place - self._cutter.ahead)
        proof = hashlib.sha256(self._bytes_before(offset, _PROOF)).hexdigest()[:16]
        status = os.fstat(self.descriptor)
        behind = offset < status.st_size
        return Place(status.st_ino, offset, proof, status.st_mtime_ns, behind)

    def _bytes_before(self, offset: int, count: int) -> bytes:
        count = min(count, offset) if self.regular else 0
        return os.pread(self.descriptor, count, offset - count) if count else b""

    @property
    def identity(self) -> Identity:
        return self.status.st_dev, self.status.st_ino

    def lines(self, unread: Unread) -> Iterator[bytes]:
        """Whole lines that have come since the last call."""
        if not self.regular:
            yield from self._streamed(unread)
            return
        before, self.status = self.status, os.fstat(self.descriptor)
        if self._place and self.status.st_mtime_ns != before.st_mtime_ns and self._written_anew():
            self.finish(unread)
            self._cutter, self._place, self._before = LineCutter(), 0, b""
        while chunk := os.pread(self.descriptor, _CHUNK, self._place):
            self._place += len(chunk)
            self._before = (self._before + chunk)[-_REMEMBERED:]
            yield from self._cut(chunk, unread)

    def finish(self, unread: Unread) -> None:
        """Counts a line that will never end."""
        unread.torn += self._cutter.rest

    def close(self) -> None:
        os.close(self.descriptor)

    def _streamed(self, unread: Unread) -> Iterator[bytes]:
        while True:
            try:
                chunk = os.read(self.descriptor, _CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                return
            yield from self._cut(chunk, unread)

    def _cut(self, chunk: bytes, unread: Unread) -> Iterator[bytes]:
        too_long = self._cutter.too_long
        yield from self._cutter.feed(chunk)
        unread.lines += self._cutter.too_long - too_long

    def _written_anew(self) -> bool:
        if self.status.st_size < self._place:
            return True
        count = len(self._before)
        return os.pread(self.descriptor, count, self._place - count) != self._before


def beginning(path: Path) -> bytes:
    """The first bytes of a file, which tell logs apart: they hold the time of the first alert.

    Raises:
        OSError: it can't be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_BEGINNING)


class Follower:
    """The lines of a log, and those that are added while it is followed."""

    def __init__(
        self,
        path: str | Path,
        unread: Unread,
        clock: Callable[[], float] = time.monotonic,
        places: Sequence[Place] = (),
    ) -> None:
        """Opens the log if it is there, and remembers what it was rotated to before.

        Args:
            path: of the log.
            unread: is told what was left out.
            clock: in seconds, for how long renamed files are still looked at.
            places: of an earlier follower, from which on lines are told; without them it begins
                with the file that has the name now.

        Raises:
            MissingInputError, PermissionDeniedError: it is there and can't be read.
        """
        self.gap = False
        """Whether the file of the last place is gone, so that lines may be missing."""
        self._path = Path(path)
        self._unread = unread
        self._clock = clock
        self._file: _Followed | None = None
        self._left: deque[tuple[float, _Followed]] = deque()
        self._between: _Followed | None = None
        if places:
            self._go_on(places)
            return
        self._open()
        self.rotated = [each for each in rotated(path) if self._identity(each) != self._open_now()]
        """Files that the log had become when it was opened, the oldest first."""
        self._know(self.rotated)

    def places(self) -> list[Place]:
        """Behind the lines that were told; of files of which more may come, in their order."""
        reading = self._between or self._file
        files = [followed for _, followed in self._left if followed is not reading]
        return [each.place() for each in (*files, *([reading] if reading else []))]

    def to_come(self) -> dict[Identity, Path]:
        """Files whose lines will follow and which are not open yet; the oldest first."""
        reading = self._between or self._file
        opened = {each.identity for _, each in self._left} | {self._open_now()}
        since_ns = reading.status.st_mtime_ns if reading else 0
        found = {}
        for path in (*rotated(self._path), self._path):
            with contextlib.suppress(OSError):
                status = path.stat()
                identity = (status.st_dev, status.st_ino)
                past = status.st_mtime_ns < since_ns or self._is_known(path)
                if identity not in opened and (path == self._path or not past):
                    found[identity] = path
        return found

    def is_open(self, identity: Identity) -> bool:
        """Whether the file is read, or will be without being looked for."""
        return identity in {self._open_now(), *(each.identity for _, each in self._left)}

    @property
    def waiting(self) -> bool:
        """Whether there has been no file of this name yet."""
        return self._file is None

    def lines(self) -> Iterator[bytes]:
        """Whole lines, without newlines, that have come since the last call.

        Raises:
            MissingInputError, PermissionDeniedError: a new file of this name can't be read.
        """
        yield from self._of_left()
        if self._file is not None:
            yield from self._file.lines(self._unread)
        if not self._renamed():
            return
        left, self._file = self._file, None
        self._open()  # first, so that no file can have had the name between these steps
        if self._file is None:
            self._file = left  # it lost the name again
            return
        if left is not None:
            # What was added between the last look and the renaming.
            self._left.append((self._clock() + GRACE_S, left))
            self._between = left
            yield from left.lines(self._unread)
        yield from self._of_missed(left)
        self._between = None
        yield from self._file.lines(self._unread)

    def close(self) -> None:
        """Closes all files, and counts lines that have no end yet."""
        for followed in [*(each for _, each in self._left), *([self._file] if self._file else [])]:
            followed.finish(self._unread)
            followed.close()
        self._left.clear()
        self._file = None

    def _of_left(self) -> Iterator[bytes]:
        """Of files that were renamed a moment ago."""
        for _, followed in self._left:
            yield from followed.lines(self._unread)
        while self._left and self._left[0][0] < self._clock():
            _, followed = self._left.popleft()
            followed.finish(self._unread)
            followed.close()

    def _of_missed(self, left: _Followed | None) -> Iterator[bytes]:
        """Of files that had the name after the one that has lost it, and have lost it too."""
        present = rotated(self._path)
        after_ns = left.status.st_mtime_ns if left else 0
        open_now = (left.identity if left else None, self._open_now())
        for path in present:
            identity = self._identity(path)
            if identity in open_now or path.with_suffix("") in present:
                continue  # it is open, or being packed at this moment
            with contextlib.suppress(OSError, MultaError):  # it may be gone by now
                status = path.stat()
                # A packed one of the same time is the file that was open.
                early = status.st_mtime_ns < after_ns + (path.suffix == ".gz")
                if early or self._is_known(path):
                    continue
                if path.suffix == ".gz":
                    yield from (alert.line for alert in read([path], self._unread))
                    continue
                missed = _Followed(path)
                self._left.append((self._clock() + GRACE_S, missed))
                self._between = missed
                yield from missed.lines(self._unread)
        self._know(present)

    def _go_on(self, places: Sequence[Place]) -> None:
        """Opens the files of the places, as if they had been open all the time."""
        self.rotated = rotated(self._path)
        there = {}
        for path in (*self.rotated, self._path):
            with contextlib.suppress(OSError):
                there[path.stat().st_ino] = path
        found = []
        for place in places:
            with contextlib.suppress(OSError):
                if place.inode in there:
                    followed = _Followed(there[place.inode], place.offset)
                    if followed.place().proof == place.proof:
                        found.append(followed)
                    else:
                        followed.close()
        last = places[-1]
        gone = not found or found[-1].status.st_ino != last.inode
        statuses = {path: path.stat() for path in self.rotated if path.exists()}
        # A packed file is another one, of the same time.
        self.gap = gone and all(each.st_mtime_ns != last.written_ns for each in statuses.values())
        # Files that are older than the one of the last place, so that they were told; what was
        # written in the same tick of the kernel's clock is told apart by when it was renamed.
        before = (last.written_ns, 0 if last.behind else _NEVER)
        if found:
            *left, self._file = found
            self._left.extend((self._clock() + GRACE_S, each) for each in left)
            status = self._file.status
            before = (status.st_mtime_ns, status.st_ctime_ns)
            if not self._renamed():
                before = (_NEVER, 0)
        self._know(
            path for path, each in statuses.items() if (each.st_mtime_ns, each.st_ctime_ns) < before
        )

    def _know(self, paths: Iterable[Path]) -> None:
        """Takes note of files whose lines were told, by how they begin.

        Another file may get the number of one that is deleted.
        """
        self._known: dict[Identity, bytes] = {}
        for path in paths:
            if identity := self._identity(path):
                with contextlib.suppress(OSError):
                    self._known[identity] = beginning(path)

    def _is_known(self, path: Path) -> bool:
        head = self._known.get(self._identity(path) or (0, 0))
        return head is not None and head == beginning(path)[: len(head) or None]

    def _renamed(self) -> bool:
        """Whether another file has the name now."""
        identity = self._identity(self._path)
        return identity is not None and identity != self._open_now()

    def _open_now(self) -> Identity | None:
        return self._file.identity if self._file else None

    def _open(self) -> None:
        try:
            self._file = _Followed(self._path)
        except (FileNotFoundError, NotADirectoryError):
            self._file = None
        except (OSError, ValueError) as error:
            raise unreadable(self._path, error) from None

    @staticmethod
    def _identity(path: Path) -> Identity | None:
        try:
            status = path.stat()
        except (OSError, ValueError):
            return None
        return status.st_dev, status.st_ino
