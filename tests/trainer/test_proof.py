"""The proof: splits that share no network, judgements by hand, results that are kept, the page."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flow_rows import rows

from sensor.flows.sequences import END_REASONS
from sensor.model.fields import DEFAULT_FIELDS, OPTIONAL_FIELDS
from sensor.model.schema import FeatureSchema
from trainer.comparison import Held, Scored
from trainer.datasets.dataset import Dataset, SourceRecord
from trainer.datasets.examples import Patterns
from trainer.datasets.labels import MASKED
from trainer.datasets.sources import Capture, Source
from trainer.proof.acceptance import REFLECTIONS
from trainer.proof.experiments import (
    FOLDS,
    ablations,
    by_device,
    dataset_of,
    fold_of,
    left_out_groups,
    shipped,
)
from trainer.proof.judgement import judge
from trainer.proof.material import LAB, Material, nothing_unplayed
from trainer.proof.matrix import matrix
from trainer.proof.page import page
from trainer.proof.steps import STEPS, Bench, kept
from trainer.runs import RUN
from trainer.settings import Settings
from trainer.tasks import KNOWN, NAMES, PLAYED, chosen

DEVICES = 40


def source(role="train", *, benign=True, labels=()):
    return Source("a", "x", "there", "MIT", ("*",), "g", role, benign=benign, labels=labels)


def record(name, flows):
    return SourceRecord(name, f"{name}.pcap", name, "", KNOWN, "0", 0, 0, flows, flows, 0, 0)


def flow(start, port, **columns):
    ends = {"source": ("10.0.0.1", port), "destination": ("10.0.0.2", 80)}
    own = {"protocol": 6, "direction": [1], "flow_ordinal": port}
    return {"start": start, **own, **ends, **columns}


@pytest.fixture
def material():
    """Two captures of each of 40 devices, four reflections, a flood, a scan, three recordings."""
    captures, parts, entries = {}, {}, []

    def add(name, *flows):
        entries.append((name, flows))

    def public(name, group, its, *flows):
        captures[name] = Capture(name, Path(name), group, its)
        add(name, *flows)

    quiet = dict.fromkeys(KNOWN, 0)
    for device in range(DEVICES):
        for number in (0, 1):
            flows = [(flow(100.0 * step, 1000 + step), quiet) for step in range(3)]
            public(f"device{device}-{number}", f"device{device}", source(), *flows)
    for group in REFLECTIONS:
        attack = (flow(1, 7), {**quiet, "udp_reflection": 1})
        public(group, group, source(benign=False), attack)
    floods = [(flow(1 + 0.01 * n, 2000 + n), {**quiet, "syn_dos": 1}) for n in range(40)]
    public("flood", "flood", source("left-out", benign=False), *floods)
    scans = [(flow(1 + 0.01 * n, 3000 + n), {**quiet, "scan": 1}) for n in range(40)]
    public("scan", "scan", source(benign=False, labels=("*,*,*,*,*,scan,1",)), *scans)
    for part in ("train", "validation", "test"):
        parts[f"lab-{part}"] = part
        add(f"lab-{part}", (flow(1, 1), quiet), (flow(2, 2), {**quiet, "syn_dos": 1}))
    every = [entry for _, flows in entries for entry in flows]
    counts = [len(flows) for _, flows in entries]
    dataset = Dataset(
        FeatureSchema(),
        KNOWN,
        tuple(record(name, len(flows)) for name, flows in entries),
        rows(*(columns for columns, _ in every)),
        np.array([[labels[name] for name in KNOWN] for _, labels in every], np.int8),
        np.repeat(np.arange(len(entries), dtype=np.int32), counts),
        np.arange(len(every)),
    )
    return Material(dataset, captures, parts, 0, dataset)


def test_no_device_is_on_two_sides_of_a_fold_and_each_is_held_out_once(material):
    tested = []
    for experiment in by_device(material, NAMES):
        split = experiment.split
        sides = [
            {material.group(name) for name in part} - {LAB, "flood"}
            for part in (split.train, split.validation, split.test)
        ]
        assert all(sides)
        assert not sides[0] & sides[1]
        assert not sides[0] & sides[2]
        assert not sides[1] & sides[2]
        assert "flood" in split.test
        tested += sides[2]
    assert sorted(tested) == sorted(
        {capture.group for capture in material.captures.values()} - {"flood"}
    )


def test_folds_do_not_depend_on_the_process():
    # CRC-32 of "123456789" is 0xcbf43926, the check value of its definition.
    assert fold_of("123456789") == 0xCBF43926 % FOLDS


def test_a_protocol_that_is_left_out_is_neither_learnt_nor_tuned_on(material):
    each = left_out_groups(material, "udp_reflection", REFLECTIONS)
    assert [experiment.name for experiment in each] == [f"without-{g}" for g in REFLECTIONS]
    for experiment, group in zip(each, REFLECTIONS, strict=True):
        split = experiment.split
        assert experiment.tasks == ("udp_reflection",)
        assert group in split.test
        assert group not in {*split.train, *split.validation}
        attacks = {name for part in (split.train, split.validation) for name in part}
        assert attacks & set(REFLECTIONS) == set(REFLECTIONS) - {group}
        assert set(split.train).isdisjoint(split.test)


def test_the_shipped_split_learns_from_the_lab_alone(material):
    split = shipped(material, NAMES, Settings()).split
    assert (split.train, split.validation) == (("lab-train",), ("lab-validation",))
    assert {"lab-test", "flood", "scan", "device0-0"} <= set(split.test)


def test_ablations_leave_out_context_and_early_rows_that_are_scored_again():
    early, idle = END_REASONS.index("early"), END_REASONS.index("idle")
    batch = rows(
        flow(1, 1, end_reason=early, context=[1, 2, 3, 4, 5, 6]),
        flow(1, 1, end_reason=idle, row=1, context=[1, 2, 3, 4, 5, 6]),
        flow(2, 2, end_reason=early, context=[1, 2, 3, 4, 5, 6]),
    )
    batch = replace(batch, ttl=np.full((3, 16), 64, np.uint8), tcp_window=np.ones((3, 16), "u2"))
    wide = Dataset(
        FeatureSchema(fields=(*DEFAULT_FIELDS, *OPTIONAL_FIELDS)),
        KNOWN,
        (record("lab-train", 2),),
        batch,
        np.zeros((3, len(KNOWN)), np.int8),
        np.zeros(3, np.int32),
        np.array([0, 0, 1]),
    )
    alone = Material(wide.without_optional_fields(), {}, {"lab-train": "train"}, 0, wide)
    each = ablations(alone, NAMES)
    sequence, with_early, full, with_fields = each[:4]
    assert [(other.context, other.early, other.ttl_window) for other in each[4:]] == [
        (other.context, other.early, other.ttl_window) for other in each[:4]
    ]
    assert {(other.split.kind, other.split.test) for other in each[4:]} == {
        ("time", ("lab-train",))
    }
    assert dataset_of(with_fields, alone).schema == wide.schema
    assert (dataset_of(with_fields, alone).batch.ttl == 64).all()
    for narrow in (sequence, with_early, full):
        assert dataset_of(narrow, alone).schema == FeatureSchema()
        assert dataset_of(narrow, alone).batch.optional == ()
    assert dataset_of(full, alone).batch.context[0].tolist() == [1, 2, 3, 4, 5, 6]
    assert not dataset_of(with_early, alone).batch.context.any()
    assert len(dataset_of(with_early, alone)) == 3
    # The second flow's only row is its early one: without it the flow would be gone.
    assert dataset_of(sequence, alone).flow.tolist() == [0, 1]
    assert dataset_of(sequence, alone).batch.row.tolist() == [1, 0]


def test_recordings_of_the_lab_hold_nothing_that_the_lab_does_not_play(material):
    unknown = np.full_like(material.dataset.labels, MASKED)
    told = nothing_unplayed(replace(material.dataset, labels=unknown), set(material.parts))
    of_lab = np.array([record.name in material.parts for record in told.sources])[told.source]
    known = {
        name for name, column in zip(KNOWN, told.labels[of_lab].T, strict=True) if column.any()
    }
    assert known == set(PLAYED)  # still masked, −1; all others are 0
    assert (told.labels[~of_lab] == MASKED).all()


def test_days_between_joined_captures_are_no_hours(material):
    first, day = 1_000.0, 86_400.0
    batch = rows(
        flow(first, 1, last=first + 50),
        flow(first + 10, 2, last=first + 20),
        flow(first + 169, 3),  # 119 s after the last packet so far
        flow(first + day, 4, last=first + day + 30),
    )
    alone = Dataset(
        FeatureSchema(),
        KNOWN,
        (record("device0-0", 4),),
        batch,
        np.zeros((4, len(KNOWN)), np.int8),
        np.zeros(4, np.int32),
        np.arange(4),
    )
    joined = Material(alone, material.captures, {}, 0, alone)
    assert joined.hours(["device0-0", "device1-0"]) * 3600 == pytest.approx(169 + 30)
    assert joined.hours(["device1-0"]) == 0


def held(material, scores):
    dataset = material.dataset
    (task,) = chosen(["syn_dos"])
    return Held(
        dataset,
        Patterns.of(dataset).number,
        Patterns.of(dataset).number[:1],
        {"lmmoe": [Scored((task,), scores[:, None])]},
    )


def test_a_judgement_counts_what_a_person_counts(material):
    dataset = material.dataset
    truth = dataset.labels[:, 0] == 1
    document = judge(material, held(material, truth * 0.9 + 0.05))
    (seed,) = document["models"]["lmmoe"]
    entry = seed["syn_dos"]
    assert document["benign_hours"] == pytest.approx(2 * DEVICES * 200 / 3600)
    assert document["groups"] == DEVICES + 4 + 1 + 1 + 1
    assert (entry["attack_flows"], entry["roc_auc"], entry["recall"]) == (42 + 1, 1.0, 1.0)
    assert entry["groups"] == {"flood": 40, LAB: 3}
    assert (entry["incidents"]["attacks"], entry["incidents"]["found"]) == (1, 1)
    # The twentieth of the flood's flows, 10 ms apart.
    assert entry["incidents"]["seconds_at_best"] == [pytest.approx(0.19)]
    assert entry["benign"] == {"false_incidents": 0, "false_minutes": 0, "by_group": {}}
    assert entry["scans_called"] == 0
    assert entry["seen"] == 1  # all toy flows are the same packet
    assert sum(each["flows"] for each in entry["reliability"]) == len(dataset)
    assert entry["auc_interval"] == (1.0, 1.0) or entry["auc_interval"] == [1.0, 1.0]


def test_scans_that_are_called_floods_are_counted_as_such(material):
    scan = material.dataset.labels[:, KNOWN.index("scan")] == 1
    document = judge(material, held(material, scan * 0.9), intervals=False)
    entry = document["models"]["lmmoe"][0]["syn_dos"]
    assert entry["scans_called"] == 1
    assert entry["incidents"]["false"] == 1
    assert entry["incidents"]["found"] == 0
    # From the twentieth of its flows to a minute after the fortieth, 10 ms apart.
    assert entry["incidents"]["false_minutes"] == pytest.approx(60.2 / 60, abs=1e-4)
    assert "auc_interval" not in entry


def test_a_matrix_is_high_where_attacks_look_alike_and_holds_no_learnt_device(material):
    document = matrix(material, "syn_dos", (LAB, "flood"))
    assert document["attack_flows"] == [3, 40]
    # Every toy flow is the same packet: nothing can be told, in whatever direction.
    assert document["auc"] == [[0.5, 0.5], [0.5, 0.5]]
    batch, draws = material.dataset.batch, np.random.default_rng(0)
    # Equal packets are one example, and a leaf needs twenty.
    batch.payload_length[:, 0] = 2 ** draws.uniform(0, 15, len(batch))
    batch.tcp_flags[:, 0] = draws.integers(0, 32, len(batch))
    batch.ip_length[material.dataset.labels[:, 0] == 1, 0] = 999
    assert matrix(material, "syn_dos", (LAB, "flood"))["auc"][1] == [1.0, 1.0]


def bench(material, folder, said):
    return Bench(material, folder, None, said.append)


def test_results_are_kept_until_captures_or_features_change(material, tmp_path):
    said, made = [], []

    def make():
        made.append(1)
        return {"x": 1}

    first = kept(bench(material, tmp_path, said), "step", make)
    assert kept(bench(material, tmp_path, said), "step", make) == first
    assert said == ["step: being made", "step: unchanged"]
    changed = record("other", 1)
    others = (changed, *material.dataset.sources[1:])
    other = replace(material.dataset, sources=others)
    material = Material(other, material.captures, material.parts, 0, other)
    kept(bench(material, tmp_path, said), "step", make)
    assert len(made) == 2


def test_the_page_says_what_was_measured_and_what_was_not_run(material, tmp_path):
    the_bench = bench(material, tmp_path, [])
    truth = material.dataset.labels[:, 0] == 1

    def make():
        about = {"about": "learnt from x", "settings": vars(Settings())}
        judged = judge(material, held(material, truth * 0.9))
        judged["models"]["rule"] = judged["models"]["lmmoe"]
        return {**about, **judged}

    kept(the_bench, "left-out", make, of_run=True)
    text = page(the_bench, "2030-01-02", 200)
    assert "on 2030-01-02" in text
    assert text.count("**Not run yet: ") == len(STEPS) - 1
    assert "**Not run yet: fold-0, fold-1, fold-2, fold-3, fold-4.**" in text
    row = next(line for line in text.splitlines() if line.startswith("| syn_dos | lmmoe"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2] == f"43 / {len(material.dataset)}"
    aim = next(line for line in text.splitlines() if "recall of flows ≥ 0.70 (median" in line)
    assert aim.endswith("| 1.0000, least 1.0000 | met |")
    aim = next(line for line in text.splitlines() if "the lab alone: syn_dos" in line)
    assert "| 0 to 0 in 4.44 h; with 95 % confidence at most 16.18 a day | met, but" in aim
    assert "a protocol left out: ROC-AUC ≥ 0.9 on three of four | not run yet |" in text
    assert cells[3] == "100%"
    # None in 4.44 hours: 2.9957 · 24 / 4.44.
    assert cells[-4:-1] == ["0, 0.0", f"{2.9957 * 24 / (2 * DEVICES * 200 / 3600):.2f}", "0"]
    assert cells[-1] == "–"  # nothing is unknown


def test_folds_are_added_up_and_those_that_lack_are_named(material, tmp_path):
    the_bench = bench(material, tmp_path, [])
    for fold, (false, minutes) in enumerate([(0, 0.0), (2, 3.5), (1, 1.0)]):
        entry = {
            "recall": 0.5 + fold / 10,
            "false_positives": 7,
            "benign": {
                "false_incidents": false,
                "false_minutes": minutes,
                "by_group": {"device1": false} if false else {},
            },
        }
        found = {
            "settings": {"experts": 2, "units": 16, "epochs": 5},
            "benign_hours": 8.0,
            "models": {"lmmoe": [{"syn_dos": entry}]},
        }
        kept(the_bench, f"fold-{fold}", lambda found=found: found)
    text = page(the_bench, "2030-01-02", 200)
    # Three in 24 hours: 7.7537 at most.
    row = "| syn_dos | lmmoe | 21 | 3 | 4.5 | 7.75 | device1 3 | 0.5000–0.7000 |"
    assert row in text
    assert "**Not run yet: fold-3, fold-4.**" in text


def test_single_inputs_and_matrices_are_tables_and_what_is_not_known_is_no_number(
    material, tmp_path
):
    the_bench = bench(material, tmp_path, [])
    inputs = [("syn_dos", "a", 0.95, 0.4), ("syn_dos", "b", 0.7, 0.4), ("other", "c", 0.9, None)]
    findings = [
        {"task": task, "kind": "field", "name": name, "in_source": inside, "left_out": outside}
        for task, name, inside, outside in inputs
    ]
    kept(the_bench, "audit", lambda: {"findings": findings}, of_run=True)
    areas = {"task": "scan", "groups": ["x", "y"], "attack_flows": [5, 6]}
    areas["auc"] = [[1.0, 0.25], [None, 0.5]]
    kept(the_bench, "matrix", lambda: {"matrices": [areas]}, of_run=True)
    text = page(the_bench, "2030-01-02", 200)
    assert "| syn_dos | field a | 0.950 | 0.400 | **yes** |" in text
    assert "field b" not in text
    assert "No public attack of: other." in text
    assert "| learnt from x (5 attack flows) | 1.0000 | 0.2500 |" in text
    assert "| learnt from y (6 attack flows) | – | 0.5000 |" in text
    # Another run is judged: nothing of this is about it.
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / RUN).write_text("{}")
    text = page(Bench(material, tmp_path, tmp_path / "run", print), "2030-01-02", 200)
    assert text.count("**Not run yet: ") == len(STEPS)


def test_the_page_has_a_section_for_each_further_step(material, tmp_path):
    the_bench = bench(material, tmp_path, [])
    figure = {"auc": 0.75, "recall": 0.5, "false": 0, "attack_flows": 4, "flows": 8}
    line = {"name": "scan: a", "task": "scan", "column": "left-out", "auc": 0.9, "recall": None}
    line |= {"attacks": 1, "sources": 2, "models": {"lmmoe": [figure]}}
    made = {
        "acceptance": {"lines": [line]},
        "wirings": {"variants": [{"about": "all share", "parameters": 7, "lines": [line]}]},
        "evasion": {"recordings": 1},
        "augmentation": {},
    }
    for name, result in made.items():
        kept(the_bench, name, lambda result=result: result, of_run=True)
    text = page(the_bench, "2030-01-02", 200)
    assert "| scan: a | ≥ 0.9 | 0.7500 | – | – | 0.5000 | 0 | 4 / 8 | 2 | **not met** |" in text
    assert "| weights | 7 |" in text
    assert text.count("[evasion.md](evasion.md)") == 2
    assert text.count("**Not run yet: ") == len(STEPS) - len(made)
