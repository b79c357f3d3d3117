"""Writes the captures that the figures are measured on: a gateway's mix and a SYN flood.

Seeded and described here, so anybody can make the same files:

- ``mix``: IoT-like traffic for two minutes: short and long TCP connections, DNS-like UDP pairs,
  UDP sessions, pings, and a few bulk transfers that hold half of the packets; 20 % of the flows
  IPv6, 20 % in a VLAN. 1.5 million packets in 105,000 flows, 500 MB (scale 1).
- ``syn``: a million SYNs from as many spoofed sources, 10 µs apart, to one web server.

    python bench/captures.py mix out/mix.pcap --scale 0.1
"""

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


def write(path: Path, packets: Columns) -> None:
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
    octets = np.zeros(int(end[-1]) + 128, np.uint8)
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
    path.write_bytes(octets[: end[-1]].tobytes())


def _scatter(octets: NDArray[np.uint8], at: NDArray[np.int64], records: NDArray[np.void]) -> None:
    width = records.dtype.itemsize
    view = np.ndarray((octets.size - width + 1,), f"V{width}", octets, strides=(1,))
    view[at] = records.view(f"V{width}")


def _frames(layout: np.dtype, packets: Columns, rows: NDArray[np.int64]) -> NDArray[np.void]:
    frame = np.zeros(rows.size, layout)
    chosen = {name: column[rows] for name, column in packets.items()}
    back = chosen["back"].astype(bool)
    v6 = "src_high" in layout.names
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
    if "tci" in layout.names:
        frame["tpid"], frame["tci"] = 0x8100, chosen["vlan"]
    if "sport" in layout.names:
        frame["sport"] = np.where(back, chosen["server_port"], chosen["client_port"])
        frame["dport"] = np.where(back, chosen["client_port"], chosen["server_port"])
    if "flags" in layout.names:
        frame["flags"], frame["offset"], frame["window"] = chosen["flags"], 0x50, 64_240
    if "type" in layout.names:
        frame["type"] = np.where(back, 129 if v6 else 0, 128 if v6 else 8)
    if "size" in layout.names:
        frame["size"] = chosen["payload"] + 8
    return frame


def mix(random: np.random.Generator, scale: float) -> Columns:
    """Packets of the realistic mix."""

    def lognormal(mean: float, sigma: float, low: int, high: int) -> Callable[[int], NDArray]:
        return lambda n: np.clip(random.lognormal(mean, sigma, n).astype(int) + low, low, high)

    # flows, packets a flow, protocol, mean payload, mean gap in µs
    kinds = (
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
        since = np.cumsum(gaps)
        since -= since[np.flatnonzero(number == 0)][flow]
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
    count = round(1_000_000 * scale)
    constant = {"version": 4, "vlan": 0, "protocol": 6, "server": 0x0A000005, "server_port": 80}
    constant |= {"ttl": 64, "back": 0, "flags": 0x02, "payload": 0}
    return {
        "time": START_US + np.cumsum(random.integers(1, 20, count)),
        "client": 0x0B000000 + random.permutation(1 << 22)[:count],
        "client_port": random.integers(1_024, 65_536, count),
        **{name: np.full(count, value) for name, value in constant.items()},
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("kind", type=click.Choice(["mix", "syn"]))
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--scale", default=1.0, help="Share of the flows.", show_default=True)
@click.option("--seed", default=7, show_default=True)
def main(kind: str, path: Path, scale: float, seed: int) -> None:
    """Writes a capture to PATH."""
    packets = {"mix": mix, "syn": syn}[kind](np.random.default_rng(seed), scale)
    write(path, packets)
    click.echo(f"{path}: {packets['time'].size:,} packets, {path.stat().st_size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
