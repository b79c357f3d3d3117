"""What the shipped bundle finds in recordings that it has never seen."""

import json
import subprocess
import sys
from pathlib import Path

import dpkt
import pytest
from frames import NANOS_LE, write_pcap

CAPTURES = Path(__file__).parent / "captures"
ROOT = CAPTURES.parents[1]


def alerts(capture):
    """Alerts of a replay with the shipped bundle, without those of the counting rule."""
    command = [sys.executable, "-m", "sensor.cli", "replay", str(capture), "--no-rule"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert done.stderr == b""
    return [json.loads(line) for line in done.stdout.splitlines()]


def told(capture):
    return [
        (own["event"], own["task"], own["address"])
        for own in (alert["alert"]["metadata"]["multa"] for alert in alerts(capture))
    ]


def test_the_demo_has_an_incident_of_each_task_about_its_victim():
    starts = {
        (task, address) for event, task, address in told(CAPTURES / "demo.pcap") if event == "start"
    }
    labels = (CAPTURES / "demo.labels.csv").read_text().splitlines()[2:]
    attacked = set()
    for row in (line.split(",") for line in labels if line.endswith(",1")):
        # a reflection is labelled by the spoofed requests, whose source is the victim
        victim = row[2] if row[7] == "ssdp_flood" and row[5] == "1900" else row[4]
        attacked.add((row[7], victim.removesuffix("/32")))
    assert {task for task, _ in starts} == {"syn_dos", "ssdp_flood", "ssl_renegotiation"}
    assert starts <= attacked


@pytest.mark.parametrize("onset", [40, 259])
def test_renegotiation_that_starts_late_in_a_connection_is_alerted(tmp_path, onset):
    capture = CAPTURES / f"renegotiation-after-{onset}.pcap"
    with capture.open("rb") as file:
        packets = list(dpkt.pcap.Reader(file))
    server = ".".join(str(octet) for octet in packets[0][1][30:34])
    found = told(capture)
    assert [event for event, _, _ in found] == ["start", "end"]
    assert {(task, address) for _, task, address in found} == {("ssl_renegotiation", server)}
    # what came before it is an ordinary connection
    before = [(octets, round(time * 1e9)) for time, octets in packets[:onset]]
    quiet = write_pcap(tmp_path / "before.pcap", *zip(*before, strict=True), NANOS_LE)
    assert told(quiet) == []
