"""HTTP and TLS as clients of the lab speak them; renegotiation too, which Python's `ssl` lacks.

Used by the benign activities and by the renegotiation attack, so that both look alike but for what
the attack is.
"""

import random
import socket
import ssl
import struct
from typing import Any, Protocol

from OpenSSL import SSL

TCP_INFO_SEGMENTS = 136
"""Offset of tcpi_segs_out, with tcpi_segs_in after it (include/uapi/linux/tcp.h)."""

CIPHERS = (
    b"ECDHE+AESGCM",
    b"ECDHE+CHACHA20",
    b"AES128-GCM-SHA256:AES256-SHA:ECDHE-ECDSA-AES128-GCM-SHA256",
    b"ECDHE+SHA:ECDHE+AESGCM",
)
"""Cipher lists with handshakes of different shapes; each fits RSA and EC certificates."""


class Stream(Protocol):
    """A connection, plain or encrypted."""

    def sendall(self, data: bytes, /) -> Any:
        """Sends everything."""

    def recv(self, size: int, /) -> bytes:
        """Receives something."""


def wrap_tls(connection: socket.socket, version: str) -> ssl.SSLSocket:
    """A TLS client of version ``1.2`` or ``1.3`` that trusts the lab's own certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    wanted = ssl.TLSVersion.TLSv1_2 if version == "1.2" else ssl.TLSVersion.TLSv1_3
    context.minimum_version = context.maximum_version = wanted
    return context.wrap_socket(connection)


def http_request(stream: Stream, size: int, upload: int = 0) -> None:
    """One request for an object of `size` bytes with a body of `upload` bytes, and its answer.

    Raises:
        ConnectionError: the server closed the connection before the answer's end.
    """
    method = "POST" if upload else "GET"
    head = f"{method} /{size} HTTP/1.1\r\nHost: lab.example.net\r\nUser-Agent: lab/1.0\r\n"
    if upload:
        head += f"Content-Length: {upload}\r\n"
    stream.sendall(f"{head}\r\n".encode() + bytes(upload))
    received = b""
    while b"\r\n\r\n" not in received:
        received += _some(stream)
    left = size - len(received.partition(b"\r\n\r\n")[2])
    while left > 0:
        left -= len(_some(stream))


def _some(stream: Stream) -> bytes:
    part = stream.recv(65_536)
    if not part:
        raise ConnectionError("closed by the server")
    return part


class RenegotiatingClient:
    """A TLS 1.2 connection over pyOpenSSL that can renegotiate.

    Raises `OSError` where the connection breaks, like a socket.
    """

    def __init__(self, connection: socket.socket, rng: random.Random) -> None:
        # pyOpenSSL wants a blocking socket; the kernel's own timeouts keep it from waiting forever.
        connection.settimeout(None)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 5, 0))
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        context.set_cipher_list(rng.choice(CIPHERS))
        self._socket = connection
        self._tls = SSL.Connection(context, connection)
        self._tls.set_connect_state()
        self._guard(self._tls.do_handshake)

    @property
    def packets(self) -> int:
        """Segments that the kernel has sent and received on the connection."""
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
        sent, received = struct.unpack_from("=II", info, TCP_INFO_SEGMENTS)
        return int(sent + received)

    def renegotiate(self) -> None:
        """One full handshake within the connection (RFC 5246 section 7.4.1.2, RFC 5746)."""
        self._guard(self._tls.renegotiate)
        self._guard(self._tls.do_handshake)

    def exchange(self, size: int) -> None:
        """A request and its answer of about `size` bytes."""
        http_request(self, size)

    def sendall(self, data: bytes, /) -> None:
        """Sends everything."""
        self._guard(self._tls.sendall, data)

    def recv(self, size: int, /) -> bytes:
        """Receives something; nothing once the server has closed."""
        try:
            return bytes(self._tls.recv(size))
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error as error:
            raise ConnectionError(repr(error)) from None

    def close(self) -> None:
        """Says goodbye as far as the server listens, and closes."""
        try:
            self._tls.shutdown()
        except SSL.Error:
            pass
        finally:
            self._socket.close()

    def _guard(self, call: Any, *arguments: Any) -> None:
        try:
            call(*arguments)
        except SSL.Error as error:
            raise ConnectionError(repr(error)) from None
