"""Round-trip times packet by packet, from dpkt's reading of frames: a second reading of rule 38.

Nothing of the sensor is imported. Neither series nor probes are evicted here: the tests that use
it stay below these limits.
"""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import dpkt

SECOND = 1_000_000_000
ANSWER_NS, TIMESTAMP_NS, KNOWN_NS = 3 * SECOND, 10 * SECOND, 600 * SECOND
SYN, RST, FIN, ACK = 2, 4, 1, 16


class Measured(NamedTuple):
    """A measurement of a series."""

    decided_ns: int
    kind: str
    source: bytes
    peer: bytes
    ports: tuple[int, int]
    sent_ns: int
    rtt_ns: int
    answered: bool


class Row(NamedTuple):
    """A window: number of its series and place within, then µs, ms, answered and usual of steps."""

    decided_ns: int
    series: int
    number: int
    start_ns: int
    steps: tuple[tuple[int, int, int, int], ...]


@dataclass
class Question:
    kind: str
    number: int
    clock: int
    sent_ns: int
    ends: tuple[bytes, bytes, tuple[int, int]]
    repeated: bool = False
    answered: bool = False

    @property
    def waits(self) -> int:
        return TIMESTAMP_NS if self.kind == "timestamp" else ANSWER_NS

    @property
    def deadline(self) -> int:
        return self.clock + self.waits


def questions_and_answers(octets):
    """Of a frame: answers ``(kind, key, refuses)``, and questions ``(kind, key)``."""
    frame = dpkt.ethernet.Ethernet(octets)
    ip, segment = frame.data, frame.data.data
    ends, back = (ip.src, ip.dst), (ip.dst, ip.src)
    answers, questions = [], []
    if isinstance(segment, dpkt.tcp.TCP):
        ports, back_ports = (segment.sport, segment.dport), (segment.dport, segment.sport)
        flags, data = segment.flags, len(segment.data)
        following = (segment.seq + 1) % 2**32
        answer = (back, back_ports, segment.ack)
        if flags & (SYN | ACK | RST) == SYN | ACK:
            answers.append(("syn", answer, False))
            questions.append(("syn_ack", (ends, ports, following)))
        elif flags & (SYN | ACK | RST) == RST | ACK:
            answers += [("syn", answer, True), ("syn_ack", answer, True)]
        elif flags & (SYN | ACK | RST) == ACK:
            answers.append(("syn_ack", answer, False))
        elif flags & (SYN | ACK | RST | FIN) == SYN and not data:
            questions.append(("syn", (ends, ports, following)))
        stamps = [v for k, v in dpkt.tcp.parse_opts(segment.opts) if k == 8 and len(v) == 8]
        if stamps and not flags & RST:
            value, echo = (int.from_bytes(stamps[0][k : k + 4], "big") for k in (0, 4))
            if echo and flags & ACK:
                answers.append(("timestamp", (back, back_ports, ("ts", echo)), False))
            if value and (data or flags & (SYN | FIN)):
                questions.append(("timestamp", (ends, ports, ("ts", value))))
    elif isinstance(segment, dpkt.icmp.ICMP | dpkt.icmp6.ICMP6) and segment.code == 0:
        types = (8, 0) if isinstance(segment, dpkt.icmp.ICMP) else (128, 129)
        number = bytes(segment)[4:8]
        if segment.type == types[0]:
            questions.append(("echo", (ends, types, number)))
        elif segment.type == types[1]:
            answers.append(("echo", (back, types, number), False))
    return answers, questions


class Reference:
    """Measurements of all series in order, and windows of up to n of them."""

    def __init__(self, n: int = 64) -> None:
        self.measured: list[Measured] = []
        self.rows: list[Row] = []
        self.ambiguous = self.unknown = self.skipped = 0
        self._clock = self._number = 0
        self._questions: dict[object, Question] = {}
        self._answered: dict[object, int] = {}
        self._n = n
        self._series: dict[object, dict] = {}
        self._spans: dict[object, int] = {}
        self._least: dict[object, tuple[Measured, int]] = {}
        self._second, self._in_second = -1, 0

    def add(self, time_ns: int, octets: bytes) -> None:
        """The next packet."""
        self._clock = max(self._clock, time_ns)
        self._fail(self._clock)
        answers, questions = questions_and_answers(octets)
        for kind, key, refuses in answers:
            question = self._questions.get(key)
            if question is None or question.kind != kind or question.answered:
                continue
            if time_ns - question.sent_ns > question.waits:
                continue
            question.answered = True
            if question.repeated and kind != "timestamp":
                self.ambiguous += 1
                continue
            self._measure(
                question, self._clock, max(0, time_ns - question.sent_ns), refuses=refuses
            )
        for kind, key in questions:
            question = self._questions.get(key)
            if question is None:
                ends = (*key[0], key[1])
                self._questions[key] = Question(kind, self._number, self._clock, time_ns, ends)
            elif self._clock - question.clock > 2_000_000:
                question.repeated = True
        self._number += 1

    def finish(self) -> None:
        """The end of the stream; a second that is not over has no step."""
        self._fail(1 << 62)
        self.skipped += len(self._least)

    def _fail(self, clock: int) -> None:
        over = [key for key, each in self._questions.items() if each.deadline < clock]
        gone = [self._questions.pop(key) for key in over]
        for question in sorted(gone, key=lambda each: (each.deadline, each.number)):
            if not question.answered and question.kind in ("syn", "echo"):
                self._measure(question, question.deadline, None, refuses=False)

    def _measure(self, question: Question, decided: int, rtt: int | None, *, refuses: bool) -> None:
        source, peer, ports = question.ends
        series = (question.kind, peer, ports[1] if question.kind == "syn" else 0)
        if series not in self._answered and (rtt is None or refuses):
            self.unknown += rtt is None
            return
        if rtt is None and self._answered[series] < decided - KNOWN_NS:
            self.unknown += 1
            return
        if rtt is not None:
            self._answered[series] = decided
        measured = Measured(
            decided, question.kind, source, peer, ports, question.sent_ns, rtt or 0, rtt is not None
        )
        self.measured.append(measured)
        if series not in self._series:
            steps = deque(maxlen=self._n)
            ordinal = len(self._series)
            self._series[series] = {"ordinal": ordinal, "number": 0, "steps": steps, "answers": []}
        self._choose(series, measured)

    def _choose(self, series: object, measured: Measured) -> None:
        """What of the measurements of a series is a step: the first of a tenth of a second, of
        timestamps the least of a second once there is one of another second.
        """
        stamped = measured.kind == "timestamp"
        span = measured.decided_ns // (SECOND if stamped else SECOND // 10)
        if stamped:
            least, of_span = self._least.get(series, (None, span))
            if least is None:
                self._least[series] = (measured, span)
            elif of_span == span:
                self.skipped += 1
                self._least[series] = (min(least, measured, key=lambda each: each.rtt_ns), span)
            else:
                self._least[series] = (measured, span)
                self._step(series, least, measured.decided_ns)
        elif self._spans.get(series) == span:
            self.skipped += 1
        else:
            self._spans[series] = span
            self._step(series, measured, measured.decided_ns)

    def _step(self, series: object, measured: Measured, now: int) -> None:
        state = self._series[series]
        second = now // SECOND
        self._in_second = self._in_second + 1 if second == self._second else 1
        self._second = second
        if self._in_second > 1_000:
            self.skipped += 1
            return
        state.setdefault("start_ns", measured.sent_ns)
        gap = measured.decided_ns - state.get("decided_ns", measured.decided_ns)
        state["decided_ns"] = measured.decided_ns
        rtt = min(measured.rtt_ns // 1_000, 60_000_000)
        kept = sorted(state["answers"][::8][-64:])
        usual = kept[(len(kept) - 1) // 2] if kept else 0
        if measured.answered:
            state["answers"].append(rtt)
        step = (rtt, min(gap // 1_000_000, 3_600_000), int(measured.answered), usual)
        state["steps"].append(step)
        place = (state["ordinal"], state["number"], state["start_ns"])
        self.rows.append(Row(now, *place, tuple(state["steps"])))
        state["number"] += 1
