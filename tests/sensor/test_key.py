"""Keys: equal for both directions, different for anything else."""

import ipaddress

import numpy as np

from sensor.flows.key import five_tuple
from sensor.packets.headers import Headers


def headers(*packets):
    """Headers of (source, port, destination, port, protocol)."""
    count = len(packets)
    columns = {name: np.zeros(count, np.uint16) for name in Headers.__dataclass_fields__}
    for end, position in (("source", 0), ("destination", 2)):
        addresses = [ipaddress.ip_address(packet[position]) for packet in packets]
        columns["version"] = np.array([a.version for a in addresses], np.uint8)
        columns[f"{end}_high"] = np.array([int(a) >> 64 for a in addresses], np.uint64)
        columns[f"{end}_low"] = np.array([int(a) & (1 << 64) - 1 for a in addresses], np.uint64)
        columns[f"{end}_port"] = np.array([p[position + 1] for p in packets], np.uint16)
    columns["protocol"] = np.array([packet[4] for packet in packets], np.uint8)
    return Headers(**columns)


def keys(*packets):
    words, from_lower = five_tuple(headers(*packets))
    return [tuple(column) for column in words.T.tolist()], from_lower.tolist()


ENDPOINTS = [
    ("10.0.0.1", 80), ("10.0.0.1", 81), ("10.0.0.2", 80), ("255.255.255.255", 65535),
    ("::a00:1", 80), ("2001:db8::1", 80), ("2001:db8::1", 81), ("2001:db8:0:1::1", 80),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535), ("::", 0),
]  # fmt: skip


def test_both_directions_share_a_key_and_nothing_else_does():
    packets, same = [], []
    for i, a in enumerate(ENDPOINTS):
        for j, b in enumerate(ENDPOINTS):
            if (":" in a[0]) == (":" in b[0]):
                for protocol in (6, 17):
                    packets.append((*a, *b, protocol))
                    same.append((frozenset((i, j)), protocol))
    found, from_lower = keys(*packets)
    assert len(set(found)) == len(set(same))
    assert len(set(zip(found, same, strict=True))) == len(set(same))
    # exactly one direction of a conversation comes from the lower endpoint
    side = dict(zip(packets, from_lower, strict=True))
    for a_address, a_port, b_address, b_port, protocol in packets:
        if (a_address, a_port) != (b_address, b_port):
            there = side[a_address, a_port, b_address, b_port, protocol]
            assert there != side[b_address, b_port, a_address, a_port, protocol]


def test_a_key_does_not_depend_on_the_company_it_comes_in():
    v4, v6 = ("10.0.0.9", 5, "10.0.0.1", 6, 17), ("2001:db8::9", 5, "2001:db8::1", 6, 17)
    (alone,), _ = keys(v4)
    (together, _), _ = keys(v4, v6)
    assert together == (*alone, 0, 0, 0, 0)
