"""What a bundle with `tests.random_bundle.SCHEMA`'s fields should say of a capture's flows.

Worked out packet by packet with dpkt, from the rules of `docs/semantics.md` and the words of
`docs/features.md`, and with the network run by itself: nothing of the sensor takes part. For
captures of TCP and UDP in Ethernet whose packets are in order of time.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dpkt
import numpy as np
from ai_edge_litert.interpreter import Interpreter

IDLE_NS = 120 * 10**9
N = 16
FLAGS = (0x01, 0x02, 0x04, 0x08, 0x10)


@dataclass
class Flow:
    """A flow, as it is being read.

    Attributes:
        packets: time, whether from the originator, bytes of the IP datagram and of the payload,
            TCP flags.
        context: counts of flows that began before.
        closed, silent: whether it has closed, and whether it has been silent for long enough.
    """

    protocol: int
    source: tuple[bytes, int]
    destination: tuple[bytes, int]
    context: list[int]
    midstream: bool
    packets: list[tuple[int, bool, int, int, int]] = field(default_factory=list)
    fin: set[bool] = field(default_factory=set)
    closed: bool = False
    silent: bool = False
    heard_ns: int = 0

    @property
    def whole(self) -> bool:
        return not self.midstream and (self.closed or self.silent)

    @property
    def seconds(self) -> float:
        return (self.packets[-1][0] - self.packets[0][0]) / 1e9

    @property
    def bits_per_second(self) -> float:
        return 8 * sum(packet[2] for packet in self.packets) / max(self.seconds, 1e-6)

    def inputs(self) -> tuple[list[list[float]], list[float]]:
        """Rows of the network's input, and of its context."""
        rows, before = [], self.packets[0][0]
        for time, outward, octets, payload, flags in self.packets[:N]:
            gap_us = min((time - before) // 1_000, 60_000_000)
            before = time
            rows.append(
                [
                    _octaves(octets, 8) / 128,
                    _octaves(payload, 8) / 128,
                    _octaves(gap_us, 2) / 64,
                    1 if outward else -1,
                    *(float(bool(flags & mask)) for mask in FLAGS),
                    float(self.protocol == 6),
                    float(self.protocol == 17),
                    0,
                    1,
                ]
            )
        return rows, [_octaves(min(count, 65_535), 4) / 64 for count in self.context]


def _octaves(value: int, steps: int) -> int:
    return math.floor(steps * math.log2(1 + value) + 0.5)


def flows_of(capture: Path) -> list[Flow]:
    """The flows of a capture, in order of their first packets."""
    flows: list[Flow] = []
    current: dict[tuple[int, frozenset[tuple[bytes, int]]], Flow] = {}
    with capture.open("rb") as file:
        # Times of whole microseconds: dpkt gives them as floating-point numbers.
        packets = [
            (round(time * 10**6) * 1_000, dpkt.ethernet.Ethernet(raw).data)
            for time, raw in dpkt.pcap.Reader(file)
        ]
    for time, ip in packets:
        segment = ip.data
        octets = ip.len if isinstance(ip, dpkt.ip.IP) else ip.plen + 40
        flags = segment.flags if isinstance(segment, dpkt.tcp.TCP) else 0
        source, destination = (ip.src, segment.sport), (ip.dst, segment.dport)
        protocol = ip.p
        key = (protocol, frozenset((source, destination)))
        flow = current.get(key)
        silent = flow is not None and time > flow.heard_ns + IDLE_NS
        again = flow is not None and flow.closed and flags & 0x12 == 0x02
        if flow is None or silent or again:
            if flow and silent:
                flow.silent = True
            midstream = protocol == 6 and not flags & 0x02
            context = _context(flows, time, source, destination, protocol)
            flow = current[key] = Flow(protocol, source, destination, context, midstream)
            flows.append(flow)
        flow.heard_ns = time
        if flow.closed:
            continue
        outward = source == flow.source
        flow.packets.append((time, outward, octets, len(segment.data), flags))
        if flags & 0x01:
            flow.fin.add(outward)
        flow.closed = bool(flags & 0x04) or len(flow.fin) == 2
    last = packets[-1][0]
    for flow in flows:
        flow.silent |= last > flow.heard_ns + IDLE_NS
    return flows


def _context(
    flows: list[Flow],
    time: int,
    source: tuple[bytes, int],
    destination: tuple[bytes, int],
    protocol: int,
) -> list[int]:
    counts = []
    for which in (
        lambda flow: flow.destination == destination and flow.protocol == protocol,
        lambda flow: flow.source[0] == source[0],
        lambda flow: flow.destination[0] == destination[0],
    ):
        counts += [
            sum(which(flow) and flow.packets[0][0] > time - seconds * 10**9 for flow in flows)
            for seconds in (1, 10)
        ]
    return counts


def probabilities(model: bytes, flows: Sequence[Flow], task: str) -> np.ndarray:
    """``(flows, classes)`` answers of a network with signatures n4 and n16."""
    interpreter = Interpreter(model_content=model)
    answers = []
    for flow in flows:
        rows, context = flow.inputs()
        length = 4 if len(rows) <= 4 else N
        x = np.zeros((1, length, len(rows[0])), np.float32)
        x[0, length - len(rows) :] = rows
        runner = interpreter.get_signature_runner(f"n{length}")
        answers.append(runner(x=x, c=np.float32([context]))[task][0])
    return np.array(answers)


@dataclass(frozen=True)
class Evaluation:
    """What one task should have come to.

    Attributes:
        told: what was said of each flow: a class or ``abstained``, or None for too short ones.
        confidence: probability of the best class.
        true: class of each flow, or None where that is not known.
        confusion: flows by (true class, what was said).
    """

    told: list[str | None]
    confidence: list[float]
    true: list[str | None]
    confusion: Counter[tuple[str, str]]


def evaluate(model: bytes, flows: Sequence[Flow], task: object) -> Evaluation:
    """Evaluates a categorical task, an entry of a manifest's ``tasks``."""
    spec = dict(vars(task))
    classes, edges = spec["classes"], spec["edges"]
    answers = probabilities(model, flows, spec["name"])
    told: list[str | None] = []
    true: list[str | None] = []
    for flow, answer in zip(flows, answers, strict=True):
        best = int(np.argmax(answer))
        named = classes[best] if answer[best] >= spec["abstain_below"] else "abstained"
        told.append(named if len(flow.packets) >= spec["least_packets"] else None)
        value = flow.seconds if spec["measured"] == "duration" else flow.bits_per_second
        place = sum(value >= edge for edge in edges)
        true.append(classes[place] if flow.whole and edges else None)
    pairs = zip(true, told, strict=True)
    confusion = Counter((a, b) for a, b in pairs if a is not None and b is not None)
    return Evaluation(told, answers.max(axis=1).tolist(), true, confusion)
