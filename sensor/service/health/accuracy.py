"""How right a model is about flows, as far as their ends tell; without labels, for ever.

What counts is by how much it is above the *majority*: who always named the commonest class would
be as often right as that. What it reached on the test part of its training data stands beside it
(``metrics["annotations"][TASK]["accuracy"]`` of the manifest, likewise a share of the flows that it
named a class for), and so does the stability index (`sensor.service.health.drift`) of the classes
that it names against those that it named there (``histograms[TASK]["told"]``, flows by class).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.eve import timestamp
from sensor.annotations.annotator import WHYS, Annotator
from sensor.annotations.tally import Confusion, Tally, Verdict
from sensor.lane import Watch
from sensor.model.schema import AnnotationSpec
from sensor.service.health.coverage import label
from sensor.service.health.drift import stability
from sensor.service.health.symptoms import Reason

LEAST_FLOWS = 400
"""Of so many flows a share that is expected to be p lies 0.1 below it by chance once in 31,000
hours: the standard deviation is at most 0.025, and 0.1 are four of them. Fewer are not compared."""

MUCH = 0.1
"""A fall of the accuracy by more than this, against the test, is a reason to look."""

_LEAST_EXPECTED = 100
"""Flows that the manifest must have counted, for its shares to be compared with."""

_MANY = 2**53
"""Nobody has counted so many: sums of such numbers need not be finite."""


def of_watches(watches: Iterable[Watch]) -> dict[str, Any]:
    """What models that annotate flows have said, and how right it was: by name."""
    return {label(watch): _document(watch, watch.annotator) for watch in watches if watch.annotator}


def reasons(document: Mapping[str, Any]) -> Iterator[Reason]:
    """What an operator should know of models in force; shadows are only tried.

    Args:
        document: of `of_watches`.
    """
    for name, model in document.items():
        tasks = {} if model["shadow"] else model["tasks"]
        for task, each in tasks.items():
            lately = each.get("lately")
            if not lately or each["test"] is None or each["test"] - lately["accuracy"] <= MUCH:
                continue
            text = (
                f"{name}/{task} names the right class for {lately['accuracy']:.0%} of "
                f"{lately['judged']:,} flows since {lately['from'][:16].replace('T', ' ')} UTC, "
                f"and did for {each['test']:.0%} in its test: the flows of this network are unlike "
                "those that it learned from; believe it less, or train with recordings of yours"
            )
            yield Reason(f"accuracy {name}/{task}", text)


def _document(watch: Watch, annotator: Annotator) -> dict[str, Any]:
    bundle = getattr(watch.detector, "bundle", None)
    manifest = bundle.manifest if bundle else {}
    return {
        "shadow": watch.shadow,
        "predicted": annotator.predicted,
        "ended": annotator.ended,
        "open": annotator.open,
        "forgotten": annotator.forgotten,
        "unknown": dict(zip(WHYS, annotator.unknown.tolist(), strict=True)),
        "tasks": {
            spec.name: _task(spec, tally, manifest)
            for spec, tally in zip(annotator.annotations, annotator.tallies, strict=True)
        },
    }


def _task(spec: AnnotationSpec, tally: Tally, manifest: Mapping[str, Any]) -> dict[str, Any]:
    confusion = tally.confusion.copy()
    verdict = Verdict.of(confusion)
    told = confusion[:-1].sum(axis=1).tolist()
    document: dict[str, Any] = {
        "told": dict(zip(spec.classes, told, strict=True)),
        "abstained": verdict.abstained,
        "drift": _drift(tally, told_in_test(manifest, spec)),
    }
    if not spec.measured:
        return document
    return {
        **document,
        "judged": verdict.judged,
        "right": verdict.right,
        "accuracy": _share(verdict.accuracy),
        "majority": _share(verdict.majority),
        "confusion": _by_truth(spec, confusion),
        "test": tested_accuracy(manifest, spec.name),
        "lately": _lately(tally),
    }


def _by_truth(spec: AnnotationSpec, confusion: Confusion) -> dict[str, dict[str, int]]:
    """Flows by the true class, and in it by what was said; truths without flows are left out."""
    said = (*spec.classes, "abstained")
    return {
        true: {name: flows for name, flows in zip(said, column, strict=True) if flows}
        for true, column in zip(spec.classes, confusion.T.tolist(), strict=False)
        if any(column)
    }


def _lately(tally: Tally) -> dict[str, Any] | None:
    found = tally.lately(lambda confusion: int(confusion[:-1, :-1].sum()) >= LEAST_FLOWS)
    if found is None:
        return None
    verdict = Verdict.of(found.confusion)
    return {
        "from": timestamp(found.start_ns),
        "judged": verdict.judged,
        "accuracy": _share(verdict.accuracy),
        "majority": _share(verdict.majority),
    }


def _drift(tally: Tally, expected: NDArray[np.float64] | None) -> dict[str, Any] | None:
    found = tally.lately(lambda confusion: int(confusion[:-1].sum()) >= LEAST_FLOWS)
    if found is None or expected is None:
        return None
    told = found.confusion[:-1].sum(axis=1)
    return {
        "from": timestamp(found.start_ns),
        "told": int(told.sum()),
        "psi": round(stability(told, expected), 4),
    }


def _share(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def tested_accuracy(manifest: Mapping[str, Any], task: str) -> float | None:
    """What the manifest says of the task's test; None where it says nothing that makes sense."""
    try:
        accuracy = float(manifest["metrics"]["annotations"][task]["accuracy"])
    except (KeyError, TypeError, ValueError):
        return None
    return accuracy if 0 <= accuracy <= 1 else None


def told_in_test(manifest: Mapping[str, Any], spec: AnnotationSpec) -> NDArray[np.float64] | None:
    """``(classes,)`` flows of the task's test by the class that was named; None without any."""
    try:
        told = np.float64(manifest["histograms"][spec.name]["told"])
    except (KeyError, TypeError, ValueError):
        return None
    if told.shape != (len(spec.classes),):
        return None
    good = bool(((told >= 0) & (told < _MANY)).all() and told.sum() >= _LEAST_EXPECTED)
    return told if good else None
