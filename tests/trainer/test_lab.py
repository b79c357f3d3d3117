"""`multa-trainer lab`: what it lists, and what it refuses with one line."""

from pathlib import Path
from typing import Any

import pytest

from sensor.errors import MissingInputError, OutputError, PermissionDeniedError, ScenarioError
from trainer.cli import main
from trainer.datasets.extraction import ACCOUNT
from trainer.lab import network
from trainer.lab.scenario import shipped_scenarios


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[Any, str, str]:
    status: Any = 0
    try:
        main(["lab", *map(str, arguments)])
    except SystemExit as request:
        status = request.code or 0
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_lists_what_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "scenarios")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == shipped_scenarios()
    assert all(len(line.split()) > 3 for line in out.splitlines())


def test_failures_are_one_line_with_their_own_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('[[host]]\nname = "x"\n')
    complete = tmp_path / "complete"
    complete.mkdir()
    (complete / ACCOUNT).write_text("{}")
    out = tmp_path / "out"
    monkeypatch.setattr(network.os, "geteuid", lambda: 1000)
    cases: list[tuple[type, list[object], str]] = [
        (ScenarioError, ["--scenario", bad, "--out", out], "did you mean 'hosts'"),
        (MissingInputError, ["--scenario", tmp_path / "no.toml", "--out", out], "no.toml"),
        (PermissionDeniedError, ["--out", out], "run it with sudo"),
    ]
    for kind, arguments, told in cases:
        status, _, err = run(capsys, "record", *arguments)
        assert status == kind.exit_status
        assert told in err
        assert err.startswith("multa-trainer: error: ")
        assert err.count("\n") == 1
    assert not out.exists()
    monkeypatch.setattr(network.os, "geteuid", lambda: 0)
    monkeypatch.setattr(network, "missing_programs", lambda _: {})
    (tmp_path / "file").write_text("")
    for place, told in ((complete, "holds a recording already"), (tmp_path / "file" / "x", "file")):
        status, _, err = run(capsys, "record", "--out", place)
        assert status == OutputError.exit_status, err
        assert told in err
