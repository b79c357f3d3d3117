"""The bytes of a capture file, from a file, a pipe or a gzip stream, read from front to back.

Nothing is sought for and nothing is mapped: a pipe does as well as a file, memory is bounded
whatever is unpacked, and a file that is cut short under the reader ends it, where a map would
kill the process with SIGBUS.
"""

import contextlib
import io
import os
import select
import sys
import zlib

from sensor.errors import (
    CaptureFormatError,
    MissingInputError,
    PermissionDeniedError,
    UsageError,
)

GZIP_MAGIC = bytes.fromhex("1f8b")
"""RFC 1952 section 2.3.1."""

_PACKED_BYTES = 16_384
"""What is unpacked at a time. It is small, as what is left of it is copied at every step."""

_GZIP = zlib.MAX_WBITS | 16  # zlib's way to say: with the header and checksum of gzip


class Octets:
    """A stream of bytes that can be looked at before it is read.

    Attributes:
        path: as messages name it.
        size_bytes: of the file; 0 where it has none (a pipe).
        damage: why the stream ended before its end, as a line; ``None`` if it did not.
    """

    def __init__(self, path: str, stream: io.FileIO) -> None:
        self.path = path
        self.size_bytes = os.fstat(stream.fileno()).st_size
        self.damage: str | None = None
        self._stream = stream
        self._ahead = b""
        self._read_bytes = 0

    @property
    def position_bytes(self) -> int:
        """How much of the file has been read."""
        return self._read_bytes

    @property
    def has_head(self) -> bool:
        """Whether bytes are at hand that need not be waited for."""
        return bool(self._ahead)

    def fileno(self) -> int:
        """Of the open file."""
        return self._stream.fileno()

    def head(self, count: int) -> bytes:
        """The next `count` bytes, fewer at the end; they stay to be read."""
        while len(self._ahead) < count:
            room = bytearray(count - len(self._ahead))
            filled = self._fill(memoryview(room))
            if not filled:
                break
            self._ahead += room[:filled]
        return self._ahead[:count]

    def readinto(self, room: memoryview) -> int:
        """Fills a part of `room`, or all of it; 0 at the end of the stream."""
        if self._ahead:
            count = min(len(self._ahead), len(room))
            room[:count] = self._ahead[:count]
            self._ahead = self._ahead[count:]
            return count
        return self._fill(room)

    def close(self) -> None:
        """Closes the file; standard input is left open."""
        self._stream.close()

    def _fill(self, room: memoryview) -> int:
        try:
            # None: another program has set the pipe it shares with us not to wait.
            while (count := self._stream.readinto(room)) is None:
                select.select([self._stream], (), ())
        except OSError as error:
            self.damage = (
                f"{self.path}: reading failed at byte {self._read_bytes} ({error.strerror}); the "
                "packets before it were processed"
            )
            return 0
        self._read_bytes += count
        return count


class GzipOctets(Octets):
    """What a file of gzip members (RFC 1952) unpacks to.

    A member that is cut or corrupt ends the stream behind its last byte that can be had.
    """

    def __init__(self, path: str, packed: Octets) -> None:
        """Takes over the stream that holds the members."""
        super().__init__(path, packed._stream)  # noqa: SLF001 -- the same class
        self._packed = packed
        self._member = zlib.decompressobj(_GZIP)
        self._waiting = b""
        self._ended = False

    @property
    def position_bytes(self) -> int:
        """How much of the packed file has been read."""
        return self._packed.position_bytes

    def _fill(self, room: memoryview) -> int:
        while not self._ended:
            if self._member.eof and not self._next_member():
                break
            if not self._waiting:
                self._waiting = self._take()
            at_end = not self._waiting
            # A copy to come back to: an error keeps what was unpacked before it to itself.
            before = self._member.copy()
            try:
                piece = self._member.decompress(self._waiting, len(room))
            except zlib.error:
                return self._unpack_to_error(before, room)
            self._waiting = self._member.unused_data or self._member.unconsumed_tail
            if piece:
                room[: len(piece)] = piece
                return len(piece)
            if at_end:
                self.damage = self._packed.damage or self._line("ends within compressed data")
                break
        self._ended = True
        return 0

    def _next_member(self) -> bool:
        """Goes to the member that follows, if any; zeros behind the last one are padding."""
        while not (waiting := self._waiting.lstrip(b"\0")):
            self._waiting = self._take()
            if not self._waiting:
                self.damage = self._packed.damage
                return False
        self._waiting = waiting
        self._member = zlib.decompressobj(_GZIP)
        return True

    def _take(self) -> bytes:
        room = bytearray(_PACKED_BYTES)
        return bytes(room[: self._packed.readinto(memoryview(room))])

    def _unpack_to_error(self, member: "zlib._Decompress", room: memoryview) -> int:
        """Unpacks byte by byte up to the error that is known to come."""
        filled = 0
        with contextlib.suppress(zlib.error):
            for place in range(len(self._waiting)):
                if filled == len(room):
                    break
                piece = member.decompress(self._waiting[place : place + 1], len(room) - filled)
                room[filled : filled + len(piece)] = piece
                filled += len(piece)
        self._ended = True
        self.damage = self._line("has corrupt compressed data")
        return filled

    def _line(self, what: str) -> str:
        place = self._packed.position_bytes - len(self._waiting)
        return f"{self.path}: {what} near byte {place}; the packets before it were processed"


def open_stream(path: str) -> io.FileIO:
    """Opens a file, or standard input for ``-``.

    Raises:
        MissingInputError: there is no such file.
        PermissionDeniedError: it may not be read.
        CaptureFormatError: it is a folder.
        UsageError: it is standard input, and that is a terminal.
    """
    if path == "-":
        if sys.stdin.isatty():
            raise UsageError("-: is a terminal; send a capture to standard input")
        return io.FileIO(sys.stdin.fileno(), "rb", closefd=False)
    try:
        return io.FileIO(path, "rb")
    except PermissionError:
        raise PermissionDeniedError(f"{path}: no permission to read this file") from None
    except IsADirectoryError:
        raise CaptureFormatError(f"{path}: is a folder, not a capture file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MissingInputError(f"{path}: can't be opened ({reason})") from None


def open_octets(path: str | os.PathLike[str]) -> Octets:
    """Opens a file, or standard input for ``-``; what gzip packed is unpacked, whatever its name.

    Raises:
        MultaError: what `open_stream` raises.
    """
    name = os.fspath(path)
    octets = Octets(name, open_stream(name))
    if octets.head(len(GZIP_MAGIC)) == GZIP_MAGIC:
        return GzipOctets(name, octets)
    return octets
