"""Alerts about peers, explained: every number against dpkt's reading of the packets, or by hand."""

import json
import re
from collections import Counter
from datetime import datetime, timedelta, timezone
from statistics import median_low
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from command import sensor_command
from demo_evidence import write_evidence
from latency_evidence import (
    BUNDLE,
    CLIENT,
    OUTAGE,
    PEER,
    by_number,
    capture,
    explained,
    kept,
    windows,
)

from sensor.errors import EvidenceError
from sensor.model.bundle import Bundle
from sensor.model.detector import BundleDetector
from sensor.model.golden import empty_rows
from sensor.reporting.drawing import picture
from sensor.reporting.evidence_files import read
from sensor.reporting.explanation import document
from sensor.reporting.explanation_text import text

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
TASKS = ("outage", "swell")
SVG = "{http://www.w3.org/2000/svg}"


def plain(styled):
    return re.sub(r"\x1b\[[0-9;]*m", "", styled)


def steps_of(evidence, place):
    """µs, ms, answered and usual of each measurement, as the reference has them."""
    batch = evidence.batch
    columns = (batch.rtt, batch.rtt_gap, batch.answered, batch.rtt_usual)
    return tuple(
        zip(*(each[place, : batch.length[place]].tolist() for each in columns), strict=True)
    )


def highest(evidence):
    """Window of the row with the highest score, as dpkt reads it."""
    return windows()[evidence.rows[int(evidence.scores.argmax())].sequence_index]


def answered(window, last=64):
    return [rtt for rtt, _, there, _ in window.steps[-last:] if there]


@pytest.mark.parametrize("task", TASKS)
def test_rows_are_the_windows_of_the_capture_as_dpkt_reads_them(task):
    evidence = kept()[task]
    assert len(evidence.rows) >= 5
    for place, row in enumerate(evidence.rows):
        window = windows()[row.sequence_index]
        assert steps_of(evidence, place) == window.steps
        assert (row.kind, row.source, row.destination) == ("echo", CLIENT, PEER)
        assert row.start == EPOCH + timedelta(microseconds=window.start_ns // 1_000)
        gaps = [gap for _, gap, *_ in window.steps[1:]]
        assert row.time_us == tuple(1_000 * sum(gaps[:k]) for k in range(len(gaps) + 1))


@pytest.mark.parametrize("task", TASKS)
def test_alerts_tell_measurements_and_no_packets(task):
    alert = kept()[task].alert
    window = highest(kept()[task])
    assert list(alert.document["flow"]) == ["start"]
    assert not {"packets_used", "context"} & alert.multa.keys()
    assert alert.multa["latency"] == {
        "peer": PEER,
        "kind": "echo",
        "measurements": len(window.steps),
        "failed": sum(not there for *_, there, _ in window.steps),
        "median_ms": median_low(answered(window)) / 1_000,
        "usual_ms": window.steps[-1][3] / 1_000,
        "last_ms": [rtt / 1_000 if there else None for rtt, _, there, _ in window.steps[-8:]],
    }


def said(steps):
    """What is said of some measurements."""
    times = [rtt / 1_000 for rtt, _, there, _ in steps if there]
    failed = len(steps) - len(times)
    if not times:
        return "none was answered."
    share = f"{len(times)} of {len(steps)}" if failed else "all"
    return (
        f"{share} answered in {min(times):.1f} ms to {max(times):.1f} ms, with a median of "
        f"{median_low(times):.1f} ms" + f"; {failed} not answered" * bool(failed) + "."
    )


@pytest.mark.parametrize(
    ("task", "counted"), [("outage", "what was not answered"), ("swell", "the round-trip times")]
)
def test_what_happened_is_said_with_the_numbers_of_the_capture(task, counted, tmp_path):
    times = by_number(capture(tmp_path))
    took = {number: (each[1] - each[0]) // 1_000 for number, each in times.items() if each[1:]}
    assert set(times) - set(took) == set(OUTAGE)
    evidence, told = kept()[task], explained(task)
    window = highest(evidence)
    assert set(answered(window)) <= set(took.values())
    assert told.incident.startswith(f"{evidence.seen} measurements of {PEER} within ")
    assert told.incident.endswith(
        f"has {len(window.steps)} round-trip times of echo requests, asked by {CLIENT} in "
        f"{round(sum(gap for _, gap, *_ in window.steps[1:]) / 1_000)} s: {said(window.steps)} "
        f"Of the last 8: {said(window.steps[-8:])} Usual in the series was "
        f"{window.steps[-1][3] / 1_000:.1f} ms."
    )
    assert told.verdict.startswith(f"What counted most: {counted};")
    assert told.agrees


def scored(task, rows):
    """Scores of windows, as lists of (µs, ms, answered, usual)."""
    bundle = Bundle.read(BUNDLE)
    batch = empty_rows(bundle.schema.n, len(rows), bundle.schema.optional)
    for place, steps in enumerate(rows):
        batch.length[place] = len(steps)
        for k, values in enumerate(steps):
            for name, value in zip(
                ("rtt", "rtt_gap", "answered", "rtt_usual"), values, strict=True
            ):
                getattr(batch, name)[place, k] = value
    scores = BundleDetector(bundle).score(batch)
    return scores[:, [each.name for each in bundle.tasks].index(task)].astype(np.float64)


def without(steps, k):
    """A window without a measurement; the gap before the next one is the sum of both."""
    rest = [list(each) for j, each in enumerate(steps) if j != k]
    if k < len(rest):
        rest[k][1] += steps[k][1]
    return rest


def usual(steps, part):
    """A window with what is usual in place of a part."""
    gap = median_low(gap for _, gap, *_ in steps)
    assert all(level for *_, level in steps)
    return {
        "round-trip times": [(x if there else 0, g, there, x) for _, g, there, x in steps],
        "missing answers": [(rtt if there else x, g, 1, x) for rtt, g, there, x in steps],
        "time between measurements": [(rtt, gap, there, x) for rtt, _, there, x in steps],
    }[part]


@pytest.mark.parametrize("task", TASKS)
def test_scores_without_a_measurement_or_a_part_are_those_of_windows_changed_by_hand(task):
    explanation = explained(task)
    for row in explanation.rows:
        steps = windows()[row.row.sequence_index].steps
        expected = scored(task, [without(steps, k) for k in range(len(steps))])
        assert row.without_packets == pytest.approx(expected, abs=1e-6)
        parts = {part.name: part.after for part in row.parts}
        assert parts == pytest.approx(
            {part: scored(task, [usual(steps, part)])[0] for part in parts}, abs=1e-6
        )
        assert len(parts) == 3


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("task", TASKS)
def test_the_text_draws_every_window_and_fits(task, width):
    explanation = explained(task)
    shown = plain(text(explanation, width)).splitlines()
    assert max(map(len, shown)) <= width
    columns = [line.split("│")[1] for line in shown if line.count("│") == 2]
    room = min(64, width - 15)
    for place, row in enumerate(explanation.rows):
        chart = columns[9 * place : 9 * place + 9]
        assert {len(line) for line in chart} == {room}
        steps = windows()[row.row.sequence_index].steps[-room:]
        most = max(rtt for rtt, *_ in steps)
        for k, (rtt, _, there, _) in enumerate(steps):
            heights = [" ▁▂▃▄▅▆▇█".find(line[k]) for line in chart[:8]]
            if there:
                assert sum(heights) == pytest.approx(rtt / most * 64, abs=0.5)
            else:
                assert [line[k] for line in chart[:8]] == [" "] * 7 + ["×"]
            lost = row.without_packets[len(row.without_packets) - room + k]
            assert (chart[8][k] == "▼") == (lost < explanation.evidence.alert.multa["threshold"])


@pytest.mark.parametrize("task", TASKS)
def test_the_picture_has_a_column_for_every_measurement(task):
    explanation = explained(task)
    root = ET.fromstring(picture(explanation))  # noqa: S314 -- made here
    bars = [each.attrib for each in root.iter(f"{SVG}rect")]
    red = [each for each in bars if each["fill"] == "#f3c6cd"]
    steps = [windows()[row.row.sequence_index].steps for row in explanation.rows]
    assert len(red) == sum(not there for window in steps for *_, there, _ in window)
    most = max(rtt for rtt, *_ in steps[0])
    # two for each measurement of the rows: the round-trip time, and the score without it
    width, count = Counter(each["width"] for each in bars).most_common(1)[0]
    assert count == 2 * sum(map(len, steps))
    columns = [float(each["height"]) for each in bars if each["width"] == width]
    heights, scores = columns[: len(steps[0])], columns[len(steps[0]) : 2 * len(steps[0])]
    without_each = explanation.rows[0].without_packets
    assert scores == pytest.approx([40 * each for each in without_each], abs=0.06)
    expected = [rtt / most * 110 if there else 110 for rtt, _, there, _ in steps[0]]
    assert heights == pytest.approx(expected, abs=0.06)
    texts = ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]
    width = float(root.get("width"))
    for each in root.iter(f"{SVG}text"):
        long = 0.56 * len(each.text) * float(each.get("font-size"))
        begin = float(each.get("x")) - (long if each.get("text-anchor") == "end" else 0)
        assert begin >= 0
        assert each.get("text-anchor") == "middle" or begin + min(long, width) <= width
    level = median_low(rtt for rtt, _, there, _ in steps[0] if there)
    assert any(f"{most / 1_000:.1f} ms" in each for each in texts)
    assert any(f"with a median of {level / 1_000:.1f} ms" in each for each in texts)


def test_the_document_holds_the_measurements():
    explanation = explained("outage")
    told = json.loads(json.dumps(document(explanation)))
    for row, each in zip(told["rows"], explanation.rows, strict=True):
        steps = windows()[each.row.sequence_index].steps
        rtts = [rtt if there else None for rtt, _, there, _ in steps]
        assert [step["rtt_us"] for step in row["measurements"]] == rtts
        assert [step["score_without"] for step in row["measurements"]] == [*each.without_packets]
        assert row["kind"] == "echo"
        assert not {"packets", "context"} & row.keys()


def test_commands_show_it(tmp_path, capfd):
    folder, log = tmp_path / "evidence", tmp_path / "alerts.json"
    options = ("-m", BUNDLE, "--no-rule", "--evidence", folder, "-o", log)
    assert sensor_command(capfd, "replay", capture(tmp_path), *options).status == 0
    told = [json.loads(line)["alert"]["metadata"]["multa"] for line in log.read_text().splitlines()]
    start, end = ([each for each in told if each["task"] == "outage"][place] for place in (0, -1))
    seen = sensor_command(capfd, "explain", start["alert_id"], "--evidence", folder, "-m", BUNDLE)
    assert (seen.status, seen.err) == (0, "")
    assert "A peer that has answered lately no longer answers: peer 192.0.2.1" in plain(seen.out)
    shown = plain(sensor_command(capfd, "alerts", log, "--task", "outage").out).splitlines()
    before = start["latency"]["usual_ms"]
    summed = sensor_command(capfd, "replay", capture(tmp_path), *options[:3], "--summary").err
    assert "peer 192.0.2.1" in summed
    assert f"{end['rows']} measurements, worst score" in summed
    assert "peer 192.0.2.1" in shown[0]
    assert f"{start['rows']} measurements" in shown[0]
    assert f"echo none, usual {before:.1f} ms" in shown[0]
    assert not [line for line in shown if "flow" in line]
    page = tmp_path / "report.html"
    made = sensor_command(capfd, "report", log, "--evidence", folder, "-o", page)
    assert (made.status, made.err) == (0, "")
    content = page.read_text()
    assert f"{end['rows']} <small>measured</small>" in content
    assert "peer 192.0.2.1" in content
    assert "Round-trip times</text>" in content
    assert "<caption>Peers</caption>" in content
    assert "<caption>Victims</caption>" not in content


def test_the_same_packets_leave_the_same_files_however_they_are_read(tmp_path):
    for name, chunk_bytes in (("whole", None), ("pieces", 3_000)):
        write_evidence(capture(tmp_path), tmp_path / name, chunk_bytes, BUNDLE)
    files = [sorted((tmp_path / name).iterdir()) for name in ("whole", "pieces")]
    assert len(files[0]) == len(files[1]) >= 2
    for one, other in zip(*files, strict=True):
        assert (one.name, one.read_bytes()) == (other.name, other.read_bytes())


DAMAGE = {
    "no kind": lambda row: row.pop("kind"),
    "another kind": lambda row: row.update(kind="arp"),
    "no measurements": lambda row: row.update(measurements=[]),
    "too many": lambda row: row.update(measurements=row["measurements"] * 2),
    "too short": lambda row: row["measurements"][0].pop(),
    "more than answered": lambda row: row["measurements"][0].__setitem__(2, 2),
    "longer than the clip": lambda row: row["measurements"][0].__setitem__(0, 60_000_001),
    "no number": lambda row: row["measurements"][0].__setitem__(1, "5"),
    "a time below 0": lambda row: row["measurements"][0].__setitem__(0, -1),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_measurements_are_one_clear_line(damage, tmp_path):
    write_evidence(capture(tmp_path), tmp_path / "kept", bundle=BUNDLE)
    path, *_ = sorted((tmp_path / "kept").iterdir())
    told = json.loads(path.read_text())
    DAMAGE[damage](told["rows"][0])
    path.write_text(json.dumps(told))
    with pytest.raises(EvidenceError, match="is no evidence that this version reads"):
        read(path)
