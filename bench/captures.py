"""Writes the captures that the benchmark reads: seeded and described, so anybody can make the same.

- ``mix``: IoT-like traffic for two minutes: short and long TCP connections, DNS-like UDP pairs,
  UDP sessions, pings, and a few bulk transfers that hold a fifth of the packets; 20 % of the
  flows IPv6, 20 % in a VLAN. 1.5 million packets in 104,030 flows, 690 MB.
- ``syn``: three million SYNs from as many spoofed sources, 10 µs apart, to one web server.
- ``64-byte`` and ``1500-byte``: two million frames of 60 bytes (64 with the checksum), and
  400,000 IP packets of 1,500 bytes, both UDP in 1,000 flows.

Payload is random, as if encrypted; checksums of IPv4 are right, those of TCP, UDP and ICMP are 0,
as a capture on a sending machine has them.

    python -m bench.captures mix out/mix.pcap --scale 0.1
"""

import gzip
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

START_US = 1_700_000_000_000_000
SPAN_US = 120_000_000

ETHERNET = [("destination", "V6"), ("source", "V6")]
VLAN = [("tpid", ">u2"), ("tci", ">u2")]
IPV4 = [
    ("ethertype", ">u2"), ("first", ">u2"), ("length", ">u2"), ("id", ">u2"), ("fragment", ">u2"),
    ("ttl", "u1"), ("protocol", "u1"), ("checksum", ">u2"), ("src", ">u4"), ("dst", ">u4"),
]  # fmt: skip
IPV6 = [
    ("ethertype", ">u2"), ("first", ">u4"), ("length", ">u2"), ("protocol", "u1"), ("ttl", "u1"),
    ("src_high", ">u8"), ("src", ">u8"), ("dst_high", ">u8"), ("dst", ">u8"),
]  # fmt: skip
TRANSPORT = {
    6: [
        ("sport", ">u2"), ("dport", ">u2"), ("seq", ">u4"), ("ack", ">u4"), ("offset", "u1"),
        ("flags", "u1"), ("window", ">u2"), ("sum", ">u2"), ("urgent", ">u2"),
    ],
    17: [("sport", ">u2"), ("dport", ">u2"), ("size", ">u2"), ("sum", ">u2")],
    1: [("type", "u1"), ("code", "u1"), ("sum", ">u2"), ("id_", ">u2"), ("sequence", ">u2")],
}  # fmt: skip
RECORD = np.dtype([("s", "<u4"), ("us", "<u4"), ("captured", "<u4"), ("wire", "<u4")])

Columns = dict[str, NDArray[np.int64]]


def write(path: Path, packets: Columns, random: np.random.Generator) -> None:
    """Writes packets, sorted by time, as a little-endian microsecond pcap of whole frames."""
    kind = packets["version"] * 1000 + packets["protocol"] * 2 + (packets["vlan"] > 0)
    layouts = {}
    header = np.zeros(kind.size, np.int64)
    for value in np.unique(kind):
        version, protocol, tagged = value // 1000, value % 1000 // 2, value % 2
        fields = ETHERNET + (VLAN if tagged else []) + (IPV4 if version == 4 else IPV6)
        layouts[value] = np.dtype(fields + TRANSPORT[int(protocol)])
        header[kind == value] = layouts[value].itemsize
    wire = np.maximum(header + packets["payload"], 60)
    end = 24 + np.cumsum(wire + RECORD.itemsize)
    octets = random.integers(0, 1 << 64, int(end[-1]) // 8 + 17, np.uint64).view(np.uint8)
    octets[:24] = np.frombuffer(
        np.array([0xA1B2C3D4, 2 | 4 << 16, 0, 0, 65_535, 1], "<u4").tobytes(), np.uint8
    )
    records = np.zeros(kind.size, RECORD)
    records["s"], records["us"] = np.divmod(packets["time"], 1_000_000)
    records["captured"] = records["wire"] = wire
    _scatter(octets, end - wire - RECORD.itemsize, records)
    for value, layout in layouts.items():
        rows = np.flatnonzero(kind == value)
        _scatter(octets, (end - wire)[rows], _frames(layout, packets, rows))
    path.parent.mkdir(parents=True, exist_ok=True)
    octets[: end[-1]].tofile(path)


def _scatter(octets: NDArray[np.uint8], at: NDArray[np.int64], records: NDArray[np.void]) -> None:
    width = records.dtype.itemsize
    view = np.ndarray((octets.size - width + 1,), f"V{width}", octets, strides=(1,))
    view[at] = records.view(f"V{width}")


def _frames(
    layout: np.dtype[np.void], packets: Columns, rows: NDArray[np.int64]
) -> NDArray[np.void]:
    frame = np.zeros(rows.size, layout)
    chosen = {name: column[rows] for name, column in packets.items()}
    back = chosen["back"].astype(bool)
    names = layout.names or ()
    v6 = "src_high" in names
    transport = sum(np.dtype(kind).itemsize for _, kind in TRANSPORT[int(chosen["protocol"][0])])
    frame["ethertype"] = 0x86DD if v6 else 0x0800
    frame["first"] = 0x60000000 if v6 else 0x4500
    frame["length"] = chosen["payload"] + transport + (0 if v6 else 20)
    frame["ttl"] = chosen["ttl"]
    frame["protocol"] = np.where(v6 & (chosen["protocol"] == 1), 58, chosen["protocol"])
    for side, ours in (("src", ~back), ("dst", back)):
        frame[side] = np.where(ours, chosen["client"], chosen["server"])
        if v6:
            frame[f"{side}_high"] = 0x20010DB8 << 32
    if "checksum" in names:
        frame["checksum"] = _ipv4_checksum(frame)
    if "tci" in names:
        frame["tpid"], frame["tci"] = 0x8100, chosen["vlan"]
    if "sport" in names:
        frame["sport"] = np.where(back, chosen["server_port"], chosen["client_port"])
        frame["dport"] = np.where(back, chosen["client_port"], chosen["server_port"])
    if "flags" in names:
        frame["flags"], frame["offset"], frame["window"] = chosen["flags"], 0x50, 64_240
    if "type" in names:
        frame["type"] = np.where(back, 129 if v6 else 0, 128 if v6 else 8)
    if "size" in names:
        frame["size"] = chosen["payload"] + 8
    return frame


def _ipv4_checksum(frame: NDArray[np.void]) -> NDArray[np.int64]:
    """RFC 791, over a header without options whose identification and fragment fields are 0."""
    word = {name: frame[name].astype(np.int64) for name in ("length", "ttl", "protocol")}
    total = 0x4500 + word["length"] + (word["ttl"] << 8 | word["protocol"])
    for side in ("src", "dst"):
        address = frame[side].astype(np.int64)
        total += (address >> 16) + (address & 0xFFFF)
    for _ in range(2):
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def mix(random: np.random.Generator, scale: float) -> Columns:
    """Packets of the realistic mix."""

    def lognormal(
        mean: float, sigma: float, low: int, high: int
    ) -> Callable[[int], NDArray[np.int64]]:
        return lambda n: np.clip(random.lognormal(mean, sigma, n).astype(int) + low, low, high)

    # flows, packets a flow, protocol, mean payload, mean gap in µs
    kinds: tuple[tuple[int, Callable[[int], NDArray[np.int64]], int, int, int], ...] = (
        (50_000, lognormal(2.3, 0.7, 6, 400), 6, 400, 8_000),
        (40_000, lambda n: np.full(n, 2), 17, 70, 20_000),
        (3_000, lognormal(3.5, 0.6, 8, 600), 6, 40, 400_000),
        (8_000, lognormal(2.0, 0.8, 1, 300), 17, 250, 30_000),
        (3_000, lambda n: np.full(n, 4), 1, 56, 100_000),
        (30, lambda n: random.integers(4_000, 18_000, n), 6, 1_200, 400),
    )
    parts = []
    for flows, sizes, protocol, payload, gap in kinds:
        count = sizes(max(1, round(flows * scale)))
        flow = np.repeat(np.arange(count.size), count)
        number = np.arange(flow.size) - np.repeat(np.cumsum(count) - count, count)
        gaps = np.where(number == 0, 0, random.exponential(gap, flow.size).astype(np.int64) + 1)
        passed = np.cumsum(gaps)
        since = passed - passed[np.flatnonzero(number == 0)][flow]
        begin = random.integers(0, SPAN_US, count.size)
        last = number == count[flow] - 1
        tcp = protocol == 6
        flags = np.select([number == 0, number == 1, last], [0x02, 0x12, 0x11], 0x18)
        back = np.where(number < 2, number, random.integers(0, 2, flow.size))
        size = np.minimum(random.exponential(payload, flow.size).astype(int), 1_400)
        address = 0x0A000000 + random.integers(1, 4_000, count.size)
        ports = [443, 80, 1883, 8883, 22] if tcp else [53, 123, 5683, 443, 1900]
        parts.append(
            {
                "time": START_US + begin[flow] + since,
                "version": np.where(random.random(count.size) < 0.2, 6, 4)[flow],
                "vlan": ((random.random(count.size) < 0.2) * random.integers(1, 4, count.size))[
                    flow
                ],
                "protocol": np.full(flow.size, protocol),
                "client": address[flow],
                "server": (0x0A200000 + random.integers(1, 20_000, count.size))[flow],
                "client_port": random.integers(1_024, 65_536, count.size)[flow],
                "server_port": random.choice(ports, count.size)[flow],
                "ttl": random.choice([64, 128, 57, 255], count.size)[flow],
                "back": back,
                "flags": flags,
                "payload": np.where(tcp & (flags != 0x18), 0, size),
            }
        )
    packets = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(packets["time"], kind="stable")
    return {name: column[order] for name, column in packets.items()}


def syn(random: np.random.Generator, scale: float) -> Columns:
    """Packets of the SYN flood."""
    count = round(3_000_000 * scale)
    constant = {"version": 4, "vlan": 0, "protocol": 6, "server": 0x0A000005, "server_port": 80}
    constant |= {"ttl": 64, "back": 0, "flags": 0x02, "payload": 0}
    return {
        "time": START_US + np.cumsum(random.integers(1, 20, count)),
        "client": 0x0B000000 + random.permutation(1 << 22)[:count],
        "client_port": random.integers(1_024, 65_536, count),
        **{name: np.full(count, value) for name, value in constant.items()},
    }


def same_size(payload: int, packets: int) -> Callable[[np.random.Generator, float], Columns]:
    """A recipe of UDP packets of one size, in 1,000 flows of both directions."""

    def recipe(random: np.random.Generator, scale: float) -> Columns:
        count = round(packets * scale)
        flow = random.integers(0, 1_000, count)
        constant = {"version": 4, "vlan": 0, "protocol": 17, "server": 0x0A000005, "ttl": 64}
        constant |= {"server_port": 5683, "payload": payload}
        return {
            "time": START_US + np.cumsum(random.integers(1, 20, count)),
            "client": 0x0A010000 + flow,
            "client_port": 1_024 + flow,
            "back": random.integers(0, 2, count),
            **{name: np.full(count, value) for name, value in constant.items()},
        }

    return recipe


RECIPES = {
    "mix": mix,
    "syn": syn,
    "64-byte": same_size(18, 2_000_000),
    "1500-byte": same_size(1_472, 400_000),
}


def make(recipe: str, path: Path, scale: float = 1.0, seed: int = 7) -> tuple[int, int]:
    """Writes a capture by its recipe, in which `scale` multiplies the flows.

    Returns:
        How many packets it has, and how many five-tuples.
    """
    random = np.random.default_rng(seed)
    packets = RECIPES[recipe](random, scale)
    write(path, packets, random)
    ends = packets["client"] << 32 | packets["server"]
    ports = packets["client_port"] << 16 | packets["server_port"]
    kind = ports << 16 | packets["protocol"] << 8 | packets["version"]
    order = np.lexsort((ends, kind))
    changes = (np.diff(ends[order]) != 0) | (np.diff(kind[order]) != 0)
    return order.size, int(np.count_nonzero(changes)) + 1


def cut(source: Path, path: Path, packets: int) -> int:
    """Copies the first packets of a capture that `write` made; returns how many there were."""
    with source.open("rb") as stream, path.open("wb") as copy:
        copy.write(stream.read(24))
        for number in range(packets):
            if not (record := stream.read(16)):
                return number
            copy.write(record)
            copy.write(stream.read(struct.unpack_from("<I", record, 8)[0]))
    return packets


def to_pcapng(source: Path, path: Path) -> None:
    """Rewrites a capture that `write` made as pcapng, a block a packet."""
    with source.open("rb") as stream, path.open("wb") as copy:
        stream.seek(24)
        copy.write(struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28))
        copy.write(struct.pack("<IIHHII", 1, 20, 1, 0, 65_535, 20))
        while record := stream.read(16):
            seconds, micros, captured, wire = struct.unpack("<IIII", record)
            time = seconds * 1_000_000 + micros
            size = 32 + captured + -captured % 4
            copy.write(
                struct.pack("<IIIIIII", 6, size, 0, time >> 32, time & 0xFFFFFFFF, captured, wire)
            )
            copy.write(stream.read(captured) + bytes(-captured % 4) + struct.pack("<I", size))


def to_gzip(source: Path, path: Path) -> None:
    """Compresses a capture as ``gzip`` does by default."""
    with source.open("rb") as stream, gzip.open(path, "wb", compresslevel=6) as copy:
        shutil.copyfileobj(stream, copy, 1 << 20)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("recipe", type=click.Choice(list(RECIPES)))
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--scale", default=1.0, help="Share of the flows.", show_default=True)
@click.option("--seed", default=7, show_default=True)
def main(recipe: str, path: Path, scale: float, seed: int) -> None:
    """Writes a capture to PATH."""
    packets, flows = make(recipe, path, scale, seed)
    size = path.stat().st_size / 1e6
    click.echo(f"{path}: {packets:,} packets in {flows:,} flows, {size:,.0f} MB")


if __name__ == "__main__":
    main()
