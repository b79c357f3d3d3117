"""Writes what a live capture delivered, so that a replay of the file gives the same rows.

The file is a classic nanosecond pcap. A VLAN tag that the kernel stripped is put back behind the
MAC addresses, where IEEE 802.1Q has it. Ticks need not be kept: deadlines that pass in silence
have the same times in a replay, and the end of a stream is silence without end.

A recording has no holes: at the first frame that can't be written it ends, and detection goes on.
That is also so where the reader of a pipe stands still.
"""

import contextlib
import errno
import os
import select
import stat
import struct
import time
from collections.abc import Iterable, Iterator

import numpy as np

from sensor.capture.block import PacketBlock
from sensor.capture.link_types import ETHERNET
from sensor.errors import OutputError

_MAGIC_NANOSECONDS = 0xA1B23C4D
_SNAPLEN = 262_144
_MAC_ADDRESSES_BYTES = 12

PATIENCE_S = 2.0
"""How long the reader of a pipe may take for a block: meanwhile nothing is detected."""


class Recorder:
    """A capture file that grows block by block; every block is on its way to the disk at once.

    Attributes:
        path: of the file, times filled in.
        recorded: frames that are in the file.
        unrecorded: frames that are not, as the file could not be written any more.
        failure: why that was, or an empty string.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Creates the file with mode 0640, or takes an empty one, a pipe or a device.

        Args:
            path: of the file; ``%Y`` and the like are the parts of the local time, as strftime(3)
                has them.

        Raises:
            OutputError: it can't be written, or holds something already.
        """
        self.path = os.fspath(path)
        self.recorded = self.unrecorded = 0
        self.failure = ""
        self._size = 0
        # Not waiting for the reader of a named pipe: there may be none, or one that stands still.
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            if "%" in self.path:
                self.path = time.strftime(self.path)
            self._descriptor = os.open(self.path, flags, 0o640)
        except (OSError, ValueError) as error:
            raise self._refusal(_reason(error)) from None
        found = os.fstat(self._descriptor)
        self._regular = stat.S_ISREG(found.st_mode)
        if self._regular and found.st_size:
            self.close()
            raise self._refusal("it holds something already; choose another name")
        header = (_MAGIC_NANOSECONDS, 2, 4, 0, 0, _SNAPLEN, ETHERNET)
        self._write(struct.pack("<IHHiIII", *header))
        if self.failure:
            raise self._refusal(self.failure)

    def write(self, block: PacketBlock) -> None:
        """Appends the frames of a block, which is still valid afterwards.

        All of them or none: what was written of a block that did not fit (a full disk) is cut off
        again, so the file stays a valid capture.
        """
        if not len(block):
            return
        if self.failure:
            self.unrecorded += len(block)
            return
        tagged = block.vlan_tpid != 0
        headers = np.empty((len(block), 4), "<u4")
        headers[:, 0], headers[:, 1] = np.divmod(block.timestamp_ns, 1_000_000_000)
        headers[:, 2] = block.captured_length + 4 * tagged
        headers[:, 3] = block.wire_length + 4 * tagged
        tags = np.stack([block.vlan_tpid, block.vlan_tci], axis=1).astype(">u2")
        header_bytes, tag_bytes = headers.data.cast("B"), tags.data.cast("B")
        octets = block.buffer.data
        pieces: list[memoryview] = []
        ends = (block.offset + block.captured_length).tolist()
        for row, (start, end, tag) in enumerate(
            zip(block.offset.tolist(), ends, tagged.tolist(), strict=True)
        ):
            pieces.append(header_bytes[16 * row : 16 * row + 16])
            if tag:
                middle = min(start + _MAC_ADDRESSES_BYTES, end)
                pieces += (octets[start:middle], tag_bytes[4 * row : 4 * row + 4])
                pieces.append(octets[middle:end])
            else:
                pieces.append(octets[start:end])
        self._write(b"".join(pieces))
        if self.failure:
            self.unrecorded += len(block)
        else:
            self.recorded += len(block)

    def close(self) -> None:
        """Closes the file; closing twice is allowed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, content: bytes) -> None:
        rest = memoryview(content)
        deadline = time.monotonic() + PATIENCE_S
        try:
            while rest:
                self._wait_for_room(deadline)
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self.failure = _reason(error)
            if self._regular:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, self._size)
            self.close()
        else:
            self._size += len(content)

    def _wait_for_room(self, deadline: float) -> None:
        """Waits until a pipe has room; files and devices always have.

        Raises:
            BlockingIOError: it has none by the deadline.
        """
        room = select.poll()
        room.register(self._descriptor, select.POLLOUT)
        if not room.poll(max(0.0, deadline - time.monotonic()) * 1_000):
            raise BlockingIOError(errno.EAGAIN, "its reader stands still")

    def _refusal(self, reason: str) -> OutputError:
        return OutputError(f"{self.path}: the recording can't be written ({reason})")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENXIO:
        return "nobody reads this pipe; start its reader first"
    return (getattr(error, "strerror", None) or str(error)).lower()


def recorded(source: Iterable[PacketBlock], recorder: Recorder) -> Iterator[PacketBlock]:
    """The blocks of `source`, each written to the recorder before it is passed on."""
    for block in source:
        recorder.write(block)
        yield block
