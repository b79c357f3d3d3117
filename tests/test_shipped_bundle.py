"""What the shipped bundle finds in recordings that it has never seen."""

import json
import subprocess
import sys
from pathlib import Path

import dpkt
import jsonschema
import pytest
from frames import NANOS_LE, write_pcap

CAPTURES = Path(__file__).parent / "captures"
ROOT = CAPTURES.parents[1]
EVE = ROOT.parent / "shared/data/schemas/eve-schema.json"
"""Suricata's schema, where it is at hand."""


def output(capture, *options):
    """What a replay with the shipped bundle prints."""
    command = [sys.executable, "-m", "sensor.cli", "replay", str(capture), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert done.stderr == b""
    return done.stdout


def told(capture):
    """Event, task and address of its alerts, without those of the counting rule."""
    alerts = map(json.loads, output(capture, "--no-rule").splitlines())
    own = [alert["alert"]["metadata"]["multa"] for alert in alerts]
    return [(each["event"], each["task"], each["address"]) for each in own]


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


@pytest.mark.parametrize(("onset", "quiet_frames"), [(40, 160), (301, 587)])
def test_renegotiation_that_starts_late_in_a_connection_is_alerted(tmp_path, onset, quiet_frames):
    capture = CAPTURES / f"renegotiation-after-{onset}.pcap"
    with capture.open("rb") as file:
        packets = list(dpkt.pcap.Reader(file))
    server = ".".join(str(octet) for octet in packets[0][1][30:34])
    found = told(capture)
    assert [event for event, _, _ in found if event != "update"] == ["start", "end"]
    assert {(task, address) for _, task, address in found} == {("ssl_renegotiation", server)}
    # what came before the first renegotiation is ordinary traffic
    before = [(octets, round(time * 10**9)) for time, octets in packets[:quiet_frames]]
    quiet = write_pcap(tmp_path / "before.pcap", *zip(*before, strict=True), NANOS_LE)
    assert told(quiet) == []


def test_alerts_of_a_replay_are_valid_and_the_same_again():
    own = json.loads((ROOT / "sensor/alerts/alert.schema.json").read_text())
    schemas = [own]
    if EVE.is_file():
        schemas.append(json.loads(EVE.read_text()))
    for name in ("demo.pcap", "full-length.pcap"):
        first, second = (output(CAPTURES / name) for _ in "12")
        assert first == second
        for schema in schemas:
            validator = jsonschema.validators.validator_for(schema)(schema)
            for line in first.splitlines():
                validator.validate(json.loads(line))
