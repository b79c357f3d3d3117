"""Several capture files as one stream in order of time.

Packets are merged by (time, place of the file on the command line); within a file their order is
never changed, so a packet that is older than its predecessor keeps its place. A file is opened
when the stream reaches its first packet: files that follow one another in time, as a rotating
capture leaves them, are read one by one and without a copy.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sensor.capture.block import BLOCK_PACKETS, GATHER_BYTES, CaptureCounters, PacketBlock
from sensor.capture.formats import CHUNK_BYTES, CaptureFile, open_capture
from sensor.errors import UsageError

_LOOK_BYTES = 65_536
"""Read of each file for a look at its header and its first packet."""


class CaptureFiles:
    """A source of all packets of one or more capture files.

    Attributes:
        counters: what has been delivered.
        truncated: one line for each file that was cut or corrupt, as far as they have been read.
        size_bytes: of all files; 0 where that is not known (a pipe).
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        open_file: Callable[[str, int], CaptureFile] = open_capture,
    ) -> None:
        """Opens every file once and checks its header, before any packet is read.

        Args:
            paths: of the files.
            open_file: of a path and of the bytes to read at a time.

        Raises:
            MultaError: what `open_file` raises for a file.
            UsageError: a pipe is given together with other files.
        """
        self.counters = CaptureCounters()
        self.truncated: list[str] = []
        self._open_file = open_file
        self._finished_bytes = 0
        self._cursors: list[_Cursor] = []
        self._paths = [os.fspath(path) for path in paths]
        self._waiting: list[tuple[int, int]] = []
        self.size_bytes = 0
        for place, path in enumerate(self._paths):
            if len(self._paths) == 1:
                file = open_file(path, CHUNK_BYTES)
                self.size_bytes = file.size_bytes
                self._cursors.append(_Cursor(file, place))
                return
            with contextlib.closing(open_file(path, _LOOK_BYTES)) as file:
                if path == "-" or not file.size_bytes:
                    raise UsageError(f"{path}: a pipe can only be read alone")
                self.size_bytes += file.size_bytes
                self._waiting.append((file.first_time_ns(), place))
        self._waiting.sort(reverse=True)

    @property
    def position_bytes(self) -> int:
        """How much of the files has been delivered."""
        return self._finished_bytes + sum(cursor.file.position_bytes for cursor in self._cursors)

    def __iter__(self) -> Iterator[PacketBlock]:
        """Blocks of all files in order of time."""
        for cursor in list(self._cursors):
            self._load(cursor)
        while self._waiting or self._cursors:
            self._open_due()
            if not self._cursors:
                continue
            # The first block to end bounds what is certain: all of it comes before what follows
            # it in its own file, and so does whatever in the other files sorts before its end.
            bound = min(cursor.end for cursor in self._cursors)
            ready = [(cursor, cursor.count_until(bound)) for cursor in self._cursors]
            ready = [(cursor, count) for cursor, count in ready if count]
            blocks = (
                [ready[0][0].part(ready[0][1])]
                if len(ready) == 1
                else _merged([(c.part(count), c.keys_of(count)) for c, count in ready])
            )
            for block in blocks:
                self.counters.packets += len(block)
                self.counters.bytes += int(block.wire_length.sum())
                yield block
            for cursor, count in ready:
                cursor.position += count
                if cursor.position == len(cursor.block):
                    self._load(cursor)

    def close(self) -> None:
        """Closes all files."""
        for cursor in self._cursors:
            cursor.file.close()

    def _open_due(self) -> None:
        """Opens the files that begin before the first block that is at hand ends."""
        while self._waiting:
            due = self._waiting[-1]
            if self._cursors and due > min(cursor.end for cursor in self._cursors):
                return
            self._waiting.pop()
            cursor = _Cursor(self._open_file(self._paths[due[1]], CHUNK_BYTES), due[1])
            self._cursors.append(cursor)
            self._cursors.sort(key=lambda each: each.place)
            self._load(cursor)

    def _load(self, cursor: "_Cursor") -> None:
        """Reads the next block of a file, or closes it at its end."""
        if cursor.load():
            return
        if cursor.file.truncated:
            self.truncated.append(cursor.file.truncated)
        self._finished_bytes += cursor.file.position_bytes
        self._cursors.remove(cursor)
        cursor.file.close()


class _Cursor:
    """How far the current block of one file has been delivered."""

    block: PacketBlock
    keys: NDArray[np.int64]

    def __init__(self, file: CaptureFile, place: int) -> None:
        self.file = file
        self.place = place
        self.position = 0
        self._blocks = iter(file)
        self._latest = 0

    def load(self) -> bool:
        block = next(self._blocks, None)
        if block is None:
            return False
        self.block, self.position = block, 0
        self.keys = np.maximum.accumulate(np.maximum(block.timestamp_ns, self._latest))
        self._latest = int(self.keys[-1])
        return True

    @property
    def end(self) -> tuple[int, int]:
        return self._latest, self.place

    def count_until(self, bound: tuple[int, int]) -> int:
        """Packets that sort at or before (time, place of file)."""
        time_ns = bound[0] + (self.place <= bound[1])
        return int(np.searchsorted(self.keys, time_ns)) - self.position

    def part(self, count: int) -> PacketBlock:
        if count == len(self.block):
            return self.block
        return cut(self.block, slice(self.position, self.position + count))

    def keys_of(self, count: int) -> NDArray[np.int64]:
        return self.keys[self.position : self.position + count]


def cut(block: PacketBlock, part: slice) -> PacketBlock:
    """Some of a block's packets, over the same buffer."""
    return replace(
        block,
        offset=block.offset[part],
        captured_length=block.captured_length[part],
        wire_length=block.wire_length[part],
        timestamp_ns=block.timestamp_ns[part],
        vlan_tci=block.vlan_tci[part],
        vlan_tpid=block.vlan_tpid[part],
        link_type=block.link_type[part],
    )


def _merged(parts: list[tuple[PacketBlock, NDArray[np.int64]]]) -> Iterator[PacketBlock]:
    """The packets of several blocks in order of their keys, over one new buffer each time."""
    order = np.argsort(np.concatenate([keys for _, keys in parts]), kind="stable")
    blocks = [block for block, _ in parts]
    frames = [
        block.buffer.data[start : start + length]
        for block in blocks
        for start, length in zip(block.offset.tolist(), block.captured_length.tolist(), strict=True)
    ]
    captured = np.concatenate([block.captured_length for block in blocks])
    link_type = np.concatenate([block.link_type for block in blocks])
    wire = np.concatenate([block.wire_length for block in blocks])
    times = np.concatenate([block.timestamp_ns for block in blocks])
    for first in range(0, order.size, BLOCK_PACKETS):
        chosen = order[first : first + BLOCK_PACKETS]
        content = b"".join([*(frames[row] for row in chosen.tolist()), bytes(GATHER_BYTES)])
        none = np.zeros(chosen.size, np.uint16)
        yield PacketBlock(
            buffer=np.frombuffer(content, np.uint8),
            offset=np.cumsum(captured[chosen]) - captured[chosen],
            captured_length=captured[chosen],
            wire_length=wire[chosen],
            timestamp_ns=times[chosen],
            vlan_tci=none,
            vlan_tpid=none,
            link_type=link_type[chosen],
        )
