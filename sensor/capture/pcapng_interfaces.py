"""Interfaces that a pcapng file describes, and what its timestamps mean on them.

Block layout and options are those of draft-ietf-opsawg-pcapng, sections 4.2 and 3.5.
"""

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

MAX_INTERFACES = 65_536
"""In a section. The format has room for more, but no memory has room for as many as it has."""

LAST_SECOND = 9_000_000_000
"""Times are clipped to 1970 and 2255: int64 nanoseconds end in 2262, and deadlines come later."""

MICROSECONDS = 6
"""`if_tsresol` of an interface that has none: a power of ten."""

_DESCRIPTION_BYTES = 20  # of a block without options
_END, _TSRESOL, _TSOFFSET = 0, 9, 14
_NS = 1_000_000_000
_POWER_OF_TWO = 0x80


class Interfaces:
    """Columns of all interfaces of the sections that packets of one chunk may refer to.

    Attributes:
        count: interfaces so far.
        base: the first one of the current section.
        link_type: uint16.
        snap_length: int64; 0 for no limit.
        resolution: uint8, `if_tsresol`.
        offset_seconds: int64, `if_tsoffset`, clipped far outside the times that can be.
    """

    def __init__(self) -> None:
        self.count = self.base = 0
        self.link_type = np.empty(4, np.uint16)
        self.snap_length = np.empty(4, np.int64)
        self.resolution = np.empty(4, np.uint8)
        self.offset_seconds = np.empty(4, np.int64)

    def begin_section(self) -> None:
        """What follows refers to interfaces that follow."""
        self.base = self.count

    def old_link_types(self) -> list[int]:
        """Link types of the sections before the current one."""
        return list(map(int, self.link_type[: self.base]))

    def forget_old_sections(self) -> None:
        """Keeps the current section's interfaces only."""
        if not self.base:
            return
        kept = slice(self.base, self.count)
        for column in (self.link_type, self.snap_length, self.resolution, self.offset_seconds):
            column[: self.count - self.base] = column[kept].copy()
        self.count, self.base = self.count - self.base, 0

    def add(self, block: bytes, order: str) -> str | None:
        """Adds the interface of a description block; or says what is wrong with it.

        Args:
            block: whole.
            order: its byte order, ``<`` or ``>``.
        """
        if len(block) < _DESCRIPTION_BYTES:
            return f"describes an interface in {len(block)} bytes, needed are {_DESCRIPTION_BYTES}"
        if self.count - self.base == MAX_INTERFACES:
            return f"describes one more interface than {MAX_INTERFACES} in a section"
        resolution, offset = _time_options(block, order)
        if self.count == self.link_type.size:
            self._grow()
        row = self.count
        self.link_type[row], self.snap_length[row] = struct.unpack_from(f"{order}H2xI", block, 8)
        self.resolution[row] = resolution
        self.offset_seconds[row] = max(-(1 << 62), min(offset, 1 << 62))
        self.count += 1
        return None

    def _grow(self) -> None:
        for name in ("link_type", "snap_length", "resolution", "offset_seconds"):
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, column]))


def options(block: bytes, start: int, order: str) -> Iterator[tuple[int, bytes]]:
    """Code and value of a block's options; one that does not fit its block ends the list.

    Args:
        block: whole.
        start: where its options begin.
        order: its byte order.
    """
    position, end = start, len(block) - 4
    while position + 4 <= end:
        code, length = struct.unpack_from(f"{order}HH", block, position)
        position += 4
        if code == _END or position + length > end:
            return
        yield code, block[position : position + length]
        position += length + -length % 4


def _time_options(block: bytes, order: str) -> tuple[int, int]:
    """`if_tsresol` and `if_tsoffset`."""
    resolution, offset = MICROSECONDS, 0
    for code, value in options(block, _DESCRIPTION_BYTES - 4, order):
        if code == _TSRESOL and len(value) == 1:
            resolution = value[0]
        elif code == _TSOFFSET and len(value) == 8:
            (offset,) = struct.unpack(f"{order}q", value)
    return resolution, offset


def nanoseconds(
    units: NDArray[np.uint64], resolution: NDArray[np.uint8], offset_seconds: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Times since 1970 in whole nanoseconds, rounded down and clipped to `LAST_SECOND`.

    Args:
        units: ``(packets,)`` as the packet blocks have them.
        resolution: ``(packets,)`` `if_tsresol` of each: units are 10^−r s, or with the high bit
            set 2^−(r − 128) s.
        offset_seconds: ``(packets,)`` added.
    """
    if not units.size:
        return np.empty(0, np.int64)
    if (resolution == resolution[0]).all():
        seconds, rest_ns = _split(units, int(resolution[0]))
    else:
        seconds = np.empty(units.size, np.int64)
        rest_ns = np.empty(units.size, np.int64)
        for kind in np.flatnonzero(np.bincount(resolution)).tolist():
            rows = np.flatnonzero(resolution == kind)
            seconds[rows], rest_ns[rows] = _split(units[rows], kind)
    seconds += offset_seconds
    late = seconds >= LAST_SECOND
    rest_ns[late | (seconds < 0)] = 0
    np.clip(seconds, 0, LAST_SECOND, out=seconds)
    seconds *= _NS
    seconds += rest_ns
    return seconds


def _split(
    units: NDArray[np.uint64], resolution: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Whole seconds, at most 2^62, and the nanoseconds beyond them."""
    if resolution & _POWER_OF_TWO:
        seconds, rest_ns = _split_binary(units, resolution & 0x7F)
    elif resolution > 19:
        # A unit is so short that 2^64 of them are less than a second.
        seconds = np.zeros(units.size, np.uint64)
        shorter = 10 ** (resolution - 9)
        rest_ns = units // np.uint64(shorter) if shorter < 1 << 64 else seconds
    else:
        a_second = np.uint64(10**resolution)
        seconds = units // a_second
        rest_ns = units - seconds * a_second
        if resolution <= 9:
            rest_ns *= np.uint64(10 ** (9 - resolution))
        else:
            rest_ns //= np.uint64(10 ** (resolution - 9))
    return np.minimum(seconds, np.uint64(1 << 62)).astype(np.int64), rest_ns.astype(np.int64)


def _split_binary(
    units: NDArray[np.uint64], exponent: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    if exponent < 64:
        seconds = units >> np.uint64(exponent)
        rest = units & np.uint64((1 << exponent) - 1)
    else:
        seconds, rest = np.zeros(units.size, np.uint64), units
    # rest · 10^9 / 2^exponent in 64 bits: the upper and the lower half are multiplied apart.
    ns, low = np.uint64(_NS), np.uint64(0xFFFF_FFFF)
    if exponent < 32:
        return seconds, rest * ns >> np.uint64(exponent)
    upper = (rest >> np.uint64(32)) * ns + ((rest & low) * ns >> np.uint64(32))
    if exponent - 32 > 63:
        return seconds, np.zeros(units.size, np.uint64)
    return seconds, upper >> np.uint64(exponent - 32)
