"""Sets of recordings: their lists, their making and the card that describes them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from sensor.errors import ConfigurationError, MissingInputError, ScenarioError
from trainer.cli import main
from trainer.datasets.extraction import ACCOUNT, CAPTURE, LABELS
from trainer.lab.network import missing_programs
from trainer.lab.recording_set import CARD, SUMS, data_card, make_set, read_set, shipped_sets
from trainer.lab.scenario import read_scenario

GOOD = """
version = "3"
description = "Two quiet homes."
[[recordings]]
name = "one"
use = "train"
scenario = "sparse"
seed = 1
duration_s = 3
[[recordings]]
name = "two"
use = "left-out"
scenario = "sparse"
seed = 2
duration_s = 3
"""


def write(folder: Path, text: str) -> str:
    path = folder / "small.toml"
    path.write_text(text)
    return str(path)


def test_shipped_sets_are_valid_and_keep_what_is_left_out_apart() -> None:
    assert shipped_sets()
    for name in shipped_sets():
        entries = read_set(name).recordings
        # A seed has one recording only: nothing is trained on and tested with.
        assert len({(entry.scenario, entry.seed) for entry in entries}) == len(entries)
        assert all(entry.use == "left-out" for entry in entries if entry.scenario == "left_out")
        attacked = {
            attack.task
            for entry in entries
            if entry.use == "train"
            for attack in read_scenario(entry.scenario).attacks
        }
        assert len(attacked) == 7
        quiet = [entry for entry in entries if not read_scenario(entry.scenario).attacks]
        assert {entry.use for entry in quiet} == {"train", "left-out"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('version = "3"', "version = 3", "write version and description, texts"),
        ('name = "two"', 'name = "one"', "a name of its own"),
        ('name = "two"', 'name = "../x"', "number 2: name is not made of"),
        ('use = "left-out"', 'use = "test"', "number 2: use is neither"),
        ('scenario = "sparse"\nseed = 2', 'scenario = "x"\nseed = 2', "scenario is none of"),
        ("seed = 2", "seed = -1", "seed is no whole number"),
        ("duration_s = 3", 'duration_s = "3"', "number 1: duration_s is no number"),
        ("seed = 2", "sed = 2", "write name, use, scenario, seed, duration_s, nothing else"),
        ('version = "3"', "version = ", "not TOML"),
    ],
)
def test_mistakes_are_told_with_their_place(old: str, new: str, words: str, tmp_path: Path) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as error:
        read_set(path)
    assert str(error.value).startswith(path)
    assert words in str(error.value)


def test_a_set_that_is_not_there() -> None:
    with pytest.raises(MissingInputError, match=r"no\.toml.*one of .*homes"):
        read_set("no.toml")


def test_plans_are_looked_at_before_anything_is_recorded(tmp_path: Path) -> None:
    wanted = read_set(write(tmp_path, GOOD.replace("duration_s = 3", "duration_s = 1")))
    with pytest.raises(ScenarioError, match="from 3 to 3600 seconds"):
        make_set(wanted, tmp_path / "out", print)
    assert not (tmp_path / "out").exists()


def account(flows: int, *attacks: tuple[str, int, float]) -> dict[str, Any]:
    return {
        "scenario": "sparse",
        "seed": 1,
        "duration_s": 90,
        "snaplen": 128,
        "flows": flows,
        "hosts": [{}, {}],
        "recorder": {"captured": 10 * flows},
        "attacks": [
            {"task": task, "captured_flows": found, "settings": {"rate": rate, "tool": "nmap"}}
            for task, found, rate in attacks
        ],
    }


def test_the_card_counts_what_the_recordings_say(tmp_path: Path) -> None:
    wanted = read_set(write(tmp_path, GOOD))
    accounts = {
        "one": account(100, ("scan", 30, 2.0), ("scan", 20, 50.0), ("syn_dos", 5, 9.0)),
        "two": account(40),
    }
    lines = data_card(wanted, accounts).splitlines()
    assert lines[0] == "# Recordings small, version 3"
    assert "| one | train | sparse | 1 | 90 | 2 | 1000 | 128 | 100 | syn_dos 5, scan 50 |" in lines
    assert "| two | left-out | sparse | 1 | 90 | 2 | 400 | 128 | 40 | none |" in lines
    (totals,) = (line for line in lines if line.startswith("| train | 1 |"))
    # 100 flows less 55; two scans, one flood.
    assert totals.startswith("| train | 1 | 1.5 | 1000 | 100 | 45 | 5 (1) | 0 (0) | 0 (0) | 50 (2)")
    assert "| scan | nmap (2) | 2 to 50 |" in lines


def test_lists_what_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    main(["lab", "sets"])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == shipped_sets()


@pytest.mark.network
@pytest.mark.skipif(
    bool(missing_programs()), reason=f"needs {', '.join(missing_programs().values())}"
)
def test_a_set_is_made_once_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    wanted = read_set(write(tmp_path, GOOD))
    said: list[str] = []
    make_set(wanted, tmp_path / "out", said.append)
    assert [line.split(":")[0] for line in said] == ["1/2 one", "2/2 two"]
    out = tmp_path / "out"
    kept = (out / "one" / CAPTURE).read_bytes()
    # All of one recording but its account, which comes last, is as if it were not there.
    for name in (CAPTURE, LABELS, ACCOUNT):
        (out / "two" / name).unlink()
    said.clear()
    make_set(wanted, out, said.append)
    assert said == ["1/1 two: sparse, 3 s"]
    assert (out / "one" / CAPTURE).read_bytes() == kept
    assert (out / CARD).read_text().count("| sparse |") == 2
    sums = dict(line.split("  ")[::-1] for line in (out / SUMS).read_text().splitlines())
    assert sums[f"one/{CAPTURE}"] == hashlib.sha256(kept).hexdigest()
    assert len(sums) == 6
    other = json.loads((out / "one" / ACCOUNT).read_text()) | {"seed": 9}
    (out / "one" / ACCOUNT).write_text(json.dumps(other))
    with pytest.raises(ConfigurationError, match="is another recording than the list's"):
        make_set(wanted, out, said.append)
    (out / "one" / ACCOUNT).write_text("{")
    with pytest.raises(ConfigurationError, match="damaged; remove the folder"):
        make_set(wanted, out, said.append)
