"""`multa-trainer weak`: from files to reports and labels."""

import json

import click.testing
import numpy as np
import pytest
from command import ROOT, sensor_command
from tuning_rows import SCHEMA, TASKS, tuning_dataset

from sensor.errors import LabelError, UsageError
from trainer.cli import commands
from trainer.datasets.dataset import add_source, create
from trainer.datasets.dataset import load as load_dataset
from trainer.latency.generator import generate
from trainer.latency.reading import read_file
from trainer.latency.store import write_series

MINE = """
import numpy as np
from trainer.weak import functions

SYN_DOS = functions.Task("syn_dos")

def by_length(name, limit, confidence):
    def vote(columns):
        return columns["ip_length"][:, 0] > limit
    return functions.LabelingFunction(
        name, SYN_DOS, ("ip_length",), vote, confidence=confidence
    )

a, b, c = by_length("a", 690, 0.8), by_length("b", 700, 0.9), by_length("c", 710, 0.8)
"""


MORE = """
import numpy as np
from trainer.weak.functions import Task, labeling_function

@labeling_function(Task("noise"), reads=["rtt_ms"])
def nobody(columns):
    return np.full(len(columns["rtt_ms"]), -1)

@labeling_function(Task("outage"), reads=["rtt_ms"], confidence=0.99)
def lost(columns):
    return np.isnan(columns["rtt_ms"]).astype(int)

@labeling_function(Task("swell", ("none", "small", "large")), reads=["rtt_ms"])
def high(columns):
    return np.clip(np.nan_to_num(columns["rtt_ms"]) // 10, 0, 2).astype(int)
"""
"""A task on which nobody votes, a good one, and one with more classes than labels have."""


def run(*arguments):
    return click.testing.CliRunner().invoke(commands, ["weak", *map(str, arguments)])


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    path = tmp_path_factory.mktemp("series") / "series.npz"
    write_series(path, generate(8_000, 4_000, seed=2))
    return path


@pytest.fixture(scope="module")
def flows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flows")
    dataset = tuning_dataset(200)
    create(folder / "ds", SCHEMA, TASKS)
    for place, record in enumerate(dataset.sources):
        rows = dataset.source == place
        batch = dataset.batch.take(rows)
        batch.flow_ordinal[:] = np.arange(len(batch))
        add_source(folder / "ds", record, batch, dataset.labels[rows])
    (folder / "mine.py").write_text(MINE)
    return folder / "ds", folder / "mine.py"


def test_a_report_about_series(series):
    outcome = run("report", series, "--task", "outage")
    assert outcome.exit_code == 0, outcome.output
    lines = outcome.output.splitlines()
    assert lines[0].startswith("outage: 8000 rows, ")
    assert lines[2].split()[:3] == ["outage_unanswered", "normal,", "outage"]
    assert lines[-2] == (
        "majority vote: accuracy 1.0000, precision 1.0000, recall 1.0000 on 8000 rows"
    )
    document = json.loads(run("report", series, "--json").output)
    assert [task["task"] for task in document["tasks"]] == ["noise", "outage", "swell"]
    assert document["tasks"][1]["agreement"]["label model"]["accuracy"] == 1
    assert document["tasks"][0]["functions"][0]["name"] == "noise_two_deviations"


def test_a_balance_is_taken_as_it_is_given(series):
    given = ("--task", "outage", "--balance", "outage=0.75,0.25", "--json")
    document = json.loads(run("report", series, *given).output)
    assert document["tasks"][0]["balance"] == pytest.approx([0.75, 0.25])


def test_series_with_labels_in_place_of_truth(series, tmp_path):
    out = tmp_path / "labelled.npz"
    outcome = run("label", series, "-o", out, "--task", "outage", "--task", "noise")
    assert outcome.exit_code == 0, outcome.output
    before, after = list(read_file(series)), list(read_file(out))
    assert [each.name for each in after] == [each.name for each in before]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(new.rtt_ms, old.rtt_ms)
        np.testing.assert_array_equal(new.truth["outage"], old.truth["outage"])
        assert "swell" not in new.truth
        assert (new.truth["noise"][old.truth["noise"] == 1] != 0).mean() > 0.9
    lost = sum(int(each.truth["outage"].sum()) for each in before)
    assert f"outage: {lost} of 8000 measurements, 0 unknown" in outcome.output


def test_processes_write_the_same_labels(series, tmp_path):
    for name, jobs in (("one", ()), ("two", ("--jobs", 1))):
        run("label", series, "-o", tmp_path / name, *jobs)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_dataset_with_labels_of_a_users_file(flows, tmp_path):
    dataset, mine = flows
    out = tmp_path / "weak"
    outcome = run("label", dataset, "--functions", mine, "-o", out, "--keep", "c")
    assert outcome.exit_code == 0, outcome.output
    found, truth = load_dataset([out]), load_dataset([dataset])
    wrong = found.labels[:, 0] != truth.labels[:, 0]
    size = truth.batch.ip_length[:, 0]
    assert ((size[wrong] > 690) & (size[wrong] <= 710)).all()
    assert not wrong[truth.source == 2].any()
    assert [record.labelled_by for record in found.sources[:2]] == 2 * (
        ["labeling functions of mine.py"]
    )
    assert outcome.output.splitlines()[-1].endswith("0 unknown (kept)")


def test_a_report_about_flows_that_are_here(flows):
    document = json.loads(run("report", flows[0], "--task", "ssdp_flood", "--json").output)
    task = document["tasks"][0]
    assert (task["rows"], task["agreement"]["label model"]["rows"]) == (600, 600)


def test_operators_vote_too(capfd, tmp_path):
    """From a capture by evidence, `multa-sensor label` and extraction to one voter more."""
    demo, evidence = ROOT / "tests/captures/demo.pcap", tmp_path / "evidence"
    kept = ("-o", tmp_path / "alerts.json", "--evidence", evidence)
    assert sensor_command(capfd, "replay", demo, *kept).status == 0
    told = [json.loads(line) for line in (tmp_path / "alerts.json").read_text().splitlines()]
    alerts = {
        each["task"]: each["alert_id"]
        for each in (line["alert"]["metadata"]["multa"] for line in told)
    }
    labels = tmp_path / "labels.json"
    given = ("--evidence", evidence, "--labels", labels, "--author", "ann")
    assert sensor_command(capfd, "label", alerts["ssdp_flood"], "true", *given).status == 0
    extracted = ["extract", str(demo), "--benign", "--jobs", "1", "--out", str(tmp_path / "ds")]
    assert click.testing.CliRunner().invoke(commands, extracted).exit_code == 0
    outcome = run(
        *("report", tmp_path / "ds", "--task", "ssdp_flood", "--json"),
        *("--feedback", evidence, labels),
    )
    functions = json.loads(outcome.output)["tasks"][0]["functions"]
    assert functions[-1]["name"] == "said_by_operators_ssdp_flood"
    assert functions[-1]["polarity"] == [1]
    assert 0 < functions[-1]["coverage"] < 0.5


@pytest.fixture
def more(tmp_path):
    path = tmp_path / "more.py"
    path.write_text(MORE)
    return path


def test_a_task_without_votes_is_named_and_left_out(series, more, tmp_path):
    line = "task noise: no function votes on any row, so it is left out\n"
    outcome = run("report", series, "--functions", more, "--json")
    assert (outcome.exit_code, outcome.stderr) == (0, line)
    assert [task["task"] for task in json.loads(outcome.stdout)["tasks"]] == ["outage", "swell"]
    wanted = ("--functions", more, "--task", "noise", "--task", "outage")
    outcome = run("label", series, "-o", tmp_path / "labelled.npz", *wanted)
    assert (outcome.exit_code, outcome.stderr.startswith(f"{line}outage: ")) == (0, True)
    assert {*next(read_file(tmp_path / "labelled.npz")).truth} == {"outage"}
    outcome = run("report", series, "--functions", more, "--task", "noise")
    assert isinstance(outcome.exception, LabelError)


def test_labels_of_three_classes_are_refused(series, flows, more, tmp_path):
    of_flows = tmp_path / "of_flows.py"
    of_flows.write_text(MORE.replace("rtt_ms", "flow_ordinal"))
    for given, file in ((series, more), (flows[0], of_flows)):
        outcome = run("label", given, "-o", tmp_path / "out", "--functions", file)
        assert isinstance(outcome.exception, LabelError)
        assert f"task swell: {file.name}: high votes for none, small, large" in (
            str(outcome.exception)
        )
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        (("SERIES", "DATASET"), UsageError, "not both at once"),
        (("SERIES", "--task", "flood"), UsageError, "no labeling function is of 'flood', only of"),
        (("SERIES", "--keep", "c"), UsageError, "give datasets"),
        (("SERIES", "--feedback", "x", "y"), UsageError, "--feedback is about flows"),
        (("SERIES", "-o", "SERIES"), UsageError, "is an input; name another one"),
        (("SERIES", "--functions", "flows"), LabelError, "which these rows don't have"),
    ],
)
def test_what_does_not_make_sense(series, flows, tmp_path, arguments, kind, says):
    names = {"SERIES": series, "DATASET": flows[0]}
    given = [str(names.get(word, word)) for word in arguments]
    outcome = run("label", *([] if "-o" in given else ["-o", tmp_path / "out"]), *given)
    assert isinstance(outcome.exception, kind)
    assert says in str(outcome.exception)
    assert not (tmp_path / "out").exists()


def test_a_balance_that_is_none(series):
    outcome = run("report", series, "--balance", "outage=half")
    assert "write TASK=0.99,0.01" in outcome.output
