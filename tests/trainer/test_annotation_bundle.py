"""From captures with labels to an annotating bundle, by the command, with a tiny network."""

import json
import os
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from toy_services import SERVICES, toy_services

pytest.importorskip("keras", reason="needs the extra `trainer`")

from sensor.errors import MissingInputError
from sensor.model.bundle import Bundle
from sensor.model.detector import BundleDetector
from sensor.model.verification import verify
from trainer.annotating import (
    annotation_bundle,
    annotation_card,
    annotation_recipe,
    teaching,
)
from trainer.annotating.abstention import abstain_below
from trainer.annotating.targets import targets
from trainer.cli import main
from trainer.recipe import read_document
from trainer.traffic import inputs, networks
from trainer.traffic.learning import Learner
from trainer.traffic.material import TEST, VALIDATION
from trainer.traffic.readers import read

SHORT = replace(inputs.SCHEMA, lengths=(8, 12))
"""The lengths of the shipped bundle take ten times as long to convert."""

RECIPE = """
version = "2"
recordings = "quic"
[annotating]
experts = 2
units = 8
tower_units = [8]
pooling = "last"
epochs = 120
learning_rate = 0.02
class_weight = 1
buckets = 2
seed = 7
right = 1.0
told = 0.3
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("services")
    for seed in range(5):
        toy_services(folder / f"toy-{seed}", seed)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _short():
    with pytest.MonkeyPatch.context() as patch:
        for module in (inputs, networks, teaching, annotation_bundle, annotation_card):
            patch.setattr(module, "SCHEMA", SHORT)
        # Compiling takes longer than so few steps, and a real training has 300 at least.
        patch.setattr(teaching, "Learner", lambda *given, **_: Learner(*given))
        patch.setattr(teaching, "steps_of", lambda *given: given[-1])
        yield


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "toy"
    plan = tmp_path_factory.mktemp("recipes") / "toy.toml"
    plan.write_text(RECIPE)
    main(["recipe", str(plan), "--data", f"quic:{folder}", "--seed", "5", "--out", str(out)])
    return Bundle.read(out)


def test_the_bundle_says_what_the_recipe_does(made):
    assert (made.name, made.version, made.tasks, made.schema) == ("toy", "2", (), SHORT)
    bandwidth, duration, service = made.annotations
    assert [each.measured for each in made.annotations] == ["bandwidth", "duration", ""]
    assert service.classes == SERVICES
    assert len(bandwidth.edges) == len(duration.edges) == 1
    assert {each.least_packets for each in made.annotations} == {8}
    assert made.manifest["provenance"]["seed"] == 5
    assert made.manifest["provenance"]["settings"]["units"] == 8
    parts = [each["part"] for each in made.manifest["provenance"]["sources"]]
    assert sorted(parts) == ["test", "train", "train", "train", "validation"]


def test_its_figures_are_those_of_the_sensors_own_detector(made, folder):
    """Worked out here from what the detector says of the tested flows."""
    material = read(f"quic:{folder}")
    tested = np.flatnonzero(material.part == TEST)
    rows = teaching.shortened(material.rows.take(tested), SHORT.n)
    found = BundleDetector(made).look(rows)
    first = 0
    for spec, target in zip(made.annotations, targets(material, 2), strict=True):
        scores = found[:, first : first + len(spec.classes)]
        first += len(spec.classes)
        truth = target.labels[tested]
        told = scores.max(axis=1) >= spec.abstain_below
        right = told & (scores.argmax(axis=1) == truth)
        entry = made.manifest["metrics"]["annotations"][spec.name]
        assert entry == {
            "accuracy": pytest.approx(right.sum() / max(1, told.sum()), abs=1e-4),
            "flows": 20,
            "commonest": pytest.approx(np.bincount(truth).max() / 20, abs=1e-4),
            "abstained": pytest.approx(1 - told.mean(), abs=1e-4),
        }
        counts = np.bincount(scores.argmax(axis=1)[told], minlength=len(spec.classes))
        assert made.manifest["histograms"][spec.name] == {"told": counts.tolist()}
    # Toys tell themselves apart by size.
    assert entry["accuracy"] >= 0.9
    assert entry["abstained"] <= 0.7


def test_its_thresholds_are_those_of_the_validation_part(made, folder):
    """Of its flows by their first 8 and their first 12 packets."""
    material = read(f"quic:{folder}")
    held_out = np.flatnonzero(material.part == VALIDATION)
    rows = material.rows.take(held_out)
    detector = BundleDetector(made)
    found = np.concatenate([detector.look(teaching.shortened(rows, k)) for k in SHORT.lengths])
    first = 0
    for spec, target in zip(made.annotations, targets(material, 2), strict=True):
        scores = found[:, first : first + len(spec.classes)]
        first += len(spec.classes)
        truth = np.tile(target.labels[held_out], 2)
        assert spec.abstain_below == abstain_below(scores, truth, 1.0, 0.3)
    assert max(each.abstain_below for each in made.annotations) > 0


def test_its_golden_vectors_are_of_all_lengths_and_answered(made):
    assert set(made.golden.rows.length.tolist()) == {8, 10, 11, 12}
    assert verify(made).rows == len(made.golden.scores)
    for figures in made.manifest["metrics"]["parity"].values():
        assert figures["max_difference"] < 0.05
        assert figures["accuracy_keras"] == pytest.approx(figures["accuracy_tflite"], abs=0.01)


def test_the_card_has_the_figures_of_the_manifest(made):
    card, metrics = made.card, made.manifest["metrics"]
    assert card.startswith("# toy 2\n")
    assert "one server, one stack" in card
    for name, entry in metrics["annotations"].items():
        line = next(line for line in card.splitlines() if line.startswith(f"| {name} | 20 |"))
        assert f"| {1 - entry['abstained']:.1%} | {entry['accuracy']:.1%} |" in line
        (about,) = (line for line in card.splitlines() if line.startswith(f"- **{name}**"))
        spec = next(each for each in made.annotations if each.name == name)
        assert ", ".join(spec.classes) in about
        assert about.endswith(f"Named from {spec.abstain_below:g}.")
    detail = metrics["annotations_in_detail"]["traffic_class"]
    assert set(detail["best_right_by_packets"]) == {"8", "12"}
    for name, row, of_best in zip(SERVICES, detail["confusion"], detail["best"], strict=True):
        silent = sum(of_best) - sum(row)
        assert f"| {name} | {' | '.join(map(str, row))} | {silent} |" in card


def test_a_seed_decides_the_weights(folder, tmp_path):
    plan = tmp_path / "toy.toml"
    plan.write_text(RECIPE.replace("epochs = 120", "epochs = 2"))
    recipe = annotation_recipe.annotation_recipe(*read_document(str(plan)))
    material = read(f"quic:{folder}")
    wanted = targets(material, 2)

    def weights(**changes):
        return teaching.teach(material, wanted, replace(recipe, **changes)).get_weights()

    first = weights()
    for ours, theirs in zip(first, weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(first[0], weights(seed=8)[0])


def test_a_row_of_the_first_packets_is_what_the_sensor_would_see(folder):
    rows = read(f"quic:{folder}").rows
    short = teaching.shortened(rows, 8)
    assert short.ip_length.shape == (len(rows), SHORT.n)
    assert (short.length == 8).all()
    np.testing.assert_array_equal(short.ip_length[:, :8], rows.ip_length[:, :8])
    assert not short.ip_length[:, 8:].any()
    assert json.dumps(teaching.shortened(rows, 99).length.tolist()) == json.dumps(
        np.minimum(rows.length, SHORT.n).tolist()
    )


def test_a_part_without_flows_is_refused(folder, tmp_path):
    plan = tmp_path / "toy.toml"
    plan.write_text(RECIPE)
    recipe = annotation_recipe.annotation_recipe(*read_document(str(plan)))
    material = read(f"quic:{folder}")
    alone = replace(material, part=np.where(material.part == TEST, 0, material.part))
    with pytest.raises(MissingInputError, match="in the part test; give more captures"):
        annotation_bundle.annotate(alone, recipe, tmp_path / "b", lambda _: None)
