"""Labels of operators and the evidence of their alerts become a dataset that teaches one task."""

import json
import shutil

import click.testing
import numpy as np
import pytest
from command import ROOT, sensor_command, sensor_process

from sensor.errors import BundleError, MissingInputError
from sensor.model.bundle import Bundle
from sensor.model.encoding import encode
from sensor.model.schema import FeatureSchema
from sensor.reporting.evidence_files import read
from sensor.reporting.labels import Label
from trainer.cli import commands
from trainer.datasets.dataset import create, load
from trainer.datasets.examples import LabelledRows, Patterns, task_labels
from trainer.datasets.extraction import Recording, extract
from trainer.datasets.feedback import LeftOut, gather, labels_by_row, source
from trainer.tasks import TASKS

DEMO = ROOT / "tests/captures/demo.pcap"
NAMES = tuple(task.name for task in TASKS)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Evidence and alerts of the demo capture."""
    folder = tmp_path_factory.mktemp("demo")
    kept = ("-o", folder / "alerts.json", "--evidence", folder / "evidence")
    assert sensor_process("replay", DEMO, *kept).returncode == 0
    return folder


@pytest.fixture(scope="module")
def alert_ids(demo):
    """The alert of each task."""
    lines = (demo / "alerts.json").read_text().splitlines()
    told = [json.loads(line)["alert"]["metadata"]["multa"] for line in lines]
    return {each["task"]: each["alert_id"] for each in told}


def label(alert_id, task, *, value=True, author="ann"):
    return Label(alert_id, value, task, author, "2026-11-21T12:00:00.000000+0000", "")


def judged(demo, *labels, tasks=NAMES):
    return list(gather(demo / "evidence", labels, tasks, FeatureSchema()))


def made(demo, *labels, tasks=NAMES):
    found = judged(demo, *labels, tasks=tasks)
    by_row = labels_by_row(found)
    return [source(each, by_row, tasks) for each in found]


def run(*arguments):
    return click.testing.CliRunner().invoke(commands, [str(each) for each in arguments])


def test_rows_are_those_that_extraction_makes_of_the_capture(demo, alert_ids):
    """What the network would learn from evidence is what it would learn from the capture."""
    schema = FeatureSchema()
    _, whole, _ = extract(Recording("demo", DEMO, None), schema, NAMES)
    in_capture = set(map(bytes, encode(schema, whole).packed))
    for task in ("syn_dos", "ssdp_flood", "ssl_renegotiation"):
        ((record, batch, _),) = made(demo, label(alert_ids[task], task))
        assert record.rows == len(batch) > 1
        assert set(map(bytes, encode(schema, batch).packed)) <= in_capture
        for column in ("flow_start_ns", "source_low", "destination_port", "first_packet_ns"):
            # Evidence has microseconds.
            divisor = 1000 if column.endswith("_ns") else 1
            known = set((getattr(whole, column) // divisor).tolist())
            assert set((getattr(batch, column) // divisor).tolist()) <= known


def test_addresses_of_ipv6_stand_in_both_words(demo, alert_ids, tmp_path):
    path = demo / "evidence" / f"{alert_ids['syn_dos']}.json"
    document = json.loads(path.read_text())
    for row in document["rows"]:
        row["src_ip"] = "2001:db8::7"
    (tmp_path / path.name).write_text(json.dumps(document))
    said = [label(alert_ids["syn_dos"], "syn_dos")]
    (each,) = gather(tmp_path, said, NAMES, FeatureSchema())
    _, batch, _ = source(each, labels_by_row([each]), NAMES)
    assert set(batch.source_high.tolist()) == {0x2001_0DB8_0000_0000}
    assert set(batch.source_low.tolist()) == {7}


def test_a_label_is_of_its_task_and_others_are_masked(demo, alert_ids):
    for value in (True, False):
        said = label(alert_ids["ssdp_flood"], "ssdp_flood", value=value)
        ((record, _, labels),) = made(demo, said)
        assert (labels[:, 1] == int(value)).all()
        assert (labels[:, [0, 2]] == -1).all()
        assert (record.covered, record.labelled_by) == (("ssdp_flood",), "ann")
        assert record.name == alert_ids["ssdp_flood"]


def test_rows_of_several_alerts_have_the_labels_of_all(demo, alert_ids):
    tasks = ("ssdp_flood", "udp_reflection")
    both = [label(alert_ids[task], task, value=task == "ssdp_flood") for task in tasks]
    first, second = made(demo, *both, tasks=tasks)
    shared = [labels for _, _, labels in (first, second)]
    joint = {tuple(row) for labels in shared for row in labels.tolist()}
    assert (1, 0) in joint  # flows that were in both
    assert joint <= {(1, 0), (1, -1), (-1, 0)}
    # Two labels that contradict each other for the same rows say nothing.
    other = shutil.copytree(demo / "evidence", demo / "twice", dirs_exist_ok=True)
    twin, text = "f" * 16, (other / f"{alert_ids['ssdp_flood']}.json").read_text()
    (other / f"{twin}.json").write_text(text.replace(alert_ids["ssdp_flood"], twin))
    opposed = (both[0], label(twin, "ssdp_flood", value=False))
    found = list(gather(other, opposed, tasks, FeatureSchema()))
    by_row = labels_by_row(found)
    for each in found:
        assert (source(each, by_row, tasks)[2] == -1).all()


def test_what_teaches_nothing_is_left_out_and_told(demo, alert_ids):
    found = judged(
        demo,
        label(alert_ids["flow_rate"], "flow_rate"),
        label("0" * 16, "syn_dos"),
        label(alert_ids["syn_dos"], "ssdp_flood"),
    )
    assert all(isinstance(each, LeftOut) for each in found)
    assert [each.why for each in found] == [
        "flow_rate is no task of the dataset (see --task)",
        "its evidence is gone",
        "its evidence is of syn_dos",
    ]
    with pytest.raises(MissingInputError):
        list(gather(demo / "no", [label("0" * 16, "syn_dos")], NAMES, FeatureSchema()))


def test_evidence_of_another_fingerprint_is_refused(demo, alert_ids, tmp_path):
    other = FeatureSchema(repeat_all=8)
    name = f"{alert_ids['syn_dos']}.json"
    document = json.loads((demo / "evidence" / name).read_text())
    (tmp_path / name).write_text(json.dumps({**document, "features": other.to_manifest()}))
    assert read(tmp_path / name).schema == other
    with pytest.raises(BundleError, match=f"{other.fingerprint()[:16]}…, the dataset's"):
        list(gather(tmp_path, [label(alert_ids["syn_dos"], "syn_dos")], NAMES, FeatureSchema()))


@pytest.fixture
def labels_file(alert_ids, tmp_path):
    said = [
        label(alert_ids["syn_dos"], "syn_dos", value=False),
        label(alert_ids["syn_dos"], "syn_dos", author="bob"),
        label(alert_ids["ssl_renegotiation"], "ssl_renegotiation", value=False),
        label(alert_ids["flow_rate"], "flow_rate"),
    ]
    path = tmp_path / "labels.json"
    path.write_text("".join(json.dumps(each.document()) + "\n" for each in said) + "torn")
    return path


def test_the_command_extends_a_set_with_what_was_said_last(demo, alert_ids, labels_file, tmp_path):
    out = tmp_path / "ds"
    outcome = run("feedback", demo / "evidence", labels_file, "-o", out)
    assert outcome.exit_code == 0, outcome.output
    for part in ("attack says 'bob'", "no attack says 'ann'", "flow_rate is no task", "no end"):
        assert part in outcome.output
    dataset = load([out])
    records = {record.name: record for record in dataset.sources}
    assert set(records) == {alert_ids["syn_dos"], alert_ids["ssl_renegotiation"]}
    assert records[alert_ids["syn_dos"]].labelled_by == "bob"
    labels = task_labels(dataset, TASKS)
    patterns = Patterns.of(dataset)
    rows = np.ones(len(dataset), bool)
    examples = LabelledRows(patterns, labels, dataset.flow, rows, TASKS).examples()
    kinds = {tuple(each) for each in examples.labels.tolist()}
    assert kinds == {(1, -1, -1), (-1, -1, 0)}
    known = examples.labels != -1
    assert (examples.weights[~known] == 0).all()
    assert (examples.weights[known] > 0).all()
    again = run("feedback", demo / "evidence", labels_file, "-o", out)
    assert again.output.count("unchanged") == 2
    with labels_file.open("a") as file:
        file.write(
            "\n" + json.dumps(label(alert_ids["syn_dos"], "syn_dos", value=False).document())
        )
        file.write("\n")
    assert run("feedback", demo / "evidence", labels_file, "-o", out).exit_code == 0
    assert not (load([out]).labels == 1).any()


def test_foreign_words_in_labels_are_not_obeyed(demo, tmp_path):
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps(label("0" * 16, "\x1b[2J").document()) + "\n")
    command = ["feedback", str(demo / "evidence"), str(labels), "-o", str(tmp_path / "new")]
    outcome = click.testing.CliRunner().invoke(commands, command, color=True)
    assert "left out, \\x1b[2J is no task of the dataset" in outcome.output


def test_a_set_of_other_tasks_and_labels_without_evidence_are_refused(demo, labels_file, tmp_path):
    create(tmp_path / "other", FeatureSchema(), ("scan",))
    outcome = run("feedback", demo / "evidence", labels_file, "-o", tmp_path / "other")
    assert outcome.exception is not None
    assert "its tasks are scan" in str(outcome.exception)
    (tmp_path / "empty").mkdir()
    outcome = run("feedback", tmp_path / "empty", labels_file, "-o", tmp_path / "new")
    assert "no label is of an alert with evidence" in str(outcome.exception)
    assert not (tmp_path / "new").exists()


def test_operators_labels_reach_the_trainer(capfd, demo, alert_ids, tmp_path):
    """From `multa-sensor label` by evidence to a dataset of the shipped bundle's features."""
    labels = tmp_path / "labels.json"
    given = ("--evidence", demo / "evidence", "--labels", labels, "--author", "ann")
    assert sensor_command(capfd, "label", alert_ids["ssdp_flood"], "false", *given).status == 0
    out = tmp_path / "ds"
    assert run("feedback", demo / "evidence", labels, "-o", out).exit_code == 0
    dataset = load([out])
    assert dataset.schema == Bundle.read(ROOT / "models/iot-gateway").schema
    assert (dataset.labels[:, dataset.tasks.index("ssdp_flood")] == 0).all()
