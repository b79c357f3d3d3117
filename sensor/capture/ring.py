"""A live capture: AF_PACKET with a TPACKET_V3 ring, from setsockopt and mmap alone.

The kernel writes frames into blocks of memory that it shares with this process, and hands a block
over when it is full or its timer expires. Blocks are decoded where they lie; several that are
ready are gathered into one `PacketBlock`, and go back to the kernel when the next one is asked
for. Layouts and constants are those of linux/if_packet.h; the kernel's
Documentation/networking/packet_mmap.rst tells the story.

How long a reader may stand still is the ring's memory at high rates, and ``blocks × timeout_ms``
at low ones, as a block is used up when the timer expires, however empty it is: 256 blocks of
64 KiB at 100 ms are 25 s, and 16 MiB (which the kernel counts as resident from the start). A
frame takes 82 bytes beside what is copied of it, in units of 8: 136 with the headers of IPv4 and
TCP, 160 with those of IPv6, 280 where 192 bytes are copied. At 50,000 frames a second the timer
leaves 20 blocks part empty in two seconds; 117,000, 98,000 and 56,000 frames fit. Were the
blocks larger, so would be what the timer wastes.
"""

import mmap
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from sensor.capture.block import (
    BLOCK_PACKETS,
    GATHER_BYTES,
    MAX_BLOCK_PACKETS,
    CaptureCounters,
    PacketBlock,
    one_link_type,
)
from sensor.capture.bypass import Bypass
from sensor.capture.cutoff import CutOff
from sensor.capture.filters import attach, copy_bytes, copy_headers
from sensor.capture.interfaces import WITH_ETHERNET_HEADER
from sensor.capture.link_types import ETHERNET
from sensor.capture.ring_records import PACKETS, record_offsets
from sensor.capture.silence import Silence
from sensor.capture.tap import DEVICE_COUNTERS, open_packet_socket
from sensor.capture.watched import SOL_PACKET, Watched
from sensor.errors import CaptureUnavailableError, HostError

BLOCK_BYTES = 1 << 16
BLOCKS = 256
TIMEOUT_MS = 100
PAUSE = 0.25
"""Share of the timeout that lies between two looks at least, where frames are few."""
MANY = 16
"""Frames are many where this part of the ring is full."""

SNAP_BYTES = 192
"""Enough for VLAN tags, IPv6 with extension headers, and TCP with options."""

FULL_FRAMES = 262_144
"""A snap length that cuts nothing."""

LOOK_S = 1.0
"""How often the interfaces are looked at, at least."""

PACKET_RX_RING = 5
PACKET_STATISTICS = 6
PACKET_VERSION = 10
TPACKET_V3 = 2
TP_STATUS_USER = 0x01
TP_STATUS_VLAN_VALID = 0x10
TP_STATUS_VLAN_TPID_VALID = 0x40

# struct tpacket_block_desc and struct tpacket3_hdr, as indices of 32-bit words. Behind the latter,
# which is padded to 48 bytes, stands the frame's struct sockaddr_ll with the type of its link.
_BLOCK_STATUS = 2
_SEC, _NSEC, _SNAPLEN, _LEN, _STATUS, _MAC, _TCI, _TPID = 1, 2, 3, 4, 5, 6, 8, 9
_INDEX, _HATYPE = 13, 14
_HEADER_BYTES = 60


class Ring:
    """Frames of one or several interfaces, in the order in which the kernel saw them.

    Iteration yields blocks of frames, and an empty block (a tick) whenever none came for
    `timeout_ms`. It ends after `stop`, once what the kernel had already received is delivered. An
    interface that goes down, or is deleted and made again under its name, does not end it. Nor
    does one that then has another kind of link: its frames are left out until it has Ethernet
    headers again.

    Attributes:
        interface: its name, or their names with commas between them.
        counters: what has been delivered; `bytes` counts VLAN tags that the kernel stripped too.
    """

    def __init__(
        self,
        *interfaces: str,
        block_bytes: int = BLOCK_BYTES,
        blocks: int = BLOCKS,
        timeout_ms: int = TIMEOUT_MS,
        snap_bytes: int = SNAP_BYTES,
        promiscuous: bool = True,
        fanout: int | None = None,
        cut_off: CutOff | None = None,
        opener: Callable[[], socket.socket] = open_packet_socket,
        device_counters: str = DEVICE_COUNTERS,
    ) -> None:
        """Opens the ring and binds it; from here on frames are received.

        Args:
            interfaces: names of one or several with Ethernet headers.
            block_bytes: of one ring block, a power of two of at least a page; the longest frame
                must fit.
            blocks: of the ring, at least 8.
            timeout_ms: after which the kernel hands over a block that is not full.
            snap_bytes: how much of a frame is copied at most; of most, and unless it is
                `FULL_FRAMES`, only what is read (`sensor.capture.filters`).
            promiscuous: also frames for other stations.
            fanout: number of a fan-out whose rings share the frames (`sensor.capture.watched`).
            cut_off: what leaves packets out, of a single interface; it stays the caller's to close.
            opener: of a packet socket of protocol 0; a tap's where there is one (`Tapped`).
            device_counters: what the kernel counts of interfaces, in the network of that socket.

        Raises:
            CaptureUnavailableError: there is no such interface, or no memory for the ring.
            LinkTypeError: its frames have no Ethernet header.
            UsageError: an interface is named twice, or too many are.
            PermissionDeniedError: CAP_NET_RAW is missing.
            HostError: the kernel has no AF_PACKET rings.
        """
        self.interface = ",".join(interfaces)
        self.counters = CaptureCounters()
        self._block_bytes = block_bytes
        self._blocks = blocks
        self._timeout_ms = timeout_ms
        self._stopping = False
        self._next = 0
        self._held: list[int] = []
        # A frame that has come by now is at most two timeouts from being handed over.
        self._silence = Silence(2 * timeout_ms * 1_000_000)
        self._cut_off = cut_off
        self._socket = opener()
        # One ring of a fan-out has only its share of what the interfaces count.
        counted = interfaces if fanout is None else ()
        self._bypass = Bypass(counted, self.counters, path=device_counters)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            self._watched = Watched(
                interfaces, self._socket, promiscuous=promiscuous, fanout=fanout
            )
            self._memory = self._map(snap_bytes)
            self._ring = np.frombuffer(self._memory, np.uint8)
            self._words = memoryview(self._memory).cast("I")
            self._longs = self._ring.view(np.uint64)
            self._watched.bind()
        except BaseException:
            self.close()
            raise
        # Frames at the very end of the ring have less than GATHER_BYTES behind their start; the
        # last block is therefore read from a copy with room behind it.
        self._copy = np.zeros(block_bytes + GATHER_BYTES, np.uint8)
        self._looked = time.monotonic()

    @property
    def blind(self) -> Mapping[str, str]:
        """See `sensor.capture.watched.Watched`."""
        return self._watched.blind

    @property
    def fanout(self) -> int | None:
        """Number of the fan-out that the ring is in."""
        return self._watched.fanout

    @property
    def blindness(self) -> str:
        """Why no frames can come from a single interface, or an empty string."""
        return next(iter(self.blind.values()), "")

    def __iter__(self) -> Iterator[PacketBlock]:
        """Blocks and ticks until `stop`."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLERR)
        poll.register(self._wake, select.POLLIN)
        pause = select.poll()
        pause.register(self._wake, select.POLLIN)
        while not self._stopping:
            began = time.monotonic()
            block = self._gather()
            if block is None:
                self._bypass.look()
                events = poll.poll(self._timeout_ms)
                if any(event & select.POLLERR for _, event in events):
                    # ENETDOWN is reported once; reading it clears it.
                    self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                block = self._gather()
            if block is None or time.monotonic() - self._looked >= LOOK_S:
                self._follow_interfaces()
            yield self._silence.tick() if block is None else block
            self._give_back()
            # What the chain does takes milliseconds for the smallest block, so unless frames are
            # many, those of a while are looked at together.
            left = self._timeout_ms * PAUSE - 1000 * (time.monotonic() - began)
            if block is not None and left > 0 and not self._is_ready(self._blocks // MANY):
                pause.poll(left)
        yield from self._drain()

    def stop(self) -> None:
        """Ends the iteration; may be called from a signal handler and from another thread."""
        self._stopping = True
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    @property
    def pressed(self) -> bool:
        """Whether half of the ring is full, what is held at present included."""
        # Blocks are filled in turn, so one of them tells about all before it.
        return self._is_ready(self._blocks // 2 - len(self._held))

    @property
    def is_read(self) -> bool:
        """Whether the kernel has no frame in the ring that has not been delivered.

        It counts the frames of a block from the first on, before it hands the block over.
        """
        start = self._next * (self._block_bytes // 4)
        return not self._words[start + _BLOCK_STATUS] & TP_STATUS_USER and (
            self._words[start + PACKETS] == 0
        )

    def close(self) -> None:
        """Closes the socket. The memory lives as long as somebody holds one of its blocks."""
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1
        self._bypass.close()
        self._socket.close()

    def _drain(self) -> Iterator[PacketBlock]:
        """What the kernel has received before now."""
        # Nothing new comes in; the timer still hands over what is there.
        attach(self._socket, copy_bytes(0))
        until = time.monotonic() + 3 * self._timeout_ms / 1000
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while True:
            block = self._gather()
            if block is not None:
                yield block
                self._give_back()
                continue
            left = until - time.monotonic()
            if left <= 0:
                break
            poll.poll(left * 1000)

    def _map(self, snap_bytes: int) -> mmap.mmap:
        """Sets everything that must be set before the first frame may come, and maps the ring."""
        options = self._socket.setsockopt
        size = self._block_bytes * self._blocks
        try:
            options(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
            whole = snap_bytes >= FULL_FRAMES
            self._watched.filter(copy_bytes(snap_bytes) if whole else copy_headers(snap_bytes))
            if self._cut_off:
                self._cut_off.attach(self._socket)
        except OSError as error:
            raise HostError(
                f"interface {self.interface}: this kernel lacks TPACKET_V3 or socket filters "
                f"({error.strerror})"
            ) from None
        frame_bytes = 2048  # only its product with the number of frames matters in version 3
        request = (self._block_bytes, self._blocks, frame_bytes, size // frame_bytes)
        try:
            packed = struct.pack("7I", *request, self._timeout_ms, 0, 0)
            options(SOL_PACKET, PACKET_RX_RING, packed)
            return mmap.mmap(self._socket.fileno(), size)
        except OSError as error:
            raise CaptureUnavailableError(
                f"interface {self.interface}: no ring of {size >> 20} MiB ({error.strerror}); "
                "use a smaller buffer"
            ) from None

    def _is_ready(self, ahead: int) -> bool:
        """Whether the kernel has handed over the block that is so far ahead of the next one."""
        block = (self._next + ahead) % self._blocks
        status = self._words[block * (self._block_bytes // 4) + _BLOCK_STATUS]
        return bool(status & TP_STATUS_USER)

    def _gather(self) -> PacketBlock | None:
        """Ready ring blocks as one block of packets, or nothing; they are held until given back."""
        words, stride = self._words, self._block_bytes // 4
        # The kernel needs room to go on while these are being looked at.
        most = max(1, self._blocks // 4)
        found: list[NDArray[np.int64]] = []
        packets = 0
        last = self._blocks - 1
        while len(self._held) < most and packets < BLOCK_PACKETS:
            start = self._next * stride
            if not words[start + _BLOCK_STATUS] & TP_STATUS_USER:
                break
            count = words[start + PACKETS]
            if self._held and (self._next == last or packets + count > MAX_BLOCK_PACKETS):
                break
            found.append(record_offsets(words, self._longs, start))
            packets += count
            self._held.append(self._next)
            self._next = (self._next + 1) % self._blocks
            if self._held[-1] == last:
                break
        if not self._held:
            return None
        first = np.concatenate(found)
        if self._held[-1] != last:
            return self._columns(self._ring, first)
        base = last * self._block_bytes
        self._copy[: self._block_bytes] = self._ring[base:]
        return self._columns(self._copy, first - base)

    def _columns(self, buffer: NDArray[np.uint8], header: NDArray[np.int64]) -> PacketBlock:
        items = np.ndarray((buffer.size - _HEADER_BYTES + 1,), f"V{_HEADER_BYTES}", buffer, 0, (1,))
        words = items[header].view(np.uint32).reshape(-1, _HEADER_BYTES // 4)
        # An interface may change its kind under us: one that is set to monitor mode, for example.
        readable = np.isin(words[:, _HATYPE] & 0xFFFF, WITH_ETHERNET_HEADER)
        if not readable.all():
            self._follow_interfaces()
            header, words = header[readable], words[readable]
        timestamp_ns = words[:, _SEC].astype(np.int64)
        timestamp_ns *= 1_000_000_000
        timestamp_ns += words[:, _NSEC]
        status = words[:, _STATUS]
        tagged = (status & TP_STATUS_VLAN_VALID) != 0
        named = (status & TP_STATUS_VLAN_TPID_VALID) != 0
        # Kernels before 3.14 did not say which protocol it was: there was only one.
        tpid = np.where(tagged, np.where(named, words[:, _TPID] & 0xFFFF, 0x8100), 0)
        wire_length = words[:, _LEN].astype(np.int64)
        counters = self.counters
        counters.packets += header.size
        counters.bytes += int(wire_length.sum()) + 4 * int(tagged.sum())
        most = self._watched.longest(words[:, _INDEX])
        counters.offload_frames += int((wire_length > most).sum())
        if header.size:
            self._silence.end(int(timestamp_ns[-1]))
        return PacketBlock(
            buffer=buffer,
            offset=header + (words[:, _MAC] & 0xFFFF),
            captured_length=words[:, _SNAPLEN].astype(np.int64),
            wire_length=wire_length,
            timestamp_ns=timestamp_ns,
            vlan_tci=np.where(tagged, words[:, _TCI], 0).astype(np.uint16),
            vlan_tpid=tpid.astype(np.uint16),
            link_type=one_link_type(ETHERNET, header.size),
        )

    def _give_back(self) -> None:
        for block in self._held:
            self._words[block * (self._block_bytes // 4) + _BLOCK_STATUS] = 0
        self._held.clear()
        self._count_drops()

    def _follow_interfaces(self) -> None:
        self._looked = time.monotonic()
        self._watched.follow()

    def _count_drops(self) -> None:
        """Adds the frames lost since the last look; the kernel resets its counter on reading."""
        statistics = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12)
        self.counters.kernel_drops += struct.unpack("3I", statistics)[1]
        if self._cut_off:
            self.counters.cut = self._cut_off.cut
