import json

import pytest
from test_health import Watched, frames_of

from sensor.reporting.live_view import LiveView
from sensor.reporting.status_file import Status, boottime_s, judged


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    watched = Watched(tmp_path_factory.mktemp("run"))
    watched.detect(frames_of(300))
    return json.dumps(watched.look(1))


@pytest.fixture
def document(made):
    """As if it had been written now."""
    return {**json.loads(made), "boottime": boottime_s()}


def later(document, seconds, **grown):
    counts = document["statistics"]
    counts = {**counts, **{name: counts[name] + more for name, more in grown.items()}}
    return {**document, "boottime": document["boottime"] + seconds, "statistics": counts}


def texts(view, document, width=200, height=100):
    return [line.text for line in view.lines(judged(document), width, height)]


def row(lines, name):
    return next(line.split() for line in lines if line.startswith(name))


def test_rates_are_differences_by_the_clock_that_nobody_sets(document):
    view = LiveView(blocks=False)
    view.take(judged(document))
    assert row(texts(view, document), "frames ") == ["frames", "…", "300"]
    after = {**later(document, 4, packets=8_000, kernel_drops=2), "written": "1970-01-01T00:00:00"}
    view.take(judged(after))
    lines = texts(view, after)
    assert row(lines, "frames ") == ["frames", "2,000/s", "8,300"]
    assert row(lines, "frames lost") == ["frames", "lost", "0.5/s", "2"]
    assert row(lines, "flows ") == ["flows", "0/s", "300"]
    marks = {line.text.split("  ")[0]: line.mark for line in view.lines(judged(after), 200, 99)}
    assert (marks["frames lost"], marks["frames"], marks["rows shed"]) == ("loss", "", "")


def test_the_same_status_again_changes_no_rate(document):
    view = LiveView(blocks=False)
    after = later(document, 2, packets=10)
    for each in (document, after, after, after):
        view.take(judged(each))
    assert row(texts(view, after), "frames ")[1] == "5.0/s"


def test_another_run_counts_from_its_beginning(document):
    view = LiveView(blocks=False)
    view.take(judged(document))
    view.take(judged({**later(document, 2, packets=-290), "started": "later"}))
    assert row(texts(view, document), "frames ")[1] == "…"
    view.take(judged({**later(document, 4, packets=-250), "started": "later"}))
    assert row(texts(view, document), "frames ")[1] == "20/s"


def test_the_curve_is_as_high_as_its_highest(document):
    view, at = LiveView(blocks=True), document
    view.take(judged(at))
    for more in (0, 50, 100, 25):
        at = later(at, 1, packets=more)
        view.take(judged(at))
    (curve,) = (line for line in texts(view, at) if line.startswith("frames/s"))
    assert curve == "frames/s  ▄█▂"
    (curve,) = (line for line in texts(view, at, width=11) if line.startswith("frames/s"))
    assert curve == "frames/s █▂"
    assert not [line for line in texts(LiveView(blocks=False), at) if line.startswith("frames/s")]


def test_the_latest_alert_is_the_first_and_the_window_cuts(document):
    view = LiveView(blocks=False)
    lines = texts(view, document)
    title = lines.index("Last alerts")
    assert [line.split()[3] for line in lines[title + 1 :]] == ["end", "update", "update", "start"]
    assert texts(view, document, height=title + 2) == lines[: title + 2]
    assert texts(view, {**document, "recent": []})[-1] == "No alerts yet"


def test_a_sensor_that_is_gone_is_told_as_such():
    view = LiveView(blocks=False)
    status = Status("down", ("no status\x1b[2J",), None, {})
    view.take(status)
    first, second, *_ = view.lines(status, 80, 24)
    assert (first.text, first.mark) == ("DOWN", "bad")
    assert second.text == "· no status\\x1b[2J"


@pytest.mark.parametrize("wrong", [None, 5, "text", [], {"a": None}, {"packets": "many"}])
def test_a_foreign_document_breaks_nothing(document, wrong):
    view = LiveView(blocks=True)
    for name in document:
        if name not in ("boot_id", "boottime", "pid", "pid_namespace", "interval_s", "state",
                        "reasons"):  # fmt: skip
            foreign = {**document, name: wrong}
            view.take(judged(foreign))
            texts(view, foreign)
