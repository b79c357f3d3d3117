import pytest
from alert_lines import alert_line

from sensor.reporting.calibration import Calibration, calibration, highest_scores
from sensor.reporting.labels import Label


def label(number, *, value, task="scan"):
    return Label(f"{number:016x}", value, task, "somebody", "", "")


@pytest.fixture
def logs(tmp_path):
    """Incident 1 grows from 0.6 to 0.9 over two files; nobody has labelled number 4."""
    old, new = tmp_path / "alerts.json.old", tmp_path / "alerts.json"
    lines = [(1, 0.6), (2, 0.7)], [(1, 0.9), (3, 0.8), (1, 0.5), (4, 0.99)]
    for path, entries in zip((old, new), lines, strict=True):
        content = [alert_line(alert_id=f"{n:016x}", score=score) for n, score in entries]
        path.write_bytes(b"".join(content) + b'"alert_id":"0000000000000001" torn')
    return [old, new]


def test_scores_are_compared_with_what_was_said(logs):
    labels = [label(1, value=True), label(2, value=False), label(3, value=True, task="dos")]
    found = calibration({each.alert_id: each for each in labels}, logs)
    assert found == [Calibration("dos", 1, 1, 0.8), Calibration("scan", 2, 1, 0.8)]
    assert found[1].share == 0.5


def test_the_highest_score_of_an_alert_counts(logs):
    assert highest_scores([f"{1:016x}"], logs) == {f"{1:016x}": 0.9}
    assert highest_scores([f"{9:016x}"], logs) == {}


def test_a_log_that_is_not_there_tells_nothing(logs, tmp_path):
    labels = {each.alert_id: each for each in [label(2, value=True)]}
    assert calibration(labels, [tmp_path / "none", *logs]) == [Calibration("scan", 1, 1, 0.7)]
    assert calibration({}, logs) == []
