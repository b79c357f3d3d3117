"""HTTP and TLS clients against Python's own servers on the loopback."""

import random
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer.lab import services
from trainer.lab.tls import RenegotiatingClient, http_request, wrap_tls


def serve(context: ssl.SSLContext | None) -> Iterator[int]:
    server = services._Server(("127.0.0.1", 0), services._Objects)
    if context:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield int(server.server_address[1])
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def plain() -> Iterator[int]:
    yield from serve(None)


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    pair = services.make_certificates(tmp_path_factory.mktemp("keys"), 3)["rsa"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    yield from serve(context)


@pytest.mark.parametrize(("size", "upload"), [(0, 0), (1, 0), (100_000, 0), (10, 70_000)])
def test_requests_on_one_connection(plain: int, size: int, upload: int) -> None:
    with socket.create_connection(("127.0.0.1", plain)) as stream:
        stream.settimeout(10)
        for _ in range(3):
            http_request(stream, size, upload)
        # Nothing is left over: the next byte belongs to the next answer.
        stream.sendall(b"GET /0 HTTP/1.1\r\n\r\n")
        assert stream.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_tls_of_the_wanted_version(encrypted: int, version: str) -> None:
    with wrap_tls(socket.create_connection(("127.0.0.1", encrypted)), version) as stream:
        http_request(stream, 5000)
        assert stream.version() == f"TLSv{version}"


def test_a_server_that_closes_is_an_ordinary_error() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\n")
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionError, match="closed by the server"):
            http_request(ours, 10)


def test_renegotiation_that_the_server_refuses(encrypted: int) -> None:
    """Python's server refuses it, as OpenSSL 3 does unless told otherwise."""
    with socket.create_connection(("127.0.0.1", encrypted)) as connection:
        client = RenegotiatingClient(connection, random.Random(1))
        client.exchange(100)
        before = client.packets
        assert before >= 8  # handshake, request, answer
        with pytest.raises(ConnectionError):
            client.renegotiate()
        client.close()


def test_certificates_differ_in_size(tmp_path: Path) -> None:
    sizes = set()
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        pairs = services.make_certificates(folder, seed)
        assert set(pairs) == {"rsa", "ec"}
        sizes.add(pairs["ec"].certificate.stat().st_size)
    assert len(sizes) == 3
