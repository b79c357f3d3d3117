"""Programs and maps of eBPF from the bpf system call alone: no compiler, no library.

Numbers and layouts are those of linux/bpf.h and linux/bpf_common.h; the instruction set is
RFC 9669.
"""

import ctypes
import os
import platform
import socket
import struct
import sys

from sensor.errors import HostError

SYSTEM_CALL = {
    "x86_64": 321,
    "aarch64": 280,
    "riscv64": 280,
    "armv7l": 386,
    "armv6l": 386,
    "i686": 357,
}
"""Number of bpf by machine (asm/unistd.h)."""

_MAP_CREATE, _MAP_LOOKUP, _PROGRAM_LOAD = 0, 1, 5
MAP_ARRAY, MAP_LRU_HASH = 2, 9
_SOCKET_FILTER = 1
_SO_ATTACH_BPF = 50
_ATTRIBUTE_BYTES = 128

# Operations, as class | source of the operand or mode | operation or size.
MOVE, MOVE_REGISTER, ADD, ADD_REGISTER, SUBTRACT_REGISTER = 0xB7, 0xBF, 0x07, 0x0F, 0x1F
AND, OR, SHIFT_LEFT, SHIFT_RIGHT = 0x57, 0x47, 0x67, 0x77
LOAD_HALF, LOAD_WORD, LOAD_LONG = 0x69, 0x61, 0x79
STORE_HALF, STORE_WORD, STORE_LONG, STORE_NUMBER = 0x6B, 0x63, 0x7B, 0x7A
PACKET_HALF, PACKET_BYTE, PACKET_BYTE_FROM = 0x28, 0x30, 0x50
"""Of a packet, into register 0; the frame is that which register 6 points to."""
ATOMIC_ADD = 0xDB
ALWAYS, EQUAL, NOT_EQUAL, AT_MOST, LESS = 0x05, 0x15, 0x55, 0xB5, 0xA5
_IF_ABOVE_REGISTER, _IF_EQUAL_REGISTER = 0x2D, 0x1D
_CALL, _EXIT, _LOAD_CONSTANT = 0x85, 0x95, 0x18
_MAP_DESCRIPTOR = 1  # BPF_PSEUDO_MAP_FD

LOOK_UP, UPDATE, KTIME_NS, LOAD_BYTES = 1, 2, 5, 26
"""Helpers."""


class Assembler:
    """Instructions with jumps to labels.

    Registers: 0 results, 1 to 5 arguments that a call overwrites, 6 to 9 kept, 10 the stack.
    """

    def __init__(self) -> None:
        """Begins a program."""
        self._code: list[tuple[int, int, int, int, int]] = []
        self._labels: dict[str, int] = {}
        self._jumps: dict[int, str] = {}

    def do(self, operation: int, to: int = 0, source: int = 0, at: int = 0, value: int = 0) -> None:
        """An instruction: destination and source register, offset, number."""
        self._code.append((operation, to, source, at, value))

    def jump(self, label: str, operation: int = ALWAYS, register: int = 0, value: int = 0) -> None:
        """Goes to a label if a register compares so with a number."""
        self._jumps[len(self._code)] = label
        self.do(operation, register, value=value)

    def jump_above(self, label: str, register: int, other: int) -> None:
        """Goes to a label if a register is greater than another, both without sign."""
        self._jumps[len(self._code)] = label
        self.do(_IF_ABOVE_REGISTER, register, other)

    def jump_same(self, label: str, register: int, other: int) -> None:
        """Goes to a label if two registers are equal."""
        self._jumps[len(self._code)] = label
        self.do(_IF_EQUAL_REGISTER, register, other)

    def label(self, name: str) -> None:
        """Where jumps to this name go."""
        self._labels[name] = len(self._code)

    def constant(self, register: int, value: int) -> None:
        """A number of 64 bits."""
        self.do(_LOAD_CONSTANT, register, value=_signed(value & 0xFFFFFFFF))
        self.do(0, value=_signed(value >> 32))

    def map(self, register: int, descriptor: int) -> None:
        """A map."""
        self.do(_LOAD_CONSTANT, register, _MAP_DESCRIPTOR, value=descriptor)
        self.do(0)

    def call(self, helper: int) -> None:
        """Calls a helper with registers 1 to 5; its result is in register 0."""
        self.do(_CALL, value=helper)

    def exit(self) -> None:
        """Ends with the value of register 0."""
        self.do(_EXIT)

    def assemble(self) -> bytes:
        """The program."""
        packed = []
        for number, (operation, to, source, at, value) in enumerate(self._code):
            offset = at
            if number in self._jumps:
                offset = self._labels[self._jumps[number]] - number - 1
            packed.append(struct.pack("<BBhi", operation, source << 4 | to, offset, value))
        return b"".join(packed)


def create_map(kind: int, key_bytes: int, value_bytes: int, entries: int) -> int:
    """Makes a map and gives its descriptor.

    Raises:
        HostError: the kernel has no eBPF, or this process may not use it.
    """
    return _bpf(_MAP_CREATE, struct.pack("=IIIII", kind, key_bytes, value_bytes, entries, 0))


def look_up(descriptor: int, key: bytes, value_bytes: int) -> bytes:
    """The value of a key that is there."""
    held, value = ctypes.create_string_buffer(key), ctypes.create_string_buffer(value_bytes)
    addresses = (ctypes.addressof(held), ctypes.addressof(value))
    _bpf(_MAP_LOOKUP, struct.pack("=IIQQQ", descriptor, 0, *addresses, 0))
    return value.raw


def load_socket_filter(program: bytes) -> int:
    """Loads a program and gives its descriptor.

    Raises:
        HostError: the kernel does not take it, or this process may not load it.
    """
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"Dual MIT/GPL")
    addresses = (ctypes.addressof(code), ctypes.addressof(licence))
    attributes = struct.pack("=IIQQIIQ", _SOCKET_FILTER, len(program) // 8, *addresses, 0, 0, 0)
    return _bpf(_PROGRAM_LOAD, attributes)


def attach(receiver: socket.socket, descriptor: int) -> None:
    """Attaches a loaded program to a socket in place of the filter before."""
    receiver.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, descriptor)


def _bpf(command: int, attributes: bytes) -> int:
    call = SYSTEM_CALL.get(platform.machine())
    # On a 64-bit kernel a 32-bit process has the machine's name, and other numbers.
    if call is None or sys.byteorder != "little" or (sys.maxsize < 2**32 and call in (280, 321)):
        raise HostError(f"eBPF is not used on {platform.machine()}")
    held = ctypes.create_string_buffer(attributes, _ATTRIBUTE_BYTES)
    library = ctypes.CDLL(None, use_errno=True)
    result = int(library.syscall(call, command, held, _ATTRIBUTE_BYTES))
    if result < 0:
        raise HostError(f"eBPF: {os.strerror(ctypes.get_errno())}")
    return result


def _signed(word: int) -> int:
    return word - (1 << 32) if word >> 31 else word
