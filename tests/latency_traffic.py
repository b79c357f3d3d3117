"""Seeded exchanges that have, lack or confuse their answers, as frames with times."""

import random
import struct

import frames
from frames import ACK, FIN, ICMP, ICMPV6, PSH, RST, SYN, TCP

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
SERVERS = ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
CLIENTS = ["10.0.0.1", "10.0.0.2", "2001:db8:1::1", "2001:db8:1::2"]


def option(value: int, echo: int) -> bytes:
    """No-operations and timestamps, as RFC 7323 appendix A lays them out."""
    return b"\1\1" + struct.pack("!BBII", 8, 10, value % 2**32, echo % 2**32)


class Exchanges:
    """Makes them, and remembers the frames with their times."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.sent: list[tuple[int, bytes]] = []

    def delay(self) -> int:
        """10 µs to 30 s, mostly below one."""
        return int(10 ** self.rng.uniform(4, self.rng.choice([8, 8, 8, 9.3, 10.5])))

    def pair(self) -> tuple[str, str]:
        server = self.rng.choice(SERVERS)
        return self.rng.choice([c for c in CLIENTS if (":" in c) == (":" in server)]), server

    def tcp(self, at: int, ends: tuple, flags: int, payload: bytes = b"", **rest: object) -> None:
        self.sent.append(
            (at, frames.ip_frame(frames.tcp(*ends, flags, payload, **rest), TCP, ends[0], ends[2]))
        )

    def connection(self, at: int) -> None:
        """A handshake with whatever may happen to it, then data with timestamps."""
        rng, (client, server) = self.rng, self.pair()
        port, service = rng.randrange(1024, 1030), rng.choice([80, 443])
        out, back = (client, port, server, service), (server, service, client, port)
        x, y = rng.choice([rng.getrandbits(32), 2**32 - 1]), rng.getrandbits(32)
        stamped = rng.random() < 0.7
        clock, other = rng.getrandbits(32), rng.getrandbits(32)

        def options(value: int, echo: int) -> dict[str, bytes]:
            return {"options": option(value, echo)} if stamped else {}

        self.tcp(at, out, SYN, sequence=x, **options(clock, 0))
        for _ in range(rng.choice([0, 0, 0, 1, 2])):
            gap = rng.choice([500_000, 2_000_000, 2_000_001, SECOND, 3 * SECOND, 4 * SECOND])
            self.tcp(at + gap, out, SYN, sequence=x, **options(clock + gap // 10**6, 0))
        if rng.random() < 0.25:
            return
        heard = at + rng.choice([self.delay(), 3 * SECOND, 3 * SECOND + 1])
        if rng.random() < 0.15:
            self.tcp(heard, back, RST | ACK, acknowledgement=x + 1 & 0xFFFFFFFF)
            return
        acknowledged = {"sequence": y, "acknowledgement": x + 1 & 0xFFFFFFFF}
        self.tcp(heard, back, SYN | ACK, **acknowledged, **options(other, clock))
        if rng.random() < 0.2:
            gap = rng.choice([1_000, SECOND])
            self.tcp(heard + gap, back, SYN | ACK, **acknowledged, **options(other, clock))
        if rng.random() < 0.2:
            if rng.random() < 0.5:
                reset = {"sequence": x + 1 & 0xFFFFFFFF, "acknowledgement": y + 1 & 0xFFFFFFFF}
                self.tcp(heard + self.delay(), out, RST | ACK, **reset)
            return
        now = heard + self.delay()
        own, its = x + 1, y + 1
        for step in range(rng.randrange(1, 12)):
            sends = rng.random() < 0.5 or step == 0
            data = bytes(rng.choice([0, 0, 1, 9])) if step else b""
            clock, other = clock + rng.randrange(3), other + rng.randrange(3)
            numbers = (own, its) if sends else (its, own)
            stamps = (clock, other) if sends else (other, clock)
            self.tcp(
                now,
                out if sends else back,
                ACK | PSH * bool(data) | rng.choice([0, 0, 0, FIN]),
                data,
                sequence=numbers[0] & 0xFFFFFFFF,
                acknowledgement=numbers[1] & 0xFFFFFFFF,
                **options(*stamps),
            )
            own, its = own + len(data) * sends, its + len(data) * (not sends)
            now += self.delay() // 4

    def echo(self, at: int) -> None:
        """An echo request that may be answered, twice, late or never."""
        rng, (client, server) = self.rng, self.pair()
        rest = struct.pack("!HH", rng.choice([0, 7]), rng.randrange(200))
        answers = [at + self.delay()] * rng.choice([0, 1, 1, 1, 1, 2])
        for time, ends, asks in [(at, (client, server), True)] + [
            (each + k, (server, client), False) for k, each in enumerate(answers)
        ]:
            if ":" in client:
                message = frames.icmpv6(*ends, 128 if asks else 129, 0, rest)
                self.sent.append((time, frames.ip_frame(message, ICMPV6, *ends)))
            else:
                message = frames.icmp(8 if asks else 0, 0, rest)
                self.sent.append((time, frames.ip_frame(message, ICMP, *ends)))
            if asks and rng.random() < 0.1:
                self.sent.append((time + rng.choice([300, 10**7]), self.sent[-1][1]))

    def other(self, at: int) -> None:
        """What asks nothing."""
        rng, (client, server) = self.rng, self.pair()
        self.sent.append((at, frames.udp_frame(client, 5, server, 53, bytes(9))))
        if ":" not in client:
            unreachable = frames.icmp(3, 1, bytes(4), bytes(28))
            self.sent.append((at, frames.ip_frame(unreachable, ICMP, server, client)))
        self.tcp(at, (server, 80, client, 9), RST, sequence=rng.getrandbits(32))


def traffic(seed: int, exchanges: int, span_s: float = 40) -> list[tuple[int, bytes]]:
    """Frames with times, some of which go back, over two spans with an hour between them."""
    made = Exchanges(seed)
    rng = made.rng
    for _ in range(exchanges):
        at = START + int(rng.uniform(0, span_s) * SECOND)
        at += rng.choice([0, 3_600 * SECOND])
        rng.choice([made.connection, made.connection, made.echo, made.echo, made.other])(at)
    sent = sorted(made.sent, key=lambda each: each[0])
    for place in rng.sample(range(len(sent) - 1), len(sent) // 20):
        sent[place], sent[place + 1] = sent[place + 1], sent[place]
    return sent
