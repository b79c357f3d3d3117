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


def client_port(octets):
    """Of a frame of TCP over IPv4 without options, to or from port 4433."""
    source, destination = (int.from_bytes(octets[at : at + 2], "big") for at in (34, 36))
    return source if destination == 4433 else destination


def starts(capture):
    """Task and address of the incidents that it opens."""
    return {(task, address) for event, task, address in told(capture) if event == "start"}


def attacked(name):
    """Task and address of what a label file calls an attack."""
    found = set()
    labels = (CAPTURES / name).read_text().splitlines()[2:]
    for row in (line.split(",") for line in labels if line.endswith(",1")):
        source, destination, port, task = row[2], row[4], row[5], row[7]
        # A reflection is labelled by the spoofed requests, whose source is the victim; a scan is
        # about who scans.
        from_victim = task == "scan" or (task == "ssdp_flood" and port == "1900")
        whom = {source if from_victim else destination}
        # Reflected SSDP is reflection too. Of spoofed requests the rule takes the responder, who
        # reflects them, of replies that are flows of their own the victim.
        if task in {"ssdp_flood", "udp_reflection"}:
            found |= {("udp_reflection", each.partition("/")[0]) for each in (source, destination)}
        found |= {(task, each.partition("/")[0]) for each in whom}
    return found


@pytest.mark.parametrize(
    ("name", "tasks"),
    [
        ("demo", ("syn_dos", "ssdp_flood", "ssl_renegotiation")),
        (
            "seven-tasks",
            ("syn_dos", "ssdp_flood", "ssl_renegotiation", "udp_reflection", "scan", "slow_http"),
        ),
    ],
)
def test_a_recording_has_an_incident_of_each_task_and_none_that_is_wrong(name, tasks):
    opened = starts(CAPTURES / f"{name}.pcap")
    assert opened <= attacked(f"{name}.labels.csv")
    assert set(tasks) <= {task for task, _ in opened} <= {*tasks, "udp_reflection"}


def test_a_renegotiating_connection_is_alerted_without_any_other_flow(tmp_path):
    capture = CAPTURES / "renegotiation-after-301.pcap"
    with capture.open("rb") as file:
        packets = [(octets, round(time * 10**9)) for time, octets in dpkt.pcap.Reader(file)]
    clients = {client_port(octets) for octets, _ in packets}
    assert len(clients) == 2
    for client in clients:
        alone = [each for each in packets if client_port(each[0]) == client]
        one = write_pcap(tmp_path / f"{client}.pcap", *zip(*alone, strict=True), NANOS_LE)
        assert {task for task, _ in starts(one)} == {"ssl_renegotiation"}


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
