"""Community IDs: the specification's captures and values, and its authors' package."""

import ipaddress
import json
import random
from pathlib import Path

import communityid
import pytest

from sensor.alerts.community_id import address_bytes, community_id
from sensor.capture.formats import open_capture
from sensor.packets.decode import Decoder

SPECIFICATION = Path(__file__).parents[3] / "shared" / "data" / "schemas" / "community-id"


def words(text):
    value = int(ipaddress.ip_address(text))
    return value >> 64, value & (1 << 64) - 1


def baseline(name):
    path = SPECIFICATION / name
    if not path.exists():
        pytest.skip(f"needs {path}")
    return json.loads(path.read_text())


@pytest.mark.parametrize(("name", "seed"), [("deflt", 0), ("seed1", 1)])
def test_values_of_the_specification(name, seed):
    for row in baseline(f"baseline_{name}.json"):
        version = ipaddress.ip_address(row["saddr"]).version
        source = (*words(row["saddr"]), row["sport"] or 0)
        destination = (*words(row["daddr"]), row["dport"] or 0)
        found = community_id(version, row["proto"], source, destination, seed)
        assert found == row["communityid"], row


def test_captures_of_the_specification_through_the_decoder():
    wanted = {
        (row["saddr"], row["daddr"], row["proto"], row["sport"] or 0, row["communityid"])
        for row in baseline("baseline_deflt.json")
    }
    found = set()
    for capture in sorted((SPECIFICATION / "pcaps").iterdir()):
        source, decoder = open_capture(capture), Decoder()
        for block in source:
            headers = decoder.decode(block)
            for i in range(len(headers)):
                ends = [
                    tuple(
                        getattr(headers, f"{side}_{part}")[i].item()
                        for part in ("high", "low", "port")
                    )
                    for side in ("source", "destination")
                ]
                version, protocol = headers.version[i].item(), headers.protocol[i].item()
                texts = [
                    str(ipaddress.ip_address(address_bytes(version, high, low)))
                    for high, low, _ in ends
                ]
                value = community_id(version, protocol, *ends)
                found.add((*texts, protocol, ends[0][2], value))
        source.close()
    assert found == wanted


def test_random_flows_as_the_authors_package_has_them():
    reference = communityid.CommunityID()
    draw = random.Random(5)
    for _ in range(500):
        version = draw.choice([4, 6])
        kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
        bits = 32 if version == 4 else 128
        near = draw.getrandbits(bits)
        source, destination = (
            kind(near),
            kind(draw.choice([near, near ^ 1, draw.getrandbits(bits)])),
        )
        ports = draw.choice([5, 5, 53, draw.getrandbits(16)]), draw.choice([5, 80])
        protocol = draw.choice([6, 17, 132, 47])
        flow = communityid.FlowTuple(
            protocol, source.packed, destination.packed, *(ports if protocol != 47 else ())
        )
        ends = [(*words(a), p) for a, p in zip((source, destination), ports, strict=True)]
        assert community_id(version, protocol, *ends) == reference.calc(flow)
        assert community_id(version, protocol, *ends[::-1]) == reference.calc(flow)


@pytest.mark.parametrize("protocol", [1, 58])
@pytest.mark.parametrize("flipped", [False, True])
def test_every_icmp_type_as_the_authors_package_has_it(protocol, flipped):
    reference = communityid.CommunityID()
    source, destination = ("10.0.0.1", "10.0.0.2") if protocol == 1 else ("fe80::1", "ff02::1")
    if flipped:
        source, destination = destination, source
    for kind in range(256):
        flow = communityid.FlowTuple(
            protocol,
            ipaddress.ip_address(source).packed,
            ipaddress.ip_address(destination).packed,
            kind,
            3,
        )
        ports = (flow.sport, flow.dport)
        ends = [(*words(a), p) for a, p in zip((source, destination), ports, strict=True)]
        version = 4 if protocol == 1 else 6
        assert community_id(version, protocol, *ends) == reference.calc(flow), kind
