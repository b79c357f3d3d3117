"""What a model's annotations come to in the status, and when they are a reason to look."""

from types import SimpleNamespace

import numpy as np
import pytest

from sensor.annotations.annotator import Annotator
from sensor.annotations.predictions import ABSTAINED
from sensor.annotations.tally import UNKNOWN
from sensor.model.schema import AnnotationSpec
from sensor.service.health.accuracy import LEAST_FLOWS, of_watches, reasons

SECONDS = AnnotationSpec(
    "seconds", ("below 1", "1 to 10", "10 on"), 2, 0.4, "duration", (1.0, 10.0)
)
TRAFFIC = AnnotationSpec("traffic", ("documents", "music"), 8)
HOUR_NS = 3_600 * 10**9
NIGHT_NS = 472_222 * HOUR_NS
"""2023-11-14 22:00 UTC."""


def watch(manifest=None, *, shadow=False):
    detector = SimpleNamespace(
        name="classes",
        version="1",
        tasks=(),
        annotations=(SECONDS, TRAFFIC),
        look=None,
        bundle=SimpleNamespace(manifest=manifest or {}),
    )
    return SimpleNamespace(detector=detector, shadow=shadow, annotator=Annotator(detector))


def after_test(accuracy):
    return {
        "metrics": {"annotations": {"seconds": {"accuracy": accuracy}}},
        "histograms": {"seconds": {"told": [100, 100, 100]}},
    }


def count(of, place, told, true, flows=1, hour=0):
    of.annotator.tallies[place].add(
        np.full(flows, NIGHT_NS + hour * HOUR_NS),
        np.full(flows, told, np.uint8),
        np.full(flows, true, np.uint8),
    )


def test_the_document_adds_up():
    model = watch()
    for told, true, flows in ((0, 0, 6), (0, 1, 2), (2, 2, 1), (ABSTAINED, 1, 3), (1, UNKNOWN, 4)):
        count(model, 0, told, true, flows)
    count(model, 1, 1, UNKNOWN, 5)
    annotator = model.annotator
    annotator.predicted, annotator.ended = 20, 16
    annotator.unknown += [1, 0, 3]
    document = of_watches([model, SimpleNamespace(annotator=None)])["classes"]
    assert document == {
        "shadow": False,
        "predicted": 20,
        "ended": 16,
        "open": 0,
        "forgotten": 0,
        "unknown": {"midstream": 1, "evicted": 0, "unfinished": 3},
        "tasks": {
            "seconds": {
                "told": {"below 1": 8, "1 to 10": 4, "10 on": 1},
                "abstained": 3,
                "drift": None,
                "judged": 9,
                "right": 7,
                "accuracy": 0.7778,
                "majority": 0.6667,
                "confusion": {
                    "below 1": {"below 1": 6},
                    "1 to 10": {"below 1": 2, "abstained": 3},
                    "10 on": {"10 on": 1},
                },
                "test": None,
                "lately": None,
            },
            "traffic": {"told": {"documents": 0, "music": 5}, "abstained": 0, "drift": None},
        },
    }


def test_the_last_hours_stand_beside_the_test():
    model = watch(after_test(0.9))
    count(model, 0, 0, 0, LEAST_FLOWS - 100)
    count(model, 0, 1, 1, 60, hour=1)
    count(model, 0, 1, 0, 39, hour=1)
    task = of_watches([model])["classes"]["tasks"]["seconds"]
    assert task["lately"] is task["drift"] is None  # one flow is missing
    count(model, 0, 2, 0, 1, hour=2)
    task = of_watches([model])["classes"]["tasks"]["seconds"]
    assert task["lately"] == {
        "from": "2023-11-14T22:00:00.000000+0000",
        "judged": 400,
        "accuracy": 0.9,
        "majority": 0.85,
    }
    assert task["test"] == 0.9
    assert task["drift"]["told"] == 400
    # Shares 0.75, 0.2475 and 0.0025 against a third each; the smoothing moves it a little.
    expected = sum((a - 1 / 3) * np.log(3 * a) for a in (0.75, 0.2475, 0.0025))
    assert task["drift"]["psi"] == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize(
    ("test", "right", "told"),
    [(0.9, 319, True), (0.9, 320, False), (0.3, 200, False), (None, 0, False)],
)
def test_a_fall_of_more_than_a_tenth_is_a_reason(test, right, told):
    model = watch(after_test(test) if test else {})
    count(model, 0, 0, 0, right)
    count(model, 0, 0, 1, LEAST_FLOWS - right)
    found = list(reasons(of_watches([model])))
    assert len(found) == told
    if told:
        assert found[0].key == "accuracy classes/seconds"
        assert "classes/seconds names the right class for 80% of 400 flows" in found[0].text
        assert "since 2023-11-14 22:00 UTC" in found[0].text
        assert "90% in its test" in found[0].text


def test_shadows_are_measured_and_no_reason():
    model = watch(after_test(0.9), shadow=True)
    count(model, 0, 0, 1, LEAST_FLOWS)
    document = of_watches([model])
    assert document["classes (shadow)"]["tasks"]["seconds"]["lately"]["accuracy"] == 0
    assert not list(reasons(document))


@pytest.mark.parametrize(
    "manifest",
    [
        {"metrics": {"annotations": {"seconds": {"accuracy": 1.5}}}, "histograms": {}},
        {"metrics": {"annotations": []}, "histograms": {"seconds": {"told": [50, 50]}}},
        {"metrics": None, "histograms": {"seconds": {"told": [-1, 500, 500]}}},
        {"metrics": {}, "histograms": {"seconds": {"told": "many"}}},
        {"metrics": {}, "histograms": {"seconds": {"told": [99, 0, 0]}}},
        {"metrics": {}, "histograms": {"seconds": {"told": [1e308, 1e308, 1e308]}}},
    ],
)
def test_a_manifest_that_makes_no_sense_is_compared_with_nothing(manifest):
    model = watch(manifest)
    count(model, 0, 0, 1, LEAST_FLOWS)
    task = of_watches([model])["classes"]["tasks"]["seconds"]
    assert task["test"] is task["drift"] is None
    assert task["lately"] is not None
