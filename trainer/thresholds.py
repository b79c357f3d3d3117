"""From raw scores to decisions: calibration, and thresholds from a false-positive budget.

Both are chosen on sources that no weight was fitted on, then frozen, then tested on others
(`docs/semantics.md` 13).
"""

import math

import numpy as np
from numpy.typing import NDArray

FLOOR = 0.5
"""Lowest threshold: what is more likely benign than not is never positive."""

CEILING = 0.9995
"""Highest threshold: alerts give scores with 4 decimals, and a threshold has to be reachable."""

MARGIN = 0.25
"""Least distance in logits between a threshold and the scores on which it was chosen. The
quantized network's scores and those of another runtime may differ from Keras' by up to 0.02 at
0.5, which is 0.08 in logits."""

REACH = 1.0
"""Greatest such distance: a threshold stays near the budget that it was chosen for, however far
above the held-out attacks score; attacks elsewhere may score less."""

SATURATION = 1e-7
"""Scores are taken as within [1e-7, 1 − 1e-7], as in `sensor.model.inference.calibrate`."""


def logit(score: NDArray[np.floating]) -> NDArray[np.float64]:
    """ln(p / (1 − p)), finite for 0 and 1."""
    p = np.clip(np.asarray(score, np.float64), SATURATION, 1 - SATURATION)
    return np.asarray(np.log(p / (1 - p)))


def sigmoid(z: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 / (1 + exp(−z)) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(z, np.float64))))


def calibrate(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> tuple[float, float]:
    """Platt's sigmoid over the logit of the score.

    The targets are Platt's smoothed ones (J. Platt, Probabilistic Outputs for Support Vector
    Machines, 1999), so separable scores keep a finite slope. The fit is Newton's with halved
    steps, after Lin, Lin and Weng (2007).

    Args:
        scores: ``(rows,)`` raw scores.
        labels: ``(rows,)`` 0 or 1; both occur.

    Returns:
        ``(slope, offset)`` for `sensor.model.inference.calibrate`. The slope is positive: a fit
        that would turn the order of the scores round gives (1, 0).
    """
    z = logit(scores)
    positive = labels == 1
    target = np.where(
        positive, (positive.sum() + 1) / (positive.sum() + 2), 1 / ((~positive).sum() + 2)
    )
    design = np.stack([z, np.ones_like(z)], axis=1)
    weights = np.array([1.0, 0.0])
    loss = _loss(design @ weights, target)
    for _ in range(100):
        p = sigmoid(design @ weights)
        gradient = design.T @ (p - target)
        if np.abs(gradient).max() < 1e-9 * len(z):
            break
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-12 * np.eye(2)
        step, size = np.linalg.solve(hessian, gradient), 1.0
        while size > 1e-10 and _loss(design @ (weights - size * step), target) > loss:
            size /= 2
        weights = weights - size * step
        loss = _loss(design @ weights, target)
    slope, offset = (float(value) for value in weights)
    return (slope, offset) if slope > 0 and math.isfinite(offset) else (1.0, 0.0)


def choose_threshold(
    benign: NDArray[np.floating], attack: NDArray[np.floating], allowed: int
) -> float:
    """The threshold that lets benign traffic open at most `allowed` incidents.

    It lies in the middle, in logits, between the highest benign score that must not pass and the
    next higher score of any kind, but at least `MARGIN` and at most `REACH` above the former.

    Args:
        benign: the calibrated scores at which held-out benign traffic would open incidents
            (`trainer.incidents.opening_scores`).
        attack: those at which held-out attacks would; may be empty.
        allowed: incidents that benign traffic may open.

    Returns:
        A threshold from `FLOOR` to `CEILING`, of 6 decimals.
    """
    ordered = np.sort(logit(benign))[::-1]
    if allowed >= ordered.size:
        return FLOOR
    lower = float(ordered[allowed])
    above = np.concatenate([ordered[:allowed], logit(attack)])
    above = above[above > lower]
    upper = float(above.min()) if above.size else lower + 2 * MARGIN
    chosen = lower + min(max((upper - lower) / 2, MARGIN), REACH)
    return round(float(np.clip(sigmoid(np.array(chosen)), FLOOR, CEILING)), 6)


def budget(per_day: float, benign_seconds: float) -> int:
    """False incidents that held-out traffic may make, for a budget of so many a day."""
    return math.floor(per_day * benign_seconds / 86_400)


def _loss(z: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    """Cross-entropy of sigmoid(z) against the targets."""
    return float(np.sum(np.logaddexp(0, z) - target * z))
