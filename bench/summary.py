"""From runs to figures: medians, spreads, ratios."""

import statistics
from dataclasses import dataclass

from bench.contenders import Contender
from bench.material import ONE
from bench.measure import Results, capture_of

LARGE = 300_000
"""Packets from which on the sensor's time on a cut, less its start-up, can be told from noise."""


@dataclass(frozen=True)
class Figure:
    """What a contender took on a capture; medians over its runs.

    Attributes:
        packets: of the capture.
        flows: that the contender counted; 0 where it counts none.
        cpu, wall: seconds.
        starting: seconds of processor time on a capture of one packet.
        speeds: packets a second of each run, without start-up.
        resident: bytes, peak of the largest process.
    """

    packets: int
    flows: float
    cpu: float
    wall: float
    starting: float
    speeds: tuple[float, ...]
    resident: float

    @property
    def speed(self) -> float:
        """Packets a second without start-up."""
        return statistics.median(self.speeds)

    @property
    def speed_with_start(self) -> float:
        """Packets a second of the whole process."""
        return self.packets / self.cpu

    @property
    def flow_speed(self) -> float:
        """Flows a second without start-up."""
        return self.speed * self.flows / self.packets


def figure(results: Results, contender: str, capture: str) -> Figure | None:
    """The figure of a contender on a capture; None where there is no run, or no start-up."""
    runs, starts = results.of(contender, capture), results.of(contender, ONE)
    if not runs or not starts:
        return None
    starting = statistics.median(run["cpu"] for run in starts)
    packets = results.captures[capture]["packets"]
    told = results.told(contender, capture)
    return Figure(
        packets=packets,
        flows=told[0].get("flows", 0) if told else 0,
        cpu=statistics.median(run["cpu"] for run in runs),
        wall=statistics.median(run["wall"] for run in runs),
        starting=starting,
        # A run as short as the start-up says nothing but that it is fast: 1 ms at least.
        speeds=tuple(packets / max(run["cpu"] - starting, 1e-3) for run in runs),
        resident=statistics.median(run["resident"] for run in runs),
    )


def three_digits(value: float) -> str:
    """A number for a table: three digits, or all of them before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@dataclass(frozen=True)
class Comparison:
    """A peer beside the sensor's assembly.

    Attributes:
        peer: its figure.
        times: how many times as fast the sensor is, both without start-up.
        times_with_start: the same of whole processes, on the same packets.
        same_packets: whether `times` is of the same packets too; else the sensor's figure is of
            the whole capture.
    """

    peer: Figure
    times: float
    times_with_start: float
    same_packets: bool


def compare(results: Results, contender: Contender, capture: str) -> Comparison | None:
    """A contender beside the sensor's assembly; None where one of them was not measured."""
    name = capture_of(contender, capture)
    peer = figure(results, contender.name, name)
    beside = figure(results, "assembly", name)
    whole = figure(results, "assembly", capture)
    if not peer or not beside or not whole:
        return None
    same = name == capture or peer.packets >= LARGE
    ours = beside if same else whole
    return Comparison(
        peer, ours.speed / peer.speed, beside.speed_with_start / peer.speed_with_start, same
    )
