"""Allow-lists: hand-worked rules, and columns against one flow after the other."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import numpy as np
import pytest
from flow_rows import rows
from test_incidents import START, Detector, run, stream, summary, task

from sensor.alerts.allow import RULES, AllowList, AllowRule, Flow
from sensor.alerts.incidents import IncidentTracker
from sensor.errors import ConfigurationError

SECOND = 10**9
TCP_ROW = {"source": ("192.168.1.5", 40_000), "destination": ("10.0.0.1", 443), "protocol": 6}
V6_ROW = {"source": ("2001:db8::5", 1), "destination": ("2001:db8:1:2:3::9", 53), "protocol": 17}
PING = {"source": ("192.168.1.5", 8), "destination": ("10.0.0.1", 0), "protocol": 1}
GRE = {"source": ("192.168.1.5", 0), "destination": ("10.0.0.1", 0), "protocol": 47}
ROWS = rows(TCP_ROW, V6_ROW, PING, GRE, {**TCP_ROW, "decided": 100})


def rule(text="", **given):
    given = {k: ip_network(v) if k in ("source", "destination") else v for k, v in given.items()}
    return AllowRule("known", place=text, **given)


@pytest.mark.parametrize(
    ("given", "rows_matched"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"task": "scan"}, [0, 1, 2, 3, 4]),
        ({"task": "syn_dos"}, []),
        ({"source": "192.168.1.5/32"}, [0, 2, 3, 4]),
        ({"source": "192.168.1.4/32"}, []),
        ({"source": "10.0.0.0/8"}, []),  # that is the destination
        ({"destination": "10.0.0.0/8"}, [0, 2, 3, 4]),
        ({"destination": "0.0.0.0/0"}, [0, 2, 3, 4]),
        ({"destination": "::/0"}, [1]),
        ({"destination": "2001:db8:1:2::/64"}, [1]),
        ({"destination": "2001:db8:1:3::/64"}, []),
        ({"destination": "2001:db8:1:2:3::/80"}, [1]),
        ({"destination": "2001:db8:1:2:2::/80"}, []),
        ({"destination": "::192.168.1.0/120"}, []),
        ({"port": 443}, [0, 4]),
        ({"port": 40_000}, []),  # the originator's
        ({"port": 0}, []),  # an echo request has code 0 there, and GRE nothing
        ({"protocol": 6}, [0, 4]),
        ({"protocol": 47}, [3]),
        ({"expires_ns": 100 * SECOND}, [0, 1, 2, 3]),
        ({"expires_ns": 100 * SECOND + 1}, [0, 1, 2, 3, 4]),
        ({"expires_ns": 1 << 70}, [0, 1, 2, 3, 4]),
        ({"source": "192.168.1.0/24", "destination": "10.0.0.1/32", "port": 443}, [0, 4]),
        ({"source": "192.168.1.0/24", "port": 53}, []),  # one of two is not enough
    ],
)
def test_a_rule_matches_what_has_all_that_it_gives(given, rows_matched):
    allow = AllowList([rule(**given)])
    assert np.flatnonzero(allow.permits("scan", ROWS, np.arange(5))).tolist() == rows_matched
    assert allow.matched == [len(rows_matched)]


def test_only_the_given_rows_are_looked_at():
    allow = AllowList([rule(protocol=6)])
    assert allow.permits("scan", ROWS, np.array([1, 4])).tolist() == [False, True]
    assert allow.permits("scan", ROWS, np.zeros(0, np.intp)).tolist() == []
    assert allow.matched == [1]


def test_a_row_is_counted_for_the_first_rule_that_matches_it():
    allow = AllowList([rule(port=443), rule(protocol=6), rule(source="192.168.1.5/32")])
    allow.permits("scan", ROWS, np.arange(5))
    assert allow.matched == [2, 0, 2]
    assert allow.last_ns == [100 * SECOND, 0, 0]


def test_columns_say_what_one_flow_after_the_other_says():
    generator = np.random.default_rng(4)
    addresses = ["10.0.0.1", "10.0.1.1", "10.1.0.1", "2001:db8::1", "2001:db8::1:0:0:1", "fd00::1"]
    networks = ["10.0.0.0/24", "10.0.0.0/8", "2001:db8::/32", "2001:db8::/96", "::/0", None]

    def pick(options):
        return options[generator.integers(len(options))]

    batch, flows = [], []
    for _ in range(400):
        source = pick(addresses)
        version = ip_address(source).version
        destination = pick([each for each in addresses if ip_address(each).version == version])
        port, protocol = pick([53, 443]), pick([1, 6, 17])
        at = int(generator.integers(100))
        batch.append(
            {
                "source": (source, 7),
                "destination": (destination, port),
                "protocol": protocol,
                "decided": at,
            }
        )
        ends = ip_address(source), ip_address(destination)
        flows.append((Flow("scan", *ends, port, protocol), at * SECOND))
    batch = rows(*batch)
    allowed = 0
    for _ in range(200):
        given = {"source": pick(networks), "destination": pick(networks)}
        one = rule(
            task=pick(["scan", "other", None, None]),
            port=pick([53, None]),
            protocol=pick([6, 17, None]),
            expires_ns=pick([50 * SECOND, None]),
            **{end: network for end, network in given.items() if network},
        )
        wanted = [not one.differences(flow, at) for flow, at in flows]
        assert AllowList([one]).permits("scan", batch, np.arange(400)).tolist() == wanted, one
        allowed += sum(wanted)
    assert 2_000 < allowed < 60_000


def test_differences_name_each_thing_that_differs():
    wanted = rule(
        task="scan",
        source="192.168.1.0/24",
        port=443,
        protocol=6,
        expires_ns=1_700_000_000 * SECOND,
    )
    flow = Flow("syn_dos", ip_address("192.168.2.1"), None, 80)
    assert wanted.differences(flow, 1_700_000_000 * SECOND) == [
        "its task is scan, not syn_dos",
        "its source is 192.168.1.0/24, not 192.168.2.1",
        "its port is 443, not 80",
        "its protocol is tcp, not left open",
        "it expired at 2023-11-14T22:13:20.000000+0000",
    ]
    assert rule(destination="::/0").differences(flow, 0) == [
        "its destination is ::/0, not left open"
    ]
    assert rule(port=80).differences(replace(flow, protocol=1), 0) == [
        "it has a port, which icmp has not"
    ]


def test_a_rule_that_an_earlier_one_covers_is_shadowed():
    wide = rule("wide", source="10.0.0.0/8", expires_ns=200)
    allow = AllowList(
        [
            wide,
            rule(source="10.1.0.0/16", task="scan", port=1, protocol=6, expires_ns=200),
            rule(source="10.1.0.0/16", expires_ns=201),  # outlives it
            rule(source="10.1.0.0/16"),
            rule(source="0.0.0.0/0", expires_ns=1),
            rule(source="2001:db8::/32", expires_ns=1),
            rule(destination="10.1.0.0/16", expires_ns=1),
        ]
    )
    assert allow.shadowed() == [None, wide, None, None, None, None, None]


def test_a_new_list_goes_on_with_the_counts_of_rules_that_stay():
    before = AllowList([rule("a:1", port=443), rule("a:2", protocol=17)])
    before.permits("scan", ROWS, np.arange(5))
    after = AllowList([rule("b:7", protocol=17), rule("b:9", port=444)], before)
    assert (after.matched, after.last_ns) == ([1, 0], [0, 0])
    again = AllowList([rule(port=443, task="scan"), rule(port=443)], before)
    assert (again.matched, again.last_ns) == ([0, 2], [0, 100 * SECOND])
    twice = AllowList([rule(port=443), rule(port=443)])
    twice.permits("scan", ROWS, np.arange(5))
    assert AllowList([rule(port=443)], twice).matched == [2]


def test_the_list_is_bounded():
    AllowList([rule()] * RULES)
    with pytest.raises(ConfigurationError, match="b:2: is allow rule 257; at most 256"):
        AllowList([*[rule()] * RULES, rule("b:2")])


def test_the_document_tells_what_every_rule_did():
    allow = AllowList([rule("a:1", port=443, expires_ns=1_700_000_000 * SECOND), rule("a:2")])
    allow.permits("scan", ROWS, np.array([0, 4]))
    assert allow.document() == [
        {
            "place": "a:1",
            "comment": "known",
            "expires": "2023-11-14T22:13:20.000000+0000",
            "matched": 2,
            "last": "1970-01-01T00:01:40.000000+0000",
        },
        {"place": "a:2", "comment": "known", "expires": None, "matched": 0, "last": None},
    ]


def test_an_allowed_row_neither_opens_an_incident_nor_keeps_one_open():
    batch = stream([0, 1, 2, 50, 70], [0, 1, 2, 3, 4], [7] * 5)
    batch.source_low[3] += 1  # another source, which is allowed
    batch.destination_port[:] = 80
    batch.protocol[:] = 6
    wanted = task(open_flows=3)
    assert summary(run(batch, np.ones(5), wanted))[-1] == ("end", 130, 7, 5, 5, "quiet")

    def told(*rules):
        tracker = IncidentTracker(Detector(wanted), allow=AllowList(rules))
        tracker.add(batch, np.ones((5, 1), np.float32))
        return summary(tracker.finish()), tracker.allowed

    assert told(rule(source="10.0.0.2/32")) == (
        [("start", 2, 7, 3, 3, ""), ("end", 62, 7, 3, 3, "quiet")],
        {"flood": 1},
    )
    # The first row is allowed, and the two behind it are no incident.
    assert told(rule(expires_ns=START + 1)) == ([], {"flood": 1})
    assert told(rule(task="flood")) == ([], {"flood": 5})
    assert told(rule(task="other"))[1] == {"flood": 0}


def test_when_a_rule_expires_a_flow_that_is_scored_again_counts():
    """Its early row was allowed, so it was not positive; its full one is."""
    batch = stream([0, 5], [0, 0], [7, 7], row=[0, 1])
    for expires, events in ((0, 0), (5, 2), (6, 0)):
        allow = AllowList([rule(expires_ns=START + expires * SECOND)])
        tracker = IncidentTracker(Detector(task(open_flows=1)), allow=allow if expires else None)
        tracker.add(batch, np.ones((2, 1), np.float32))
        found = tracker.finish()
        assert len(found) == (events or (2 if not expires else 0))
        if expires == 5:
            assert (found[0].time_ns, found[0].rows) == (START + 5 * SECOND, 1)


def test_a_list_can_be_replaced_between_rows():
    tracker = IncidentTracker(Detector(task(open_flows=1)))
    for allow, second in ((AllowList([rule()]), 0), (None, 1)):
        tracker.allow = allow
        tracker.add(stream([second], [second], [7]), np.ones((1, 1), np.float32))
    assert [event.kind for event in tracker.finish()] == ["start", "end"]
    assert tracker.allowed == {"flood": 1}
