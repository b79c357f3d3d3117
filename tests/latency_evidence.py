"""Evidence of alerts about a peer that is pinged, and what dpkt reads of the same packets."""

import struct
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import dpkt
import frames
from command import ROOT
from demo_evidence import write_evidence
from latency_reference import Reference, Row

from sensor.model.bundle import Bundle
from sensor.reporting.evidence_files import Evidence, read
from sensor.reporting.explanation import Explanation, explain

BUNDLE = ROOT / "models" / "latency"
CLIENT, PEER = "10.0.0.1", "192.0.2.1"
START, MS = 1_700_000_000_000_000_000, 1_000_000
OUTAGE, SWELL = range(100, 108), range(160, 190)


def sent() -> list[tuple[int, bytes]]:
    """Pings a fifth of a second apart, some of 20 ms and some lost, then some of 70 ms."""
    found = []
    for number in range(SWELL.stop):
        rest = struct.pack("!HH", 77, number)
        at = START + number * 200 * MS
        took = 20_000_000 + number * 7_919_011 % 400_000 + (number in SWELL) * 50 * MS
        found.append((at, frames.icmp_frame(CLIENT, PEER, 8, 0, rest, bytes(56))))
        if number not in OUTAGE:
            back = frames.icmp_frame(PEER, CLIENT, 0, 0, rest, bytes(56))
            found.append((at + took, back))
    return sorted(found)


def capture(folder: Path) -> Path:
    """The pings as a capture file."""
    times, contents = zip(*sent(), strict=True)
    return frames.write_pcap(folder / "pings.pcap", contents, times, frames.NANOS_LE)


@cache
def kept() -> dict[str, Evidence]:
    """By task; of several incidents of a task the one with most rows."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "evidence")
        write_evidence(capture(Path(folder)), files, bundle=BUNDLE)
        found = sorted(map(read, files.iterdir()), key=lambda each: each.seen)
    return {each.alert.task: each for each in found}


@cache
def explained(task: str) -> Explanation:
    """The incident of a task, with two rows one by one."""
    return explain(kept()[task], Bundle.read(BUNDLE), 2)


@cache
def windows() -> dict[int, Row]:
    """The windows of the series as dpkt reads the packets, by their numbers."""
    reference = Reference()
    for time_ns, octets in sent():
        reference.add(time_ns, octets)
    reference.finish()
    return {row.number: row for row in reference.rows}


def by_number(pcap: Path) -> dict[int, list[int]]:
    """Times in ns of the request and of its answer, if any, by the ping's number, from a file."""
    times: dict[int, list[int]] = {}
    for time_ns, message in _echoes(pcap):
        times.setdefault(message.data.seq, []).append(time_ns)
    return times


def _echoes(pcap: Path) -> Iterator[tuple[int, dpkt.icmp.ICMP]]:
    with pcap.open("rb") as file:
        for time, frame in dpkt.pcap.Reader(file):
            yield int(time * 10**9), dpkt.ethernet.Ethernet(frame).data.data
