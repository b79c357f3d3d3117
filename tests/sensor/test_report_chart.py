"""Drawings: what is drawn where, and that text in them is text."""

import xml.etree.ElementTree as ET
from datetime import timedelta
from time import tzset

import pytest
from alert_lines import NOON, alert_line

from sensor.reporting.alert_log import parse
from sensor.reporting.report_chart import LABELS, WIDTH, Span, histogram, severity_class, timeline
from sensor.reporting.report_facts import Facts


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC")
        tzset()
        yield
    tzset()


def parsed(text):
    return ET.fromstring(text)  # noqa: S314 -- our own drawing


def seconds(number):
    return NOON + timedelta(seconds=number)


SPAN = Span(NOON, seconds(100))


def drawn(*lines, blind=(), span=SPAN):
    tasks = Facts.of(parse(line) for line in lines).tasks()
    root = parsed(timeline(tasks, blind, span))
    return [
        (rect.get("class"), float(rect.get("x")), float(rect.get("width")), rect.findtext("title"))
        for rect in root.iter("rect")
    ]


def test_a_bar_spans_the_packets_of_its_incident():
    ((kind, left, width, text),) = drawn(alert_line(50, began=20, lasted=30, severity=1))
    inner = WIDTH - LABELS - 4
    assert kind == "s1"
    assert left == pytest.approx(LABELS + 0.2 * inner, abs=0.1)
    assert width == pytest.approx(0.3 * inner, abs=0.1)
    assert text == (
        "syn_dos, victim 10.0.0.2, 2026-11-21 12:00:20 for 30 s, 20 flows, score 0.900, "
        "00000000000000a1"
    )


def test_incidents_at_the_same_time_hide_none_and_many_become_columns():
    few = [alert_line(0, lasted=90, alert_id=f"{k:016x}") for k in range(4)]
    assert len(drawn(*few)) == 4
    many = [*few, alert_line(0, lasted=90, alert_id=f"{9:016x}", severity=1)]
    columns = drawn(*many)
    assert {kind for kind, *_ in columns} == {"s1"}
    assert len(columns) == 217  # 90 % of 240, and the one in which they end
    assert columns[0][3] == "2026-11-21 12:00:00: 5 incidents"


def test_what_was_blind_is_drawn_within_the_time_shown():
    blind = [
        (seconds(-50), seconds(10), "eth0 & down"),
        (seconds(200), seconds(300), "later"),
    ]
    (shade, _) = drawn(alert_line(50), blind=blind)
    inner = WIDTH - LABELS - 4
    assert shade[:2] == ("blind", LABELS)
    assert shade[2] == pytest.approx(0.1 * inner, abs=0.1)
    assert shade[3] == "eth0 & down"


def test_words_of_others_are_text():
    hostile = '</title><script>alert(1)</script>"'
    ((*_, text),) = drawn(alert_line(task=hostile, address=hostile, device={"name": hostile}))
    assert text.count(hostile) == 3


@pytest.mark.parametrize(
    ("length_s", "labels"),
    [
        (30, ["12:00:00", "12:00:05", "12:00:10"]),
        (3600, ["12:00", "12:10", "12:20"]),
        (86_400, ["12:00", "15:00", "18:00"]),
        (3 * 86_400, ["11-21 12:00", "11-22 00:00", "11-22 12:00"]),
        (30 * 86_400, ["11-23", "11-27", "12-01"]),
        (3 * 365 * 86_400, None),
    ],
)
def test_ticks_are_round_and_few(length_s, labels):
    span = Span(NOON, seconds(length_s))
    ticks = span.ticks()
    assert 3 <= len(ticks) <= 9
    assert labels is None or [span.label(tick) for tick in ticks][:3] == labels


def test_a_moment_is_a_span_too():
    span = Span.around([NOON])
    assert span.seconds == 1
    assert span.place(NOON) == 0.5


def test_a_histogram_has_logarithmic_columns_and_the_threshold():
    edges = [k / 4 for k in range(5)]
    root = parsed(histogram("a<b", edges, [999, 0, 9, 99], 0.5, "row"))
    heights = [float(rect.get("height")) for rect in root.iter("rect")]
    assert heights == pytest.approx([70, 70 / 3, 140 / 3], abs=0.1)
    kinds = [rect.get("class") for rect in root.iter("rect")]
    assert kinds == ["plain", "s2", "s2"]
    texts = [title.text for title in root.iter("title")]
    assert texts[:2] == ["a<b: scores of 1,107 rows", "0 to 0.25: 999 rows"]
    assert "threshold 0.5" in texts
    empty = parsed(histogram("x", edges, [0, 0, 0, 0], None, "row"))
    assert not list(empty.iter("rect"))


def test_severities_have_three_colours():
    assert [severity_class(k) for k in (-1, 1, 2, 3, 9)] == ["s1", "s1", "s2", "s3", "s3"]
