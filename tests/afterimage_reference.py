"""A plain second implementation of AfterImage: one packet, one window, one dictionary at a time.

Written from the paper (NDSS 2018, section IV and table II) and the order of the published columns.
It imports nothing of the trainer.
"""

from math import hypot, sqrt

from blocks import Timed

DECAYS = (5, 3, 1, 0.1, 0.01)
NOTHING = 1e-12


class Stream:
    """Damped sums of one stream in one window."""

    def __init__(self, decay):
        self.decay = decay
        self.weight = self.linear = self.squares = 0.0
        self.time = None
        self.residual = 0.0

    def left(self, time):
        return 1.0 if self.time is None else 2 ** (-self.decay * (time - self.time) / 1e9)

    def insert(self, time, value):
        left = self.left(time)
        self.weight = self.weight * left + 1
        self.linear = self.linear * left + value
        self.squares = self.squares * left + value * value
        self.time = time
        self.residual = value - self.mean()
        if abs(self.residual) <= NOTHING * value:
            self.residual = 0.0

    def mean(self):
        return self.linear / self.weight if self.weight else 0.0

    def variance(self):
        if not self.weight:
            return 0.0
        square = self.squares / self.weight
        variance = abs(square - self.mean() ** 2)
        return 0.0 if variance <= NOTHING * square else variance

    def one_way(self):
        return [self.weight, self.mean(), self.variance()]


class Products:
    """Damped sum of the products of two streams' residuals."""

    def __init__(self, decay):
        self.decay, self.sum, self.time = decay, 0.0, None

    def insert(self, time, product):
        if self.time is not None:
            self.sum *= 2 ** (-self.decay * (time - self.time) / 1e9)
        self.sum += product
        self.time = time


class Plain:
    """Statistics of packets, by key and window."""

    def __init__(self):
        self.memory = {}
        self.clock = 0

    def of(self, kind, *key):
        return self.memory.setdefault((kind.__name__, *key), kind(key[-1]))

    def two_way(self, name, here, there, time, size, decay):
        mine = self.of(Stream, name, here, there, decay)
        other = self.of(Stream, name, there, here, decay) if here != there else Stream(decay)
        products = self.of(Products, name, min(here, there), max(here, there), decay)
        mine.insert(time, size)
        products.insert(time, mine.residual * other.residual * other.left(time))
        covariance = products.sum / (mine.weight + other.weight * other.left(time))
        spread = sqrt(mine.variance() * other.variance())
        return [
            mine.weight,
            mine.mean(),
            sqrt(mine.variance()),
            hypot(mine.mean(), other.mean()),
            hypot(mine.variance(), other.variance()),
            covariance,
            covariance / spread if spread else 0.0,
        ]

    def row(self, packet: Timed) -> list[float]:
        time, (version, protocol, source, destination, source_port, destination_port, size, *_) = (
            packet
        )
        self.clock = time = max(time, self.clock)
        here, there = (version, source), (version, destination)
        ends = ((*here, protocol, source_port), (*there, protocol, destination_port))
        columns = {"sender": [], "channel": [], "gap": [], "socket": []}
        for decay in DECAYS:
            sender = self.of(Stream, "sender", here, decay)
            sender.insert(time, size)
            columns["sender"] += sender.one_way()
            gap = self.of(Stream, "gap", here, there, decay)
            gap.insert(time, 0.0 if gap.time is None else (time - gap.time) / 1e9)
            columns["gap"] += gap.one_way()
            columns["channel"] += self.two_way("channel", here, there, time, size, decay)
            columns["socket"] += self.two_way("socket", *ends, time, size, decay)
        sender = columns["sender"]
        return [*sender, *sender, *columns["channel"], *columns["gap"], *columns["socket"]]


def plain_rows(packets: list[Timed]) -> list[list[float]]:
    """115 statistics of every packet."""
    plain = Plain()
    return [plain.row(packet) for packet in packets]
