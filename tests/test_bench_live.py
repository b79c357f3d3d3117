"""The live benchmark's own parts: what is sent, what is taken for a delay, and the page."""

import json
import shutil

import dpkt
import pytest
from command import ROOT, sensor_command

from bench.cable import Sent, cable
from bench.live import ATTACKS_EVERY_S, Handled, Watched, delays, page, write_attacks


def read(path):
    with path.open("rb") as stream:
        return [(float(when), octets) for when, octets in dpkt.pcap.Reader(stream)]


def starts(path):
    records = map(json.loads, path.read_text().splitlines())
    own = (record["alert"]["metadata"]["multa"] for record in records)
    return {each["address"] for each in own if each.get("event") == "start"}


def test_attacks_are_apart_and_each_is_recognised(capfd, tmp_path):
    played, log = tmp_path / "attacks.pcap", tmp_path / "alerts.json"
    count = write_attacks(played, 2.2)
    packets = read(played)
    assert count == int(0.4 / ATTACKS_EVERY_S)
    assert [when for when, _ in packets] == sorted(when for when, _ in packets)
    assert 0.5 <= packets[0][0] < packets[-1][0] < 2.2
    assert sensor_command(capfd, "replay", played, "--no-rule", "-o", log).status == 0
    assert starts(log) >= {f"10.200.1.{number}" for number in range(count)}


def test_delay_is_from_the_deciding_packet_to_the_line():
    def line(address, event, end_reason, task="ssl_renegotiation"):
        own = {"task": task, "event": event, "address": address, "end_reason": end_reason}
        alert = {"metadata": {"multa": own}}
        return json.dumps({"timestamp": "2026-01-01T00:00:01.250000+0000", "alert": alert})

    arrived = 1_767_225_601_300_000_000  # 2026-01-01T00:00:01.3Z
    lines = [
        line("10.200.1.0", "start", "full"),
        line("10.200.1.0", "update", "full"),
        line("10.200.1.1", "start", "early"),
        line("10.32.0.1", "start", "full"),
        line("10.200.1.2", "start", "full", "scan"),
    ]
    timed = [
        ("10.200.1.0", pytest.approx(50, abs=0.01)),
        ("10.32.0.1", pytest.approx(50, abs=0.01)),
    ]
    assert delays([(arrived, each) for each in lines]) == timed


def test_page_tells_loss_and_delays_beside_their_aims():
    counted = {
        "packets": 750, "kernel_drops": 250, "shed": 3, "sequences": {"full": 10},
        "alerts_withheld": 1,
    }  # fmt: skip
    sent = Sent(1000, 1000, 2.0)
    run = Watched("syn", 0, 1, sent, counted, 1.5, 3, 2, [10.0, 20.0, 30.0])
    text = page(
        8, 0.2, [run], ["mix: broke"], [run], [Handled("scapy", "mix", sent, 10)], ["", "x: no"]
    )
    assert (
        "| syn | 1 | most | 0.5 | 1,000 | 25 % | 250 | 3 of 10 | 2 of 3 | 1 | 3 | 20 | 30 |" in text
    )
    assert "| scapy | mix | 0.5 | 1,000 | 10 | 99 % |" in text
    assert "Ended with a failure: mix: broke." in text
    assert text.endswith("x: no\n")


@pytest.mark.network
@pytest.mark.skipif(not shutil.which("cc"), reason="lacks cc (Debian package gcc)")
def test_sender_sends_at_its_rate_and_marked_frames_once(tmp_path):
    write_attacks(marked := tmp_path / "attacks.pcap", 2.0)
    early = sum(when < 0.6 for when, _ in read(marked))
    with cable(tmp_path) as link:
        sent = link.send(ROOT / "tests/captures/demo.pcap", 5_000, 0.6, marked)
        alone = link.send(marked, 1_000, 0.2)
    assert sent.arrived == sent.frames
    assert early < 2_000 < sent.frames <= 3_000
    assert 0 < alone.frames <= 200
