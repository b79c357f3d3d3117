"""What operators say of alerts votes on the rows of the flows that the alerts were about."""

import json

import numpy as np
import pytest
from command import ROOT, sensor_process

from sensor.model.schema import FeatureSchema
from sensor.reporting.labels import Label
from trainer.datasets.extraction import Recording, extract
from trainer.datasets.feedback import gather
from trainer.weak.applying import apply
from trainer.weak.feedback import said_by_operators
from trainer.weak.flows import SYN_DOS, columns
from trainer.weak.functions import Task

DEMO = ROOT / "tests/captures/demo.pcap"
NAMES = ("syn_dos", "ssdp_flood")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Folder of the evidence, alert of each task, and the rows of the demo capture."""
    folder = tmp_path_factory.mktemp("demo")
    kept = ("-o", folder / "alerts.json", "--evidence", folder / "evidence")
    assert sensor_process("replay", DEMO, *kept).returncode == 0
    lines = (folder / "alerts.json").read_text().splitlines()
    told = [json.loads(line)["alert"]["metadata"]["multa"] for line in lines]
    _, batch, _ = extract(Recording("demo", DEMO, None), FeatureSchema(), NAMES)
    return folder / "evidence", {each["task"]: each["alert_id"] for each in told}, batch


def judged(demo, **values):
    evidence, alerts, _ = demo
    said = [Label(alerts[task], value, task, "ann", "", "") for task, value in values.items()]
    return list(gather(evidence, said, NAMES, FeatureSchema()))


def keys(batch):
    names = ("source_low", "source_port", "destination_low", "destination_port", "flow_start_ns")
    return list(zip(*(getattr(batch, name).tolist() for name in names), strict=True))


@pytest.mark.parametrize("value", [True, False])
def test_rows_of_flows_in_evidence_get_what_was_said(demo, value):
    each = judged(demo, syn_dos=value)
    votes = apply([said_by_operators(each, SYN_DOS)], columns(demo[2]))[:, 0]
    assert set(votes.tolist()) == {-1, int(value)}
    said = {row.source_port for row in each[0].evidence.rows}
    found = demo[2].take(votes >= 0)
    assert {port for _, port, _, _, _ in keys(found)} == said
    assert set(found.destination_port.tolist()) == {80}
    # 64 rows of evidence are of no more flows than that; each is found in the capture.
    assert len(set(keys(found))) == len({row.start for row in each[0].evidence.rows})


def test_of_other_tasks_nothing_is_known(demo):
    function = said_by_operators(judged(demo, ssdp_flood=True), SYN_DOS)
    assert (apply([function], columns(demo[2])) == -1).all()
    assert function.task == Task("syn_dos")
    assert function.confidence > 0.9


def test_operators_who_contradict_each_other_say_nothing(demo):
    both = judged(demo, syn_dos=True) + judged(demo, syn_dos=False)
    assert (apply([said_by_operators(both, SYN_DOS)], columns(demo[2])) == -1).all()


def test_pieces_and_empty_tables(demo):
    function = said_by_operators(judged(demo, syn_dos=True), SYN_DOS)
    table = columns(demo[2])
    np.testing.assert_array_equal(
        apply([function], table), apply([function], table, piece_rows=100)
    )
    assert apply([function], columns(demo[2].take(slice(0)))).shape == (0, 1)
