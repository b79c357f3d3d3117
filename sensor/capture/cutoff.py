"""Lets only the beginning of each connection through, counted by the kernel (eBPF).

Where no model looks at more than the first n packets of a flow, the rest is copied for nothing
(`docs/semantics.md` 33 states what changes). The kernel counts the packets of each TCP or UDP
connection and drops what comes after n of them, but for what the flow table must see: packets
with SYN, FIN or RST, and one packet a second, so that idle timeouts pass when they should. A
connection begins anew with a SYN without ACK, and after a silence that comes near the idle
timeout. Whatever may be decoded in another way than here, or be refused (fragments, options,
extension headers, tags, tunnels, lengths that contradict each other), is let through and not
counted: else packets that the decoder refuses could use up a connection's count.
"""

import os
import socket
import struct

from sensor.capture import bpf
from sensor.capture.filters import V4_BYTES, V6_BYTES

ENTRIES = 65_536
"""Connections that the kernel remembers; the longest unused is forgotten, and begins anew."""

EVERY_NS = 1_000_000_000
"""A packet at least so often goes through."""

_TCP, _UDP = 6, 17
_KEY, _KEY_BYTES = -40, 40  # both addresses, both ports, IP version and protocol
_ENDS = ((_KEY, _KEY + 8, _KEY + 32), (_KEY + 16, _KEY + 24, _KEY + 34))
"""Where the two words of an address and the port of an end lie."""
_VERSION = _KEY + 36
_FLAGS = -48
_NUMBER = -56
_VALUE, _VALUE_BYTES = -80, 24
_COUNT, _LAST_NS, _PASSED_NS = 0, 8, 16  # of a value
_FIN_SYN_RST, _SYN_ACK, _SYN = 0x07, 0x12, 0x02


class CutOff:
    """The filter of one socket, and how many packets it has dropped.

    Attributes:
        packets: n, of each connection.
        silence_ns: after which a connection begins anew.
    """

    def __init__(
        self, packets: int, idle_timeout_ms: int, snap_bytes: int, every_ns: int = EVERY_NS
    ) -> None:
        """Loads the filter.

        Args:
            packets: n, of each connection.
            idle_timeout_ms: of the flow table.
            snap_bytes: how much is copied of frames that are not plain; of those, as much as
                `sensor.capture.filters.copy_headers` does.
            every_ns: how often a packet of each connection goes through at least.

        Raises:
            HostError: the kernel has no eBPF, or this process may not use it.
        """
        self.packets, self._every_ns = packets, every_ns
        # So much earlier than the table, whose last packet may have been so long before the last.
        self.silence_ns = max(0, idle_timeout_ms * 1_000_000 - every_ns)
        self._flows = self._cut = self._program = -1
        try:
            self._flows = bpf.create_map(bpf.MAP_LRU_HASH, _KEY_BYTES, _VALUE_BYTES, ENTRIES)
            self._cut = bpf.create_map(bpf.MAP_ARRAY, 4, 8, 1)
            self._program = bpf.load_socket_filter(self._assemble(snap_bytes))
        except BaseException:
            self.close()
            raise

    @property
    def cut(self) -> int:
        """Packets dropped so far."""
        (count,) = struct.unpack("=Q", bpf.look_up(self._cut, bytes(4), 8))
        return int(count)

    def attach(self, receiver: socket.socket) -> None:
        """Attaches the filter to a socket in place of the one before."""
        bpf.attach(receiver, self._program)

    def close(self) -> None:
        """Gives back what is held here; a socket keeps its filter."""
        for descriptor in (self._flows, self._cut, self._program):
            if descriptor >= 0:
                os.close(descriptor)
        self._flows = self._cut = self._program = -1

    def _assemble(self, snap_bytes: int) -> bytes:
        code = bpf.Assembler()
        do, jump = code.do, code.jump
        do(bpf.MOVE_REGISTER, 6, 1)
        do(bpf.LOAD_WORD, 7, 6)  # the frame's length
        jump("other", bpf.LESS, 7, V4_BYTES)
        do(bpf.PACKET_HALF, value=12)
        for at in range(_KEY, 0, 8):
            do(bpf.STORE_NUMBER, 10, at=at)
        do(bpf.STORE_NUMBER, 10, at=_FLAGS)
        jump("version 4", bpf.EQUAL, 0, 0x0800)
        jump("other", bpf.NOT_EQUAL, 0, 0x86DD)
        self._version_6(code)
        code.label("version 4")
        self._version_4(code)
        code.label("transport")
        self._transport(code)
        code.label("counted")
        _order_ends(code)
        self._count(code)
        code.label("whole")
        do(bpf.MOVE_REGISTER, 0, 9)
        code.exit()
        code.label("other")
        do(bpf.MOVE, 0, value=snap_bytes)
        code.exit()
        return code.assemble()

    def _version_4(self, code: bpf.Assembler) -> None:
        """Register 7: protocol, 8: bytes behind the IP header, 9: bytes to copy."""
        code.do(bpf.PACKET_BYTE, value=14)
        code.jump("other", bpf.NOT_EQUAL, 0, 0x45)
        code.do(bpf.PACKET_BYTE, value=23)
        code.do(bpf.MOVE_REGISTER, 7, 0)
        code.do(bpf.MOVE, 9, value=V4_BYTES)
        code.jump("whole", bpf.EQUAL, 7, 1)  # ICMP
        code.jump("unfragmented", bpf.EQUAL, 7, _TCP)
        code.jump("other", bpf.NOT_EQUAL, 7, _UDP)
        code.label("unfragmented")
        code.do(bpf.PACKET_HALF, value=20)
        code.do(bpf.AND, 0, value=0x3FFF)
        code.jump("whole", bpf.NOT_EQUAL, 0, 0)
        code.do(bpf.PACKET_HALF, value=16)
        code.jump("whole", bpf.LESS, 0, 20)
        code.do(bpf.MOVE_REGISTER, 8, 0)
        code.do(bpf.ADD, 8, value=-20)
        for at, to in ((26, _ENDS[0][0]), (30, _ENDS[1][0]), (34, _ENDS[0][2])):
            _load(code, at, to, 4)
        _tell_version(code, 4)

    def _version_6(self, code: bpf.Assembler) -> None:
        code.jump("other", bpf.LESS, 7, V6_BYTES)
        code.do(bpf.PACKET_BYTE, value=14)
        code.do(bpf.AND, 0, value=0xF0)
        code.jump("other", bpf.NOT_EQUAL, 0, 0x60)
        code.do(bpf.PACKET_BYTE, value=20)
        code.do(bpf.MOVE_REGISTER, 7, 0)
        code.do(bpf.MOVE, 9, value=V6_BYTES)
        code.jump("whole", bpf.EQUAL, 7, 58)  # ICMPv6
        code.jump("sized", bpf.EQUAL, 7, _TCP)
        code.jump("other", bpf.NOT_EQUAL, 7, _UDP)
        code.label("sized")
        code.do(bpf.PACKET_HALF, value=18)
        code.do(bpf.MOVE_REGISTER, 8, 0)
        _load(code, 22, _KEY, 36)
        _tell_version(code, 6)
        code.jump("transport")

    def _transport(self, code: bpf.Assembler) -> None:
        """Only what the decoder takes is counted (`docs/semantics.md` 25)."""
        code.jump("tcp", bpf.EQUAL, 7, _TCP)
        code.jump("whole", bpf.LESS, 8, 8)
        code.jump("counted")
        code.label("tcp")
        code.jump("whole", bpf.LESS, 8, 20)
        # What is copied ends with 20 bytes of TCP.
        code.do(bpf.PACKET_BYTE_FROM, 0, 9, value=12 - 20)
        code.do(bpf.SHIFT_RIGHT, 0, value=4)
        code.do(bpf.SHIFT_LEFT, 0, value=2)
        code.jump("whole", bpf.LESS, 0, 20)
        code.jump_above("whole", 0, 8)
        code.do(bpf.PACKET_BYTE_FROM, 0, 9, value=13 - 20)
        code.do(bpf.STORE_LONG, 10, 0, at=_FLAGS)

    def _count(self, code: bpf.Assembler) -> None:
        """Register 8: the connection's value, 0: now."""
        do, jump = code.do, code.jump
        _look_up(code, self._flows, _KEY)
        jump("known", bpf.NOT_EQUAL, 0, 0)
        code.call(bpf.KTIME_NS)
        do(bpf.STORE_NUMBER, 10, at=_VALUE + _COUNT, value=1)
        do(bpf.STORE_LONG, 10, 0, at=_VALUE + _LAST_NS)
        do(bpf.STORE_LONG, 10, 0, at=_VALUE + _PASSED_NS)
        code.map(1, self._flows)
        for register, at in ((2, _KEY), (3, _VALUE)):
            do(bpf.MOVE_REGISTER, register, 10)
            do(bpf.ADD, register, value=at)
        do(bpf.MOVE, 4)
        code.call(bpf.UPDATE)
        jump("whole")

        code.label("known")
        do(bpf.MOVE_REGISTER, 8, 0)
        code.call(bpf.KTIME_NS)
        do(bpf.LOAD_LONG, 1, 8, at=_LAST_NS)
        do(bpf.STORE_LONG, 8, 0, at=_LAST_NS)
        do(bpf.MOVE_REGISTER, 2, 0)
        do(bpf.SUBTRACT_REGISTER, 2, 1)
        code.constant(3, self.silence_ns)
        code.jump_above("anew", 2, 3)
        do(bpf.LOAD_LONG, 2, 10, at=_FLAGS)
        do(bpf.MOVE_REGISTER, 1, 2)
        do(bpf.AND, 1, value=_SYN_ACK)
        jump("anew", bpf.EQUAL, 1, _SYN)
        do(bpf.LOAD_LONG, 1, 8, at=_COUNT)
        do(bpf.ADD, 1, value=1)
        do(bpf.STORE_LONG, 8, 1, at=_COUNT)
        jump("passed", bpf.AT_MOST, 1, self.packets)
        do(bpf.AND, 2, value=_FIN_SYN_RST)
        jump("passed", bpf.NOT_EQUAL, 2, 0)
        do(bpf.LOAD_LONG, 1, 8, at=_PASSED_NS)
        do(bpf.MOVE_REGISTER, 2, 0)
        do(bpf.SUBTRACT_REGISTER, 2, 1)
        code.constant(3, self._every_ns)
        code.jump_above("passed", 2, 3)

        do(bpf.STORE_NUMBER, 10, at=_NUMBER)
        _look_up(code, self._cut, _NUMBER)
        jump("dropped", bpf.EQUAL, 0, 0)
        do(bpf.MOVE, 1, value=1)
        do(bpf.ATOMIC_ADD, 0, 1)
        code.label("dropped")
        do(bpf.MOVE, 0)
        code.exit()

        code.label("anew")
        do(bpf.STORE_NUMBER, 8, at=_COUNT, value=1)
        code.label("passed")
        do(bpf.STORE_LONG, 8, 0, at=_PASSED_NS)


def _load(code: bpf.Assembler, at: int, to: int, size: int) -> None:
    """Copies bytes of the frame to the stack."""
    code.do(bpf.MOVE_REGISTER, 1, 6)
    code.do(bpf.MOVE, 2, value=at)
    code.do(bpf.MOVE_REGISTER, 3, 10)
    code.do(bpf.ADD, 3, value=to)
    code.do(bpf.MOVE, 4, value=size)
    code.call(bpf.LOAD_BYTES)
    code.jump("whole", bpf.NOT_EQUAL, 0, 0)


def _tell_version(code: bpf.Assembler, version: int) -> None:
    code.do(bpf.MOVE_REGISTER, 1, 7)
    code.do(bpf.OR, 1, value=version << 8)
    code.do(bpf.STORE_WORD, 10, 1, at=_VERSION)


def _order_ends(code: bpf.Assembler) -> None:
    """Puts the lower end first, so that both directions have the same key."""
    loads = (bpf.LOAD_LONG, bpf.LOAD_LONG, bpf.LOAD_HALF)
    stores = (bpf.STORE_LONG, bpf.STORE_LONG, bpf.STORE_HALF)
    registers = ((1, 2), (3, 4), (5, 0))
    for load, pair, places in zip(loads, registers, zip(*_ENDS, strict=True), strict=True):
        for register, place in zip(pair, places, strict=True):
            code.do(load, register, 10, at=place)
    for number, (first, second) in enumerate(registers):
        code.jump_same(f"same {number}", first, second)
        code.jump_above("swapped", first, second)
        code.jump("ordered")
        code.label(f"same {number}")
    code.jump("ordered")
    code.label("swapped")
    for store, pair, places in zip(stores, registers, zip(*_ENDS, strict=True), strict=True):
        for register, place in zip(reversed(pair), places, strict=True):
            code.do(store, 10, register, at=place)
    code.label("ordered")


def _look_up(code: bpf.Assembler, descriptor: int, key: int) -> None:
    code.map(1, descriptor)
    code.do(bpf.MOVE_REGISTER, 2, 10)
    code.do(bpf.ADD, 2, value=key)
    code.call(bpf.LOOK_UP)
