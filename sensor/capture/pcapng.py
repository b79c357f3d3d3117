"""pcapng (draft-ietf-opsawg-pcapng): sections, interfaces, and packets as blocks.

Nothing is opened here: bytes in, blocks of packets out. What decides a row is in
`docs/semantics.md`, *Capture files*. A block's lengths stand at both of its ends and must agree;
the first block that contradicts itself ends the file, for what follows it can't be found.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from sensor.capture.link_types import DECODED, described
from sensor.capture.parser import Parsed
from sensor.capture.pcapng_interfaces import Interfaces, options
from sensor.capture.pcapng_packets import (
    ENHANCED_PACKET,
    OBSOLETE_PACKET,
    PACKET_HEADER_BYTES,
    SIMPLE_PACKET,
    FoundPackets,
    PacketColumns,
    PacketReader,
    blocks_of,
)
from sensor.capture.walk import Chain, Offsets, walk
from sensor.errors import CaptureFormatError, LinkTypeError
from sensor.hops import hop

MAGIC = bytes.fromhex("0a0d0d0a")
"""The type of a section header block, a palindrome."""

BLOCK_HEADER_BYTES = 12
"""Type, total length, and what is a word more in every block: its body or its other length."""

SECTION_HEADER_BYTES = 28
"""The least that a section header block takes."""

MAX_BLOCK_BYTES = 16 << 20
"""The longest block that libpcap and Wireshark take for one."""

# Block types, section 4 and appendix A.
SECTION = 0x0A0D0D0A
INTERFACE = 1
INTERFACE_STATISTICS = 5

_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_SWAPPED_MAGIC = 0x4D3C2B1A
_STATISTICS_BYTES = 24  # without options
_DROPS = 5  # isb_ifdrop
_FIRST_WINDOW_BYTES = 4_096
_WHOLE_CHUNK = 1 << 40

Words = NDArray[np.uint32]


def plausible(
    buffer: NDArray[np.uint8],
    candidates: Offsets,
    first: int,
    end: int,
    order: str,
) -> NDArray[np.bool_]:
    """Which candidates look like enhanced packet blocks whose two lengths agree."""
    words = np.ndarray((end + 1, 2), f"{order}u4", buffer, 0, (1, 4))
    header = words[candidates].astype(np.int64)
    length = header[:, 1]
    fits: NDArray[np.bool_] = (header[:, 0] == ENHANCED_PACKET) & ((candidates - first) % 4 == 0)
    fits &= (length >= PACKET_HEADER_BYTES + 4) & (length <= MAX_BLOCK_BYTES) & (length % 4 == 0)
    fits &= candidates + length <= end
    fits &= words[np.minimum(candidates + np.where(fits, length - 4, 0), end), 0] == length
    return fits


def _sieve(_buffer: NDArray[np.uint8], _first: int, order: str) -> tuple[int, int]:
    """The low byte of the type of an enhanced packet block."""
    return 0 if order == "<" else 3, ENHANCED_PACKET


BLOCKS = Chain(
    header_bytes=BLOCK_HEADER_BYTES,
    length_at=4,
    added=0,
    least=BLOCK_HEADER_BYTES,
    plausible=plausible,
    sieve=_sieve,
)


class PcapngParser:
    """Makes blocks of packets of the blocks of a file.

    Attributes:
        header_bytes: none; the section header is a block like others.
        most_bytes: of a block.
        place: byte of the file at which the next block begins.
    """

    header_bytes = 0
    most_bytes = MAX_BLOCK_BYTES

    def __init__(self, path: str, header: bytes) -> None:
        """Takes the byte order of the first section.

        Args:
            path: as messages name the file.
            header: its first bytes, which begin with `MAGIC`.

        Raises:
            CaptureFormatError: the first section header is cut or corrupt.
        """
        if len(header) < SECTION_HEADER_BYTES:
            raise CaptureFormatError(
                f"{path}: ends inside the section header ({len(header)} of at least "
                f"{SECTION_HEADER_BYTES} bytes)"
            )
        orders = {_BYTE_ORDER_MAGIC: "<", _SWAPPED_MAGIC: ">"}
        magic = int.from_bytes(header[8:12], "little")
        if magic not in orders:
            raise CaptureFormatError(
                f"{path}: has a corrupt section header (its byte order is {header[8:12].hex(' ')})"
            )
        self._order = orders[magic]
        if problem := section_problem(header, self._order):
            raise CaptureFormatError(f"{path}: {problem}")
        self.path = path
        self.place = 0
        self._window = _WHOLE_CHUNK
        self._interfaces = Interfaces()
        self._packets = PacketReader(self._interfaces)
        self._drops: dict[int, int] = {}
        self._drops_before = 0
        self._link_types: set[int] | None = set()

    @property
    def drops(self) -> int:
        """Packets that the capture lost, as far as statistics blocks have said by now."""
        return self._drops_before + sum(self._drops.values())

    @hop("walk")
    def parse(self, buffer: NDArray[np.uint8], end: int) -> Parsed:
        """Finds the whole blocks in ``buffer[:end]``, which begins with one.

        Raises:
            LinkTypeError: the first packet is there, and the interfaces described before it all
                are of link types that are not decoded.
        """
        if self._link_types is not None:
            self._link_types.update(self._interfaces.old_link_types())
        self._interfaces.forget_old_sections()
        stretches: list[PacketColumns] = []
        position = 0
        problem = None
        goes_on = True
        while goes_on and problem is None:
            taken, goes_on, problem = self._stretch(buffer, position, end, stretches)
            position += taken
        self.place += position
        return Parsed(blocks_of(buffer, stretches), position, problem)

    def describe_rest(self, buffer: NDArray[np.uint8], start: int, end: int) -> str:
        """What is wrong with the block of which ``buffer[start:end]`` is all there is."""
        present = end - start
        wanted = BLOCK_HEADER_BYTES
        if present >= BLOCK_HEADER_BYTES:
            wanted = int(buffer[start + 4 : start + 8].view(f"{self._order}u4")[0])
        return f"the block at byte {self.place} is cut off after {present} of {wanted} bytes"

    def finish(self) -> None:
        """Refuses a file that only has interfaces of foreign link types, and no packets.

        Raises:
            LinkTypeError: so it is.
        """
        self._require_decoded(self._interfaces.count)

    def _stretch(
        self, buffer: NDArray[np.uint8], start: int, end: int, stretches: list[PacketColumns]
    ) -> tuple[int, bool, str | None]:
        """Takes whole blocks from `start` on, up to one that changes the byte order.

        Returns the bytes taken, whether there is more to take, and what is wrong with the block
        that follows.
        """
        # Lengths behind a change of the byte order are nonsense, so a file that changes it all
        # the time must not be walked to its end each time.
        limit = min(end, start + self._window)
        self._window = min(2 * self._window, _WHOLE_CHUNK)
        offset = walk(buffer, start, limit, self._order, BLOCKS)
        words = np.ndarray((buffer.size // 4,), f"{self._order}u4", buffer)
        index = offset // 4
        kind, length = words[index], words[index + 1].astype(np.int64)
        foreign = (kind == SECTION) & (words[index + 2] != _BYTE_ORDER_MAGIC)
        stops = foreign | (length < BLOCK_HEADER_BYTES) | (length > MAX_BLOCK_BYTES)
        stops |= length % 4 != 0
        sound = int(stops.argmax()) if stops.any() else offset.size
        # Only the last one can reach past the end: behind it nothing was found.
        whole = sound - int(sound > 0 and offset[sound - 1] + length[sound - 1] > end)
        after = offset[:whole] + length[:whole]
        unequal = np.flatnonzero(words[after // 4 - 1] != length[:whole])
        count = int(unequal[0]) if unequal.size else whole
        done, problem = self._take(buffer, offset[:count], kind[:count], length[:count], stretches)
        taken = int(after[done - 1]) - start if done else 0
        if problem is None:
            if unequal.size:
                problem = "has two lengths that differ"
            elif whole < sound or sound == offset.size:
                left = end - start - taken
                return taken, whole == sound and limit < end and left >= BLOCK_HEADER_BYTES, None
            else:
                problem = self._change_order(words, int(index[sound]), int(length[sound]))
                if problem is None:
                    return taken, True, None
        return taken, False, f"the block at byte {self.place + start + taken} {problem}"

    def _change_order(self, words: Words, index: int, length: int) -> str | None:
        """Goes on in the other byte order, if that is what the block at `index` asks for."""
        if words[index] != SECTION or words[index + 2] == _BYTE_ORDER_MAGIC:
            return f"claims a length of {length} bytes, which none can have"
        if words[index + 2] != _SWAPPED_MAGIC:
            return "begins a section without a byte order"
        self._order = "<" if self._order == ">" else ">"
        self._window = _FIRST_WINDOW_BYTES
        return None

    def _take(
        self,
        buffer: NDArray[np.uint8],
        offset: Offsets,
        kind: Words,
        length: NDArray[np.int64],
        stretches: list[PacketColumns],
    ) -> tuple[int, str | None]:
        """Adds the interfaces and the packets of whole blocks.

        Returns how many blocks were taken, and what is wrong with the one that follows.
        """
        interfaces = self._interfaces
        is_packet = (kind == ENHANCED_PACKET) | (kind == SIMPLE_PACKET) | (kind == OBSOLETE_PACKET)
        # What packets may refer to, and from which block on.
        begins, bases, counts = [0], [interfaces.base], [interfaces.count]
        count, problem = offset.size, None
        told = (kind == SECTION) | (kind == INTERFACE) | (kind == INTERFACE_STATISTICS)
        special = np.flatnonzero(told)
        for row in special.tolist():
            at = int(offset[row])
            block = buffer[at : at + int(length[row])].tobytes()
            if kind[row] == INTERFACE_STATISTICS:
                self._count_drops(block)
                continue
            if kind[row] == SECTION:
                problem = section_problem(block, self._order)
                interfaces.begin_section()
                self._drops_before, self._drops = self.drops, {}
            else:
                problem = interfaces.add(block, self._order)
            if problem:
                count = row
                break
            begins.append(row)
            bases.append(interfaces.base)
            counts.append(interfaces.count)
        rows = np.flatnonzero(is_packet[:count])
        if not rows.size:
            return count, problem
        state = np.searchsorted(np.array(begins), rows, side="right") - 1
        base, present = np.array(bases)[state], np.array(counts)[state]
        self._require_decoded(int(present[0]))
        found = FoundPackets(offset[rows], kind[rows], length[rows], base, present)
        columns, good, packet_problem = self._packets.read(buffer, self._order, found)
        stretches.append(columns)
        if packet_problem:
            return int(rows[good]), packet_problem
        return count, problem

    def _count_drops(self, block: bytes) -> None:
        """Reads what a statistics block says; it counts from the start of the capture."""
        if len(block) < _STATISTICS_BYTES:
            return
        (identity,) = struct.unpack_from(f"{self._order}I", block, 8)
        for code, value in options(block, _STATISTICS_BYTES - 4, self._order):
            known = identity < self._interfaces.count - self._interfaces.base
            if code == _DROPS and len(value) == 8 and known:
                (self._drops[identity],) = struct.unpack(f"{self._order}Q", value)

    def _require_decoded(self, count: int) -> None:
        """Before the first packet: of `count` interfaces one must be of a decoded link type."""
        if self._link_types is None:
            return
        self._link_types.update(self._interfaces.link_type[:count].tolist())
        if self._link_types and self._link_types.isdisjoint(DECODED):
            names = ", ".join(map(described, sorted(self._link_types)))
            raise LinkTypeError(
                f"{self.path}: has link type {names}, which is not decoded"
                if len(self._link_types) == 1
                else f"{self.path}: has link types {names}, of which none is decoded"
            )
        self._link_types = None


def section_problem(block: bytes, order: str) -> str | None:
    """What is wrong with a section header block, of which all is given or the beginning."""
    (length,) = struct.unpack_from(f"{order}I", block, 4)
    if length < SECTION_HEADER_BYTES:
        return f"begins a section in {length} bytes, needed are {SECTION_HEADER_BYTES}"
    major, minor = struct.unpack_from(f"{order}HH", block, 12)
    # 1.2 is 1.0 under another name, section 4.1.
    if (major, minor) not in {(1, 0), (1, 2)}:
        return f"begins a section of pcapng version {major}.{minor}; read is 1.0"
    return None
