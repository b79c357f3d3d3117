"""Classic pcap (draft-ietf-opsawg-pcap): its file header, and its records as blocks.

Nothing is opened here: bytes in, blocks of packets out.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sensor.capture.block import BLOCK_PACKETS, PacketBlock, one_link_type
from sensor.capture.link_types import DECODED, described
from sensor.capture.parser import MAX_CAPTURED_BYTES, Parsed
from sensor.capture.walk import Chain, Offsets, walk
from sensor.errors import CaptureFormatError, LinkTypeError
from sensor.hops import hop

FILE_HEADER_BYTES = 24
RECORD_HEADER_BYTES = 16
"""Seconds, fraction, captured length, wire length: four 32-bit words."""

MAGICS = {
    bytes.fromhex("d4c3b2a1"): ("<", 1_000),
    bytes.fromhex("a1b2c3d4"): (">", 1_000),
    bytes.fromhex("4d3cb2a1"): ("<", 1),
    bytes.fromhex("a1b23c4d"): (">", 1),
}
"""Magic as it lies in the file: byte order, nanoseconds in a unit of the fraction."""

_VERSION = (2, 4)
"""Before 2.4 the lengths stood in the other order, at least in some files."""

_PLAUSIBLE_SPAN_S = 2 * 86_400


def plausible(
    buffer: NDArray[np.uint8], candidates: Offsets, first: int, end: int, order: str
) -> NDArray[np.bool_]:
    """Which candidates look like record headers: their lengths agree, their times are near."""
    words = np.ndarray((end + 1, 4), f"{order}u4", buffer, 0, (1, 4))
    first_seconds = int(words[first, 0])
    header = words[candidates].astype(np.int64)
    fits: NDArray[np.bool_] = np.abs(header[:, 0] - first_seconds) < _PLAUSIBLE_SPAN_S
    fits &= (header[:, 2] <= MAX_CAPTURED_BYTES) & (header[:, 2] <= header[:, 3])
    fits &= (header[:, 3] <= MAX_CAPTURED_BYTES) & (header[:, 1] < 1_000_000_000)
    return fits


def _sieve(buffer: NDArray[np.uint8], first: int, order: str) -> tuple[int, int]:
    """The top byte of the seconds, which is the same for half a year."""
    distance = 3 if order == "<" else 0
    return distance, int(buffer[first + distance])


RECORDS = Chain(
    header_bytes=RECORD_HEADER_BYTES,
    length_at=8,
    added=RECORD_HEADER_BYTES,
    least=RECORD_HEADER_BYTES,
    plausible=plausible,
    sieve=_sieve,
)


class PcapParser:
    """Makes blocks of the records that follow a file header.

    Attributes:
        header_bytes: of the file that stand before the first record.
        most_bytes: of a record, its header included.
        packets: records so far.
        place: byte of the file at which the next record begins.
    """

    header_bytes = FILE_HEADER_BYTES
    most_bytes = RECORD_HEADER_BYTES + MAX_CAPTURED_BYTES

    def __init__(self, path: str, header: bytes) -> None:
        """Checks the file header.

        Args:
            path: as messages name the file.
            header: its first bytes, of which the first four are one of `MAGICS`.

        Raises:
            CaptureFormatError: the header is cut, or of another version.
            LinkTypeError: the frames are not decoded.
        """
        if len(header) < FILE_HEADER_BYTES:
            raise CaptureFormatError(
                f"{path}: ends inside the file header ({len(header)} of {FILE_HEADER_BYTES} bytes)"
            )
        self._order, self._unit_ns = MAGICS[header[:4]]
        major, minor = np.frombuffer(header, f"{self._order}u2", 2, 4).tolist()
        if (major, minor) != _VERSION:
            raise CaptureFormatError(
                f"{path}: has pcap version {major}.{minor}, read is 2.4; convert it with "
                f"`editcap -F pcap {path} NEW.pcap`"
            )
        # The upper six bits are about the frame check sequence, not the type.
        self._link_type = int(np.frombuffer(header, f"{self._order}u4", 1, 20)[0]) & 0x03FFFFFF
        if self._link_type not in DECODED:
            raise LinkTypeError(
                f"{path}: has link type {described(self._link_type)}, which is not decoded"
            )
        self.packets = 0
        self.place = FILE_HEADER_BYTES

    @hop("walk")
    def parse(self, buffer: NDArray[np.uint8], end: int) -> Parsed:
        """Finds the whole records in ``buffer[:end]``, which begins with one."""
        offset, whole_bytes, corrupt = self._records(buffer, end)
        self.packets += offset.size
        self.place += whole_bytes
        problem = self.describe_rest(buffer, whole_bytes, end) if corrupt else None
        return Parsed(self._blocks(buffer, offset), whole_bytes, problem)

    def describe_rest(self, buffer: NDArray[np.uint8], start: int, end: int) -> str:
        """What is wrong with the record of which ``buffer[start:end]`` is all there is."""
        where = f"record {self.packets + 1} at byte {self.place}"
        present = end - start
        wanted = RECORD_HEADER_BYTES
        if present >= RECORD_HEADER_BYTES:
            captured = int(buffer[start + 8 : start + 12].view(f"{self._order}u4")[0])
            if captured > MAX_CAPTURED_BYTES:
                return (
                    f"{where} is corrupt: it claims {captured} captured bytes, possible are "
                    f"{MAX_CAPTURED_BYTES}"
                )
            wanted += captured
        return f"{where} is cut off after {present} of {wanted} bytes"

    def finish(self) -> None:
        """Nothing is left to be found out at the end of the file."""

    def _records(self, buffer: NDArray[np.uint8], end: int) -> tuple[Offsets, int, bool]:
        """Where the headers of the whole records lie.

        Returns also the bytes that these and their frames take, and whether a corrupt length
        follows.
        """
        offset = walk(buffer, 0, end, self._order, RECORDS)
        if not offset.size:
            return offset, 0, False
        last = int(offset[-1])
        length = int(buffer[last + 8 : last + 12].view(f"{self._order}u4")[0])
        # a record ends where the next one begins; to look at all headers again is to fetch them
        after = np.append(offset[1:], last + RECORD_HEADER_BYTES + length)
        corrupt = np.flatnonzero(after - offset > RECORD_HEADER_BYTES + MAX_CAPTURED_BYTES)
        count = int(corrupt[0]) if corrupt.size else offset.size
        if count and after[count - 1] > end:
            return offset[: count - 1], int(offset[count - 1]), False
        return offset[:count], int(after[count - 1]) if count else 0, bool(corrupt.size)

    def _blocks(self, buffer: NDArray[np.uint8], offset: Offsets) -> Iterator[PacketBlock]:
        for first in range(0, offset.size, BLOCK_PACKETS):
            yield self._block(buffer, offset[first : first + BLOCK_PACKETS])

    @hop("walk")
    def _block(self, buffer: NDArray[np.uint8], record: Offsets) -> PacketBlock:
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
            link_type=one_link_type(self._link_type, record.size),
        )
