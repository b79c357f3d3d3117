"""The peer: the loop that one writes with dpkt, one packet and one dictionary at a time.

Five-tuple flows of both directions with the first 16 packets of each (length, direction, flags,
time); no timeouts, no eviction, no context: less than the sensor does.

    python bench/peer_dpkt.py FILE
"""

import json
import sys

import dpkt

N = 16


def main(path: str) -> None:
    """Prints packets and flows of a capture as JSON."""
    flows: dict[tuple, list] = {}
    packets = 0
    with open(path, "rb") as stream:  # noqa: PTH123 (dpkt takes a file)
        for time, octets in dpkt.pcap.Reader(stream):
            ip = dpkt.ethernet.Ethernet(octets).data
            if not isinstance(ip, (dpkt.ip.IP, dpkt.ip6.IP6)):
                continue
            packets += 1
            layer = ip.data
            ports = (getattr(layer, "sport", 0), getattr(layer, "dport", 0))
            source, destination = (ip.src, ports[0]), (ip.dst, ports[1])
            key = (ip.p, *sorted((source, destination)))
            packet = (len(ip), source < destination, getattr(layer, "flags", 0), time)
            sequence = flows.setdefault(key, [])
            if len(sequence) < N:
                sequence.append(packet)
    print(json.dumps({"packets": packets, "flows": len(flows)}))


if __name__ == "__main__":
    main(sys.argv[1])
