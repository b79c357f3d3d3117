"""Snorkel beside ours: it has an environment of its own, and is asked by way of files.

Snorkel 0.10 has not been kept up since 2024 and brings PyTorch along; neither is a dependency of
the trainer.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.errors import HostError
from trainer.latency.lesson import Lesson
from trainer.weak.applying import Votes

_ROOT = Path(__file__).resolve().parents[2]

RATE = 1e-3
"""Of learning, for Snorkel's classifier: Adam's usual one, at which it did better than at ours."""


def single_task(python: Path, rtt_ms: NDArray[np.float64]) -> dict[str, list[float]]:
    """Seconds of Snorkel's ``applier`` and ``label_model`` on a series, for each of three tasks.

    Args:
        python: of Snorkel's environment.
        rtt_ms: ``(m,)``, NaN where there was no answer.

    Raises:
        HostError: Snorkel failed.
    """
    answer = _ask(python, "single-task", {"rtt_ms": rtt_ms})
    return {name: answer[name].tolist() for name in ("applier", "label_model")}


def label_model(
    python: Path, training: Votes, asked: Votes, seed: int
) -> tuple[NDArray[np.float32], float]:
    """Snorkel's label model of one task.

    Args:
        python: of Snorkel's environment.
        training: ``(rows, functions)`` votes that it learns from.
        asked: ``(rows, functions)`` votes that it is asked about.
        seed: of its training.

    Returns:
        ``(asked,)`` probabilities, NaN where no function votes; and the seconds of its training.

    Raises:
        HostError: Snorkel failed.
    """
    answer = _ask(python, "label-model", {"training": training, "asked": asked, "seed": seed})
    return answer["likely"], float(answer["seconds"])


def multitask(
    python: Path,
    rows: Mapping[str, NDArray[np.float32]],
    labels: Mapping[str, NDArray[np.int8]],
    lesson: Lesson,
    seed: int,
) -> tuple[NDArray[np.bool_], float]:
    """Snorkel's multi-task classifier.

    Args:
        python: of Snorkel's environment.
        rows: ``training``, ``validation`` and ``asked``, each ``(rows, features)``.
        labels: ``training`` and ``validation``, each ``(rows, tasks)``, −1 where not known.
        lesson: whose epochs and batches it has too.
        seed: of its training.

    Returns:
        ``(asked, tasks)`` what it says, and the seconds of its training.

    Raises:
        HostError: Snorkel failed.
    """
    content = {
        **rows,
        **{f"{part}_labels": values for part, values in labels.items()},
        "seed": seed,
        "epochs": lesson.epochs,
        "batch": lesson.batch,
        "rate": RATE,
    }
    answer = _ask(python, "multitask", content)
    return answer["said"] == 1, float(answer["seconds"])


def _ask(python: Path, what: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory(prefix="multa-snorkel-") as scratch:
        given, answer = Path(scratch) / "in.npz", Path(scratch) / "out.npz"
        np.savez(given, **content)
        try:
            child = subprocess.run(
                [str(python), "-m", "trainer.latency.snorkel_part", what, str(given), str(answer)],
                cwd=_ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            raise HostError(
                f"{python}: {error.strerror}; name the Python of an environment with Snorkel"
            ) from None
        if child.returncode:
            said = child.stderr.strip().splitlines() or ["no message"]
            raise HostError(
                f"{python}: Snorkel failed ({said[-1]}); name the Python of an environment with "
                "Snorkel 0.10"
            )
        with np.load(answer) as found:
            return dict(found)
