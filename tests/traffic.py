"""Seeded random traffic that visits the corners of the flow rules.

Times fall on a coarse grid, so that packets meet deadlines exactly; few hosts and ports make
flows close, reuse their ports, go silent and come back.
"""

import random
from dataclasses import dataclass

from blocks import Timed
from reference_decode import Packet

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
FLAGS = (
    ACK,
    ACK,
    ACK,
    PSH | ACK,
    SYN,
    SYN,
    SYN | ACK,
    FIN | ACK,
    FIN | ACK,
    RST,
    SYN | RST,
    0xC2,
    0,
)
IPV4_NET, IPV6_NET = 0x0A000000, 0x20010DB8 << 96


@dataclass(frozen=True)
class Mixture:
    """How random traffic is drawn.

    Attributes:
        hosts, ports: sizes of the pools; small ones make long flows and reuse.
        steps_ns: time between packets, drawn from these; negative ones are disorder.
        again: probability that the next packet belongs to a recent conversation.
    """

    hosts: int = 4
    ports: int = 6
    steps_ns: tuple[int, ...] = (0, 0, 10_000_000, 1_500, 30_000_000, -20_000_000)
    again: float = 0.7


def random_packets(seed: int, count: int, mixture: Mixture) -> list[Timed]:
    """Decoded packets with their times."""
    generator = random.Random(seed)
    time_ns = 1_700_000_000_000_000_000
    recent: list[Packet] = []
    packets = []
    for _ in range(count):
        time_ns += generator.choice(mixture.steps_ns)
        if recent and generator.random() < mixture.again:
            packet = _vary(generator.choice(recent[-8:]), generator)
        else:
            packet = _fresh(generator, mixture)
            recent.append(packet)
        packets.append((time_ns, packet))
    return packets


def _fresh(generator: random.Random, mixture: Mixture) -> Packet:
    version = generator.choice((4, 4, 4, 6))
    protocol = generator.choice((6, 6, 6, 6, 17, 1 if version == 4 else 58, 47))
    source, destination = (_address(version, generator.randrange(mixture.hosts)) for _ in range(2))
    ports = (generator.randrange(mixture.ports), generator.randrange(mixture.ports))
    if protocol in (1, 58):
        ports = generator.choice(((8, 0), (0, 8), (3, 1), (128, 129), (1, 3)))
    elif protocol == 47:
        ports = (0, 0)
    flags = generator.choice(FLAGS) if protocol == 6 else 0
    return Packet(version, protocol, source, destination, *ports, *_lengths(generator), flags)


def _address(version: int, host: int) -> int:
    """Of IPv6, hosts are in three networks of 64 bits, so that some share theirs."""
    return IPV4_NET + host if version == 4 else IPV6_NET + (host % 3 << 64) + IPV4_NET + host


def _vary(packet: Packet, generator: random.Random) -> Packet:
    """Another packet of the same conversation, in one of its directions."""
    version, protocol, source, destination, source_port, destination_port, *_ = packet
    ends = (source, destination, source_port, destination_port)
    if generator.random() < 0.5:
        ends = (destination, source, destination_port, source_port)
    flags = generator.choice(FLAGS) if protocol == 6 else 0
    return Packet(version, protocol, *ends, *_lengths(generator), flags)


def _lengths(generator: random.Random) -> tuple[int, int]:
    ip_length = generator.choice((40, 60, 1_500, 65_535, generator.randrange(40, 65_536)))
    return ip_length, max(0, ip_length - 52)


def flood_packets(count: int, step_ns: int, seed: int = 1, pool: int = 50_000) -> list[Timed]:
    """Mostly one-packet flows to one service, over a floor of conversations that go on.

    Every sixteenth packet belongs to one of 300 answered conversations.
    """
    generator = random.Random(seed)
    start_ns = 1_700_000_000_000_000_000
    victim = IPV4_NET + 1
    packets = []
    for index in range(count):
        time_ns = start_ns + index * step_ns
        if index % 16 == 0:
            friend, port = IPV4_NET + 7, generator.randrange(300)
            ends = (friend, victim, port, 443)
            if generator.random() < 0.5:
                ends = (victim, friend, 443, port)
            packet = Packet(4, 6, *ends, 100, 60, ACK if generator.random() < 0.99 else RST)
        else:
            source = (generator.randrange(pool) << 8) + 0x0B000000
            packet = Packet(4, 6, source, victim, generator.randrange(1 << 16), 80, 40, 0, SYN)
        packets.append((time_ns, packet))
    return packets
