"""Adding a task: what is learnt, what stays, and that a harmful task is refused."""

import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from flow_rows import rows

from sensor.errors import LabelError
from sensor.model.schema import FeatureSchema
from trainer.add_task import (
    ADDITION,
    Addition,
    _check,
    _material,
    extended_split,
    frozen_layers,
)
from trainer.cli import main
from trainer.datasets.dataset import SourceRecord, add_source, create, load
from trainer.datasets.examples import Examples
from trainer.datasets.splits import Split
from trainer.fit import paradigm_of
from trainer.models.lmmoe import build, expert_layers, extended, own_layers
from trainer.runs import load as load_run
from trainer.runs import train
from trainer.settings import Settings

SCHEMA = FeatureSchema()
SETTINGS = Settings(
    experts=2, units=4, tower_units=(4,), epochs=25, batch_size=32, learning_rate=0.03
)
FLOWS = 240


def write_source(folder, name, tasks, seed, *, scan=None):
    """A source of flows of two packets: long first ones are floods, long second ones scans."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(40, 1400, (FLOWS, 2))
    starts = 1_000_000 * seed + np.arange(FLOWS)
    batch = rows(
        *(
            {
                "ip_length": size.tolist(),
                "direction": [1, -1],
                "protocol": 6,
                "source": ("10.0.0.1", 1000 + i),
                "start": float(start),
                "flow_ordinal": i,
            }
            for i, (size, start) in enumerate(zip(sizes, starts, strict=True))
        )
    )
    labels = {"syn_dos": sizes[:, 0] > 700, "ssdp_flood": sizes[:, 0] < 300}
    labels["scan"] = sizes[:, 1] > 700 if scan is None else scan(sizes)
    columns = np.stack([labels[task] for task in tasks], axis=1).astype(np.int8)
    record = SourceRecord(
        name, f"{name}.pcap", f"{name}-{seed}", "", tasks, "0", FLOWS, 0, FLOWS, FLOWS, 0, 10**12
    )
    create(folder, SCHEMA, tasks)
    add_source(folder, record, batch, columns)


OLD = ("syn_dos", "ssdp_flood")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A run of two tasks with its dataset, and a dataset of a third."""
    folder = tmp_path_factory.mktemp("work")
    for seed, name in enumerate(("a", "b", "c")):
        write_source(folder / "old", name, OLD, seed)
    write_source(folder / "new", "d", ("scan",), 3)
    write_source(folder / "new", "e", ("scan",), 4)
    split = Split("source", ("a",), ("b",), ("c",))
    train(load([folder / "old"]), OLD, SETTINGS, split, (3,), 1.0, folder / "run")
    return folder


def run(*arguments):
    """Exit status of the command line."""
    try:
        main(["add-task", *(str(argument) for argument in arguments)])
    except SystemExit as leaving:
        return leaving.code or 0
    return 0


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_task_is_added_and_the_old_run_stays(work, tmp_path, capsys):
    before = contents(work / "run")
    out = tmp_path / "added"
    arguments = [work / "run", work / "old", work / "new", "--task", "scan", "--out", out]
    arguments += [
        "--validation",
        "e",
        "--rehearsal",
        "0.5",
        "--recover",
        "--margin",
        "0.03",
        "--epochs",
        "12",
    ]
    assert run(*arguments) == 0, capsys.readouterr().err
    assert contents(work / "run") == before
    found = load_run(out)
    assert found.task_names == (*OLD, "scan")
    assert found.split == Split("source", ("a", "d"), ("b", "e"), ("c",))
    assert set(found.identities) == {"a", "b", "c", "d", "e"}
    assert [result.seed for result in found.seeds] == [3]
    account = json.loads((out / ADDITION).read_text())
    assert (account["task"], account["new_rows"], account["old_rows"]) == ("scan", FLOWS, FLOWS)
    (areas,) = account["areas"]
    assert set(areas["before"]) == set(OLD)
    assert areas["recovered"]["scan"] > 0.8
    assert min(areas["before"].values()) > 0.93
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith(f"seed 3: validation AUC syn_dos {areas['before']['syn_dos']:.4f} → ")
    # The written weights are those whose scores were judged: it loads, and knows the new task.
    assert own_layers(found.model(3), "scan")


def test_a_harmful_task_is_refused_and_nothing_is_written(work, tmp_path, capsys):
    """The new labels are the old ones turned round, mixed with chance, at a rate that destroys."""
    chance = np.random.default_rng(5)

    def harmful(sizes):
        return (sizes[:, 0] <= 700) ^ (chance.random(len(sizes)) < 0.5)

    for seed, name in ((5, "x"), (6, "y")):
        write_source(tmp_path / "harmful", name, ("scan",), seed, scan=harmful)
    before = contents(work / "run")
    arguments = [work / "run", work / "old", tmp_path / "harmful", "--task", "scan"]
    arguments += [
        "--validation",
        "y",
        "--rehearsal",
        "0",
        "--learning-rate",
        "0.5",
        "--epochs",
        "3",
    ]
    assert run(*arguments, "--out", tmp_path / "out") == 86
    told = capsys.readouterr().err.splitlines()[-1]
    assert f"{work / 'run'}: seed 3: the validation AUC of " in told
    assert "by more than 0.005; nothing was written" in told
    assert not (tmp_path / "out").exists()
    assert contents(work / "run") == before


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--task", "syn_dos", "--out", "{}/o"], 64, "has the task syn_dos already"),
        (["--task", "scan", "--out", "{}/run", "--validation", "e"], 74, "not empty"),
        (["--task", "scan", "--out", "{}/o", "--validation", "b"], 64, "source b is of"),
        (["--task", "scan", "--out", "{}/o", "--test", "z"], 66, "no source 'z'"),
        (["--task", "scan", "--out", "{}/o"], 83, "no row of validation has scan = 1"),
        (["--task", "slow_http", "--out", "{}/o"], 83, "no dataset has labels of slow_http"),
        (["--task", "scan", "--out", "{}/o", "--rehearsal", "2"], 64, "range"),
        (["--task", "scan", "--out", "/proc/o", "--validation", "e"], 74, "can be written"),
    ],
)
def test_what_can_be_mended_is_one_line(work, capsys, arguments, status, message):
    given = [argument.format(work) for argument in arguments]
    assert run(work / "run", work / "old", work / "new", *given) == status
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (work / "o").exists()


def test_old_recordings_may_have_been_labelled_for_the_new_task(work, tmp_path):
    """Then their attacks of the new task are learnt, and of the rest what is rehearsed."""
    for seed, name in enumerate(("a", "b")):
        write_source(tmp_path / "again", name, (*OLD, "scan"), seed)
    found, dataset = load_run(work / "run"), load([tmp_path / "again"])
    addition = Addition("scan")
    _check(found, dataset, addition)
    material = _material(found, dataset, addition, extended_split(found, dataset, {}))
    attacks = (dataset.source == 0) & (dataset.labels[:, 2] == 1)
    assert 0 < attacks.sum() < FLOWS
    assert np.array_equal(material.fresh, attacks)
    assert np.array_equal(material.old, dataset.source == 0)
    assert np.array_equal(material.known, dataset.source == 1)
    none = Addition("scan", rehearsal=0.0)
    with pytest.raises(LabelError, match="no row of train has scan = 0"):
        _material(found, dataset, none, extended_split(found, dataset, {}))


def test_sources_that_are_not_what_they_were_are_refused(work, tmp_path, capsys):
    arguments = ["--task", "scan", "--out", tmp_path / "o"]
    write_source(tmp_path / "d0", "c", OLD, 2)
    assert run(work / "run", tmp_path / "d0", work / "new", *arguments, "--rehearsal", "0") == 66
    assert "the dataset lacks b, from which" in capsys.readouterr().err
    write_source(tmp_path / "d1", "a", OLD, 9)
    assert run(work / "run", tmp_path / "d1", work / "new", *arguments) == 66
    write_source(tmp_path / "d1", "b", OLD, 9)
    assert run(work / "run", tmp_path / "d1", work / "new", *arguments) == 83
    assert "source a is another capture now" in capsys.readouterr().err


def test_the_new_network_begins_with_the_scores_of_the_old_one():
    schema = FeatureSchema(lengths=(4,))
    keras.utils.set_random_seed(1)
    old = build(schema, OLD, 2, 3, (4,))
    new = extended(old, schema, (*OLD, "scan"), 2, 3, (4,))
    generator = np.random.default_rng(0)
    x = generator.random((8, 4, len(schema.channels))).astype(np.float32)
    c = generator.random((8, len(schema.context))).astype(np.float32)
    before, after = (model.predict({"x": x, "c": c}, verbose=0) for model in (old, new))
    for task in OLD:
        assert np.array_equal(before[task], after[task])
    names = {layer.name for layer in own_layers(new, "scan") if layer.weights}
    assert names == {"gate_scan", "tower_scan_0", "scan"}
    assert [layer.name for layer in expert_layers(new)] == ["expert_0", "expert_1"]


def test_with_experts_and_heads_frozen_old_tasks_keep_their_scores_bit_by_bit():
    schema = FeatureSchema(lengths=(4,))
    keras.utils.set_random_seed(2)
    model = build(schema, (*OLD, "scan"), 2, 3, (4,))
    for layer in frozen_layers(model, OLD, ("experts", "heads")):
        layer.trainable = False
    assert {path.split("/")[0] for path in (v.path for v in model.trainable_variables)} == {
        "gate_scan",
        "tower_scan_0",
        "scan",
    }
    for frozen, count in (((), 0), (("experts",), 2), (("heads",), 6)):
        layers = [each for each in frozen_layers(model, OLD, frozen) if each.weights]
        assert len(layers) == count
    generator = np.random.default_rng(0)
    x = generator.random((32, 4, len(schema.channels))).astype(np.float32)
    c = generator.random((32, len(schema.context))).astype(np.float32)
    labels = (generator.random((32, 3)) > 0.5).astype(np.int8)
    examples = Examples(x, c, labels, np.ones((32, 3), np.float32))
    before = model.predict({"x": x, "c": c}, verbose=0)
    settings = Settings(batch_size=8)
    paradigm_of(model, (*OLD, "scan"), settings, 0, examples, 1).epoch(examples)
    after = model.predict({"x": x, "c": c}, verbose=0)
    assert all(np.array_equal(before[task], after[task]) for task in OLD)
    assert not np.array_equal(before["scan"], after["scan"])


def test_a_run_that_was_made_before_there_were_paradigms_to_choose_loads(work, tmp_path):
    document = json.loads((work / "run" / "run.json").read_text())
    for name in ("paradigm", "unknown", "minisets", "weighting"):
        del document["settings"][name]
    (tmp_path / "run.json").write_text(json.dumps(document))
    assert load_run(tmp_path).settings == SETTINGS
