"""From a run and its figures to a bundle: what goes into the manifest and the model card."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.errors import OutputError, UsageError
from sensor.model.bundle import NAME, Bundle
from sensor.model.inference import calibrate as calibrated_scores
from sensor.model.schema import TaskSpec
from trainer.card import model_card
from trainer.comparison import Comparison
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import Patterns, task_labels
from trainer.datasets.labels import MASKED
from trainer.datasets.splits import PARTS
from trainer.runs import Run, raw_scores

GOLDEN_CANDIDATES = 3_000
"""Rows on which parity is measured and among which golden vectors are chosen."""

HISTOGRAM_EDGES = tuple(round(0.05 * step, 2) for step in range(21))


def require_place(out: Path, version: str) -> None:
    """Proves, before what may take hours, that a bundle can be written.

    Args:
        out: the folder, after which the bundle is named.
        version: of the model.

    Raises:
        UsageError: a bundle can't have this name or version.
        OutputError: there can't be such a folder, or it can't be written.
    """
    for what, name in ((f"{out}: a bundle's folder", out.name), ("a version", version)):
        if not NAME.fullmatch(name):
            raise UsageError(
                f"{what} has a name of at most 64 of a-z, 0-9, '.', '_' and '-', of which a "
                f"letter or digit comes first; {name!r} is none"
            )
    there = next(each for each in (out, *out.absolute().parents) if each.exists())
    if not there.is_dir():
        raise OutputError(f"{out}: Not a directory; name a folder that can be written")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"{out}: can't be written; name another folder")


def bundle(
    run: Run,
    dataset: Dataset,
    left_out: Comparison,
    in_source: Comparison | None,
    out: Path,
    version: str,
) -> Bundle:
    """Writes the bundle of a run's best seed.

    Args:
        run: whose split is by source.
        dataset: with the run's validation sources.
        left_out: what the run is worth on sources that were left out.
        in_source: what a run of the same settings is worth within its own sources, if known.
        out: folder; its name is the bundle's.
        version: of the model.

    Raises:
        MultaError: the bundle can't be made, proven or written.
    """
    from trainer.export import export  # noqa: PLC0415 -- TensorFlow takes seconds to load

    best = run.best
    patterns, labels = Patterns.of(dataset), task_labels(dataset, best.tasks)
    raw = raw_scores(run.tflite(best.seed), patterns.encoded, run.task_names)[patterns.number]
    held_out = run.split.rows(dataset)["validation"]
    golden = golden_candidates(patterns, labels)
    comparisons = [left_out] if in_source is None else [left_out, in_source]
    return export(
        run.model(best.seed),
        run.schema,
        best.tasks,
        dataset.batch.take(golden),
        provenance(run, dataset),
        {f"{each.kind}_split": each.document() for each in comparisons},
        histograms(best.tasks, raw[held_out], labels[held_out]),
        model_card(run, dataset, left_out, in_source, out.name, version),
        out,
        version=version,
        labels=np.where(labels[golden] == MASKED, np.nan, labels[golden]).astype(np.float32),
        tflite=run.tflite(best.seed),
    )


def golden_candidates(patterns: Patterns, labels: NDArray[np.int8]) -> NDArray[np.intp]:
    """Rows of distinct patterns, spread evenly over what they are labelled as.

    Returns:
        ``(rows,)`` indices, ascending, at most `GOLDEN_CANDIDATES`.
    """
    _, first = np.unique(patterns.number, return_index=True)
    kind = (labels[first].astype(np.int64) + 1) @ (3 ** np.arange(labels.shape[1]))
    kinds = np.unique(kind)
    share = GOLDEN_CANDIDATES // max(1, kinds.size)
    chosen = []
    for each in kinds:
        rows = first[kind == each]
        steps = np.linspace(0, rows.size - 1, min(rows.size, share)).astype(np.intp)
        chosen.append(rows[steps])
    return np.sort(np.concatenate(chosen))


def histograms(
    tasks: Sequence[TaskSpec], raw: NDArray[np.float32], labels: NDArray[np.int8]
) -> dict[str, Any]:
    """Rows by calibrated score: what a sensor's own histogram is compared with to notice drift.

    Args:
        tasks: the columns.
        raw: ``(rows, tasks)`` raw scores of rows that were held out.
        labels: ``(rows, tasks)``.
    """
    scores = calibrated_scores(tasks, raw)
    return {
        task.name: {
            "edges": list(HISTOGRAM_EDGES),
            **{
                name: np.histogram(scores[labels[:, i] == value, i], HISTOGRAM_EDGES)[0].tolist()
                for name, value in (("benign", 0), ("attack", 1))
            },
        }
        for i, task in enumerate(tasks)
    }


def provenance(run: Run, dataset: Dataset) -> dict[str, Any]:
    """Data, software and settings that the network came from."""
    part_of = {name: part for part in PARTS for name in getattr(run.split, part)}
    return {
        "commit": commit(Path(__file__).parents[1]),
        "versions": run.versions,
        "seed": run.best.seed,
        "seeds": [result.seed for result in run.seeds],
        "settings": {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(run.settings).items()
        },
        "false_incidents_per_day": run.per_day,
        "sources": [
            {
                "name": record.name,
                "part": part_of[record.name],
                "capture_sha256": record.capture_sha256,
                "labels_sha256": record.labels_sha256,
                "packets": record.packets,
                "flows": record.flows,
                "rows": record.rows,
                "seconds": round(record.seconds, 3),
                **({"labelled_by": record.labelled_by} if record.labelled_by else {}),
            }
            for record in dataset.sources
            if record.name in part_of
        ],
    }


def commit(root: Path) -> str:
    """The commit of a checkout, with ``-dirty`` where tracked files differ from it.

    Args:
        root: top of the checkout. An installed package has none, whatever repository it lies in.

    Returns:
        The hash, or an empty string.
    """
    top, hash_, changes = (
        _git(root, *command)
        for command in (
            ("rev-parse", "--show-toplevel"),
            ("rev-parse", "HEAD"),
            ("status", "--porcelain", "--untracked-files=no"),
        )
    )
    if not hash_ or Path(top).resolve() != root.resolve():
        return ""
    return f"{hash_}-dirty" if changes else hash_


def _git(folder: Path, *command: str) -> str:
    try:
        answer = subprocess.run(
            ["git", *command], cwd=folder, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return "" if answer.returncode else answer.stdout.strip()
