"""Handshakes of a capture: the sum of the sensor's two parts beside tshark's `initial_rtt`."""

import contextlib
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensor.capture.formats import open_capture
from sensor.latency.measurements import ENDS, KINDS
from sensor.latency.round_trips import RoundTrips
from sensor.packets.decode import Decoder
from sensor.packets.headers import PROBE_TYPES


@dataclass(frozen=True)
class Handshakes:
    """What both say of the connections of a capture.

    Attributes:
        tshark: connections that tshark has a time of.
        sensor: those that the sensor has one of.
        equal: those of which both have the same one, to the nanosecond.
        ambiguous: answers of which the sensor does not say to which packet they are.
    """

    tshark: int
    sensor: int
    equal: int
    ambiguous: int


def round_trips(path: Path) -> tuple[NDArray[np.void], int]:
    """All measurements of a capture, of peers with and without a series, and ambiguous answers."""
    trips, decoder = RoundTrips(), Decoder(PROBE_TYPES)
    with contextlib.closing(open_capture(str(path))) as source:
        found = [trips.add(decoder.decode(block)) for block in source]
    return np.concatenate([*found, trips.finish()]), trips.ambiguous


def handshakes(path: Path) -> Handshakes:
    """Compares; of a connection that is refused the time to the refusal counts for both."""
    found, ambiguous = round_trips(path)
    ours = Counter(_sums(found))
    theirs = Counter(_of_tshark(path))
    return Handshakes(theirs.total(), ours.total(), (ours & theirs).total(), ambiguous)


def _sums(found: NDArray[np.void]) -> list[int]:
    """Nanoseconds from SYN to ACK, of connections of which both parts were measured."""
    back = dict(zip(ENDS, ENDS, strict=True))
    for part in ("high", "low", "port"):
        ends = f"source_{part}", f"destination_{part}"
        back |= {ends[0]: ends[1], ends[1]: ends[0]}
    answered = found[found["answered"]]
    syn = answered[answered["kind"] == KINDS.index("syn")]
    syn_ack = answered[answered["kind"] == KINDS.index("syn_ack")]
    # a SYN-ACK is what answers the SYN: the same two ends, and the same moment
    rest = {
        (*(each[back[name]].item() for name in ENDS), each["sent_ns"].item()): int(each["rtt_ns"])
        for each in syn_ack
    }
    sums = []
    for each in syn:
        heard = int(each["sent_ns"] + each["rtt_ns"])
        key = (*(each[name].item() for name in ENDS), heard)
        if each["refused"]:
            sums.append(int(each["rtt_ns"]))
        elif key in rest:
            sums.append(int(each["rtt_ns"]) + rest[key])
    return sums


def _of_tshark(path: Path) -> list[int]:
    fields = ["-e", "tcp.stream", "-e", "tcp.analysis.initial_rtt"]
    command = ["tshark", "-n", "-r", str(path), "-Y", "tcp.analysis.initial_rtt", "-T", "fields"]
    done = subprocess.run([*command, *fields], capture_output=True, text=True, check=True)
    streams = dict(line.split("\t") for line in done.stdout.splitlines())
    return [round(float(seconds) * 1e9) for seconds in streams.values()]
