"""The text for a terminal: it fits, it is safe to show, and it shows what the explanation holds."""

import re
from dataclasses import replace

import pytest
from demo_evidence import demo, explained

from sensor.reporting import explanation_words as words
from sensor.reporting.explanation import explain
from sensor.reporting.explanation_text import text


def plain(styled):
    return re.sub(r"\x1b\[[0-9;]*m", "", styled)


@pytest.mark.parametrize("width", [20, 60, 80, 100, 300])
@pytest.mark.parametrize("task", ["syn_dos", "ssl_renegotiation", "flow_rate"])
def test_lines_fit(task, width):
    shown = plain(text(explained(task), width))
    assert max(map(len, shown.splitlines())) <= min(110, max(60, width))
    assert not re.search("[^\\n -~─│┼▶◀→×µ█▉▊▋▌▍▎▏…]", shown)


def test_every_packet_is_an_arrow_with_its_time_and_the_score_without_it():
    explanation = explained("ssl_renegotiation")
    lines = plain(text(explanation, 100)).splitlines()
    arrows = [line for line in lines if "▶│" in line or "│◀" in line]
    batch = explanation.evidence.batch
    expected = [
        (each.place, k, each) for each in explanation.rows for k in range(len(each.row.time_us))
    ]
    assert len(arrows) == len(expected) == 4 * 16
    for line, (place, k, each) in zip(arrows, expected, strict=True):
        assert ("▶│" in line) == (batch.direction[place, k] == 1)
        assert words.packet(batch, place, k) in line
        assert line.split("│")[0].strip() == words.microseconds(each.row.time_us[k])
        assert line.split("│")[-1].strip() == words.score(each.without_packets[k])


def test_bars_are_as_long_as_the_scores():
    explanation = explained("syn_dos")
    lines = plain(text(explanation, 100)).splitlines()
    for part in explanation.parts:
        (line,) = [each for each in lines if each.startswith(f"  {part.name} ")]
        assert abs(line.count("█") - part.after * 60) <= 1
        assert line.endswith(words.score(part.after))


def test_what_came_from_elsewhere_is_escaped():
    evidence = demo()["syn_dos"]
    alert = evidence.alert
    document = {**alert.document, "alert": {**alert.document["alert"]}}
    document["alert"]["signature"] = "MULTA x: \x1b[2Jgone\u202e\r"
    evil = replace(evidence, alert=replace(alert, document=document))
    shown = text(explain(evil, None, 1), 80)
    assert "\x1b[2J" not in shown
    assert "\r" not in shown
    assert "\u202e" not in shown
    assert "\\x1b[2Jgone" in shown
