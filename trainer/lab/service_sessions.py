"""Plays sessions with services over QUIC, and keeps account of their connections for the labels.

A connection is a flow, and the flow's class is the service. Whatever the service, it is the same
client, server, port, certificate and protocol (`trainer.lab.quic`). No five-tuple is used twice in
a recording, and every connection is closed by its client before the recording ends.
"""

import asyncio
import socket
import threading
import time
from typing import TYPE_CHECKING

from trainer.lab.catalogue import SERVICES
from trainer.lab.client import Client
from trainer.lab.quic import connected, exchange
from trainer.lab.service_accounts import Account, Session
from trainer.lab.service_shapes import Exchange, Visit, draw_session

if TYPE_CHECKING:
    from aioquic.asyncio.protocol import QuicConnectionProtocol

CLOSED_S = 1.0
"""All connections are closed so long before the recording's end."""
_LEAST_S = 5.0
"""None is made that would have less time than this."""


_used: set[int] = set()
_choosing = threading.Lock()


def quic_session(client: Client) -> None:
    """One session: its connections, beside each other or one after the other.

    Raises:
        OSError: the server is not there, or a connection failed.
    """
    if _left_s(client) < _LEAST_S:
        return
    address = client.target()
    client.check(address, SERVICES["quic"][0][0], "udp")
    service = str(client.settings["service"])
    name = f"{client.host.name}/{service}/{client.counts['rounds']}"
    session = Session(name, service, client.host.address, address)
    client.sessions.append(session)
    asyncio.run(_play(client, session, draw_session(client.rng, service)))


def _left_s(client: Client) -> float:
    return client.plan.duration_s - CLOSED_S - client.clock()


async def _play(client: Client, session: Session, visits: tuple[Visit, ...]) -> None:
    made = [_visit(client, session, visit) for visit in visits]
    for result in await asyncio.gather(*made, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _visit(client: Client, session: Session, visit: Visit) -> None:
    await asyncio.sleep(visit.after_s)
    left_s = _left_s(client)
    if left_s < _LEAST_S:
        return
    account = Account(_unused_port(), time.time())
    session.connections.append(account)
    work = asyncio.ensure_future(_connection(session.server, account, visit.exchanges))
    done, _ = await asyncio.wait([work], timeout=min(left_s, visit.patience_s))
    if done:
        work.result()
        return
    if account.end == "open":
        account.end = "left" if visit.patience_s < left_s else "over"
    work.cancel()
    await asyncio.wait([work])


async def _connection(address: str, account: Account, exchanges: tuple[Exchange, ...]) -> None:
    async with connected(address, SERVICES["quic"][0][0], account.port) as connection:
        account.end = "open"
        try:
            await play(connection, exchanges)
            account.end = "done"
        except ConnectionError:
            account.end = "lost"
            raise
        finally:
            account.closed = time.time()


async def play(connection: "QuicConnectionProtocol", exchanges: tuple[Exchange, ...]) -> None:
    """Makes the exchanges on one connection.

    Raises:
        ConnectionError: the connection ended before.
    """
    clock = asyncio.get_running_loop().time
    under_way: list[asyncio.Task[None]] = []
    begun = clock()
    try:
        for each in exchanges:
            if not each.alongside:
                await asyncio.gather(*under_way)
                under_way.clear()
            since = begun if each.paced else clock()
            await asyncio.sleep(since + each.pause_s - clock())
            begun = clock()
            asked = exchange(connection, each.up, each.down, each.wait_s)
            under_way.append(asyncio.create_task(asked))
        await asyncio.gather(*under_way)
    finally:
        for task in under_way:
            task.cancel()


def _unused_port() -> int:
    """A local port that no session of this host has had."""
    with _choosing:
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind(("", 0))
                port = int(probe.getsockname()[1])
            if port not in _used:
                _used.add(port)
                return port
