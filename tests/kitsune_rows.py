"""The packets behind the authors' published statistics, worked out from the statistics themselves.

A published row tells the weights of its streams in five windows. From one packet of a stream to
the next a weight goes from w to 1 + w · 2^(−λΔt), so all windows of a row and of the row before it
in the same stream give the same Δt, and no other row does: that is how streams are found. Sizes
are differences of weighted means. Which streams are opposite follows from the magnitude,
√(μ² + μ'²). Only rows that follow each other from a capture's second packet on can be read so;
`SSDP_Flood_random.csv` and `SYN_DoS_random.csv` begin with 999 of them.
"""

import csv
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from sensor.packets.headers import UDP, Headers

DECAYS = np.array([5, 3, 1, 0.1, 0.01])
TICK = 2.0**-22
"""Times are float64 seconds since 1970, whose last bit is this much."""

FAMILIES = {"MI": (0, 3), "H": (15, 3), "HH": (30, 7), "HH_jit": (65, 3), "HpHp": (80, 7)}
"""First column and statistics of each window, in the published order."""


def columns(rows, family):
    """``(rows, 5, statistics)``."""
    first, statistics = FAMILIES[family]
    return rows[:, first : first + 5 * statistics].reshape(len(rows), 5, statistics)


def published(path: Path):
    """The rows ``(rows, 115)`` of the packets 1, 2, 3, … of a capture; packet 0 has none."""
    with path.open() as file:
        lines = list(csv.reader(file))[1:]
    index = [int(line[1]) for line in lines]
    count = next((i for i, (a, b) in enumerate(pairwise(index), 1) if b != a + 1), len(index))
    assert index[0] == 1
    rows = np.array([[float(value or "nan") for value in line[3:]] for line in lines[:count]])
    return rows[np.isfinite(rows).all(axis=1)]


@dataclass
class Streams:
    """Of each row the number of its stream, the row before in it or −1, and the seconds since."""

    stream: list
    before: list
    gap: list
    opposite: dict


def streams(rows, family) -> Streams:
    """Follows the weights and means of a family from row to row."""
    weight, mean = (columns(rows, family)[:, :, i] for i in (0, 1))
    found = Streams([], [], [], {})
    last: list[int] = []
    for row in range(len(rows)):
        matches = []
        for stream, other in enumerate(last if weight[row, 4] > 1 + 1e-9 else ()):
            left = (weight[row] - 1) / weight[other]
            if (left <= 0).any():
                continue
            gaps = -np.log2(left) / DECAYS
            size = mean[row] * weight[row] - left * weight[other] * mean[other]
            if np.ptp(gaps) < TICK / 4 and np.ptp(size) < 1e-4 and gaps[2] > -TICK / 2:
                matches.append((np.ptp(gaps), stream, round(gaps[2] / TICK) * TICK))
        _, chosen, gap = min(matches, default=(0, len(last), 0.0))
        found.before.append(last[chosen] if matches else -1)
        found.gap.append(gap)
        found.stream.append(chosen)
        last[chosen : chosen + 1] = [row]
    if family in {"HH", "HpHp"}:
        found.opposite = _opposites(mean, columns(rows, family)[:, :, 3], found.stream)
    return found


def _opposites(mean, magnitude, stream):
    """For each stream the one whose mean, most often, explains its magnitudes."""
    votes: dict[int, Counter] = {}
    last: dict[int, int] = {}
    for row, mine in enumerate(stream):
        theirs = np.sqrt(np.maximum(magnitude[row] ** 2 - mean[row] ** 2, 0))
        for other, at in last.items():
            if other != mine and (theirs > 1).all() and np.allclose(mean[at], theirs, rtol=1e-5):
                votes.setdefault(mine, Counter())[other] += 1
        last[mine] = row
    return {mine: counter.most_common(1)[0][0] for mine, counter in votes.items()}


def packets_behind(rows) -> Headers:
    """Packets 0, 1, 2, … whose statistics the rows are, from 1 on; addresses are made up."""
    sender, channel, socket = (streams(rows, family) for family in ("H", "HH", "HpHp"))
    weight, mean = (columns(rows, "H")[:, :, i] for i in (0, 1))
    jitter = columns(rows, "HH_jit")[:, 0, 1]
    time, size = np.zeros(len(rows)), np.zeros(len(rows))
    # row 0 is of the sender's second packet, and the first of that socket
    gap = round(-np.log2(weight[0, 2] - 1) / TICK) * TICK
    size[0] = columns(rows, "HpHp")[0, 4, 1]
    size_0 = np.mean((mean[0] * weight[0] - size[0]) / (weight[0] - 1))
    gaps = columns(rows, "HH_jit")[0, :, 1] * weight[0]
    time_0 = round(np.mean((gaps - gap) / (weight[0] - 1)) / TICK) * TICK
    time[0] = time_0 + gap
    for row in range(1, len(rows)):
        before = sender.before[row]
        if before < 0:
            # the authors' first gap of a channel is its absolute time
            time[row], size[row] = jitter[row], mean[row, 4]
            continue
        left = weight[row, 4] - 1
        time[row] = time[before] + sender.gap[row]
        size[row] = mean[row, 4] * weight[row, 4] - left * mean[before, 4]
    assert np.abs(size - size.round()).max() < 1e-6

    host = dict(zip(channel.stream, sender.stream, strict=True))
    peer = {each: host.get(channel.opposite.get(each, -1), 1_000 + each) for each in host}
    port = {each: 2_000 + each for each in socket.stream}
    peer_port = {each: port.get(socket.opposite.get(each, -1), 3_000 + each) for each in port}
    # packet 0 is of the socket that is in its second packet when first seen
    second = columns(rows, "HpHp")[:, 4, 0] > 1 + 1e-9
    (first,) = [at for at in np.flatnonzero(second) if socket.before[at] < 0]
    channels = [channel.stream[0], *channel.stream]
    sockets = [socket.stream[first], *socket.stream]
    seconds = np.append(time_0, time)
    count = len(seconds)
    zeros = np.zeros(count, np.uint64)
    return Headers(
        timestamp_ns=np.round((seconds - np.floor(time_0)) * 1e9).astype(np.int64) + 10**18,
        version=np.full(count, 4, np.uint8),
        protocol=np.full(count, UDP, np.uint8),
        source_high=zeros,
        source_low=np.array([host[each] for each in channels], np.uint64),
        destination_high=zeros,
        destination_low=np.array([peer[each] for each in channels], np.uint64),
        source_port=np.array([port[each] for each in sockets], np.uint16),
        destination_port=np.array([peer_port[each] for each in sockets], np.uint16),
        ip_length=np.append(size_0, size).round().astype(np.uint16),
        payload_length=zeros.astype(np.uint16),
        tcp_flags=zeros.astype(np.uint8),
        ttl=np.zeros((count, 0), np.uint8),
        tcp_window=np.zeros((count, 0), np.uint16),
        sequence_numbers=np.zeros((count, 0), np.uint64),
        tcp_timestamps=np.zeros((count, 0), np.uint64),
    )
