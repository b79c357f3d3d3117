"""Long sessions of small exchanges, as people's applications have them.

File shares, remote screens, encrypted look-ups of names, remote procedures, games. Their packets go
to and fro like the handshakes of a TLS connection that renegotiates without end, and are nothing of
the kind. The protocol is the lab's own (a question says how long it is and what it wants back);
sizes and pauses are those of the flavours.
"""

import random
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass

from trainer.lab.client import Client
from trainer.lab.tls import wrap_tls

_HEAD = struct.Struct("!HHIH")
"""Bytes of the question behind it, answers, bytes of each, pause between them in ms."""
_MAX_ANSWER = 200_000


@dataclass(frozen=True)
class Flavour:
    """One kind of session.

    Attributes:
        port: of the server.
        tls: versions, one of which is drawn; ``off`` is plain.
        question, answer: bytes, smallest and largest.
        pushed: largest number of answers to one question.
        gap_s: shortest and longest pause between exchanges.
        big: share of answers that are twenty times as large.
    """

    port: int
    tls: tuple[str, ...]
    question: tuple[int, int]
    answer: tuple[int, int]
    pushed: int
    gap_s: tuple[float, float]
    big: float = 0.0


FLAVOURS: dict[str, Flavour] = {
    # SMB: fast questions about files, now and then a piece of one.
    "share": Flavour(445, ("off",), (90, 260), (70, 520), 1, (0.0005, 0.02), 0.05),
    # VNC: pointer and key events of 6 and 8 bytes (RFC 6143 section 7.5), updates of any size.
    "screen": Flavour(5900, ("off",), (6, 40), (20, 1800), 4, (0.005, 0.15), 0.05),
    # DNS over TLS and HTTPS: padded to 128 and 468 bytes (RFC 8467 section 4.1).
    "lookup": Flavour(853, ("1.2", "1.3"), (40, 160), (80, 500), 1, (0.01, 0.8)),
    # IPP and other remote procedures: questions and answers as large as handshake messages.
    "procedure": Flavour(631, ("off", "1.2", "1.3"), (120, 420), (90, 2600), 2, (0.002, 0.2)),
    # Games and chats: little both ways, at a beat.
    "beat": Flavour(7000, ("off", "1.3"), (12, 90), (12, 200), 2, (0.02, 0.12)),
    # Peer-to-peer: questions for blocks that are large.
    "peer": Flavour(6881, ("off",), (17, 80), (300, 1400), 6, (0.002, 0.05), 0.1),
}

_TLS_PORTS = (853, 631, 7000)
"""Ports where a connection that begins with a handshake is taken for TLS."""

_HANDSHAKE = b"\x16"  # RFC 8446 section 5.1: content type handshake


def session(client: Client) -> None:
    """One session, with as many exchanges as its time holds."""
    settings, rng = client.settings, client.rng
    flavour = FLAVOURS[settings["flavour"]]
    version = rng.choice(flavour.tls)
    end = time.monotonic() + settings["seconds"] * rng.uniform(0.5, 1.5)
    # A session has a size and a beat of its own within its kind.
    question = _part(rng, *flavour.question)
    answer = _part(rng, *flavour.answer)
    pause = rng.uniform(*flavour.gap_s)
    connection = client.connect(client.target(), flavour.port)
    with connection if version == "off" else wrap_tls(connection, version) as stream:
        while time.monotonic() < end:
            size = rng.randint(*answer) * (20 if rng.random() < flavour.big else 1)
            _exchange(stream, rng.randint(*question), rng.randint(1, flavour.pushed), size, pause)
            time.sleep(pause * rng.uniform(0.3, 1.7))


def _part(rng: random.Random, low: int, high: int) -> tuple[int, int]:
    """A part of a range."""
    one, other = sorted((rng.randint(low, high), rng.randint(low, high)))
    return one, other


def _exchange(stream: socket.socket, asked: int, answers: int, size: int, pause_s: float) -> None:
    gap_ms = min(20, int(1000 * pause_s))
    stream.sendall(_HEAD.pack(asked, answers, size, gap_ms) + bytes(asked))
    left = answers * size
    while left > 0:
        part = stream.recv(min(left, 65_536))
        if not part:
            raise ConnectionError("closed by the server")
        left -= len(part)


def serve_sessions(context: ssl.SSLContext, family: socket.AddressFamily) -> None:
    """Starts the servers of all flavours; they end with the lab."""
    for port in sorted({flavour.port for flavour in FLAVOURS.values()}):
        server = socket.socket(family)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("", port))
        server.listen(64)
        threading.Thread(target=_accept, args=(server, port, context), daemon=True).start()


def _accept(server: socket.socket, port: int, context: ssl.SSLContext) -> None:
    while True:
        connection, _ = server.accept()
        threading.Thread(target=_serve, args=(connection, port, context), daemon=True).start()


def _serve(connection: socket.socket, port: int, context: ssl.SSLContext) -> None:
    try:
        connection.settimeout(120)
        stream = connection
        if port in _TLS_PORTS and connection.recv(1, socket.MSG_PEEK) == _HANDSHAKE:
            stream = context.wrap_socket(connection, server_side=True)
        with stream:
            while True:
                asked, answers, size, gap_ms = _HEAD.unpack(_all(stream, _HEAD.size))
                _all(stream, asked)
                for number in range(answers):
                    if number:
                        time.sleep(gap_ms / 1000)
                    stream.sendall(bytes(min(size, _MAX_ANSWER)))
    except OSError:
        connection.close()


def _all(stream: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = stream.recv(size - len(received))
        if not part:
            raise ConnectionError("closed by the client")
        received += part
    return received
