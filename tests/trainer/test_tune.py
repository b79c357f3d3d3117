"""The command that tunes: what it prints, writes, keeps and refuses."""

import json
import os
from concurrent.futures import Executor, Future
from contextlib import contextmanager

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
from toy_recordings import toy_recording
from tuning_rows import Table

from trainer.cli import main
from trainer.executors import Workers
from trainer.recipe import read_recipe
from trainer.tasks import NAMES

NEEDS = {"syn_dos": 5, "ssdp_flood": 3, "ssl_renegotiation": 6}


def aucs_of(candidate):
    """Each task needs the units above; all of them together need two experts."""
    if len(candidate.tasks) == 1:
        return [0.98 + (candidate.units - NEEDS[candidate.tasks[0]]) / 1000]
    enough = candidate.experts >= 2 and candidate.units >= 4
    return [0.975 if enough else 0.96] * len(candidate.tasks)


class Here(Executor):
    """Runs what is asked for when it is asked for."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    for seed in range(3):
        toy_recording(folder / "recordings" / f"rec{seed}", seed)
    run("extract", folder / "recordings", "--out", folder / "ds", "--jobs", "1")
    return folder / "ds"


@pytest.fixture
def table(monkeypatch):
    """Trainings whose results are known beforehand."""
    known = Table(aucs_of)
    _let_work(monkeypatch, known)
    return known


def _let_work(monkeypatch, inner):
    @contextmanager
    def executor(*_):
        yield Workers(inner, 1)

    monkeypatch.setattr("trainer.cli.tune.executor", executor)


def run(*arguments):
    """Exit status of the command line."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as leaving:
        return leaving.code or 0
    return 0


def test_a_search_is_told_written_and_drawn(dataset, table, tmp_path, capsys):
    arguments = ["tune", dataset, "--validation", "rec1", "--test", "rec2", "--work", tmp_path]
    assert run(*arguments) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[:3] == [
        "syn_dos: 5 units, AUC 0.9800 (the least size that meets the target)",
        "ssdp_flood: 4 units, AUC 0.9810 (at most, and no more than another task needs)",
        "ssl_renegotiation: 6 units, AUC 0.9800 (the least size that meets the target)",
    ]
    # An answer's parameters are 100 a unit and expert.
    assert lines[3] == ("2 experts of 6 units: AUC 0.9750, 0.9750, 0.9750, 1200 parameters, enough")
    # 4, 8, 6, 5; 4; 4, 8, 6, 5 spared by the 5 that is recorded, of which 5 itself is asked about.
    asked = [(each.units, each.experts, each.tasks[0]) for each in table.submitted]
    assert asked == [
        *((units, 1, "syn_dos") for units in (4, 8, 6, 5)),
        (4, 1, "ssdp_flood"),
        *((units, 1, "ssl_renegotiation") for units in (4, 8, 6, 5)),
        (6, 1, "syn_dos"),
        (6, 2, "syn_dos"),
    ]
    assert lines[4] == "11 networks asked about, 33 at most; 11 trained now"
    recipe = shown.out[shown.out.index("[training]") :]
    assert recipe == "[training]\nexperts = 2\nunits = 6\ntower_units = [8]\n"
    assert "1 expert of 4 units: syn_dos 0.9790" in shown.err
    document = json.loads((tmp_path / "tuning.json").read_text())
    assert (document["units"], document["experts"]) == (6, 2)
    assert document["finished"]
    assert document["meets"]
    assert len(document["steps"]) == document["questions"] == 11
    assert document["steps"][0] == {
        "why": "start",
        "units": 4,
        "experts": 1,
        "tasks": ["syn_dos"],
        "accuracies": [0.979],
        "wanted": [0.98],
        "enough": False,
        "parameters": 400,
    }
    assert document["made_of"]["split"]["validation"] == ["rec1"]
    assert document["grid"] is None
    assert (tmp_path / "tuning.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "tuning.md").read_text()
    step = "| 1 | start | 1 expert of 4 units | syn_dos | 0.9790 | 0.9800 | no | 400 |"
    assert step in page
    assert "on 1, of both at most 3000 flows" in page
    assert "grid" not in page


def test_the_printed_settings_are_a_recipe_s(dataset, table, tmp_path, capsys):
    assert run("tune", dataset, "--validation", "rec1", "--work", tmp_path) == 0
    assert table.submitted
    recipe = capsys.readouterr().out.split("\n\n")[1]
    text = f'version = "1"\nrecordings = "homes"\ntasks = ["syn_dos"]\n{recipe}seeds = [0]\n'
    path = tmp_path / "recipe.toml"
    path.write_text(f"{text}false_incidents_per_day = 1.0\n")
    assert (read_recipe(str(path)).settings.experts, read_recipe(str(path)).settings.units) == (
        2,
        6,
    )


def test_a_grid_says_what_the_search_is_worth(dataset, table, tmp_path, capsys):
    arguments = ["tune", dataset, "--validation", "rec1", "--work", tmp_path, "--max-size", "8"]
    assert run(*arguments) == 0
    before = list(table.submitted)
    capsys.readouterr()
    assert run(*arguments, "--grid", "1") == 0
    # 24 networks, of which the search had two.
    assert len(table.submitted) == len(before) + 22
    lines = capsys.readouterr().out.splitlines()[-2:]
    assert lines[0].startswith("grid: 24 networks; the smallest that is enough has 2 experts of 4")
    # 11 trainings in half a second each, as every one of the grid.
    assert lines[1] == (
        "distance of the search from it +50.0%; 11 trainings, 45.8% of the grid's, in 45.8% of "
        "their time"
    )
    judged = json.loads((tmp_path / "tuning.json").read_text())["grid"]
    assert judged["distance"] == 0.5
    assert len(judged["candidates"]) == 24
    page = (tmp_path / "tuning.md").read_text()
    best = "+50.0% (2 experts of 4 units, 800 parameters) | does not hold |"
    assert f"| parameters above the grid's best, at most 10% | {best}" in page
    share = "11 of 24, 46%; 46% of their time | does not hold |"
    assert f"| share of the grid's trainings, at most 1/3 | {share}" in page
    assert "11 trainings, some of them side by side, took 0.1 of a worker's | holds |" in page
    found = "| 2 experts of 6 units (found) | 1200 | 0.9750, 0.9750, 0.9750 | yes |"
    assert found in page
    smallest = page.index("| 1 expert of 1 units | 100 |")
    assert smallest < page.index("| 1 expert of 2 units | 200 |") < page.index(found)
    assert (tmp_path / "tuning.png").read_bytes().startswith(b"\x89PNG")


def test_a_time_budget_ends_the_search_and_the_next_goes_on(dataset, table, tmp_path, capsys):
    arguments = ["tune", dataset, "--validation", "rec1", "--work", tmp_path]
    assert run(*arguments, "--time-budget", "1e-9") == 0
    shown = capsys.readouterr()
    assert table.submitted == []
    assert "the time budget of 1e-09 minutes is over; the same command goes on" in shown.err
    assert "[training]" not in shown.out
    document = json.loads((tmp_path / "tuning.json").read_text())
    assert (document["finished"], document["meets"], document["units"]) == (False, False, 0)
    assert run(*arguments) == 0
    assert json.loads((tmp_path / "tuning.json").read_text())["finished"]


def test_networks_are_really_trained(dataset, monkeypatch, tmp_path, capsys):
    _let_work(monkeypatch, Here())
    arguments = ["tune", dataset, "--validation", "rec1", "--work", tmp_path, "--task", "syn_dos"]
    arguments += ["--start", "1", "--max-size", "1", "--epochs", "1", "--flows", "50"]
    assert run(*arguments) == 0
    # A single network: of one task, one expert and one unit.
    assert "1 networks asked about, 2 at most; 1 trained now" in capsys.readouterr().out
    (network,) = json.loads((tmp_path / "tuning.json").read_text())["networks"]
    assert 0 <= network["aucs"][0] <= 1
    assert network["tasks"] == ["syn_dos"]


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (["--start", "9", "--max-size", "8"], 64, "sizes from 9 to 8"),
        (["--target", "0.5", "--drop", "0.5"], 64, "target 0.5 and drop 0.5"),
        (["--task", "syn_dos", "--task", "syn_dos"], 64, "none of them twice"),
        (["--task", "scan"], 83, "no labels for scan"),
        (["--validation", "rec9"], 66, "no source 'rec9'"),
        (["--time-budget", "0"], 64, "time-budget"),
    ],
)
@pytest.mark.usefixtures("table")
def test_what_can_be_mended_is_one_line(dataset, tmp_path, capsys, more, status, message):
    assert run("tune", dataset, "--work", tmp_path, *more) == status
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("multa-trainer: error: ")
    assert message in last


@pytest.mark.usefixtures("table")
def test_a_folder_that_can_t_be_written_is_named(dataset, capsys):
    arguments = ["tune", dataset, "--validation", "rec1", "--work", "/proc/tuning"]
    assert run(*arguments, "--task", NAMES[0]) == 74
    assert "/proc/tuning/candidates: " in capsys.readouterr().err
