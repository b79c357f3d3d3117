"""tshark as a third reader: frames, and packets of each pair of TCP or UDP endpoints.

Its conversations are not cut by silence, closing or eviction, so pairs of endpoints are compared,
and how many packets each has. Where it looks deeper or less deep than the rules, the difference is
put down to the rule; what is left is unexplained.
"""

import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from reference_decode import TCP, UDP, Frame, Packet, ReferenceDecoder

Pair = tuple[int, int, frozenset[tuple[int, int]]]
"""IP version, protocol, and the two endpoints (address and port)."""

COMMAND = (
    *("tshark", "-n", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"),
    *("-T", "fields", "-e", "frame.protocols", "-z", "conv,tcp", "-z", "conv,udp"),
)
"""A line of protocols for each frame, then the tables of conversations. (The totals of `io,stat`
and `io,phs` leave frames out, those whose time is not within the file's.)"""

TUNNELS = ("gre", "vxlan", "gtp", "capwap.data", "cfp", "ppi", "chdlc:mpls")
"""What tshark looks into and rules 19 to 23 do not, by the names of its protocols."""


@dataclass
class Comparison:
    """One capture.

    Attributes:
        frames, their_frames: read by the reference and by tshark.
        pairs, their_pairs: of TCP or UDP endpoints.
        explained: packets that only one of the two counts, by the reason.
        unexplained: what is left, in words.
    """

    frames: int
    their_frames: int
    pairs: int
    their_pairs: int
    explained: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)


def compare_with_tshark(path: Path, frames: Iterable[Frame]) -> Comparison:
    """Frames and packets by pair, in the reference and in tshark."""
    decoder = ReferenceDecoder()
    ours: Counter[Pair] = Counter()
    remarked: Counter[Pair] = Counter()
    explained: Counter[str] = Counter()
    count = 0
    for frame in frames:
        count += 1
        packet = decoder.decode(frame)
        if isinstance(packet, Packet) and packet.protocol in (TCP, UDP):
            ours[_pair(packet)] += 1
            if decoder.remark:
                remarked[_pair(packet)] += 1
                explained[decoder.remark] += 1
    chains, theirs = _tshark(path)
    found = Comparison(count, len(chains), len(ours), len(theirs), explained)
    if count != len(chains):
        found.unexplained.append(f"{count} frames, {len(chains)} in tshark")
    wanted = ours - remarked
    if missing := wanted - theirs:
        found.unexplained.append(f"{sum(missing.values())} packets that tshark does not count")
    if surplus := theirs - wanted:
        # Inside of a tunnel too, tshark gives up on TCP whose options are cut, so some are missing.
        inside = Counter(filter(None, map(_tunnel, chains)))
        more = sum(surplus.values())
        if more <= sum(inside.values()):
            explained["in " + " or ".join(sorted(inside))] += more
        else:
            found.unexplained.append(f"{more} packets that only tshark counts")
    return found


def _tshark(path: Path) -> tuple[list[str], Counter[Pair]]:
    """The protocols of each frame of a capture, and packets by pair."""
    run = subprocess.run([*COMMAND, "-r", str(path)], capture_output=True, text=True, check=False)
    chains, _, tables = run.stdout.partition("=====")
    packets: Counter[Pair] = Counter()
    protocol = TCP
    for line in tables.splitlines():
        if line.startswith(("TCP Conversations", "UDP Conversations")):
            protocol = TCP if line.startswith("TCP") else UDP
        elif " <-> " in line:
            # Each direction and their sum have a count of frames, then bytes with a unit.
            left, _, right, *numbers = line.split()
            ends = (_endpoint(left), _endpoint(right))
            version = ip_address(left.rpartition(":")[0]).version
            packets[version, protocol, frozenset(ends)] += int(numbers[0]) + int(numbers[3])
    return chains.splitlines(), packets


def _tunnel(chain: str) -> str:
    """The tunnel in which a frame has TCP or UDP and into which the rules do not look, if any."""
    for tunnel in TUNNELS:
        _, here, behind = f":{chain}:".partition(f":{tunnel}:")
        if here and (":tcp:" in f":{behind}" or ":udp:" in f":{behind}"):
            return tunnel
    return ""


def _pair(packet: Packet) -> Pair:
    ends = (
        (packet.source, packet.source_port),
        (packet.destination, packet.destination_port),
    )
    return packet.version, packet.protocol, frozenset(ends)


def _endpoint(text: str) -> tuple[int, int]:
    address, _, port = text.rpartition(":")
    return int(ip_address(address)), int(port)
