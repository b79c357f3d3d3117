"""Sets of recordings: their lists, their making and the card that describes them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from sensor.errors import ConfigurationError, MissingInputError, MultaError, ScenarioError
from trainer.cli import main
from trainer.datasets.extraction import ACCOUNT, CAPTURE, LABELS
from trainer.datasets.splits import PARTS
from trainer.lab.network import missing_programs
from trainer.lab.recording_set import (
    CARD,
    SUMS,
    data_card,
    make_set,
    read_set,
    record_missing,
    shipped_sets,
)
from trainer.lab.scenario import read_scenario

GOOD = """
version = "3"
description = "Two quiet homes."
[[recordings]]
part = "train"
scenario = "sparse"
seed = 1
duration_s = 3
[[recordings]]
part = "test"
scenario = "mixed_other"
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
        entries = read_set(name).entries
        # A seed has one recording only: nothing is trained on and tested with.
        assert len({(entry.scenario, entry.seed) for entry in entries}) == len(entries)
        for part in PARTS:
            scenarios = [entry.scenario for entry in entries if entry.part == part]
            assert scenarios
            if name == "quic":
                assert set(scenarios) == {"quic_services"}
                continue
            attacks = [each for name in scenarios for each in read_scenario(name).attacks]
            if name == "quiet":
                assert not attacks
                assert {"benign", "people", "sparse"} <= set(scenarios)
                continue
            assert len({attack.task for attack in attacks}) == 7
            assert not all(read_scenario(name).attacks for name in scenarios)
            # These have what no other has, so that something is left for the test.
            assert ({"left_out", "mixed_other"} <= set(scenarios)) == (part == "test")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('version = "3"', "version = 3", "write version and description, texts"),
        ('"mixed_other"\nseed = 2', '"sparse"\nseed = 1', "two recordings are sparse-1"),
        ('"mixed_other"', '"../x y"', "number 2: scenario is the name of no file made of"),
        ('"mixed_other"', "3", "number 2: scenario is no text"),
        ('part = "test"', 'part = "left-out"', "number 2: part is not one of train, val"),
        ("seed = 2", "seed = -1", "seed is no whole number"),
        ("duration_s = 3", 'duration_s = "3"', "number 1: duration_s is no number"),
        ("seed = 2", "sed = 2", "write scenario, seed, duration_s, part, nothing else"),
        ('version = "3"', "version = ", "not TOML"),
        (GOOD[GOOD.index("[[") :], "recordings = []", "lists no recording"),
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


@pytest.mark.parametrize(
    ("old", "new", "kind", "words"),
    [
        (
            "seed = 2\nduration_s = 3",
            "seed = 2\nduration_s = 1",
            ScenarioError,
            "recording mixed-other-2: .*from 3 to 3600 seconds",
        ),
        ('"mixed_other"', '"none"', MissingInputError, "recording none-2: none: No such file"),
    ],
)
def test_plans_are_looked_at_before_anything_is_recorded(
    old: str, new: str, kind: type[MultaError], words: str, tmp_path: Path
) -> None:
    assert old in GOOD
    said: list[str] = []
    with pytest.raises(kind, match=words):
        make_set(read_set(write(tmp_path, GOOD.replace(old, new))), tmp_path / "out", said.append)
    assert said == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "other", [{"seed": 9}, {"scenario": "benign"}, {"duration_s": 60.0}, {"scenario": None}]
)
def test_another_recording_is_not_taken_for_the_list_s(
    other: dict[str, Any], tmp_path: Path
) -> None:
    wanted = read_set(write(tmp_path, GOOD))
    for scenario, seed, name in (("sparse", 1, "sparse-1"), ("mixed_other", 2, "mixed-other-2")):
        (tmp_path / name).mkdir()
        made = {"scenario": scenario, "seed": seed, "duration_s": 3.0}
        (tmp_path / name / ACCOUNT).write_text(json.dumps(made))
    found = record_missing(wanted, tmp_path, print)
    assert [each.name for each in found] == ["sparse-1", "mixed-other-2"]
    assert found[1].capture == tmp_path / "mixed-other-2" / CAPTURE
    (tmp_path / "mixed-other-2" / ACCOUNT).write_text(json.dumps(made | other))
    with pytest.raises(ConfigurationError, match=r"other-2: is of scenario, .* remove the folder"):
        record_missing(wanted, tmp_path, print)
    (tmp_path / "mixed-other-2" / ACCOUNT).write_text('{"scenario": ')
    with pytest.raises(ConfigurationError, match="damaged; remove the folder"):
        record_missing(wanted, tmp_path, print)


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
        "sparse-1": account(100, ("scan", 30, 2.0), ("scan", 20, 50.0), ("syn_dos", 5, 9.0)),
        "mixed-other-2": account(40),
    }
    lines = data_card(wanted, accounts).splitlines()
    assert lines[0] == "# Recordings small, version 3"
    assert (
        "| sparse-1 | train | sparse | 1 | 90 | 2 | 1000 | 128 | 100 | syn_dos 5, scan 50 |"
        in lines
    )
    assert "| mixed-other-2 | test | sparse | 1 | 90 | 2 | 400 | 128 | 40 | none |" in lines
    (totals,) = (line for line in lines if line.startswith("| train | 1 |"))
    # 100 flows less 55; two scans, one flood.
    assert totals.startswith("| train | 1 | 1.5 | 1000 | 100 | 45 | 5 (1) | 0 (0) | 0 (0) | 50 (2)")
    assert "| scan | nmap (2) | 2 to 50 |" in lines
    assert "music" not in "".join(lines)


def test_the_card_counts_connections_by_class_and_part(tmp_path: Path) -> None:
    wanted = read_set(write(tmp_path, GOOD))
    accounts = {
        "sparse-1": account(100) | {"classes": {"music": 7, "video": 2}},
        "mixed-other-2": account(40) | {"classes": {"video": 3}},
    }
    card = data_card(wanted, accounts)
    table = "| part | music | video |\n|---|---|---|\n| train | 7 | 2 |\n| validation | 0 | 0 |\n"
    assert table + "| test | 0 | 3 |\n" in card
    assert "by, how and what" not in card


def test_lists_what_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    main(["lab", "sets"])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == shipped_sets()


@pytest.mark.network
@pytest.mark.skipif(
    bool(missing_programs()), reason=f"needs {', '.join(missing_programs().values())}"
)
def test_a_set_is_made_once_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    # Attacks would not fit into three seconds.
    wanted = read_set(write(tmp_path, GOOD.replace("mixed_other", "sparse")))
    said: list[str] = []
    make_set(wanted, tmp_path / "out", said.append)
    assert [line.split(":")[0] for line in said] == ["1/2 sparse-1", "2/2 sparse-2"]
    out = tmp_path / "out"
    kept = (out / "sparse-1" / CAPTURE).read_bytes()
    # All of one recording but its account, which comes last, is as if it were not there.
    for name in (CAPTURE, LABELS, ACCOUNT):
        (out / "sparse-2" / name).unlink()
    said.clear()
    make_set(wanted, out, said.append)
    assert said == ["1/1 sparse-2: sparse, 3 s"]
    assert (out / "sparse-1" / CAPTURE).read_bytes() == kept
    assert (out / CARD).read_text().count("| sparse |") == 2
    sums = dict(line.split("  ")[::-1] for line in (out / SUMS).read_text().splitlines())
    assert sums[f"sparse-1/{CAPTURE}"] == hashlib.sha256(kept).hexdigest()
    assert len(sums) == 6
