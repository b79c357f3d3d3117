"""Classic pcap files as a source of blocks (draft-ietf-opsawg-pcap).

The file is read into one buffer that is used again and again, not mapped: memory stays bounded
whatever the file's size, and a file that is cut short under the reader ends it, where a map would
kill the process with SIGBUS.
"""

import io
import os
import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sensor.capture.block import (
    BLOCK_PACKETS,
    GATHER_BYTES,
    LINKTYPE_ETHERNET,
    CaptureCounters,
    PacketBlock,
    one_link_type,
)
from sensor.capture.walk import MAX_CAPTURED_BYTES, RECORD_HEADER_BYTES, walk
from sensor.errors import (
    CaptureFormatError,
    LinkTypeError,
    MissingInputError,
    PermissionDeniedError,
)

CHUNK_BYTES = 4 << 20
"""Enough for blocks of thousands of packets; twice as much gains nothing that was measured."""

FILE_HEADER_BYTES = 24

_FORMATS = {
    bytes.fromhex("d4c3b2a1"): ("<", 1_000),
    bytes.fromhex("a1b2c3d4"): (">", 1_000),
    bytes.fromhex("4d3cb2a1"): ("<", 1),
    bytes.fromhex("a1b23c4d"): (">", 1),
}
"""Magic as it lies in the file: byte order, nanoseconds in a unit of the fraction."""

_FOREIGN_MAGICS = {
    bytes.fromhex("0a0d0d0a"): "is a pcapng file, which is not read yet; convert it with "
    "`editcap -F pcap {path} NEW.pcap`",
    bytes.fromhex("1f8b"): "is compressed with gzip; unpack it with `gunzip`",
    bytes.fromhex("28b52ffd"): "is compressed with zstd; unpack it with `unzstd`",
    bytes.fromhex("fd377a58"): "is compressed with xz; unpack it with `unxz`",
    bytes.fromhex("425a68"): "is compressed with bzip2; unpack it with `bunzip2`",
}

_LINK_TYPES = {
    0: "BSD loopback (NULL)",
    101: "raw IP",
    105: "802.11 Wi-Fi",
    108: "OpenBSD loopback",
    113: "Linux cooked capture (SLL)",
    127: "802.11 Wi-Fi with radiotap",
    147: "private use",
    195: "802.15.4",
    220: "USB",
    228: "raw IPv4",
    229: "raw IPv6",
    249: "USBPcap",
    276: "Linux cooked capture v2 (SLL2)",
}
"""Names for the message about what is often met; https://www.tcpdump.org/linktypes.html"""


class PcapFile:
    """A classic pcap file, read once from its beginning to its end.

    Attributes:
        path: as it was given; ``-`` is standard input.
        size_bytes: of the file; 0 where it has none (a pipe).
        position_bytes: how much of it has been delivered.
        truncated: after the last block, one line that says which record was cut or corrupt and
            where; ``None`` if the file ended as it should.
        counters: what has been delivered.
    """

    def __init__(self, path: str, stream: io.FileIO, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.path = path
        self.counters = CaptureCounters()
        self.truncated: str | None = None
        self._stream = stream
        self._chunk_bytes = chunk_bytes
        status = os.fstat(stream.fileno())
        self.size_bytes = status.st_size
        self._order, self._unit_ns = _read_header(path, stream)
        self.position_bytes = FILE_HEADER_BYTES

    def __iter__(self) -> Iterator[PacketBlock]:
        """Blocks of up to `BLOCK_PACKETS` records, in the order of the file."""
        # A part of a record is carried over to the front, and a chunk is read behind it.
        capacity = RECORD_HEADER_BYTES + MAX_CAPTURED_BYTES + self._chunk_bytes
        buffer = np.zeros(capacity + GATHER_BYTES, np.uint8)
        kept = 0
        at_end = False
        while not at_end:
            end, at_end = self._fill(buffer, kept)
            offset, whole_bytes, broken = self._records(buffer, end)
            base = self.position_bytes
            for first in range(0, offset.size, BLOCK_PACKETS):
                block = self._block(buffer, offset[first : first + BLOCK_PACKETS])
                self.position_bytes = base + int(block.offset[-1] + block.captured_length[-1])
                self.counters.packets += len(block)
                self.counters.bytes += int(block.wire_length.sum())
                yield block
            self.position_bytes = base + whole_bytes
            kept = end - whole_bytes
            if broken or (at_end and kept):
                self.truncated = self.truncated or self._describe_cut(buffer, whole_bytes, end)
                return
            buffer[:kept] = buffer[whole_bytes:end].copy()

    def first_time_ns(self) -> int:
        """Time of the first record, without reading on; −1 if there is none."""
        header = os.pread(self._stream.fileno(), RECORD_HEADER_BYTES, FILE_HEADER_BYTES)
        if len(header) < RECORD_HEADER_BYTES:
            return -1
        seconds, fraction = np.frombuffer(header, f"{self._order}u4", 2).tolist()
        return int(seconds * 1_000_000_000 + fraction * self._unit_ns)

    def close(self) -> None:
        """Closes the file; standard input is left open."""
        self._stream.close()

    def _fill(self, buffer: NDArray[np.uint8], kept: int) -> tuple[int, bool]:
        """Reads a chunk behind the `kept` bytes.

        Returns the end of what is there, and whether that is the end of the file.
        """
        room = buffer.data[kept : kept + self._chunk_bytes]
        filled = 0
        try:
            while filled < len(room):
                count = self._stream.readinto(room[filled:])
                if not count:
                    return kept + filled, True
                filled += count
        except OSError as error:
            place = self.position_bytes + kept + filled
            self.truncated = (
                f"{self.path}: reading failed at byte {place} ({error.strerror}); the packets "
                "before it were processed"
            )
            return kept + filled, True
        return kept + filled, False

    def _records(self, buffer: NDArray[np.uint8], end: int) -> tuple[NDArray[np.int64], int, bool]:
        """Finds the whole records in ``buffer[:end]``.

        Returns where their headers lie, the bytes that they and their frames take, and whether a
        corrupt length follows.
        """
        offset = walk(buffer, 0, end, self._order)
        if not offset.size:
            return offset, 0, False
        length_at = np.ndarray((end + 1,), f"{self._order}u4", buffer, 8, (1,))
        captured = length_at[offset].astype(np.int64)
        after = offset + RECORD_HEADER_BYTES + captured
        corrupt = np.flatnonzero(captured > MAX_CAPTURED_BYTES)
        count = int(corrupt[0]) if corrupt.size else offset.size
        if count and after[count - 1] > end:
            return offset[: count - 1], int(offset[count - 1]), False
        return offset[:count], int(after[count - 1]) if count else 0, bool(corrupt.size)

    def _block(self, buffer: NDArray[np.uint8], record: NDArray[np.int64]) -> PacketBlock:
        # Overlapping 16-byte items gather all four words of each header in one go.
        items = np.ndarray((buffer.size - 15,), "V16", buffer, 0, (1,))
        words = items[record].view(f"{self._order}u4").reshape(-1, 4)
        timestamp_ns = words[:, 0].astype(np.int64)
        timestamp_ns *= 1_000_000_000
        timestamp_ns += words[:, 1].astype(np.int64) * self._unit_ns
        captured = words[:, 2].astype(np.int64)
        none = np.zeros(record.size, np.uint16)
        return PacketBlock(
            buffer=buffer,
            offset=record + RECORD_HEADER_BYTES,
            captured_length=captured,
            # A frame had at least the bytes that were captured of it, whatever the header says.
            wire_length=np.maximum(words[:, 3].astype(np.int64), captured),
            timestamp_ns=timestamp_ns,
            vlan_tci=none,
            vlan_tpid=none,
            link_type=one_link_type(LINKTYPE_ETHERNET, record.size),
        )

    def _describe_cut(self, buffer: NDArray[np.uint8], start: int, end: int) -> str:
        where = f"record {self.counters.packets + 1} at byte {self.position_bytes}"
        present = end - start
        if present >= RECORD_HEADER_BYTES:
            captured = int(buffer[start + 8 : start + 12].view(f"{self._order}u4")[0])
            if captured > MAX_CAPTURED_BYTES:
                return (
                    f"{self.path}: {where} is corrupt: it claims {captured} captured bytes, "
                    f"possible are {MAX_CAPTURED_BYTES}; the packets before it were processed"
                )
            wanted = RECORD_HEADER_BYTES + captured
        else:
            wanted = RECORD_HEADER_BYTES
        return (
            f"{self.path}: {where} is cut off after {present} of {wanted} bytes; the packets "
            "before it were processed"
        )


def open_capture(path: str | os.PathLike[str], chunk_bytes: int = CHUNK_BYTES) -> PcapFile:
    """Opens a capture file and checks its header.

    Args:
        path: a classic pcap file of any of the four magics; ``-`` is standard input.
        chunk_bytes: how much is read at a time.

    Raises:
        MissingInputError: there is no such file.
        PermissionDeniedError: it may not be read.
        CaptureFormatError: it is not a classic pcap file.
        LinkTypeError: its frames are not Ethernet frames.
    """
    name = os.fspath(path)
    if name == "-":
        return PcapFile(name, io.FileIO(sys.stdin.fileno(), "rb", closefd=False), chunk_bytes)
    try:
        stream = io.FileIO(name, "rb")
    except PermissionError:
        raise PermissionDeniedError(f"{name}: no permission to read this file") from None
    except IsADirectoryError:
        raise CaptureFormatError(f"{name}: is a folder, not a capture file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MissingInputError(f"{name}: can't be opened ({reason})") from None
    try:
        return PcapFile(name, stream, chunk_bytes)
    except BaseException:
        stream.close()
        raise


def _read_header(path: str, stream: io.FileIO) -> tuple[str, int]:
    """Byte order and nanoseconds in a unit of the fraction, after every check of the header."""
    header = b""
    while len(header) < FILE_HEADER_BYTES:
        piece = stream.read(FILE_HEADER_BYTES - len(header))
        if not piece:
            break
        header += piece
    if not header:
        raise CaptureFormatError(f"{path}: is empty; a capture has at least a file header")
    for magic, hint in _FOREIGN_MAGICS.items():
        if header.startswith(magic):
            raise CaptureFormatError(f"{path}: {hint.format(path=path)}")
    if header[:4] not in _FORMATS:
        raise CaptureFormatError(
            f"{path}: is not a capture file (its first bytes are {header[:4].hex(' ')}, which is "
            "no pcap magic)"
        )
    if len(header) < FILE_HEADER_BYTES:
        raise CaptureFormatError(
            f"{path}: ends inside the file header ({len(header)} of {FILE_HEADER_BYTES} bytes)"
        )
    order, unit_ns = _FORMATS[header[:4]]
    major, minor = np.frombuffer(header, f"{order}u2", 2, 4).tolist()
    if (major, minor) != (2, 4):
        raise CaptureFormatError(
            f"{path}: has pcap version {major}.{minor}, read is 2.4; convert it with "
            f"`editcap -F pcap {path} NEW.pcap`"
        )
    # The upper six bits are about the frame check sequence, not the type.
    link_type = int(np.frombuffer(header, f"{order}u4", 1, 20)[0]) & 0x03FFFFFF
    if link_type != LINKTYPE_ETHERNET:
        name = _LINK_TYPES.get(link_type, "not Ethernet")
        raise LinkTypeError(
            f"{path}: has link type {link_type} ({name}); only Ethernet (1) is decoded"
        )
    return order, unit_ns
