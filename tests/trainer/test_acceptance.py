"""Acceptance: what is learnt is never tested, later flows are later, verdicts by hand."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from flow_rows import rows

from sensor.model.schema import FeatureSchema
from trainer.comparison import Held, Scored
from trainer.datasets.dataset import Dataset, SourceRecord
from trainer.datasets.examples import Patterns
from trainer.datasets.sources import Capture, Source
from trainer.proof.acceptance import (
    DRAWN,
    FAMILIES,
    LATER,
    LEFT_OUT,
    OTHER_MALWARE,
    PUBLIC_TASKS,
    REFLECTIONS,
    SCANS,
    TUNED,
    TUNNELS,
    WITHIN,
    Line,
    Trial,
    drawn,
    measured,
    rows_of,
    trials,
)
from trainer.proof.acceptance_page import acceptance_table
from trainer.proof.material import Material
from trainer.proof.wirings import variants, wirings_table
from trainer.tasks import KNOWN, chosen

ATTACKED = {
    **dict.fromkeys(REFLECTIONS, "udp_reflection"),
    **dict.fromkeys(SCANS, "scan"),
    **dict.fromkeys((name for each in FAMILIES for name in each), "malware_cc"),
    **dict.fromkeys(OTHER_MALWARE, "malware_cc"),
    "stopddos-syn": "syn_dos",
}
FLOWS = 20


@pytest.fixture(scope="module")
def material():
    """A capture of each group that the trials name, twenty devices, and recordings of the lab."""
    captures, labels, names = {}, [], []

    def add(name, task=None, flows=FLOWS):
        names.extend([name] * flows)
        each = [int(known == task) for known in KNOWN]
        labels.extend([each] * flows)

    def public(name, group, task=None, role="train"):
        told = (f"*,*,*,*,*,{task},1",) if task else ()
        its = Source("a", "x", "there", "MIT", ("*",), "g", role, benign=not task, labels=told)
        captures[name] = Capture(name, Path(f"{name}.pcap"), group, its)
        add(name, task)

    for device in range(20):
        public(f"device{device}", f"device{device}")
    for group, task in ATTACKED.items():
        roles = {"slips-cc": "reported", "stopddos-syn": "left-out"}
        public(group, group, task, roles.get(group, "train"))
    for stem in (name for each in TUNNELS for name in each):
        public(stem, "doh", "dns_tunnel")
    public("iodine", "ndpi-iodine", "dns_tunnel")
    for number in range(6):
        public(f"browsing{number}", "doh")
    parts = {"lab-train": "train", "lab-validation": "validation", "lab-test": "test"}
    parts["left-out-1"] = "test"
    for name in parts:
        add(name, flows=DRAWN + 50)
        add(name, "ssl_renegotiation")
    known = list(dict.fromkeys(names))
    batch = rows(
        *(
            {"start": float(place), "direction": [1], "source": ("10.0.0.1", place % 60_000)}
            for place in range(len(names))
        )
    )
    records = [
        SourceRecord(name, f"{name}.pcap", name, "", KNOWN, "0", 0, 0, 1, 1, 0, 0) for name in known
    ]
    dataset = Dataset(
        FeatureSchema(),
        KNOWN,
        tuple(records),
        batch,
        np.array(labels, np.int8),
        np.array([known.index(name) for name in names], np.int32),
        np.arange(len(names)),
    )
    return Material(dataset, captures, parts, 0, dataset)


@pytest.fixture(scope="module")
def every(material):
    return trials(material)


def test_what_is_left_out_is_neither_learnt_nor_tuned_on_and_each_is_once(material, every):
    once = []
    for trial in every:
        split = trial.experiment.split
        learnt = set(split.train)
        assert set(split.validation) == {f"{TUNED}{name}" for name in learnt}
        assert learnt.isdisjoint(split.test)
        assert all(
            material.captures[name].source.role == "train"
            for name in learnt & set(material.captures)
        )
        for line in trial.lines:
            if line.column == LEFT_OUT:
                assert learnt.isdisjoint({*line.attacks, *line.others}), line.name
                assert not any(name.startswith(LATER) for name in line.attacks)
                once += line.attacks if line.auc and line.task in PUBLIC_TASKS else []
            else:
                assert all(name.startswith(LATER) for name in line.attacks)
    assert sorted(once) == sorted(
        name for name in ATTACKED if name not in (*OTHER_MALWARE, "stopddos-syn")
    )


def test_a_left_out_group_takes_all_its_captures_along(material, every):
    for trial in every[:-1]:
        split = trial.experiment.split
        sides = [
            {material.group(name) for name in names if name in material.captures}
            for names in (split.train, split.test)
        ]
        # The tunnels' household is the one that is divided by capture.
        assert sides[0] & sides[1] <= {"doh"}
        assert {name for name in split.train if name.startswith("browsing")}
    tunnels = [
        {line.attacks for line in trial.lines if line.name.startswith("DoH tunnel: ")}
        for trial in every
    ]
    assert tunnels == [*({each} for each in TUNNELS), set(), set()]


def test_learnt_sources_are_divided_by_time_and_drawn_by_label(material, every):
    dataset = rows_of(every[-1], material)
    assert (np.diff(dataset.source) >= 0).all()
    names = np.array([record.name for record in dataset.sources])[dataset.source]
    start = dataset.batch.flow_start_ns
    quiet = (dataset.labels == 0).all(axis=1)
    parts = ["lab-train", f"{TUNED}lab-train", f"{LATER}lab-train"]
    sizes = [int((quiet & (names == part)).sum()) for part in parts]
    # 55, 15 and 30 of a hundred.
    assert sum(sizes) == DRAWN
    assert sizes == pytest.approx([0.55 * DRAWN, 0.15 * DRAWN, 0.3 * DRAWN], abs=1)
    for one, other in itertools.pairwise(parts):
        assert start[quiet & (names == one)].max() < start[quiet & (names == other)].min()
    attack = dataset.labels[:, KNOWN.index("ssl_renegotiation")] == 1
    assert [int((attack & (names == part)).sum()) for part in parts] == [11, 3, 6]
    # What is tested whole is drawn, but not divided.
    assert (quiet & (names == "left-out-1")).sum() == DRAWN
    assert "lab-test" not in names  # of the same tools as what is learnt
    assert np.unique(dataset.flow).size == len(dataset)


def test_flows_are_drawn_whole(material):
    twice = material.dataset.take(np.repeat(np.arange(len(material.dataset)), 2))
    few = drawn(material, twice, 5)
    _, counts = np.unique(few.flow, return_counts=True)
    assert set(counts) == {2}
    labs = few.of_sources(["lab-test"])
    assert np.unique(labs.flow).size == 10  # five of each combination of labels


def test_areas_and_recalls_are_those_of_the_line_alone(material):
    line = Line("x", "scan", LEFT_OUT, ("esnet",), ("device0",), 0.9)
    dataset = material.dataset.of_sources(["esnet", "device0", "ndpi-synscan"])
    esnet = dataset.source == [each.name for each in dataset.sources].index("esnet")
    # A quarter of the scans of the line score below all that is benign; another's are not asked.
    scores = np.where(esnet, np.where(dataset.flow % 4 == 0, 0.1, 0.8), 0.3)
    (task,) = chosen(["scan"])
    held = Held(
        dataset,
        Patterns.of(dataset).number,
        np.zeros(0, np.int64),
        {"lmmoe": [Scored((task,), scores[:, None])], "rule": [Scored((), scores[:, None][:, :0])]},
    )
    experiment = trials(material)[0].experiment
    (entry,) = measured(Trial(experiment, (line,)), held)
    assert entry["models"] == {
        "lmmoe": [{"auc": 0.75, "recall": 0.75, "false": 0, "attack_flows": 20, "flows": 40}]
    }
    assert (entry["attacks"], entry["sources"]) == (1, 2)


def figure(auc, recall=0.9):
    return {"auc": auc, "recall": recall, "false": 1, "attack_flows": 10, "flows": 40}


def entry(name, task, column, aim, *areas):
    models = {"lmmoe": [figure(area) for area in areas], "trees": [figure(0.9)]}
    told = {"name": name, "task": task, "column": column, "auc": aim, "recall": None}
    return {**told, "attacks": 1, "sources": 3, "models": models}


def test_the_table_holds_medians_against_aims_and_reports_the_rest():
    lines = [
        entry("scan", "scan", WITHIN, 0.96, 0.99, 0.98, 0.90),
        entry("scan", "scan", WITHIN, 0.96, 0.90, 0.90, 0.90),
        entry("scan: a", "scan", LEFT_OUT, 0.95, 0.99, 0.96, 0.90),
        entry("malware", "malware_cc", LEFT_OUT, 0.80, 0.7, 0.7, 0.7),
        entry("others", "malware_cc", LEFT_OUT, None, 0.2, None, 0.1),
    ]
    text = acceptance_table({"lines": lines})
    cells = {
        row.split("|")[1].strip(): [c.strip() for c in row.split("|")[2:-1]]
        for row in text.splitlines()
        if row.startswith("| ")
    }
    assert cells["scan"][:2] == ["≥ 0.96", "0.9000 [0.9000, 0.9900]"]
    assert cells["scan"][-1] == "**not met**"
    assert cells["scan"][6] == "20 / 80"
    assert cells["scan: a"][1:4] == ["0.9600 [0.9000, 0.9900]", "0.9000", "–"]
    assert cells["scan: a"][-1] == "met"
    assert cells["malware"][-1] == "**not met**"
    assert cells["others"][0] == "–"
    assert cells["others"][-1] == ""
    # Of 0.96 and 0.7; what has no aim is not in it.
    assert cells["mean of the tasks with an aim"][:3] == ["≥ 0.94", "0.8300", "0.9000"]


def test_variants_differ_in_their_wiring_and_in_nothing_else(material, every):
    each = variants(material)
    shared, apart, fed = (trial.experiment for trial in each.values())
    assert shared == every[-1].experiment
    for other in (apart, fed):
        assert (other.split, other.tasks) == (shared.split, shared.tasks)
        wiring = other.settings.wiring
        assert sorted(wiring.order(shared.tasks)) == sorted(shared.tasks)
        # As many experts in all.
        assert other.settings.experts * len(wiring.groups_of(shared.tasks)) == 2
    assert (apart.settings.feeds, fed.settings.groups) == ((), ())
    told = [
        {
            "about": about,
            "parameters": 100 + place,
            "lines": [entry("scan", "scan", WITHIN, 0.9, area)],
        }
        for place, (about, area) in enumerate(zip(each, (0.9, 0.8, 0.7), strict=True))
    ]
    text = wirings_table(told)
    assert "| weights | 100 | 101 | 102 |" in text
    assert "| scan (in-source) | 0.9000 | 0.8000 | 0.7000 |" in text
    assert "| mean, in-source | 0.9000 | 0.8000 | 0.7000 |" in text
    assert "| mean, left-out | – | – | – |" in text
