"""The shipped bundle of latency: noise, swells and outages of a peer are told, and nothing else."""

import json
import struct

import frames
import pytest
from changing_cable import ChangingCable
from command import ROOT, sensor_command
from delayed_cable import SERVER as DISTANT
from delayed_cable import joined
from frames import NANOS_LE
from injected_latency import probes
from netns import Link
from running import started, told, until

START, MS = 1_700_000_000_000_000_000, 1_000_000
CLIENT, SERVER = "10.0.0.1", "192.0.2.1"
QUIET, LASTS, REST = 150, 40, 30
"""Pings, a fifth of a second apart."""
WARM = 25
"""Quiet pings live, a tenth of a second apart."""


def pings(rtt_ms, kind):
    """Pings with answers 2 % apart in time; from number `QUIET` on there is what `kind` says."""
    sent = []
    for number in range(QUIET + LASTS + REST):
        rest = struct.pack("!HH", 77, number)
        at, took = START + number * 200 * MS, rtt_ms * (1 + 0.02 * (number * 7919 % 101) / 101)
        place = number - QUIET
        put_in = 0 <= place < LASTS
        if put_in and (kind == "swell" or (kind == "noise" and place % 5 == 0)):
            took += 50
        sent.append((at, frames.icmp_frame(CLIENT, SERVER, 8, 0, rest, bytes(56))))
        if not (put_in and kind == "outage"):
            back = frames.icmp_frame(SERVER, CLIENT, 0, 0, rest, bytes(56))
            sent.append((at + int(took * MS), back))
    return sorted(sent)


@pytest.mark.parametrize("rtt_ms", [5, 20, 80])
def test_what_is_put_in_is_told_and_quiet_pings_say_nothing(rtt_ms, tmp_path, capfd):
    opened = {}
    for kind in ("noise", "swell", "outage", "nothing"):
        times, contents = zip(*pings(rtt_ms, kind), strict=True)
        path = frames.write_pcap(tmp_path / f"{kind}.pcap", contents, times, NANOS_LE)
        models = ("-m", ROOT / "models" / "latency", "--no-rule")
        outcome = sensor_command(capfd, "replay", path, *models)
        assert (outcome.status, outcome.err) == (0, "")
        alerts = [json.loads(line) for line in outcome.out.splitlines()]
        told = [alert["alert"]["metadata"]["multa"] for alert in alerts]
        assert {each["address"] for each in told} <= {SERVER}
        opened[kind] = [each["task"] for each in told if each["event"] == "start"]
    # a long outage may be told as a swell too, once it is told as what it is
    assert opened.pop("outage")[0] == "outage"
    assert opened == {"noise": ["noise"], "swell": ["swell"], "nothing": []}


@pytest.mark.network
def test_a_swell_and_an_outage_are_told_live(tmp_path):
    log = tmp_path / "alerts.json"
    cable = ChangingCable(5, 0.2)
    with joined(cable.as_cable()) as ends:
        link = Link(ends.server, ends.client, ends.port)
        models = ("-m", str(ROOT / "models" / "latency"), "--no-rule")
        with started(link, *models, "-o", str(log)) as sensor, probes(ends, "ping", 0.1) as sent:
            for _ in range(WARM):
                next(sent)
            cable.swell(60)
            until(lambda: ("swell", "start", DISTANT) in told(log), "a swell to be told")
            cable.cut()
            until(lambda: ("outage", "start", DISTANT) in told(log), "an outage to be told")
            assert sensor.end() == 0
