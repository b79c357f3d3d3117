"""The interfaces that one packet socket captures on: binding, filter, and how they are.

To one interface the socket is bound. For several it is bound to none: the kernel then offers it
the frames of all interfaces, and the filter keeps those of the watched ones. So there is one ring
and one stream, in the order in which the kernel saw the frames, whichever way they came, and
nothing has to be put in order afterwards. The price is the filter's few instructions for each
frame of the other interfaces.

Sockets of a *fan-out* share these frames among them (packet(7), PACKET_FANOUT): those of the same
pair of endpoints, and all fragments between two addresses, go to the same socket, and to another
one only where its ring is full. They are bound to none either, as the kernel lets no socket of a
fan-out be bound again.
"""

import ctypes
import os
import socket
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sensor.capture.filters import Program, attach
from sensor.capture.interfaces import Interface, describe
from sensor.errors import CaptureUnavailableError, LinkTypeError, UsageError

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP = 1
PACKET_IGNORE_OUTGOING = 23
PACKET_FANOUT = 18
PACKET_FANOUT_HASH = 0
PACKET_FANOUT_FLAG_ROLLOVER = 0x1000
PACKET_FANOUT_FLAG_UNIQUEID = 0x2000
PACKET_MR_PROMISC = 1
PACKET_OUTGOING = 4
"""linux/if_packet.h and linux/if_ether.h"""

NEW_FANOUT = -1
"""Asks the kernel for a fan-out that no other program has."""

_SHARES = PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_ROLLOVER

MOST = 32
"""Interfaces at most: jumps of a filter are short."""

_GONE = "is gone"

_LINK_HEADER_BYTES = 14 + 2 * 4  # Ethernet and two VLAN tags: more than MTU + this was merged

# linux/filter.h: what the kernel knows of a frame is read like bytes far beyond it.
_LOAD_WORD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_OF_PACKET_TYPE, _OF_INDEX = 0xFFFFF004, 0xFFFFF008


class Watched:
    """Interfaces by their names, of which each may go away and come back.

    Attributes:
        names: as they were given.
        blind: why no frames can come from an interface, by its name, as a phrase such as ``is
            down``; those that are seen are not in it. As of the last look.
        fanout: number of the fan-out that the socket is in, or None.
    """

    def __init__(
        self,
        names: Sequence[str],
        receiver: socket.socket,
        *,
        promiscuous: bool,
        fanout: int | None = None,
    ) -> None:
        """Looks at the interfaces.

        Args:
            names: of one or several.
            receiver: a packet socket that is not bound yet.
            promiscuous: also frames for other stations.
            fanout: number of a fan-out to be in, or `NEW_FANOUT`.

        Raises:
            CaptureUnavailableError: there is no such interface.
            LinkTypeError: its frames have no Ethernet header.
            UsageError: one is named twice, or too many are.
        """
        if len(set(names)) < len(names):
            raise UsageError("an interface is named twice; its packets would count twice")
        if len(names) > MOST:
            raise UsageError(f"{len(names)} interfaces are too many; {MOST} are watched at most")
        self.names = tuple(names)
        self.blind: dict[str, str] = {}
        self.fanout = fanout
        self._to_all = len(names) > 1 or fanout is not None
        self._socket, self._promiscuous = receiver, promiscuous
        self._program: Program = []
        self._members: set[int] = set()
        self._found = {name: _require_ethernet(describe(name, receiver)) for name in names}
        self._look()

    def filter(self, program: Program) -> None:
        """Attaches a filter that keeps, of the frames of these interfaces, what `program` does.

        Raises:
            OSError: the kernel does not take it.
        """
        self._program = program
        if self._to_all:
            program = _only_of(self._present()) + program
        elif self._found[self.names[0]].loopback:
            # Everything leaves and arrives there: seen once is enough.
            self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        attach(self._socket, program)

    def bind(self) -> None:
        """Binds the socket; from here on frames are received.

        Raises:
            CaptureUnavailableError: an interface can't be captured on.
        """
        try:
            if self._to_all:
                _bind_to_all(self._socket)
            else:
                self._socket.bind((self.names[0], ETH_P_ALL))
            for found in self._found.values():
                self._join(found)
            if self.fanout is not None:
                self._share(self.fanout)
        except OSError as error:
            raise CaptureUnavailableError(
                f"interface {','.join(self.names)}: can't be captured on ({error.strerror})"
            ) from None

    def follow(self) -> None:
        """Looks again, and captures on what has come back under its name."""
        before = [found.index for found in self._present()]
        self._look()
        present = self._present()
        try:
            if self._to_all:
                if before != [found.index for found in present]:
                    self.filter(self._program)
                    for found in present:
                        self._join(found)
            # The kernel unbinds what was deleted; the index alone would not tell, as it may be
            # given again. One that only went down and up is still bound.
            elif present and present[0].supported and self._bound_to() != self.names[0]:
                self._members.clear()
                self.bind()
        except (OSError, CaptureUnavailableError):
            # Gone again, perhaps for a moment: the next look tells.
            self.blind.update({found.name: _GONE for found in present})

    def longest(self, index: NDArray[np.uint32]) -> NDArray[np.int64]:
        """The most bytes that frames can have that came from interfaces of these numbers."""
        most = np.full(index.size, _LINK_HEADER_BYTES + min(f.mtu for f in self._found.values()))
        if self._to_all:
            for found in self._found.values():
                most[index == found.index] = found.mtu + _LINK_HEADER_BYTES
        return most

    def _present(self) -> list[Interface]:
        return [each for each in self._found.values() if self.blind.get(each.name) != _GONE]

    def _share(self, fanout: int) -> None:
        new = fanout == NEW_FANOUT
        shares = _SHARES | (PACKET_FANOUT_FLAG_UNIQUEID if new else 0)
        word = struct.pack("I", shares << 16 | (0 if new else fanout))
        self._socket.setsockopt(SOL_PACKET, PACKET_FANOUT, word)
        self.fanout = self._socket.getsockopt(SOL_PACKET, PACKET_FANOUT) & 0xFFFF

    def _bound_to(self) -> str:
        return str(self._socket.getsockname()[0])

    def _join(self, found: Interface) -> None:
        if self._promiscuous and not found.loopback and found.index not in self._members:
            member = struct.pack("iHH8s", found.index, PACKET_MR_PROMISC, 0, b"")
            self._socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, member)
            self._members.add(found.index)

    def _look(self) -> None:
        self.blind = {}
        for name in self.names:
            try:
                found = describe(name, self._socket)
            except CaptureUnavailableError:
                self.blind[name] = _GONE
                continue
            self._found[name] = found
            if not found.supported:
                self.blind[name] = (
                    f"is there with another link ({found.link}), which is not decoded"
                )
            elif found.state == "down":
                self.blind[name] = "is down"


def _require_ethernet(found: Interface) -> Interface:
    if not found.supported:
        raise LinkTypeError(
            f"interface {found.name}: its link is {found.link}, not Ethernet; other kinds are "
            "captured with `run --source tshark`"
        )
    return found


def _bind_to_all(receiver: socket.socket) -> None:
    """Binds to interface number 0, which means all; Python's own `bind` has no word for that."""
    address = struct.pack("=HHiHBB8s", socket.AF_PACKET, socket.htons(ETH_P_ALL), 0, 0, 0, 0, b"")
    library = ctypes.CDLL(None, use_errno=True)
    if library.bind(receiver.fileno(), address, len(address)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _only_of(watched: Sequence[Interface]) -> Program:
    """Drops what comes from other interfaces, and what leaves through a loopback.

    Falls through to whatever stands behind it for all other frames.
    """
    once: Program = [
        (_LOAD_WORD, 0, 0, _OF_PACKET_TYPE),
        (_IF_EQUAL, 0, 1, PACKET_OUTGOING),
        (_RETURN, 0, 0, 0),
    ]
    # Where it was found that a frame is wanted, the rest of the comparisons is skipped: those
    # that are left, the end of them, and for all but loopbacks the look at its direction.
    left = len(watched)
    tests: Program = []
    for found in watched:
        left -= 1
        skipped = left + 1 + (0 if found.loopback else len(once))
        tests.append((_IF_EQUAL, skipped, 0, found.index))
    return [(_LOAD_WORD, 0, 0, _OF_INDEX), *tests, (_RETURN, 0, 0, 0), *once]
