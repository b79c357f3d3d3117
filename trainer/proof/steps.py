"""The steps of the proof: each result is kept as JSON, and what is there is not made again."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from sensor.errors import MultaError, OutputError
from trainer.audit import audit
from trainer.comparison import Held, held_out
from trainer.datasets.splits import Split
from trainer.evaluation import without_nan
from trainer.evasion.attacked import Stream, read
from trainer.evasion.augmentation import augmentation
from trainer.evasion.measure import evasion
from trainer.proof.acceptance import REFLECTIONS, SCANS, Trial, measured, rows_of, trials
from trainer.proof.experiments import (
    FOLDS,
    SEEDS,
    Experiment,
    ablations,
    by_device,
    dataset_of,
    left_out_groups,
    run_of,
    shipped,
)
from trainer.proof.judgement import FORMAT, judge
from trainer.proof.material import LAB, Material
from trainer.proof.matrix import matrix
from trainer.proof.wirings import variants
from trainer.recipe import read_recipe
from trainer.runs import RUN, Run
from trainer.runs import load as load_run
from trainer.tasks import chosen

Say = Callable[[str], object]


@dataclass(frozen=True)
class Bench:
    """What every step needs.

    Attributes:
        material: the dataset and what is known of its sources.
        work: folder of runs and results.
        run: a run of the recipe, to be judged instead of training one.
        say: told what is done.
    """

    material: Material
    work: Path
    run: Path | None
    say: Say

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Those of the run that is judged, or of the recipe."""
        if self.run is not None:
            return load_run(self.run).task_names
        return read_recipe("iot-gateway").tasks

    @cached_property
    def shipped(self) -> tuple[Experiment, Run, Held]:
        """The run that is judged, and what all models make of whatever it has not learnt from."""
        experiment, run = _shipped_run(self)
        dataset = self.material.dataset.of_sources((*run.learnt_from, *experiment.split.test))
        return experiment, run, held_out(run, dataset)


def _shipped_run(bench: Bench) -> tuple[Experiment, Run]:
    recipe = read_recipe("iot-gateway")
    experiment = shipped(bench.material, bench.tasks, recipe.settings)
    if bench.run is not None:
        return experiment, load_run(bench.run)
    rows = dataset_of(experiment, bench.material)
    folder = bench.work / "runs/shipped"
    return experiment, run_of(experiment, rows, folder, recipe.seeds, recipe.per_day)


def _judged(bench: Bench, experiment: Experiment, held: Held, **options: bool) -> dict[str, Any]:
    return {
        "about": experiment.about,
        "settings": {
            "experts": experiment.settings.experts,
            "units": experiment.settings.units,
            "epochs": experiment.settings.epochs,
        },
        **judge(bench.material, held, **options),
    }


def _tested(bench: Bench, sources: Sequence[str]) -> dict[str, Any]:
    """The shipped run on some of the sources that it has not learnt from."""
    experiment, run, held = bench.shipped
    return {**_judged(bench, experiment, held.of_sources(sources)), "settings": vars(run.settings)}


def _lab(bench: Bench) -> dict[str, Any]:
    return _tested(bench, bench.material.recorded("test"))


def _left_out(bench: Bench) -> dict[str, Any]:
    """StopDDoS among all benign captures."""
    material = bench.material
    floods = material.names(lambda capture: capture.source.role == "left-out")
    return _tested(bench, (*material.benign(), *floods))


def _reported(bench: Bench) -> dict[str, Any]:
    """The flood that looks like a scan, among all benign captures."""
    material = bench.material
    lucid = material.names(lambda capture: capture.group == "lucid")
    return _tested(bench, (*material.benign(), *lucid))


def _reflections(bench: Bench) -> dict[str, Any]:
    """Reflection by protocols that the lab may not have, among all benign captures."""
    material = bench.material
    replies = material.names(lambda capture: capture.group in REFLECTIONS)
    return _tested(bench, (*material.benign(), *replies))


def _scans(bench: Bench) -> dict[str, Any]:
    """Scans alone: whether they are called floods."""
    return _tested(bench, bench.material.names(lambda capture: _is_scan(capture.source.labels)))


def _is_scan(labels: Sequence[str]) -> bool:
    return any(",scan,1" in label for label in labels)


def experiments(material: Material, tasks: tuple[str, ...]) -> dict[str, list[Experiment]]:
    """The experiments of each step that trains networks of its own.

    Args:
        material: to learn from and to test on.
        tasks: of those that learn what the judged run does.
    """
    return {
        "reflection": left_out_groups(material, "udp_reflection", REFLECTIONS),
        "scan": left_out_groups(material, "scan", SCANS),
        "by-device": by_device(material, tasks),
        "ablation": ablations(material, tasks),
    }


def _of_experiments(step: str) -> Callable[[Bench], dict[str, Any]]:
    return lambda bench: _experiments(bench, experiments(bench.material, bench.tasks)[step])


def _experiments(bench: Bench, wanted: Sequence[Experiment]) -> dict[str, Any]:
    """Each experiment's judgement, kept on its own, so that the next call goes on behind it."""
    results = {}
    for experiment in wanted:

        def made(experiment: Experiment = experiment) -> dict[str, Any]:
            rows = dataset_of(experiment, bench.material)
            folder = bench.work / "runs" / experiment.name
            run = run_of(experiment, rows, folder, SEEDS, 1.0)
            return _judged(bench, experiment, held_out(run, rows), intervals=False)

        results[experiment.name] = kept(bench, experiment.name, made)
    return {"experiments": results}


def _tried(bench: Bench, trial: Trial) -> dict[str, Any]:
    """A trial's figures, kept on their own."""

    def made() -> dict[str, Any]:
        rows = rows_of(trial, bench.material)
        folder = bench.work / "runs" / trial.experiment.name
        run = run_of(trial.experiment, rows, folder, SEEDS, 1.0)
        parameters = run.model(SEEDS[0]).count_params()
        return {"lines": measured(trial, held_out(run, rows)), "parameters": parameters}

    return kept(bench, trial.experiment.name, made)


def _acceptance(bench: Bench) -> dict[str, Any]:
    """Every task on what was learnt from and on what was left out."""
    tried = [_tried(bench, trial) for trial in trials(bench.material)]
    return {"lines": [line for each in tried for line in each["lines"]]}


def _wirings(bench: Bench) -> dict[str, Any]:
    """Sharing between chosen tasks, and scores that feed others."""
    each = variants(bench.material)
    return {"variants": [{**_tried(bench, trial), "about": about} for about, trial in each.items()]}


def _streams(bench: Bench, part: str) -> list[Stream]:
    return [read(bench.material.lab[name]) for name in bench.material.recorded(part)]


def _evasion(bench: Bench) -> dict[str, Any]:
    """The lab's left-out attacks, changed within budgets."""
    _, run = _shipped_run(bench)
    return evasion(run, _streams(bench, "test"))


def _augmentation(bench: Bench) -> dict[str, Any]:
    """Whether training on changed attacks helps against such."""
    learnt, tested = _streams(bench, "train"), _streams(bench, "test")
    return augmentation(bench.material, bench.tasks, learnt, tested, bench.work / "runs")


def _matrix(bench: Bench) -> dict[str, Any]:
    origins = {
        "syn_dos": (LAB, "stopddos-syn", "lucid"),
        "scan": SCANS,
        "udp_reflection": REFLECTIONS,
    }
    return {"matrices": [matrix(bench.material, *entry) for entry in origins.items()]}


def _audit(bench: Bench) -> dict[str, Any]:
    """Single inputs: learnt from the lab, and held against the public captures."""
    material = bench.material
    experiment = shipped(material, bench.tasks, read_recipe("iot-gateway").settings)
    publics = material.names(lambda capture: capture.source.role != "reported")
    split = Split("source", experiment.split.train, (), publics)
    dataset = material.dataset.of_sources((*split.train, *split.test))
    rows = split.rows(dataset)
    findings = audit(dataset, chosen(bench.tasks), rows["train"], rows["test"])
    each: dict[str, Any] = without_nan({"findings": [vars(finding) for finding in findings]})
    return each


STEPS: dict[str, tuple[str, Callable[[Bench], dict[str, Any]]]] = {
    "lab": ("the lab's left-out recordings", _lab),
    "left-out": ("StopDDoS among all benign captures, with the counting rule", _left_out),
    "reported": ("lucid, reported only", _reported),
    "reflections": ("reflection by other protocols", _reflections),
    "scans": ("scans called floods", _scans),
    "matrix": ("what one origin teaches about another", _matrix),
    "audit": ("single inputs across networks", _audit),
    "acceptance": ("every task, in-source and left out", _acceptance),
    "evasion": ("attacks that are padded, delayed and split", _evasion),
    "augmentation": ("changed attacks in training", _augmentation),
    "wirings": ("sharing between chosen tasks, and scores that feed others", _wirings),
    "reflection": (
        "each protocol of UDP reflection left out in turn",
        _of_experiments("reflection"),
    ),
    "scan": ("each origin of scans left out in turn", _of_experiments("scan")),
    "by-device": (f"{FOLDS} folds of devices and networks", _of_experiments("by-device")),
    "ablation": (
        "sequence only, with early rows, with context, with TTL and window",
        _of_experiments("ablation"),
    ),
}
"""What there is to do, in this order: what trains nothing comes first."""


def kept(
    bench: Bench, name: str, make: Callable[[], dict[str, Any]], *, of_run: bool = False
) -> dict[str, Any]:
    """A result from its file, or made and written there.

    Args:
        bench: where it lies.
        name: of the file.
        make: makes it.
        of_run: whether it is about the run that is judged.

    Raises:
        OutputError: it can't be written.
    """
    key = _key(bench, of_run=of_run)
    path = bench.work / "results" / f"{name}.json"
    if before := _read(path, key):
        bench.say(f"{name}: unchanged")
        return before
    bench.say(f"{name}: being made")
    document: dict[str, Any] = {
        "key": key,
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        **make(),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        written = path.with_suffix(".new")
        written.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        written.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}; name a folder that can be written") from None
    return document


def current_results(bench: Bench) -> dict[str, dict[str, Any]]:
    """Results of steps and experiments by name, less those of other captures, features or runs."""
    keys = {of_run: _key(bench, of_run=of_run) for of_run in (True, False)}
    found = {
        path.stem: _read(path, keys[path.stem in STEPS])
        for path in sorted((bench.work / "results").glob("*.json"))
    }
    return {name: result for name, result in found.items() if result is not None}


def _read(path: Path, key: str) -> dict[str, Any] | None:
    """What the file holds, if it is there, whole, and of this key."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if document.get("key") == key else None


def _key(bench: Bench, *, of_run: bool) -> str:
    """Equal where features, captures, labels and, if asked for, the judged run are equal."""
    dataset = bench.material.dataset
    digest = hashlib.sha256(f"{FORMAT}:{dataset.schema.fingerprint()}".encode())
    for record in dataset.sources:
        digest.update(f"{record.name}:{record.identity}\n".encode())
    if of_run and bench.run is not None:
        digest.update((bench.run / RUN).read_bytes())
    return digest.hexdigest()[:16]


def run_steps(bench: Bench, names: Sequence[str]) -> None:
    """Does the named steps; one that fails does not keep the others from being done.

    Raises:
        MultaError: the first that failed.
    """
    failed: list[MultaError] = []
    for name in names:
        _, make = STEPS[name]
        try:
            kept(bench, name, partial(make, bench), of_run=True)
        except MultaError as error:
            failed.append(_about_step(error, name))
            bench.say(str(failed[-1]))
    if failed:
        raise failed[0]


def _about_step(error: MultaError, name: str) -> MultaError:
    return type(error)(f"step {name}: {error}")
