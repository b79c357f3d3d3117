"""Who is inside, as Python's `ipaddress` has it, and what incidents count of it."""

import ipaddress
from dataclasses import replace

import numpy as np
import pytest
from flow_rows import rows

from sensor.alerts.event import DIRECTIONS
from sensor.alerts.home import PEERS, HomeNetworks
from sensor.alerts.incidents import IncidentTracker
from sensor.flows.sequences import SequenceBatch
from sensor.model.schema import IncidentRule, TaskSpec

WORD = (1 << 64) - 1


def networks(*texts):
    return [ipaddress.ip_network(text) for text in texts]


ALWAYS = networks(
    *("0.0.0.0/32", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32"),
    *("::/128", "::1/128", "fe80::/10", "ff00::/8"),
)


def is_inside(address, stated):
    return any(address in network for network in [*ALWAYS, *stated])


def columns(addresses):
    return (
        np.array([each.version for each in addresses], np.uint8),
        np.array([int(each) >> 64 for each in addresses], np.uint64),
        np.array([int(each) & WORD for each in addresses], np.uint64),
    )


def found(stated, addresses):
    """What is inside, by both ways of asking, which agree."""
    home, asked = HomeNetworks(stated), columns(addresses)
    mask = home.contains(*asked)
    words = zip(*(column.tolist() for column in asked), strict=True)
    assert mask.tolist() == [home.holds(each) for each in words]
    return mask.tolist()


def random_network(rng):
    kind = (ipaddress.IPv4Network, ipaddress.IPv6Network)[rng.integers(2)]
    bits = kind("::/0" if kind is ipaddress.IPv6Network else "0.0.0.0/0").max_prefixlen
    length = int(rng.choice([0, 1, bits, int(rng.integers(bits)), int(rng.integers(bits))]))
    address = int.from_bytes(rng.bytes(bits // 8), "big")
    return kind((address >> bits - length << bits - length, length))


def near(network, rng):
    """An address of the network, or one that differs from such a one in a single bit."""
    bits = network.max_prefixlen
    value = int(network.network_address) | int(network.hostmask) & int.from_bytes(
        rng.bytes(bits // 8), "big"
    )
    if rng.integers(2):
        value ^= 1 << int(rng.integers(bits))
    return type(network.network_address)(value)


@pytest.mark.parametrize("seed", range(30))
def test_inside_is_what_ipaddress_says(seed):
    rng = np.random.default_rng(seed)
    stated = [random_network(rng) for _ in range(rng.integers(1, 6))]
    if seed % 3:  # mostly without /0, which hides all others
        stated = [each for each in stated if each.prefixlen > 1] or networks("10.0.0.0/8")
    around = [*ALWAYS, *stated]
    addresses = [near(around[rng.integers(len(around))], rng) for _ in range(400)]
    wanted = [is_inside(address, stated) for address in addresses]
    assert found(stated, addresses) == wanted
    assert True in wanted
    assert False in wanted or any(each.prefixlen == 0 for each in stated)


@pytest.mark.parametrize(
    ("stated", "address", "inside"),
    [
        ("192.168.1.0/24", "192.168.1.255", True),
        ("192.168.1.0/24", "192.168.2.0", False),
        ("192.168.1.7/32", "192.168.1.7", True),
        ("192.168.1.7/32", "192.168.1.6", False),
        ("0.0.0.0/0", "8.8.8.8", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("::/0", "2001:db8::1", True),
        ("::/0", "8.8.8.8", False),
        ("2001:db8::1/128", "2001:db8::1", True),
        ("2001:db8::1/128", "2001:db8::2", False),
        ("2001:db8::/63", "2001:db8:0:1::1", True),
        ("2001:db8::/64", "2001:db8:0:1::1", False),
        ("2001:db8::/65", "2001:db8::8000:0:0:0", False),
        # An IPv4-mapped address on the wire is one of IPv6.
        ("10.0.0.0/8", "::ffff:10.0.0.1", False),
        ("::ffff:10.0.0.0/104", "::ffff:10.0.0.1", True),
        ("::ffff:10.0.0.0/104", "10.0.0.1", False),
        ("::a00:0/104", "10.0.0.1", False),
        # The watched link is inside whatever is stated.
        ("10.0.0.0/8", "239.255.255.250", True),
        ("10.0.0.0/8", "223.255.255.255", False),
        ("10.0.0.0/8", "255.255.255.255", True),
        ("10.0.0.0/8", "255.255.255.254", False),
        ("10.0.0.0/8", "0.0.0.0", True),  # noqa: S104 -- nothing is bound
        ("10.0.0.0/8", "0.0.0.1", False),
        ("10.0.0.0/8", "169.254.9.9", True),
        ("10.0.0.0/8", "127.0.0.1", True),
        ("10.0.0.0/8", "::", True),
        ("10.0.0.0/8", "::1", True),
        ("10.0.0.0/8", "fe80::1", True),
        ("10.0.0.0/8", "fec0::1", False),
        ("10.0.0.0/8", "ff02::c", True),
        ("10.0.0.0/8", "fd00::1", False),
    ],
)
def test_inside_by_hand(stated, address, inside):
    assert found(networks(stated), [ipaddress.ip_address(address)]) == [inside]


def test_no_rows_are_nowhere():
    assert found(networks("10.0.0.0/8"), []) == []


HOME = networks("10.1.0.0/16", "10.2.3.4/32", "fd00:1::/48")
INSIDE = [f"10.1.0.{k}" for k in range(60)] + ["10.2.3.4"]
OUTSIDE = [f"203.0.113.{k}" for k in range(30)] + ["10.2.3.5", "10.0.0.1"]
INSIDE_6 = [f"fd00:1::{k:x}" for k in range(1, 4)] + ["fe80::1", "ff02::c"]
OUTSIDE_6 = [f"2001:db8::{k:x}" for k in range(1, 4)] + ["fd00:2::1", "::ffff:10.1.0.1"]
SERVICE = 1900


def task(role, open_flows=1):
    rule = IncidentRule(role, open_flows, 10, SERVICE if role == "reflection_victim" else 0)
    return TaskSpec("flood", "first", 0.5, 1, "signature", "category", 1, rule)


def tracked(batch, spec, size, home):
    class Detector:
        name, fingerprint, tasks = "test", "f" * 64, (spec,)
        version, model_sha256 = "1", ""

    tracker = IncidentTracker(Detector(), home)
    events = []
    for start in range(0, len(batch), size):
        piece = batch.take(slice(start, start + size))
        tracker.add(piece, np.ones((len(piece), 1), np.float32))
        events += tracker.release(int(piece.decided_ns[-1]))
    return events + tracker.finish()


def random_flows(rng, count):
    """Flows between few and many hosts, inside and outside, of either IP version."""
    flows = []
    for _ in range(count):
        inside, outside = (INSIDE, OUTSIDE) if rng.random() < 0.8 else (INSIDE_6, OUTSIDE_6)
        ends = []
        for few in rng.permutation([True, False]):
            hosts = (inside, outside)[rng.integers(2)]
            ends.append(hosts[rng.integers(2 if few else len(hosts))])
        ports = rng.permutation([SERVICE, 40_000])
        flows.append([(end, int(port)) for end, port in zip(ends, ports, strict=True)])
    return flows


def plain_view(flows, address):
    """What an event about `address` says of the flows that were counted, in their order."""
    directions = dict.fromkeys(DIRECTIONS, 0)
    peers = {}
    for ends in flows:
        directions[direction_of(ends)] += 1
        (peer,) = {ipaddress.ip_address(text) for text, _ in ends} - {address} or {address}
        if is_inside(peer, HOME):
            peers[peer] = None
    return tuple(directions.values()), tuple(peers)[:PEERS]


def direction_of(ends):
    source, destination = (is_inside(ipaddress.ip_address(text), HOME) for text, _ in ends)
    if source:
        return "internal" if destination else "outbound"
    return "inbound" if destination else "external"


def address_about(ends, role):
    request = ends[1][1] == SERVICE
    of_source = role == "originator" or (role == "reflection_victim" and request)
    return ipaddress.ip_address(ends[0 if of_source else 1][0])


def roles_of(inside, peers, role):
    mine, others = ("source", "victim") if role == "originator" else ("victim", "source")
    return tuple(name for name, is_so in ((mine, inside), (others, peers)) if is_so)


def address_of(words):
    version, high, low = words
    return (ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address)(high << 64 | low)


@pytest.fixture(scope="module")
def flood():
    """Flows, and rows of them in eight seconds; a fourth of the flows has a second row."""
    flows = random_flows(np.random.default_rng(7), 1_500)
    first = [(k, k, 0) for k in range(len(flows))]
    second = [(k + 9.5, k, 1) for k in range(0, len(flows), 4)]
    columns_of_rows = [
        {
            "source": flows[ordinal][0],
            "destination": flows[ordinal][1],
            "flow_ordinal": ordinal,
            "row": row,
            "sequence_index": row,
            "direction": [1],
            "decided": 1_000 + at / 200,
        }
        for at, ordinal, row in sorted(first + second)
    ]
    return flows, rows(*columns_of_rows)


@pytest.mark.parametrize("role", ["responder", "originator", "reflection_victim"])
@pytest.mark.parametrize("open_flows", [1, 3])
def test_incidents_count_flows_by_direction_and_peers_inside(flood, role, open_flows):
    flows, batch = flood
    spec = task(role, open_flows)
    events = tracked(batch, spec, len(batch), HomeNetworks(HOME))
    for size in (1, 64):
        assert tracked(batch, spec, size, HomeNetworks(HOME)) == events
    seen, roles = 0, set()
    for event in events:
        about = address_of(event.address)
        mine = [ends for ends in flows if address_about(ends, role) == about]
        directions, peers = plain_view(mine[: event.flows], about)
        assert event.home.flows == directions
        assert tuple(map(address_of, event.home.peers)) == peers
        assert event.home.inside == is_inside(about, HOME)
        assert sum(directions) == event.flows
        ends = flows[event.worst.flow_ordinal]
        assert event.home.direction == direction_of(ends)
        assert event.home_roles == roles_of(event.home.inside, peers, role)
        seen, roles = max(seen, len(peers)), roles | {event.home_roles}
    assert {event.kind for event in events} == {"start", "update", "end"}
    assert seen == PEERS
    assert len(roles) == 4


def test_nothing_but_the_view_depends_on_the_networks():
    rng = np.random.default_rng(8)
    flows = random_flows(rng, 200)
    batch = rows(
        *(
            {"source": ends[0], "destination": ends[1], "flow_ordinal": k, "decided": k / 50}
            for k, ends in enumerate(flows)
        )
    )
    without = tracked(batch, task("responder"), 64, None)
    assert {event.home for event in without} == {None}
    assert {event.home_roles for event in without} == {()}
    for stated in (HOME, networks("0.0.0.0/0", "::/0"), []):
        events = tracked(batch, task("responder"), 64, HomeNetworks(stated))
        assert [replace(event, home=None) for event in events] == without


def test_remembered_rows_count_when_they_open_an_incident():
    """Two flows of one second, and a third of the next batch that opens."""
    victim = ("10.1.0.1", 80)
    batch = SequenceBatch.concatenate(
        [
            rows(
                {
                    "source": (source, 40_000),
                    "destination": victim,
                    "flow_ordinal": k,
                    "decided": 5 + k,
                }
            )
            for k, source in enumerate(["10.1.0.9", "203.0.113.1", "10.1.0.8"])
        ]
    )
    start, end = tracked(batch, task("responder", 3), 1, HomeNetworks(HOME))
    assert (start.kind, start.flows, start.home) == ("start", 3, end.home)
    assert start.home.flows == (0, 1, 0, 2)
    assert [str(address_of(peer)) for peer in start.home.peers] == ["10.1.0.9", "10.1.0.8"]
    assert start.home_roles == ("victim", "source")
