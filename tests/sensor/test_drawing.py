"""The picture: well-formed, self-contained, and of the same packets and numbers as the text."""

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from demo_evidence import demo, explained

from sensor.reporting import explanation_words as words
from sensor.reporting.drawing import ROWS, picture

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn():
    return {task: (explained(task), picture(explained(task))) for task in demo()}


def parsed(svg):
    return ET.fromstring(svg)  # noqa: S314 -- made here


def texts(svg):
    return ["".join(each.itertext()) for each in parsed(svg).iter(f"{SVG}text")]


def test_it_is_one_svg_that_needs_nothing_else(drawn):
    for _, svg in drawn.values():
        root = parsed(svg)
        assert root.tag == f"{SVG}svg"
        known = {"svg", "title", "rect", "line", "polygon", "text"}
        assert {each.tag.removeprefix(SVG) for each in root.iter()} <= known
        names = {name for each in root.iter() for name in each.attrib}
        assert not {name for name in names if "href" in name or name in {"style", "class"}}
        assert re.findall(r"https?://[^\"]+", svg) == ["http://www.w3.org/2000/svg"]


def test_every_packet_of_the_rows_shown_is_an_arrow_in_its_direction(drawn):
    for explanation, svg in drawn.values():
        batch, shown = explanation.evidence.batch, texts(svg)
        rows = explanation.rows[:ROWS]
        directions = [
            int(batch.direction[each.place, k])
            for each in rows
            for k in range(len(each.row.time_us))
        ]
        heads = parsed(svg).iter(f"{SVG}polygon")
        drawn_heads = []
        for head in heads:
            tip, edge, _ = (float(point.split(",")[0]) for point in head.get("points").split())
            drawn_heads.append(1 if tip > edge else -1)
        assert drawn_heads == directions
        for each in rows:
            for k, time_us in enumerate(each.row.time_us):
                assert words.packet(batch, each.place, k) in shown
                assert words.microseconds(time_us) in shown
            for end in words.ends(each.row):
                assert end in shown


def test_bars_are_as_long_as_the_scores(drawn):
    explanation, svg = drawn["syn_dos"]
    widths = [
        float(each.get("width"))
        for each in parsed(svg).iter(f"{SVG}rect")
        if each.get("height") == "14.0"
    ]
    scores = [explanation.before, *(part.after for part in explanation.parts)]
    whole = widths[0] / scores[0]
    assert widths == pytest.approx([score * whole for score in scores], abs=0.1)


def test_nothing_lies_outside_or_on_top_of_each_other(drawn):
    for _, svg in drawn.values():
        root = parsed(svg)
        width, height = (float(root.get(name)) for name in ("width", "height"))
        places = [
            (round(float(each.get("x"))), round(float(each.get("y"))))
            for each in root.iter(f"{SVG}text")
        ]
        assert all(0 <= x <= width and 0 <= y <= height for x, y in places)
        assert len(set(places)) == len(places)


def test_words_from_elsewhere_are_text_and_nothing_else(drawn):
    explanation, _ = drawn["syn_dos"]
    evil = replace(explanation, title="<script>alert(1)</script>\x00\x1b & \ufffe\ud800")
    svg = picture(evil)
    assert "<script>" not in svg
    (title,) = [text for text in texts(svg) if "script" in text]
    assert title.startswith("<script>alert(1)</script>\\x00\\x1b & ")
    svg.encode("utf-8")


def test_long_ends_stand_below_each_other_within_their_column(drawn):
    explanation, _ = drawn["syn_dos"]
    long = "2001:db8:1234:5678:9abc:def0:1234:567"
    rows = tuple(
        replace(each, row=replace(each.row, source=f"{long}{k}", destination=f"{long}9"))
        for k, each in enumerate(explanation.rows[:ROWS])
    )
    svg = picture(replace(explanation, rows=rows))
    ends = [each for each in parsed(svg).iter(f"{SVG}text") if each.text.startswith("[2001")]
    assert len(ends) == 2 * ROWS
    for source, destination in zip(ends[::2], ends[1::2], strict=True):
        assert float(destination.get("y")) - float(source.get("y")) == 14
        letters = len(source.text) * float(source.get("font-size")) * 0.56
        assert float(source.get("x")) + letters <= float(destination.get("x"))
