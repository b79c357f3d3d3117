"""Capture files of every format that is read, told apart by their first bytes.

A file is read chunk by chunk into one buffer that is used again and again; the rest of a record
that a chunk cuts is carried over to the front.
"""

import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sensor.capture import pcap, pcapng
from sensor.capture.block import GATHER_BYTES, CaptureCounters, PacketBlock
from sensor.capture.octets import Octets, open_octets
from sensor.capture.parser import Parser
from sensor.errors import CaptureFormatError
from sensor.hops import hop

CHUNK_BYTES = 8 << 20
"""Enough for blocks of thousands of packets; twice as much gains nothing that was measured."""

_FOREIGN_MAGICS = {
    bytes.fromhex("28b52ffd"): "is compressed with zstd; unpack it with `unzstd`",
    bytes.fromhex("fd377a58"): "is compressed with xz; unpack it with `unxz`",
    bytes.fromhex("425a68"): "is compressed with bzip2; unpack it with `bunzip2`",
}


class CaptureFile:
    """One capture file, read once from its beginning to its end.

    Attributes:
        path: as it was given; ``-`` is standard input.
        size_bytes: of the file; 0 where it has none (a pipe).
        truncated: after the last block, one line that says which record was cut or corrupt and
            where; ``None`` if the file ended as it should.
        counters: what has been delivered.
    """

    def __init__(self, octets: Octets, parser: Parser, chunk_bytes: int = CHUNK_BYTES) -> None:
        """Takes over an open stream, of which the parser has seen the first bytes."""
        self.path = octets.path
        self.size_bytes = octets.size_bytes
        self.counters = CaptureCounters()
        self.truncated: str | None = None
        self._octets, self._parser = octets, parser
        self._chunk_bytes = chunk_bytes
        self._blocks = self._read()
        self._first: PacketBlock | None = None

    def __iter__(self) -> Iterator[PacketBlock]:
        """Blocks of up to `BLOCK_PACKETS` packets, in the order of the file.

        Raises:
            LinkTypeError: none of its frames can be decoded; before the first block.
        """
        if self._first is not None:
            block, self._first = self._first, None
            yield self._counted(block)
        for block in self._blocks:
            yield self._counted(block)

    @property
    def position_bytes(self) -> int:
        """How much of the file has been read."""
        return self._octets.position_bytes

    def first_time_ns(self) -> int:
        """Time of the first packet, before anything is delivered; −1 if there is none.

        Raises:
            LinkTypeError: none of the file's frames can be decoded.
        """
        if self._first is None:
            self._first = next(self._blocks, None)
        return -1 if self._first is None else int(self._first.timestamp_ns[0])

    def close(self) -> None:
        """Closes the file; standard input is left open. Closing twice is allowed."""
        self._octets.close()

    def _counted(self, block: PacketBlock) -> PacketBlock:
        self.counters.packets += len(block)
        self.counters.bytes += int(block.wire_length.sum())
        return block

    def _read(self) -> Iterator[PacketBlock]:
        parser = self._parser
        # Pages that are never needed for a long record are never touched.
        capacity = parser.most_bytes + self._chunk_bytes + GATHER_BYTES
        buffer = np.zeros(-(-capacity // 4) * 4, np.uint8)
        kept = 0
        at_end = False
        while not at_end:
            end, at_end = self._fill(buffer, kept)
            blocks, whole_bytes, problem = parser.parse(buffer, end)
            yield from blocks
            kept = end - whole_bytes
            if at_end and kept and not problem:
                problem = parser.describe_rest(buffer, whole_bytes, end)
            if problem:
                problem = f"{self.path}: {problem}; the packets before it were processed"
                self.truncated = self._octets.damage or problem
                return
            buffer[:kept] = buffer[whole_bytes:end].copy()
        self.truncated = self._octets.damage
        parser.finish()

    @hop("read")
    def _fill(self, buffer: NDArray[np.uint8], kept: int) -> tuple[int, bool]:
        """Reads a chunk behind the `kept` bytes.

        Returns the end of what is there, and whether that is the end of the file.
        """
        room = buffer.data[kept : kept + self._chunk_bytes]
        filled = 0
        while filled < len(room):
            count = self._octets.readinto(room[filled:])
            if not count:
                return kept + filled, True
            filled += count
        return kept + filled, False


def open_capture(path: str | os.PathLike[str], chunk_bytes: int = CHUNK_BYTES) -> CaptureFile:
    """Opens a capture file and checks its header.

    Args:
        path: a classic pcap file of any of the four magics, or a pcapng file; either may be
            compressed with gzip. ``-`` is standard input.
        chunk_bytes: how much is read at a time.

    Raises:
        MissingInputError: there is no such file.
        PermissionDeniedError: it may not be read.
        CaptureFormatError: it is not a capture file that is read here.
        LinkTypeError: none of its frames are of a link type that is decoded.
    """
    octets = open_octets(path)
    try:
        parser = _parser_of(octets)
        octets.readinto(memoryview(bytearray(parser.header_bytes)))
        file = CaptureFile(octets, parser, chunk_bytes)
        if isinstance(parser, pcapng.PcapngParser):
            # Its link types stand between its packets.
            file.first_time_ns()
    except BaseException:
        octets.close()
        raise
    return file


def _parser_of(octets: Octets) -> Parser:
    path = octets.path
    header = octets.head(max(pcap.FILE_HEADER_BYTES, pcapng.SECTION_HEADER_BYTES))
    if not header:
        raise CaptureFormatError(
            octets.damage or f"{path}: is empty; a capture has at least a file header"
        )
    if header[:4] in pcap.MAGICS:
        return pcap.PcapParser(path, header[: pcap.FILE_HEADER_BYTES])
    if header.startswith(pcapng.MAGIC):
        return pcapng.PcapngParser(path, header)
    for magic, hint in _FOREIGN_MAGICS.items():
        if header.startswith(magic):
            raise CaptureFormatError(f"{path}: {hint}")
    raise CaptureFormatError(
        f"{path}: is not a capture file of a known format (its first bytes are "
        f"{header[:4].hex(' ')}); more formats are read with `--source tshark`"
    )
