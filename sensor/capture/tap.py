"""Packet sockets that one process opens for another, so that what reads packets has no rights.

To open a packet socket takes CAP_NET_RAW; to bind it, map its ring, attach a filter, join
promiscuous mode and follow an interface that is made again takes nothing. So a *tap* that parses
nothing holds the right, and the process that parses what strangers send holds none.

Whoever connects to the tap's stream socket is told in one message: a byte 0 with three
descriptors, or another byte with the reason why there are none, as text. The descriptors are a
packet socket of protocol 0, which receives nothing until it is bound, and two files of the tap's
network that the other may have no way to open, being in a network of its own: the counters of
interfaces and the table of neighbours. The tap reads nothing from anybody: not from those who
connect, and not from the packet sockets, which it closes as soon as they are sent.
"""

import errno
import os
import select
import socket
import stat
import struct
from collections.abc import Callable, Collection
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from sensor.errors import (
    CaptureUnavailableError,
    HostError,
    MultaError,
    OutputError,
    PermissionDeniedError,
)

DEVICE_COUNTERS = "/proc/thread-self/net/dev"
"""Frames and bytes of every interface of this network."""

NEIGHBOURS = "/proc/thread-self/net/arp"
"""Hardware addresses by IPv4 address."""

WAIT_S = 5
"""How long a tap may take to answer; it takes a millisecond."""

_MOST_WAITING = 16
_GIVEN, _FORBIDDEN, _FAILED = b"\0", b"\1", b"\2"
_MESSAGE_BYTES = 512
_LOOK_S = 10.0


def open_packet_socket() -> socket.socket:
    """A packet socket of protocol 0, which receives nothing until it is bound.

    Raises:
        PermissionDeniedError: CAP_NET_RAW is missing.
        HostError: the kernel has no packet sockets.
    """
    try:
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    except PermissionError:
        raise PermissionDeniedError(
            "no permission to open a capture socket; it takes CAP_NET_RAW (run as root, or under "
            "the systemd unit, which grants it)"
        ) from None
    except OSError as error:
        if error.errno in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
            raise HostError("this kernel has no packet sockets (CONFIG_PACKET)") from None
        raise


class Tap:
    """Listens at a path, and hands packet sockets to processes of certain users.

    One who connects is served before the next one is looked at, and is never waited for; so there
    is nothing that many of them could fill.

    Attributes:
        given: how often a socket was handed over.
        refused: how often not.
    """

    def __init__(self, path: str, users: Collection[int]) -> None:
        """Begins to listen, after it has proved that packet sockets can be opened.

        Args:
            path: of the stream socket; one that a tap left behind is replaced. Its mode is 0660.
            users: numbers of the users whose processes are served.

        Raises:
            PermissionDeniedError: CAP_NET_RAW is missing.
            HostError: the kernel has no packet sockets.
            OutputError: the socket can't be made there, or another tap listens.
        """
        self.given = self.refused = 0
        self._path, self._users = path, frozenset(users)
        open_packet_socket().close()
        self._listener = _listening(path)
        self._made = os.stat(path).st_ino  # noqa: PTH116 -- as `path` is no Path
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = False

    def serve(self, alive: Callable[[], None] = lambda: None) -> None:
        """Serves until `stop`.

        Args:
            alive: called whenever somebody was served, and every ten seconds at least.
        """
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not self._stopping:
            poll.poll(1000 * _LOOK_S)
            # One that connected may be gone again, and descriptors may be short for a moment.
            with suppress(OSError):
                peer = self._listener.accept()[0]
                with closing(peer):
                    self._answer(peer)
            alive()

    def stop(self) -> None:
        """Ends `serve`; a signal handler may call it."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Ends listening, and removes the socket unless somebody else's is there by now."""
        self._listener.close()
        os.close(self._wake)
        with suppress(OSError):
            if os.stat(self._path).st_ino == self._made:  # noqa: PTH116 -- see above
                Path(self._path).unlink()

    def counters(self) -> str:
        """A line for a person."""
        return f"multa-sensor: {self.given} packet sockets handed over, {self.refused} refused\n"

    def _answer(self, peer: socket.socket) -> None:
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _, user, _ = struct.unpack("3i", credentials)  # struct ucred
        try:
            if user in self._users:
                _give(peer)
                self.given += 1
                return
            why = _FORBIDDEN + f"user {user} gets no packet sockets from this tap".encode()
        except (MultaError, OSError) as error:
            why = _FAILED + str(error).encode()
        self.refused += 1
        peer.send(why[:_MESSAGE_BYTES], socket.MSG_DONTWAIT)


class Tapped:
    """Packet sockets from a tap, and what it tells of its network.

    What the tap has handed over does not depend on it any more: it may end.

    Attributes:
        asking: a socket of the tap's network through which to ask about interfaces.
        device_counters: path of the counters of the tap's interfaces, as long as this is open.
        neighbours: path of its table of neighbours, likewise.
    """

    def __init__(self, path: str) -> None:
        """Asks the tap that listens at `path`.

        Raises:
            CaptureUnavailableError: none listens there, or it has none to give at present.
            PermissionDeniedError: it does not serve this user.
            HostError: what listens is no tap.
        """
        self._path = path
        self.asking, *self._files = _take(path)
        # Opened through these names the files are those of the tap's network still.
        self.device_counters, self.neighbours = (f"/proc/self/fd/{each}" for each in self._files)

    def open(self) -> socket.socket:
        """A packet socket like that of `open_packet_socket`; it is the caller's.

        Raises:
            MultaError: as at the beginning.
        """
        taken, *files = _take(self._path)
        for each in files:
            os.close(each)
        return taken

    def close(self) -> None:
        """Closes what it has not given away; closing twice is allowed."""
        self.asking.close()
        for each in self._files:
            os.close(each)
        self._files.clear()


def _listening(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        _remove_left_behind(path)
        listener.bind(path)
        # Nobody can connect before `listen`.
        Path(path).chmod(0o660)
        listener.listen(_MOST_WAITING)
        listener.settimeout(0)
    except OSError as error:
        listener.close()
        raise OutputError(f"{path}: no tap can listen there ({_reason(error)})") from None
    except OutputError:
        listener.close()
        raise
    return listener


def _remove_left_behind(path: str) -> None:
    """Removes the socket of a tap that is gone; anything else is left where it is."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OutputError(f"{path}: exists and is no socket; choose another --socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            _wait_at_most(asking, WAIT_S)
            asking.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
            return
    raise OutputError(f"{path}: another tap listens there; stop it, or choose another --socket")


def _give(peer: socket.socket) -> None:
    with ExitStack() as opened:
        receiver = opened.enter_context(open_packet_socket())
        files = [
            opened.enter_context(Path(path).open("rb", buffering=0))
            for path in (DEVICE_COUNTERS, NEIGHBOURS)
        ]
        descriptors = [receiver.fileno(), *(each.fileno() for each in files)]
        socket.send_fds(peer, [_GIVEN], descriptors, socket.MSG_DONTWAIT)


def _take(path: str) -> tuple[socket.socket, int, int]:
    """The packet socket and the two files of one answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as asking:
        _wait_at_most(asking, WAIT_S)
        try:
            asking.connect(path)
            said, descriptors, _, _ = socket.recv_fds(asking, _MESSAGE_BYTES, 3)
        except PermissionError:
            raise PermissionDeniedError(
                f"{path}: this user may not connect to the tap; it takes the socket's group"
            ) from None
        except OSError as error:
            raise CaptureUnavailableError(
                f"{path}: no tap answers there ({_reason(error)}); start `multa-sensor tap`, or "
                "the unit multa-tap"
            ) from None
    for each in descriptors:
        os.set_inheritable(each, False)  # noqa: FBT003 -- its only form
    if said == _GIVEN and len(descriptors) == 3:
        with suppress(OSError):  # it is no socket at all
            receiver = socket.socket(fileno=descriptors[0])
            if receiver.family == socket.AF_PACKET:
                return receiver, descriptors[1], descriptors[2]
            receiver.detach()
    for each in descriptors:
        os.close(each)
    why = said[1:].decode(errors="replace")
    if said.startswith(_FORBIDDEN):
        raise PermissionDeniedError(f"{path}: {why}; name this user with its option --user")
    if said.startswith(_FAILED):
        raise CaptureUnavailableError(f"{path}: the tap has no packet socket to give ({why})")
    raise HostError(f"{path}: what answers there is no tap of this version")


def _wait_at_most(asking: socket.socket, seconds: int) -> None:
    """Bounds every wait; unlike Python's own, also that for others who connect meanwhile."""
    for which in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
        asking.setsockopt(socket.SOL_SOCKET, which, struct.pack("@2l", seconds, 0))


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
