"""Labels by schedule, and the proof that they fit the capture.

Format and meaning: rule 17 of `docs/semantics.md`. The capture is read with dpkt, not with the
sensor's decoder, so that labels and features don't share an error.
"""

import ipaddress
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dpkt

from sensor.errors import HostError, LabelError
from trainer.lab.attack_kinds import ATTACKS
from trainer.lab.plan import Attack, Claim, Plan

HEADER = "start,end,src,src_port,dst,dst_port,proto,task,value"

BEFORE_S = 0.05
AFTER_S = 1.5
"""A row's span reaches from before the first packet was sent to after the last one was: links
delay and repeat, clocks are the same. Benign flows keep a wider distance (`trainer.lab.client`)."""

MIN_RENEGOTIATIONS = 3
"""Benign clients renegotiate once or twice."""

MIN_SEEN = 0.9
"""Share of the tuples sent by an attack that the capture has to show; of a few tuples, all but as
many as the attacker's cable loses at a time."""

_FILE_HEADER_BYTES = 24
_RECORD_HEADER = struct.Struct("=8xI4x")
"""Only the captured length of a pcap record, in the byte order of the machine that wrote it."""

_IDLE_NS = 120 * 10**9
_PROTOCOLS = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmpv6"}


@dataclass(frozen=True)
class Row:
    """A row of a label file, the attack that it is about, and what it matches."""

    attack: Attack
    task: str
    claim: Claim
    start_ns: int
    end_ns: int
    flows: int = 0
    packets: int = 0

    def line(self) -> str:
        """The row as the file has it."""
        claim = self.claim
        tuples = (claim.src, claim.src_port, claim.dst, claim.dst_port, claim.proto)
        return ",".join((span(self.start_ns, self.end_ns), *tuples, self.task, claim.value))


@dataclass
class CapturedFlow:
    """A flow of the capture: endpoints in the order of its first packet."""

    source: str
    source_port: int
    destination: str
    destination_port: int
    protocol: str
    first_ns: int
    last_ns: int
    packets: int = 0
    fins: int = 0
    closed: bool = False


def label_rows(plan: Plan, reports: list[dict[str, Any]]) -> list[Row]:
    """The rows of all attacks; `reports` in the order of `Plan.attacks`.

    Raises:
        LabelError: an attack has sent nothing.
    """
    rows = []
    for attack, report in zip(plan.attacks, reports, strict=True):
        if not report["first"]:
            said = f" (it said: {report['said']})" if report.get("said") else ""
            raise LabelError(
                f"{attack.task} from {attack.host} has sent nothing{said}; record again, with "
                "fewer attacks or a longer duration if the machine is busy"
            )
        if attack.task == "ssl_renegotiation":
            rows += [_connection_row(attack, made) for made in report["connections"]]
        else:
            start_ns = nanoseconds(report["first"] - BEFORE_S)
            end_ns = nanoseconds(report["last"] + AFTER_S)
            rows += [
                Row(attack, task, claim, start_ns, end_ns) for task, claim in _labelled(attack)
            ]
    return rows


def _labelled(attack: Attack) -> Iterator[tuple[str, Claim]]:
    """An attack's claims with the tasks that they are labels of.

    Reflected SSDP is UDP reflection too. Sent straight to the victim it is none, but where one
    side is not seen it looks like the one half or the other of it: nobody is asked about that.
    Nor whether reflection by another protocol is an SSDP flood: the ports that tell them apart are
    no feature.
    """
    for claim in attack.claims:
        yield attack.task, claim
        if attack.task == "ssdp_flood":
            value = claim.value if attack.reflectors else "unknown"
            yield "udp_reflection", replace(claim, value=value)
        elif attack.task == "udp_reflection":
            yield "ssdp_flood", replace(claim, value="unknown")


def _connection_row(attack: Attack, connection: dict[str, Any]) -> Row:
    """A row for one connection: one that never came to renegotiate is not known to be an attack."""
    value = "1" if connection["count"] >= MIN_RENEGOTIATIONS else "unknown"
    claim = replace(attack.claims[0], src_port=str(connection["port"]), value=value)
    made = connection["made"]
    return Row(
        attack, attack.task, claim, nanoseconds(made - BEFORE_S), nanoseconds(made + AFTER_S)
    )


def nanoseconds(seconds: float) -> int:
    """In whole microseconds, which is what a float of seconds since 1970 can hold."""
    return round(seconds * 1e6) * 1000


def span(start_ns: int, end_ns: int) -> str:
    """The columns ``start,end`` of a label file."""
    return ",".join(f"{time // 10**9}.{time % 10**9:09d}" for time in (start_ns, end_ns))


def require_whole(capture: Path, frames: int) -> None:
    """Makes sure that a capture holds every frame that its recorder took.

    tcpdump says nothing about a file that it could not write to its end.

    Raises:
        HostError: frames are missing.
    """
    found = 0
    with capture.open("rb") as file:
        whole = len(file.read(_FILE_HEADER_BYTES)) == _FILE_HEADER_BYTES
        while whole and (header := file.read(_RECORD_HEADER.size)):
            whole = len(header) == _RECORD_HEADER.size
            if whole:
                (length,) = _RECORD_HEADER.unpack(header)
                whole = len(file.read(length)) == length
                found += 1
    if not whole or found != frames:
        raise HostError(
            f"{capture}: does not hold the {frames} frames that tcpdump took; record again, where "
            "there is room for them"
        )


def captured_flows(capture: Path) -> list[CapturedFlow]:
    """Flows of IPv4 and IPv6 in an Ethernet capture, in order of their first packets.

    A tuple begins a new flow after 120 s of silence, or with a SYN after its flow has closed
    (`docs/semantics.md` 5).
    """
    flows: list[CapturedFlow] = []
    current: dict[tuple[Any, ...], CapturedFlow] = {}
    for time_ns, packet in _packets(capture):
        protocol = _PROTOCOLS.get(packet.p)
        if protocol is None:
            continue
        body = packet.data
        kind = _message(body)
        ends = [
            (packet.src, getattr(body, "sport", kind)),
            (packet.dst, getattr(body, "dport", kind)),
        ]
        key = (protocol, *sorted(ends))
        flags = body.flags if isinstance(body, dpkt.tcp.TCP) else 0
        flow = current.get(key)
        fresh_syn = flags & (dpkt.tcp.TH_SYN | dpkt.tcp.TH_ACK) == dpkt.tcp.TH_SYN
        if flow is None or time_ns > flow.last_ns + _IDLE_NS or (flow.closed and fresh_syn):
            names = [(str(ipaddress.ip_address(address)), port) for address, port in ends]
            flow = CapturedFlow(*names[0], *names[1], protocol, time_ns, time_ns)
            current[key] = flow
            flows.append(flow)
        flow.packets += 1
        flow.last_ns = max(flow.last_ns, time_ns)
        if flags & dpkt.tcp.TH_FIN:
            flow.fins |= 1 if _is_source(flow, packet.src) else 2
        flow.closed |= bool(flags & dpkt.tcp.TH_RST) or flow.fins == 3
    return flows


def _message(body: Any) -> int:
    """What tells flows of ICMP apart: the type, with an echo's request and answer as one."""
    return {0: 8, 129: 128}.get(kind := getattr(body, "type", 0), kind)


def _is_source(flow: CapturedFlow, address: bytes) -> bool:
    """Whether an address is that of the flow's first sender."""
    return str(ipaddress.ip_address(address)) == flow.source


def _packets(capture: Path) -> Iterator[tuple[int, Any]]:
    with capture.open("rb") as file:
        for seconds, frame in dpkt.pcap.Reader(file):
            packet = dpkt.ethernet.Ethernet(frame).data
            if isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6):
                yield int(seconds * 10**9), packet


def check_rows(
    rows: list[Row],
    reports: dict[int, dict[str, Any]],
    flows: list[CapturedFlow],
    loss_bursts: Mapping[int, float],
) -> tuple[list[Row], dict[int, int]]:
    """Counts what each row matches and drops rows that match nothing.

    Args:
        rows: of all attacks.
        reports: of the attacks, by their index.
        flows: of the capture.
        loss_bursts: frames that the attacker's cable loses in a row, on average, by the attack's
            index.

    Returns:
        The rows that are left with their counts, and by index the flows that are the attack's.

    Raises:
        LabelError: an attack is missing in the capture, or its rows match flows that it did not
            make; the recording is not to be used.
    """
    counts = [[0, 0] for _ in rows]
    matched: dict[int, int] = {}
    for flow in flows:
        tuples = (flow.source, flow.source_port, flow.destination, flow.destination_port)
        attacks = set()
        for row, count in zip(rows, counts, strict=True):
            within = row.start_ns <= flow.first_ns <= row.end_ns
            if within and row.claim.fits(*tuples, flow.protocol):
                count[0] += 1
                count[1] += flow.packets
                if row.claim.value == "1":
                    attacks.add(row.attack.index)
        for index in attacks:
            matched[index] = matched.get(index, 0) + 1
    for index, attack in {row.attack.index: row.attack for row in rows}.items():
        sent, seen = reports[index]["flows"], matched.get(index, 0)
        if attack.task == "ssl_renegotiation":
            sent = sum(row.claim.value == "1" for row in rows if row.attack is attack)
        # A tuple that the victim has reset makes a new flow when the flood comes back to it.
        most = sent if attack.task == "ssl_renegotiation" else reports[index]["packets"]
        # A reflector that answers from new ports, or in place of a group, makes flows of its own.
        # A device that answers a scanned port from a new one does as well.
        bounded = not attack.reflectors and attack.settings.get("mode") != "search"
        bounded = bounded and attack.settings.get("method") != "udp"
        lost = max((1 - MIN_SEEN) * sent, math.ceil(loss_bursts[index]))
        if seen < sent - lost or bool(seen) < bool(sent) or (bounded and seen > most):
            raise LabelError(
                f"{attack.task} from {attack.host} sent {sent} flows, but its labels match {seen}; "
                "record again, with a lower rate if the machine is busy"
            )
    left = [
        replace(row, flows=count[0], packets=count[1])
        for row, count in zip(rows, counts, strict=True)
        if count[0]
    ]
    return left, matched


def write_labels(path: Path, lines: Iterable[str], categorical: Iterable[str] = ()) -> None:
    """Writes a label file; all of the lab's tasks are covered.

    Args:
        path: the file.
        lines: of the rows.
        categorical: declarations of tasks that have classes.
    """
    covered = ",".join((*ATTACKS, *categorical))
    path.write_text("\n".join([f"# covered: {covered}", HEADER, *lines]) + "\n", encoding="ascii")
