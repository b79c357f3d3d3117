"""Writes what a live capture delivered, so that a replay of the file gives the same rows.

The file is a classic nanosecond pcap. A VLAN tag that the kernel stripped is put back behind the
MAC addresses, where IEEE 802.1Q has it. Ticks need not be kept: deadlines that pass in silence
have the same times in a replay, and the end of a stream is silence without end.
"""

import io
import os
import struct
from collections.abc import Iterable, Iterator

import numpy as np

from sensor.capture.block import LINKTYPE_ETHERNET, PacketBlock
from sensor.errors import OutputError

_MAGIC_NANOSECONDS = 0xA1B23C4D
_SNAPLEN = 262_144
_MAC_ADDRESSES_BYTES = 12


class Recorder:
    """A capture file that grows block by block; every block is on its way to the disk at once."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Creates the file, or empties it, with mode 0640.

        Raises:
            OutputError: it can't be written.
        """
        self.path = os.fspath(path)
        try:
            descriptor = os.open(
                self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640
            )
        except (OSError, ValueError) as error:
            raise self._failure(error) from None
        self._file = io.FileIO(descriptor, "wb")
        header = (_MAGIC_NANOSECONDS, 2, 4, 0, 0, _SNAPLEN, LINKTYPE_ETHERNET)
        self._write(struct.pack("<IHHiIII", *header))

    def write(self, block: PacketBlock) -> None:
        """Appends the frames of a block, which is still valid afterwards.

        Raises:
            OutputError: they can't be written (a full disk).
        """
        if not len(block):
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

    def close(self) -> None:
        """Closes the file; closing twice is allowed."""
        self._file.close()

    def _write(self, content: bytes) -> None:
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._file.close()
            raise self._failure(error) from None

    def _failure(self, error: OSError | ValueError) -> OutputError:
        reason = getattr(error, "strerror", None) or str(error)
        return OutputError(f"{self.path}: the recording can't be written ({reason})")


def recorded(source: Iterable[PacketBlock], recorder: Recorder) -> Iterator[PacketBlock]:
    """The blocks of `source`, each written to the recorder before it is passed on."""
    for block in source:
        recorder.write(block)
        yield block
