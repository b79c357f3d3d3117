"""The programs that one writes with libraries, to have the first 16 packets of every flow.

With dpkt, scapy and pyshark: one packet and one dictionary at a time; flows of five-tuples in
both directions, of each packet the length, the direction, the flags and the time. No timeouts, no
eviction, no context: less than the sensor does. NFStream has its own flow table, and sequences of
packets (``splt_analysis``) as an option.

Each runs in an environment that has that library and nothing of this project:

    python bench/loops.py dpkt FILE
"""

import json
import sys
from collections.abc import Iterator

N = 16

Packet = tuple[int, tuple[object, object], tuple[object, object], int, int, float]
"""Protocol, source and destination (address and port), length, TCP flags, time in seconds."""


def assemble(packets: Iterator[Packet]) -> dict[str, int]:
    """Counts packets and flows, and has kept the sequences."""
    flows: dict[tuple[object, ...], list[tuple[int, bool, int, float]]] = {}
    count = 0
    for protocol, source, destination, length, flags, time in packets:
        count += 1
        forward = source < destination
        ends = (source, destination) if forward else (destination, source)
        sequence = flows.setdefault((protocol, *ends), [])
        if len(sequence) < N:
            sequence.append((length, forward, flags, time))
    return {"packets": count, "flows": len(flows)}


def with_dpkt(path: str) -> Iterator[Packet]:
    """Packets as dpkt reads them."""
    import dpkt  # noqa: PLC0415

    with open(path, "rb") as stream:  # noqa: PTH123 (dpkt takes a file)
        for time, octets in dpkt.pcap.Reader(stream):
            ip = dpkt.ethernet.Ethernet(octets).data
            if not isinstance(ip, (dpkt.ip.IP, dpkt.ip6.IP6)):
                continue
            layer = ip.data
            source = (ip.src, getattr(layer, "sport", 0))
            destination = (ip.dst, getattr(layer, "dport", 0))
            yield ip.p, source, destination, len(ip), getattr(layer, "flags", 0), time


def with_scapy(path: str) -> Iterator[Packet]:
    """Packets as scapy reads them."""
    from scapy.all import (  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
        IP,
        TCP,
        IPv6,
        PcapReader,
    )

    with PcapReader(path) as reader:
        for packet in reader:
            ip = packet.getlayer(IP) or packet.getlayer(IPv6)
            if ip is None:
                continue
            layer = ip.payload
            source = (ip.src, getattr(layer, "sport", 0))
            destination = (ip.dst, getattr(layer, "dport", 0))
            flags = int(layer.flags) if isinstance(layer, TCP) else 0
            protocol = ip.proto if ip.version == 4 else ip.nh
            length = ip.len if ip.version == 4 else ip.plen + 40
            yield protocol, source, destination, length, flags, float(packet.time)


def with_pyshark(path: str) -> Iterator[Packet]:
    """Packets as pyshark reads them, which has tshark dissect them."""
    import pyshark  # noqa: PLC0415

    with pyshark.FileCapture(path, keep_packets=False) as capture:
        for packet in capture:
            layers = {layer.layer_name: layer for layer in packet.layers}
            ip = layers.get("ip") or layers.get("ipv6")
            if ip is None:
                continue
            transport = layers.get("tcp") or layers.get("udp")
            source = (str(ip.src), int(transport.srcport) if transport else 0)
            destination = (str(ip.dst), int(transport.dstport) if transport else 0)
            flags = int(layers["tcp"].flags, 16) if "tcp" in layers else 0
            protocol, length = (ip.proto, ip.len) if "ip" in layers else (ip.nxt, ip.plen)
            yield (
                int(protocol),
                source,
                destination,
                int(length),
                flags,
                float(packet.sniff_timestamp),
            )


def with_nfstream(path: str) -> dict[str, int]:
    """NFStream with sequences of packets, without dissection and statistics, on one core."""
    from nfstream import (  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
        NFStreamer,
    )

    streamer = NFStreamer(
        source=path, splt_analysis=N, n_dissections=0, statistical_analysis=False, n_meters=1
    )
    packets = flows = 0
    for flow in streamer:
        flows += 1
        packets += flow.bidirectional_packets
    return {"packets": packets, "flows": flows}


READERS = {"dpkt": with_dpkt, "scapy": with_scapy, "pyshark": with_pyshark}

if __name__ == "__main__":
    library, capture = sys.argv[1:]
    counts = (
        with_nfstream(capture) if library == "nfstream" else assemble(READERS[library](capture))
    )
    print(json.dumps(counts))
