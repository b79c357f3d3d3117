"""Network interfaces as the kernel describes them, asked by ioctl and so without privileges."""

import contextlib
import fcntl
import socket
import struct
from dataclasses import dataclass

from sensor.errors import CaptureUnavailableError

SIOCGIFFLAGS = 0x8913
SIOCGIFMTU = 0x8921
SIOCGIFHWADDR = 0x8927
SIOCGIFINDEX = 0x8933
"""linux/sockios.h"""

IFF_UP = 0x1
IFF_LOOPBACK = 0x8
IFF_RUNNING = 0x40
"""linux/if.h"""

_HARDWARE_NAMES = {
    1: "Ethernet",
    512: "PPP",
    772: "loopback",
    768: "IPv4 tunnel",
    769: "IPv6 tunnel",
    776: "IPv6-in-IPv4 tunnel",
    778: "GRE tunnel",
    801: "802.11",
    802: "802.11 with Prism header",
    803: "802.11 with radiotap",
    804: "802.15.4",
    823: "GRE over IPv6",
    65534: "no link header",
}
"""linux/if_arp.h"""

WITH_ETHERNET_HEADER = (1, 772)
"""ARPHRD_ETHER and ARPHRD_LOOPBACK, whose frames begin with an Ethernet header."""


@dataclass(frozen=True, slots=True)
class Interface:
    """What can be said about an interface at this moment.

    Attributes:
        name: as in ``ip link``.
        index: the kernel's number; an interface that is deleted and made again gets another.
        mtu: bytes of the largest packet without its link header.
        mac: six octets in hexadecimal, or an empty string where the link has no such address.
        state: ``up``, ``no carrier`` or ``down``.
        link: kind of link header.
        supported: its frames begin with an Ethernet header, so the sensor can decode them.
        loopback: every frame passes it twice, out and in.
    """

    name: str
    index: int
    mtu: int
    mac: str
    state: str
    link: str
    supported: bool
    loopback: bool


def interfaces() -> list[Interface]:
    """Every interface of this network namespace, by index."""
    found = []
    for _, name in sorted(socket.if_nameindex()):
        # One may go away between the two questions.
        with contextlib.suppress(CaptureUnavailableError):
            found.append(describe(name))
    return found


def describe(name: str, through: socket.socket | None = None) -> Interface:
    """Describes one interface.

    Args:
        name: of the interface.
        through: a socket of any family whose network namespace is asked; without one it is the
            caller's.

    Raises:
        CaptureUnavailableError: there is no such interface.
    """
    if through is None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
            return describe(name, asking)
    (index,) = struct.unpack_from("i", _ask(through, SIOCGIFINDEX, name), 16)
    (flags,) = struct.unpack_from("H", _ask(through, SIOCGIFFLAGS, name), 16)
    (mtu,) = struct.unpack_from("i", _ask(through, SIOCGIFMTU, name), 16)
    family, address = struct.unpack_from("H6s", _ask(through, SIOCGIFHWADDR, name), 16)
    carrier = "up" if flags & IFF_RUNNING else "no carrier"
    supported = family in WITH_ETHERNET_HEADER
    return Interface(
        name=name,
        index=index,
        mtu=mtu,
        mac=address.hex(":") if supported else "",
        state=carrier if flags & IFF_UP else "down",
        link=_HARDWARE_NAMES.get(family, f"hardware type {family}"),
        supported=supported,
        loopback=bool(flags & IFF_LOOPBACK),
    )


def _ask(asking: socket.socket, request: int, name: str) -> bytes:
    """The 40 bytes of ``struct ifreq``, of which the first 16 are the name (netdevice(7))."""
    encoded = name.encode(errors="surrogateescape")
    reason = "no interface can have this name"
    if 0 < len(encoded) < 16 and b"\0" not in encoded:
        try:
            return fcntl.ioctl(asking, request, encoded.ljust(40, b"\0"))
        except OSError as error:
            reason = error.strerror or str(error)
    raise CaptureUnavailableError(
        f"interface {name}: {reason}; `multa-sensor interfaces` lists those that exist"
    )
