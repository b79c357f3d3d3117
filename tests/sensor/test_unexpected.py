"""What nobody foresaw is one line too; `test_cli.py` has errors of the system."""

import errno

import pytest
from command import assert_fails, sensor_command

import trainer.cli
from sensor.cli import replay
from sensor.errors import HostError, InternalError, OutputError, PermissionDeniedError
from sensor.unexpected import explained


def broken(*_arguments, **_options):
    raise ZeroDivisionError("of all things\nthis")


def test_defect_is_one_line_that_asks_for_a_report(capfd, monkeypatch, tmp_path):
    monkeypatch.delenv("MULTA_TRACEBACK", raising=False)
    monkeypatch.setattr(replay, "CaptureFiles", broken)
    outcome = sensor_command(capfd, "replay", tmp_path / "x.pcap")
    place = f"test_unexpected.py:{broken.__code__.co_firstlineno + 1}"
    says = ("ZeroDivisionError: of all things this", place, "please report", "MULTA_TRACEBACK=1")
    assert_fails(outcome, 70, *says)


def test_traceback_is_shown_to_who_asks(capfd, monkeypatch, tmp_path):
    monkeypatch.setenv("MULTA_TRACEBACK", "1")
    monkeypatch.setattr(replay, "CaptureFiles", broken)
    outcome = sensor_command(capfd, "replay", tmp_path / "x.pcap")
    assert outcome.status == 70
    assert outcome.err.startswith("Traceback (most recent call last)")
    assert outcome.err.splitlines()[-1].startswith("multa-sensor: error: a defect")


def test_trainer_tells_defects_in_the_same_way(capfd, monkeypatch):
    monkeypatch.delenv("MULTA_TRACEBACK", raising=False)
    monkeypatch.setattr(trainer.cli.commands, "main", broken)
    with pytest.raises(SystemExit) as ended:
        trainer.cli.main(["extract"])
    assert ended.value.code == 70
    err = capfd.readouterr().err
    assert err.startswith("multa-trainer: error: a defect of this program (ZeroDivisionError")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (OSError(errno.ENOSPC, "No space left"), OutputError, "an output: no space left"),
        (OSError(errno.EMFILE, "Too many", "/x"), HostError, "/x: too many"),
        (
            PermissionError(errno.EACCES, "No", "/x"),
            PermissionDeniedError,
            "/x: permission denied; ",
        ),
        (MemoryError(), HostError, "not enough memory"),
        (AssertionError(), InternalError, r"\(AssertionError\)"),
        (OSError("without a number"), InternalError, "without a number"),
    ],
)
def test_what_the_system_refuses_is_no_defect(monkeypatch, error, kind, text):
    monkeypatch.delenv("MULTA_TRACEBACK", raising=False)
    with pytest.raises(kind, match=text):
        raise explained(error)
