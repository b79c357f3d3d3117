"""Two network namespaces joined by a veth pair, and a player that sends frames through it.

The names are unique per process, nothing outside the namespaces is touched, and they are gone
after the ``with`` block, after an exception and at exit of the interpreter.
"""

import atexit
import contextlib
import ctypes
import itertools
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWNET = 0x40000000
OFFLOADS = ("tso", "gso", "gro", "tx", "rx", "txvlan", "rxvlan")
MAX_FRAMES = 2_000_000
"""The player's bound: a test that sends more than this is a mistake."""

_serial = itertools.count()
_open: set[str] = set()


def missing_requirements() -> list[str]:
    """What this machine lacks to run tests marked ``network``; empty if nothing."""
    missing = [] if os.geteuid() == 0 else ["root"]
    programs = {"ip": "ip (Debian package iproute2)", "ethtool": "ethtool"}
    missing += [name for program, name in programs.items() if not shutil.which(program)]
    if missing:
        return missing
    probe = f"multa-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "delete", probe], capture_output=True, check=False)
    return [] if made.returncode == 0 else ["permission to make network namespaces"]


@dataclass(frozen=True)
class Link:
    """A cable: `near` and `far` are namespaces, each with one end, an interface named `port`."""

    near: str
    far: str
    port: str = "port0"

    def run(
        self, namespace: str, command: Sequence[str], timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in a namespace to its end; output is captured as text."""
        return subprocess.run(
            ["ip", "netns", "exec", namespace, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    def start(self, namespace: str, command: Sequence[str]) -> "subprocess.Popen[str]":
        """Starts a command in a namespace, with pipes; the process id is the command's own."""
        return subprocess.Popen(
            ["ip", "netns", "exec", namespace, *command],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


@contextlib.contextmanager
def link(mtu: int = 1500, offloads: str = "off") -> Iterator[Link]:
    """Makes two namespaces and a veth pair between them, up, without addresses.

    IPv6 is off, so the kernel sends nothing of its own: what is seen is what was played.
    """
    stem = f"multa-{os.getpid()}-{next(_serial)}"
    cable = Link(f"{stem}-near", f"{stem}-far")
    ends = (cable.near, cable.far)
    try:
        for namespace in ends:
            _open.add(namespace)
            _ip("netns", "add", namespace)
            quiet = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > $f; done"
            cable.run(namespace, ["sh", "-c", quiet])
            _ip("-n", namespace, "link", "set", "lo", "up")
        pair = ("type", "veth", "peer", "name", cable.port, "netns", cable.far)
        _ip("link", "add", cable.port, "netns", cable.near, *pair)
        for namespace in ends:
            _ip("-n", namespace, "link", "set", cable.port, "mtu", str(mtu), "up")
            for name in OFFLOADS:
                # Not every kernel lets every one of them be changed on veth.
                cable.run(namespace, ["ethtool", "-K", cable.port, name, offloads])
        yield cable
    finally:
        for namespace in ends:
            _delete(namespace)


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Moves the calling thread into a namespace; sockets opened there stay there.

    ``/sys/class/net`` still shows the interfaces of the namespace it was mounted in.
    """
    library = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as home, Path("/run/netns", namespace).open() as n:
        _setns(library, n.fileno())
        try:
            yield
        finally:
            _setns(library, home.fileno())


def play(namespace: str, port: str, frames: Iterable[bytes], packets_per_second: float = 0) -> int:
    """Sends the frames in order from `port`; 0 packets a second means as fast as they go.

    Returns the number of frames sent. Frames must fit the link's MTU.
    """
    with inside(namespace):
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sender.bind((port, 0))
    with sender:
        start = time.monotonic()
        count = 0
        for frame in itertools.islice(frames, MAX_FRAMES):
            if packets_per_second and count % 32 == 0:
                ahead = start + count / packets_per_second - time.monotonic()
                time.sleep(max(0.0, ahead))
            sender.send(frame)
            count += 1
    return count


def play_merged(namespace: str, port: str, frame: bytes) -> None:
    """Sends a TCP/IPv4 frame longer than the MTU as one, as if the sender's network card cut it.

    The link must have its offloads on.
    """
    # struct virtio_net_hdr (linux/virtio_net.h): the checksum is to be filled in at byte 34 + 16,
    # TCP over IPv4 in segments of 1,448 bytes behind 54 bytes of headers.
    header = struct.pack("BBHHHH", 1, 1, 54, 1448, 34, 16)
    with inside(namespace):
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sender.bind((port, 0))
    with sender:
        sender.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
        sender.send(header + frame)


def _setns(library: ctypes.CDLL, descriptor: int) -> None:
    if library.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@atexit.register
def _delete_all() -> None:
    for namespace in list(_open):
        _delete(namespace)


def _delete(namespace: str) -> None:
    subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)
    _open.discard(namespace)
