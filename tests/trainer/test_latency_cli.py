from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.cli import main
from trainer.latency.reading import read_file
from trainer.latency.series import TASKS


def run(*arguments: object) -> int:
    try:
        main(["latency", *map(str, arguments)])
    except SystemExit as request:
        return int(request.code or 0)
    return 0


def table(path: Path, length: int = 600) -> Path:
    rows = (f"{1_700_000_000 + 10 * k},{20 + k % 7 / 10}" for k in range(length))
    path.write_text("time,rtt\n" + "\n".join(rows) + "\n")
    return path


def test_series_are_generated_and_shown(tmp_path: Path, capfd: Any) -> None:
    out = tmp_path / "series.npz"
    assert run("generate", "--out", out, "--measurements", 25_000, "--length", 500) == 0
    assert f"{out}: 50 series, 25000 measurements, answered" in capfd.readouterr().err
    assert run("show", out, "--plot", tmp_path / "series.png") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].split()[-1] == "series"
    assert lines[1].endswith("generated 0")
    assert lines[40].endswith("generated 39")
    assert lines[41] == "... and 10 more"
    assert lines[42].startswith("total: 50 series, 25000 measurements, answered 9")
    assert (tmp_path / "series.png").stat().st_size > 1000


def test_the_seed_decides_what_is_generated(tmp_path: Path) -> None:
    base = table(tmp_path / "base.csv")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = ("--base", base, "--measurements", 1500, "--length", 500, "--seed", seed)
        assert run("generate", "--out", tmp_path / name, *options) == 0
    octets = [(tmp_path / name).read_bytes() for name in "abc"]
    series = [list(read_file(tmp_path / name)) for name in "abc"]
    assert [each.name for each in series[0]] == ["base.csv#0", "base.csv#1", "base.csv#2"]
    assert all(each.truth.keys() == set(TASKS) for each in series[0])
    assert all(
        np.array_equal(one.rtt_ms, other.rtt_ms, equal_nan=True)
        for one, other in zip(series[0], series[1], strict=True)
    )
    assert octets[0] != octets[2]


def test_foreign_names_are_shown_harmlessly(tmp_path: Path, capfd: Any) -> None:
    assert run("show", table(tmp_path / "red\x1b[31m.csv")) == 0
    assert "\x1b" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["show", "none.csv"], 66, "none.csv: No such file"),
        (["show", "notes"], 88, "notes: no latency series; read are RIPE Atlas results"),
        (["show"], 64, "Missing argument 'FILE...'"),
        (["generate", "--out", "o", "--measurements", 100], 64, "not in the range 384<=x"),
        (["generate", "--out", "no/o"], 74, "no/o: No such file or directory; name a file"),
        (["generate", "--out", "o", "--base", "few.csv"], 88, "few.csv: 20 answers; a base has"),
    ],
)
def test_what_a_person_can_mend(
    arguments: list[Any],
    status: int,
    says: str,
    tmp_path: Path,
    capfd: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes").write_text("Dear diary\n")
    table(Path("few.csv"), 20)
    assert run(*arguments) == status
    assert says in capfd.readouterr().err
    assert not Path("o").exists()
