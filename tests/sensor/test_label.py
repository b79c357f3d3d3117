"""`multa-sensor label`, as a shell sees it."""

import json
import shutil

import pytest
from alert_lines import alert_line
from command import ROOT, assert_fails, sensor_command, sensor_process

ID = "00000000000000a1"


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "alerts.json"
    path.write_bytes(alert_line(task="scan", alert_id=ID))
    return path


@pytest.fixture
def labels(tmp_path):
    return tmp_path / "labels.json"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Evidence of the demo capture."""
    folder = tmp_path_factory.mktemp("kept")
    kept = ("-o", folder / "alerts.json", "--evidence", folder / "evidence")
    assert sensor_process("replay", ROOT / "tests/captures/demo.pcap", *kept).returncode == 0
    return folder


@pytest.fixture
def evidence(kept, tmp_path):
    """Evidence of one alert, and its name."""
    (path, *_) = sorted((kept / "evidence").iterdir())
    folder = tmp_path / "evidence"
    folder.mkdir()
    shutil.copy(path, folder)
    return folder, path.stem


def given(labels):
    return [json.loads(line) for line in labels.read_text().splitlines()]


def test_a_label_holds_the_task_of_the_alert_its_author_and_the_time(capfd, labels, log):
    outcome = sensor_command(
        capfd,
        *("label", ID, "false", "--author", "ann", "--comment", "our backup"),
        *("--labels", labels, "--alerts", log),
    )
    assert (outcome.status, outcome.out) == (0, "")
    assert outcome.err == f"multa-sensor: scan {ID} was a false alarm, says ann ({labels})\n"
    (label,) = given(labels)
    assert label.pop("at").startswith("20")
    assert label == {
        "alert_id": ID,
        "value": False,
        "task": "scan",
        "author": "ann",
        "comment": "our backup",
    }


def test_evidence_and_rotated_logs_know_alerts_too(capfd, labels, log, evidence):
    folder, alert_id = evidence
    task = json.loads((folder / f"{alert_id}.json").read_text())["alert"]["alert"]["metadata"]
    places = ("--labels", labels, "--evidence", folder)
    assert sensor_command(capfd, "label", alert_id, "true", *places).status == 0
    log.rename(f"{log}.1")
    log.write_bytes(b"")
    assert (
        sensor_command(capfd, "label", ID, "true", "--labels", labels, "--alerts", log).status == 0
    )
    assert [label["task"] for label in given(labels)] == [task["multa"]["task"], "scan"]


def test_the_first_digits_of_an_alert_will_do(capfd, labels, log, evidence):
    folder, alert_id = evidence
    for more in (("--alerts", log), ("--evidence", folder)):
        begun = (ID if log in more else alert_id)[:-4]
        outcome = sensor_command(capfd, "label", begun, "true", "--labels", labels, *more)
        assert outcome.status == 0, outcome.err
    assert [label["alert_id"] for label in given(labels)] == [ID, alert_id]
    log.write_bytes(alert_line(alert_id=ID) + alert_line(alert_id=f"{ID[:-1]}2"))
    again = ("label", ID[:-1], "true", "--labels", labels, "--alerts", log)
    assert_fails(sensor_command(capfd, *again), 64, "both begin like this", ID)
    assert len(given(labels)) == 2


def test_the_author_is_who_called_sudo(capfd, labels, log, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "carol")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("os.fchown", lambda *_: None)
    sensor_command(capfd, "label", ID, "true", "--labels", labels, "--alerts", log)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    sensor_command(capfd, "label", ID, "true", "--labels", labels, "--alerts", log)
    first, second = (label["author"] for label in given(labels))
    assert first == "carol"
    assert second not in ("carol", "")


def test_an_alert_that_nobody_knows_is_refused(capfd, labels, log, evidence):
    folder, alert_id = evidence
    unknown = "00000000000000ff"
    for more in (("--alerts", log), ("--evidence", folder), ("--alerts", log.parent / "no")):
        outcome = sensor_command(capfd, "label", unknown, "true", "--labels", labels, *more)
        assert_fails(outcome, 66, unknown, more[1])
    # Evidence of another alert under its name is none of it.
    (folder / f"{alert_id}.json").rename(folder / f"{unknown}.json")
    outcome = sensor_command(
        capfd, "label", unknown, "true", "--labels", labels, "--evidence", folder
    )
    assert_fails(outcome, 66, "no evidence")
    assert not labels.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say which alert"),
        ([ID], "say which alert"),
        ([ID, "maybe"], "neither true"),
        (["../secret", "true"], "is no alert_id"),
        ([ID.upper(), "true"], "is no alert_id"),
        ([ID, "true", "--author", " "], "--author"),
        ([ID, "true", "--author", "a\x1b[2J"], "--author"),
        ([ID, "true", "--comment", "x" * 1001], "--comment"),
        ([ID, "true", "--json"], "--list"),
        ([ID, "--list"], "--list"),
    ],
)
def test_what_makes_no_sense_is_refused(capfd, labels, log, arguments, says):
    outcome = sensor_command(capfd, "label", *arguments, "--labels", labels, "--alerts", log)
    assert_fails(outcome, 64, says)
    assert not labels.exists()


def test_the_last_word_on_each_alert_is_listed(capfd, labels, log):
    for value, author in (("true", "ann"), ("false", "bob")):
        sensor_command(
            capfd, "label", ID, value, "--author", author, "--labels", labels, "--alerts", log
        )
    outcome = sensor_command(capfd, "label", "--list", "--labels", labels)
    (line,) = outcome.out.splitlines()
    assert line.startswith(f"{ID} false scan 20")
    assert line.endswith(" UTC, bob")
    as_json = sensor_command(capfd, "label", "--list", "--json", "--labels", labels)
    assert [json.loads(as_json.out)] == given(labels)[1:]


def test_foreign_words_in_labels_are_not_obeyed(capfd, labels):
    entry = {"alert_id": ID, "value": True, "task": "scan", "author": "\x1b[2J", "comment": "\n"}
    labels.write_text(json.dumps({**entry, "at": "2026-11-21T12:00:00.000000+0000"}) + "\nx\n")
    outcome = sensor_command(capfd, "label", "--list", "--labels", labels)
    assert "\x1b" not in outcome.out
    assert outcome.out.count("\n") == 1
    assert outcome.err == f"multa-sensor: {labels}: 1 line is no label (left out)\n"


def test_no_labels_yet_is_told(capfd, labels):
    assert_fails(sensor_command(capfd, "label", "--list", "--labels", labels), 66, "no labels yet")
