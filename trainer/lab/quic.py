"""QUIC (RFC 9000), as browsers and players speak it: objects over streams of one connection.

The protocol within the streams is the lab's own, so that no HTTP/3 is needed: a number of bytes is
asked for and comes back, after a pause if the client wants one. aioquic is of the extra `lab`; only
scenarios with QUIC load it.
"""

import asyncio
import contextlib
import importlib.util
import random
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.lab.catalogue import SERVICES
from trainer.lab.client import Client

if TYPE_CHECKING:
    from aioquic.asyncio.protocol import QuicConnectionProtocol
    from aioquic.quic.configuration import QuicConfiguration

_PROTOCOLS = ["h3"]
_IDLE_S = 8.0
_MAX_BYTES = 5_000_000
_MAX_WAIT_S = 30.0
_READY_S = 15.0


def is_installed() -> bool:
    """Whether aioquic is there."""
    return importlib.util.find_spec("aioquic") is not None


def quic(client: Client) -> None:
    """One connection: some streams in parallel, each with its requests one upon the other.

    Raises:
        OSError: the server is not there.
    """
    address = client.target()
    client.check(address, SERVICES["quic"][0][0], "udp")
    asyncio.run(_visit(client, client.address(address), SERVICES["quic"][0][0]))


async def _visit(client: Client, address: str, port: int) -> None:
    settings = client.settings

    async def ask(connection: "QuicConnectionProtocol", rng: random.Random) -> None:
        for number in range(int(settings["requests"])):
            if number:
                await asyncio.sleep(settings["gap_s"] * rng.uniform(0.5, 1.5))
            size = min(_MAX_BYTES, int(settings["object_bytes"] * rng.uniform(0.3, 1.7)))
            await exchange(connection, rng.randint(20, 300), size)

    seeds = [client.rng.getrandbits(32) for _ in range(int(settings["connections"]))]
    async with connected(address, port) as connection:
        await asyncio.gather(*(ask(connection, random.Random(seed)) for seed in seeds))


@contextlib.asynccontextmanager
async def connected(
    address: str, port: int, local_port: int = 0
) -> AsyncIterator["QuicConnectionProtocol"]:
    """A connection to a server of the lab; `local_port` 0 is any.

    Raises:
        OSError: the server does not answer, or the local port is taken.
    """
    from aioquic.asyncio.client import connect  # noqa: PLC0415
    from aioquic.quic.configuration import QuicConfiguration  # noqa: PLC0415

    configuration = QuicConfiguration(
        is_client=True,
        alpn_protocols=_PROTOCOLS,
        idle_timeout=_IDLE_S,
        verify_mode=ssl.CERT_NONE,
        server_name="lab.example.net",
    )
    async with connect(
        address, port, configuration=configuration, local_port=local_port
    ) as connection:
        yield connection


async def exchange(
    connection: "QuicConnectionProtocol", up: int, down: int, wait_s: float = 0.0
) -> None:
    """Sends so many bytes on a new stream and takes so many, after the server has waited.

    Raises:
        ConnectionError: the connection ended before.
    """
    reader, writer = await connection.create_stream()
    wait = f" {1000 * wait_s:.0f}" if wait_s else ""
    writer.write(f"{down}{wait}\n".encode() + bytes(up))
    writer.write_eof()
    if len(await reader.read()) != down:
        raise ConnectionError("closed by the server")


def serve_quic(certificate: Path, key: Path, port: int) -> None:
    """Starts a server, at both versions of IP; it ends with the lab.

    Raises:
        OSError: the port is taken, or the server does not start in time.
    """
    from aioquic.quic.configuration import QuicConfiguration  # noqa: PLC0415

    configuration = QuicConfiguration(
        is_client=False, alpn_protocols=_PROTOCOLS, idle_timeout=_IDLE_S
    )
    configuration.load_cert_chain(certificate, key)
    started = threading.Event()
    failed: list[OSError] = []
    arguments = (configuration, port, started, failed)
    threading.Thread(target=_serve, args=arguments, daemon=True).start()
    if not started.wait(_READY_S):
        raise TimeoutError(f"the QUIC server at port {port} does not start")
    if failed:
        raise failed[0]


def _serve(
    configuration: "QuicConfiguration",
    port: int,
    started: threading.Event,
    failed: list[OSError],
) -> None:
    async def run() -> None:
        from aioquic.asyncio.server import serve  # noqa: PLC0415

        host = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104 -- in its namespace
        try:
            await serve(host, port, configuration=configuration, stream_handler=_answer)
        except OSError as error:
            failed.append(error)
            return
        finally:
            started.set()
        await asyncio.Event().wait()

    asyncio.run(run())


_tasks: set["asyncio.Task[None]"] = set()
"""The event loop keeps no more than a weak reference to what runs in it."""


def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def work() -> None:
        with contextlib.suppress(OSError, ValueError):  # a client that goes away is ordinary here
            size, wait_ms = (*map(int, (await reader.readline()).split()), 0, 0)[:2]
            await reader.read()
            await asyncio.sleep(min(wait_ms / 1000, _MAX_WAIT_S))
            writer.write(bytes(min(size, _MAX_BYTES)))
            writer.write_eof()

    task = asyncio.get_running_loop().create_task(work())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
