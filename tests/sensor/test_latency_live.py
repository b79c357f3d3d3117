"""Bundles of round-trip times in runs: the same rows, scores and alerts live and in a replay."""

import json
import shutil

import frames
import netns
import pytest
from command import assert_fails, sensor_command
from latency_traffic import traffic
from random_latency_bundle import FIELDS
from running import started

from sensor.model.bundle import Bundle
from sensor.model.verification import verify

COUNTS = ("packets", "bytes", "refused", "sequences", "scored", "alerts")


def log(path, *, live=False):
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for record in found:
        said = [record.pop("host", ""), record.pop("in_iface", "")]
        said.append(record["alert"]["metadata"]["multa"].pop("emitted_at", ""))
        assert all(said) if live else not any(said)
    return found


def test_a_bundle_of_measurements_is_proved_as_any(latency_bundle, tmp_path, capfd):
    bundle = Bundle.read(latency_bundle)
    assert bundle.schema.channels == FIELDS
    assert verify(bundle).max_difference < 1e-3
    assert bundle.golden.rows.optional == ("rtt", "rtt_gap", "answered", "rtt_usual")
    copy = shutil.copytree(latency_bundle, tmp_path / "latency")
    (copy / "golden.npz").write_bytes(b"no vectors")
    path = frames.write_pcap(tmp_path / "a.pcap", [], [], frames.NANOS_LE)
    assert_fails(sensor_command(capfd, "replay", path, "-m", copy), 82, "golden.npz")


def test_incidents_are_about_peers_beside_those_of_flows(
    latency_bundle, random_bundle, tmp_path, capfd
):
    """Two tables in one run; each detector's alerts are those of a run of its own."""
    times, contents = zip(*traffic(6, 120), strict=True)
    path = frames.write_pcap(tmp_path / "a.pcap", contents, times, frames.NANOS_LE)
    logs = {}
    for name, models in (
        ("both", [latency_bundle, random_bundle]),
        ("peers", [latency_bundle]),
        ("flows", [random_bundle]),
    ):
        logs[name] = tmp_path / f"{name}.json"
        stats = tmp_path / f"{name}.stats.json"
        arguments = [each for model in models for each in ("-m", model)]
        outcome = sensor_command(
            capfd, "replay", path, *arguments, "--no-rule", "-o", logs[name], "--stats", stats
        )
        assert (outcome.status, outcome.err) == (0, "")
    by_detector = {}
    for record in log(logs["both"]):
        own = record["alert"]["metadata"]["multa"]
        by_detector.setdefault(own["model"]["name"], []).append(record)
    assert by_detector.pop("latency") == log(logs["peers"])
    assert by_detector.get("random", []) == log(logs["flows"])
    peers = {"192.0.2.1", "192.0.2.2", "2001:db8::1"}
    peers |= {"10.0.0.1", "10.0.0.2", "2001:db8:1::1", "2001:db8:1::2"}
    for record in log(logs["peers"]):
        own = record["alert"]["metadata"]["multa"]
        assert own["role"] == "victim"
        assert own["address"] == record["dest_ip"]
        assert own["address"] in peers
    both, flows = (
        json.loads((tmp_path / f"{name}.stats.json").read_text()) for name in ("both", "flows")
    )
    assert both["flows"] == flows["flows"]


def test_every_alert_of_any_kind_is_explained(latency_bundle, tmp_path, capfd):
    times, contents = zip(*traffic(6, 60), strict=True)
    path = frames.write_pcap(tmp_path / "a.pcap", contents, times, frames.NANOS_LE)
    kept, where = tmp_path / "kept", ("-m", latency_bundle)
    outcome = sensor_command(
        capfd, "replay", path, *where, "--no-rule", "-o", "-", "--evidence", kept
    )
    told = [json.loads(line)["alert"]["metadata"]["multa"] for line in outcome.out.splitlines()]
    by_kind = {each["latency"]["kind"]: each["alert_id"] for each in told}
    assert len(by_kind) >= 3
    for kind, alert in by_kind.items():
        explained = sensor_command(capfd, "explain", alert, "--evidence", kept, *where, "--json")
        assert (explained.status, explained.err) == (0, "")
        found = json.loads(explained.out)
        assert found["agrees"]
        assert kind in {row["kind"] for row in found["rows"]}
        assert sensor_command(capfd, "explain", alert, "--evidence", kept, *where).status == 0


@pytest.mark.network
def test_a_live_run_says_what_a_replay_says(latency_bundle, tmp_path, capfd):
    live, record, stats = (tmp_path / name for name in ("live.json", "record.pcap", "stats.json"))
    sent = [octets for _, octets in traffic(7, 150)]
    models = ["-m", str(latency_bundle), "--no-rule"]
    outputs = ["-o", str(live), "--record", str(record), "--stats", str(stats)]
    with netns.link() as cable, started(cable, *models, *outputs) as sensor:
        netns.play(cable.near, cable.port, sent, packets_per_second=2_000)
        sensor.wait_for_recording(record, sent)
        assert sensor.end() == 0
    seen = json.loads(stats.read_text())
    assert seen["packets"] == len(sent)
    assert seen["scored"] > 20

    output, counted = tmp_path / "alerts.json", tmp_path / "again.json"
    outcome = sensor_command(capfd, "replay", record, *models, "-o", output, "--stats", counted)
    assert (outcome.status, outcome.err) == (0, "")
    again = json.loads(counted.read_text())
    assert {name: again[name] for name in COUNTS} == {name: seen[name] for name in COUNTS}
    assert log(output) == log(live, live=True) != []
