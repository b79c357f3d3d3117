"""Detection of changed attacks: the rule by hand, the network, what training on them teaches."""

import numpy as np
import pytest
from toy_recordings import toy_recording

from sensor.model.schema import FeatureSchema
from trainer.datasets.collection import collect
from trainer.datasets.dataset import load
from trainer.datasets.extraction import Recording
from trainer.datasets.splits import Split
from trainer.evasion import augmentation
from trainer.evasion.attacked import read
from trainer.evasion.changes import UNCHANGED, Change
from trainer.evasion.forgery import FORGERY
from trainer.evasion.measure import evasion
from trainer.evasion.page import page, plot
from trainer.executors import executor
from trainer.proof.material import Material
from trainer.runs import train
from trainer.settings import Settings
from trainer.tasks import KNOWN, NAMES

TINY = Settings(experts=1, units=4, epochs=3, patience=3)
SLOW = Change("delay", slower=1_000)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    made = [toy_recording(folder / name, seed) for seed, name in enumerate(("a", "b", "c"), 1)]
    return [Recording(each.name, each / "capture.pcap", each / "labels.csv") for each in made]


@pytest.fixture(scope="module")
def dataset(recordings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    with executor(1) as pool:
        collect(recordings, folder, FeatureSchema(), KNOWN, pool)
    return load([folder])


@pytest.fixture(scope="module")
def result(recordings, dataset, tmp_path_factory):
    split = Split("source", ("a",), ("b",), ("c",))
    run = train(dataset, NAMES, TINY, split, (0,), 1.0, tmp_path_factory.mktemp("run"))
    return evasion(run, [read(recordings[2])], (UNCHANGED, SLOW))


def test_the_rule_finds_what_it_counts_and_nothing_that_is_slow(result):
    before, slow = result["changes"]
    (rule,) = before["tasks"]["syn_dos"]["rule"]
    # Of 600 flows to one address, 120 a second, the first 29 see fewer than 30.
    assert (rule["flows"], rule["recall"]) == (600, round((600 - 29) / 600, 4))
    assert (rule["attacks"], rule["found"]) == (1, 1)
    # The 49th flow: 20 positive ones after 29, 5 s / 600 apart, each scored a second after it came.
    assert rule["seconds_to_alert"] == pytest.approx(1 + 20 * 5 / 600, abs=0.2)
    (rule,) = slow["tasks"]["syn_dos"]["rule"]
    assert (rule["recall"], rule["found"], rule["attacks"]) == (0.0, 0, 1)
    assert rule["seconds_to_alert"] is None
    assert "rule" not in before["tasks"]["ssl_renegotiation"]


def test_the_network_is_asked_about_every_attack_flow(result):
    for change in result["changes"]:
        assert set(change["tasks"]) == set(NAMES)
        for task, flows in (("syn_dos", 600), ("ssdp_flood", 600)):
            (seed,) = change["tasks"][task]["lmmoe"]
            assert seed["flows"] == flows
            assert 0 <= seed["recall"] <= 1
            assert seed["found"] <= seed["attacks"]
    (seed,) = result["changes"][0]["tasks"]["ssl_renegotiation"]["lmmoe"]
    assert (seed["flows"], seed["attacks"]) == (10, 1)


def test_what_changed_copies_teach_is_measured_beside_what_is_learnt_without(
    recordings, dataset, result, tmp_path, monkeypatch
):
    monkeypatch.setattr(augmentation, "SETTINGS", TINY)
    monkeypatch.setattr(augmentation, "SEEDS", (0,))
    monkeypatch.setattr(augmentation, "TESTED", (UNCHANGED, SLOW))
    parts = {"a": "train", "b": "validation", "c": "test"}
    material = Material(dataset, {}, parts, 0, dataset)
    learnt, _, tested = ([read(each)] for each in recordings)
    augmented = augmentation.augmentation(material, NAMES, learnt, tested, tmp_path)
    assert {"plain", "changed"} < set(augmented)
    runs = {name: load_names(tmp_path / f"evasion-{name}") for name in ("plain", "changed")}
    assert runs == {"plain": ["a"], "changed": ["a", "changed copy of a"]}
    assert set(augmented["plain"]["false"]) == set(NAMES)
    text = page(result, augmented, "2030-01-02")
    assert "## Changed attacks in training" in text
    assert "## Changed attacks in training" not in page(result, None, "2030-01-02")
    assert "on 2030-01-02" in text
    # The rule finds the flood as recorded, and no more when it is a thousand times slower.
    row = next(line for line in text.splitlines() if line.startswith("| syn_dos |"))
    assert row.split("|")[3].strip().endswith("(1000 times slower)")
    assert row.split("|")[2].strip().endswith("(none)")
    row = next(line for line in text.splitlines() if line.startswith("| as recorded"))
    assert "| 0.9517 |" in row
    assert "| 1 / 1 |" in row
    assert all(f"| {task} | {FORGERY[task][0][:20]}" in text for task in NAMES)
    plot(result, tmp_path / "evasion.png")
    assert (tmp_path / "evasion.png").read_bytes()[:4] == b"\x89PNG"


def load_names(folder):
    from trainer.runs import load as load_run

    return list(load_run(folder).split.train)


def test_every_known_task_says_whom_it_names():
    assert tuple(FORGERY) == KNOWN or set(FORGERY) == set(KNOWN)
    assert np.all([len(each) == 3 for each in FORGERY.values()])
