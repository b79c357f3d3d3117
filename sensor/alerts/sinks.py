"""Where alerts go: a file to which lines are appended, or standard output.

A live sensor keeps detecting when its log can't be written: lines wait in memory within a bound,
what does not fit is counted as lost, and writing goes on as soon as it works again. A replay ends
with an error instead.

A live sensor's file has a greatest length, as whoever can send packets can make it grow. It is
renamed, not cut, so that whoever follows the name finds a new file and loses nothing, and to a
name that is not one of logrotate's, whose numbered files would otherwise be overwritten. It is
locked meanwhile (flock(2)), or a second sensor might rename the new file over the full one.

Nor does it ever wait for the reader of a named pipe: one that is not there, that went away or that
is slow is a log that can't be written. A replay waits.
"""

import errno
import fcntl
import os
import stat
from collections import deque
from pathlib import Path

from sensor.errors import OutputError
from sensor.hops import hop

SPOOL_LINES = 1_000
"""Lines that wait while the log can't be written; later ones are lost."""

FILE_BYTES = 64 << 20
"""Greatest length of the file of a live sensor: some 40,000 alerts."""

OLD_SUFFIX = ".old"
"""What a full file's name gets; the former file of that name is replaced."""

STDOUT = "-"
_STDOUT_DESCRIPTOR = 1


class EventLog:
    """A log of alerts, or of other events.

    Every line is handed to the kernel with one ``write`` and no buffer of ours, so whoever
    follows the log sees it at once, and lines of several writers do not mix. A regular file that
    was renamed or deleted under the log is noticed at the next line, which then goes to a new
    file.

    Attributes:
        written: lines written whole.
        lost: lines that were given up.
        failures: attempts to write or to open that failed.
        rotations: files that were full.
    """

    def __init__(
        self,
        path: str,
        *,
        strict: bool,
        limit_bytes: int | None = None,
        at_once: bool = True,
        of: str = "alerts",
    ) -> None:
        """Opens the log.

        Args:
            path: of the file, made with mode 0640 if it does not exist, or ``-``.
            strict: a failed write is an error and nothing waits, but for the reader of a pipe.
            limit_bytes: greatest length of a regular file; a longer line has a file of its own.
            at_once: whether it is opened now, or with the first line, of which there may be none.
            of: what is in it, for errors.

        Raises:
            OutputError: the file can't be opened; a pipe that nobody reads yet is no error.
        """
        self._path, self._strict, self._limit_bytes = path, strict, limit_bytes
        self._at_once, self._of = at_once, of
        self._spool: deque[bytes] = deque()
        self._torn = 0  # bytes of the first waiting line that are in the file already
        self._descriptor = -1
        self.written = self.lost = self.failures = self.rotations = 0
        try:
            if at_once:
                self._open()
        except OSError as error:
            if strict or error.errno != errno.ENXIO:
                raise self._error("opened", error) from None

    @property
    def path(self) -> str:
        """Its name, or ``-``."""
        return self._path

    @property
    def unread(self) -> bool:
        """It is not open: a pipe that nobody reads, as far as is known, or not written to yet."""
        return self._descriptor < 0

    @property
    def spooled(self) -> int:
        """Lines that wait."""
        return len(self._spool)

    @hop("alerts")
    def write(self, *lines: bytes) -> None:
        """Writes lines, each of which ends with a newline, after those that wait.

        Raises:
            OutputError: the log is strict and can't be written.
            BrokenPipeError: the log is strict and nobody reads standard output any more.
        """
        self._spool.extend(lines)
        self.flush()
        while len(self._spool) > SPOOL_LINES:
            self._spool.pop()
            self.lost += 1

    def flush(self) -> None:
        """Writes the lines that wait, as far as possible; without any it does nothing.

        Raises:
            OutputError, BrokenPipeError: as for `write`.
        """
        try:
            if self._spool and not self.unread:
                self._follow_path()
            while self._spool:
                if self.unread:
                    self._open()
                self._make_room(len(self._spool[0]) - self._torn)
                waiting = self._spool[0][self._torn :]
                count = os.write(self._descriptor, waiting)
                if count < len(waiting):
                    self._torn += count
                    continue
                self._torn = 0
                self._spool.popleft()
                self.written += 1
        except OSError as error:
            self.failures += 1
            if isinstance(error, BrokenPipeError):
                self._release()
                self._torn = 0  # the next reader gets the line from its beginning
            if self._strict:
                self._give_up()
                if isinstance(error, BrokenPipeError) and self._path == STDOUT:
                    raise
                raise self._error("written", error) from None

    def reopen(self) -> None:
        """Opens the path anew, as after the file was rotated; on failure the old file stays.

        Raises:
            OutputError: the file can't be opened and the log is strict.
        """
        try:
            if self._at_once or not self.unread:
                self._open()
        except OSError as error:
            self.failures += 1
            if self._strict:
                raise self._error("opened", error) from None
        self.flush()

    def close(self) -> None:
        """Writes what waits, counts the rest as lost, and closes the file.

        In a strict log a line waits only where its writing was interrupted, perhaps as nobody reads
        the pipe: another attempt would have to be interrupted again.
        """
        try:
            if not self._strict:
                self.flush()
        finally:
            self._give_up()
            self._release()

    def _open(self) -> None:
        if self._path == STDOUT:
            self._descriptor = _STDOUT_DESCRIPTOR
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        flags |= 0 if self._strict else os.O_NONBLOCK
        descriptor = os.open(self._path, flags, 0o640)
        if self._descriptor >= 0 and not os.path.samestat(
            os.fstat(descriptor), os.fstat(self._descriptor)
        ):
            self._torn = 0  # the other file has the line's beginning; this one gets all of it
        self._release()
        self._descriptor = descriptor

    def _follow_path(self) -> None:
        """Opens the path anew if it is no longer the regular file that is open."""
        if self._path == STDOUT:
            return
        opened = os.fstat(self._descriptor)
        if not stat.S_ISREG(opened.st_mode):
            return
        try:
            same = os.path.samestat(opened, Path(self._path).stat())
        except (FileNotFoundError, NotADirectoryError):
            same = False
        except OSError:
            same = True  # who can't look at the path can't open it either
        if not same:
            self._open()

    def _make_room(self, count: int) -> None:
        """Begins a new file if so many bytes more would make the open one too long."""
        if self._limit_bytes is None or self._path == STDOUT:
            return
        opened = os.fstat(self._descriptor)
        size = opened.st_size if stat.S_ISREG(opened.st_mode) else 0
        if not size or size + count <= self._limit_bytes:
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another sensor is renaming it, so the line still belongs into this one
        except OSError:
            pass  # a file system without locks
        # Whoever has just renamed it held the lock until the name was another file's.
        self._follow_path()
        if os.path.samestat(opened, os.fstat(self._descriptor)):
            self._rename()
            self._open()

    def _rename(self) -> None:
        target = Path(os.path.realpath(self._path))  # not the link that leads to the file
        try:
            target.replace(f"{target}{OLD_SUFFIX}")
        except OSError:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            raise
        self.rotations += 1

    def _give_up(self) -> None:
        self.lost += len(self._spool)
        self._spool.clear()
        self._torn = 0

    def _release(self) -> None:
        if self._descriptor >= 0 and self._path != STDOUT:
            os.close(self._descriptor)
        self._descriptor = -1

    def _error(self, done: str, error: OSError) -> OutputError:
        name = "standard output" if self._path == STDOUT else self._path
        return OutputError(
            f"{name}: {self._of} can't be {done} ({(error.strerror or str(error)).lower()}); "
            "make room or choose another place"
        )
