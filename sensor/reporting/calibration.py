"""How the scores that alerts claimed compare with what operators said of them.

A calibrated score is a probability: of alerts that claim 0.9, nine of ten should be right. Few
labels say little, and people label what they doubt, so this is a hint and no measurement.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sensor.errors import MissingInputError
from sensor.reporting.alert_log import LineCutter, open_log, parse
from sensor.reporting.labels import Label

_CHUNK = 1 << 16
_NAME = re.compile(rb'"alert_id": ?"([0-9a-f]{16})"')


@dataclass(frozen=True, slots=True)
class Calibration:
    """Labelled alerts of a task.

    Attributes:
        task: its name.
        labelled: alerts with a label whose score is known.
        true: how many of them were right.
        claimed: mean of their scores, each the highest that its incident told.
    """

    task: str
    labelled: int
    true: int
    claimed: float

    @property
    def share(self) -> float:
        """Of right ones among them."""
        return self.true / self.labelled


def calibration(labels: Mapping[str, Label], logs: Iterable[Path]) -> list[Calibration]:
    """For each task with labels, in order of their names.

    Args:
        labels: those that count, by alert_id (`sensor.reporting.labels.current`).
        logs: alert logs that may tell of them; one that is not there is left out.

    Raises:
        PermissionDeniedError: a log may not be read.
    """
    scores = highest_scores(labels.keys(), logs)
    by_task: dict[str, list[tuple[bool, float]]] = {}
    for name, score in scores.items():
        by_task.setdefault(labels[name].task, []).append((labels[name].value, score))
    return [
        Calibration(
            task,
            len(found),
            sum(value for value, _ in found),
            sum(score for _, score in found) / len(found),
        )
        for task, found in sorted(by_task.items())
    ]


def highest_scores(wanted: Iterable[str], logs: Iterable[Path]) -> dict[str, float]:
    """The highest score that logs tell of each of these alerts, as far as they do."""
    names = {name.encode() for name in wanted}
    scores: dict[str, float] = {}
    if not names:
        return scores
    for path in logs:
        for line in _lines(path):
            # Most lines are of alerts that nobody has labelled, and reading them takes time.
            found = _NAME.search(line)
            alert = parse(line) if found and found[1] in names else None
            if alert and alert.alert_id.encode() in names:
                score = float(alert.multa["score"])
                scores[alert.alert_id] = max(score, scores.get(alert.alert_id, 0.0))
    return scores


def _lines(path: Path) -> Iterable[bytes]:
    cutter = LineCutter()
    try:
        with open_log(path) as file:
            while chunk := file.read(_CHUNK):
                yield from cutter.feed(chunk)
    except MissingInputError:
        return
