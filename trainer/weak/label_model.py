"""From votes that contradict each other to a probability of each class.

The model is that of A. P. Dawid and A. M. Skene (Maximum Likelihood Estimation of Observer
Error-Rates Using the EM Algorithm, 1979): given the true class, functions vote independently of
each other, each with error rates of its own. What is true nobody says; the rates and the classes'
shares are those that make the votes most likely, found by expectation maximization over distinct
patterns of votes. Four rules keep it to what the functions' authors mean:

- It begins with the authors' confidence, which also counts as much as `PRIOR_ROWS` rows do.
- A vote for a class never speaks against it: where rates say so, it says nothing.
- Silence of a function that votes for some of the classes only speaks for the others. Silence of
  one that votes for all of them says nothing: it is not sure.
- Rows on which nobody votes count for nothing while it learns, unless silence speaks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError
from trainer.weak.applying import Votes
from trainer.weak.functions import ABSTAIN, LabelingFunction, Task
from trainer.weak.patterns import Patterns

Floats = NDArray[np.float64]

PRIOR_ROWS = 10.0
"""What an author's word weighs, in rows of each class."""

STEPS = 1_000
"""Greatest number of steps; they end when nothing changes any more."""

_LEAST = 1e-12
"""Rate of what was never seen."""

SETTLED = 1e-6
"""Greatest change of a rate or share in the last step."""


@dataclass(frozen=True)
class LabelModel:
    """How functions vote, given the class.

    Attributes:
        task: what they vote on.
        names: of the functions.
        balance: ``(classes,)`` share of each class.
        rates: ``(functions, 1 + classes, classes)``; ``[f, 1 + v, y]`` is the probability that
            function f votes v where the class is y, ``[f, 0, y]`` that it abstains.
        speaks: ``(functions,)`` whether its silence is heard.
        steps: that it took to settle.
    """

    task: Task
    names: tuple[str, ...]
    balance: Floats
    rates: Floats
    speaks: NDArray[np.bool_]
    steps: int

    def probabilities(self, votes: Votes) -> Floats:
        """Probability ``(p, classes)`` of each class.

        Args:
            votes: ``(p, functions)``, such as `Patterns.votes`; all rows work too.

        Raises:
            LabelError: they are votes of other functions.
        """
        if votes.shape[1:] != (len(self.names),):
            raise LabelError(
                f"{task_line(self.task)}: learnt from votes of {len(self.names)} functions, asked "
                f"about those of {votes.shape[1]}; apply the same functions"
            )
        return _expected(_indicators(votes, self.speaks), self.rates, self.balance)

    @property
    def accuracies(self) -> Floats:
        """``(functions,)`` share of each function's votes that the model takes for right."""
        joint = self.rates[:, 1:, :] * self.balance
        voted = joint.sum(axis=(1, 2))
        right = np.trace(joint, axis1=1, axis2=2)
        found: Floats = np.divide(right, voted, out=np.full(len(voted), np.nan), where=voted > 0)
        return found

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "task": self.task.name,
            "classes": list(self.task.classes),
            "balance": self.balance.tolist(),
            "functions": {
                name: {"rates": rates.tolist(), "silence": bool(speaks)}
                for name, rates, speaks in zip(self.names, self.rates, self.speaks, strict=True)
            },
            "steps": self.steps,
        }


def fit(
    patterns: Patterns,
    functions: Sequence[LabelingFunction],
    balance: Sequence[float] | None = None,
) -> LabelModel:
    """Learns how functions vote from their votes alone.

    Args:
        patterns: of their votes, in the order of the functions.
        functions: of one task.
        balance: share of each class, if it is known; else it is estimated.

    Raises:
        LabelError: there is no vote at all, or the balance is none.
    """
    task = functions[0].task
    classes = len(task.classes)
    votes, counts = patterns.votes, patterns.counts.astype(np.float64)
    if not (votes != ABSTAIN).any():
        raise LabelError(f"{task_line(task)}: no function votes on any row; nothing can be learnt")
    shares = _given(task, balance)
    confidence = np.array([function.confidence for function in functions])
    speaks = _speaks(votes, classes)
    indicators = _indicators(votes, speaks)
    prior = _authors(confidence, indicators, counts, classes)
    balance_now = np.full(classes, 1 / classes) if shares is None else shares
    expected = _expected(indicators, _first_rates(confidence, classes), balance_now)
    # Where nobody votes, the first guess knows nothing but the balance that it assumes.
    voted = (votes != ABSTAIN).any(axis=1)
    rates, balance_now = _rates(expected[voted], indicators[voted], counts[voted], prior, shares)
    heard = indicators.any(axis=(1, 2))
    indicators, counts = indicators[heard], counts[heard]
    steps, settled = 0, False
    while steps < STEPS and not settled:
        steps += 1
        before = rates, balance_now
        expected = _expected(indicators, rates, balance_now)
        rates, balance_now = _rates(expected, indicators, counts, prior, shares)
        changes = (np.abs(rates - before[0]).max(), np.abs(balance_now - before[1]).max())
        settled = max(changes) < SETTLED
    names = tuple(function.name for function in functions)
    return LabelModel(task, names, balance_now, rates, speaks, steps)


def majority(votes: Votes, classes: int) -> Floats:
    """Probability ``(p, classes)`` by the number of votes; those that have most share it."""
    counts = np.stack([(votes == value).sum(axis=1) for value in range(classes)], axis=1)
    most = counts == counts.max(axis=1, keepdims=True)
    found: Floats = most / most.sum(axis=1, keepdims=True)
    return found


def hard(probabilities: Floats, confidence: float) -> NDArray[np.int8]:
    """The likeliest class ``(m,)`` int8 where it is likely enough, else −1.

    Args:
        probabilities: ``(m, classes)``.
        confidence: that the likeliest class must have.
    """
    best = probabilities.argmax(axis=1)
    sure = probabilities[np.arange(len(best)), best] >= confidence
    return np.where(sure, best, ABSTAIN).astype(np.int8)


def task_line(task: Task) -> str:
    """A task for a message."""
    return f"task {task.name}"


def _given(task: Task, balance: Sequence[float] | None) -> Floats | None:
    if balance is None:
        return None
    shares = np.asarray(balance, np.float64)
    if shares.shape != (len(task.classes),) or not (shares > 0).all():
        raise LabelError(
            f"{task_line(task)}: the balance must be a share above 0 for each of "
            f"{', '.join(task.classes)}"
        )
    return shares / float(shares.sum())


def _speaks(votes: Votes, classes: int) -> NDArray[np.bool_]:
    """Whose silence is heard: who never votes for some class."""
    ever = [(votes == value).any(axis=0) for value in range(classes)]
    speaks: NDArray[np.bool_] = ~np.all(ever, axis=0) & np.any(ever, axis=0)
    return speaks


def _indicators(votes: Votes, speaks: NDArray[np.bool_]) -> Floats:
    """``(p, functions, 1 + symbols)``: which symbol each function shows; 0 throughout if none."""
    classes = int(votes.max(initial=0)) + 1
    shown = np.stack([votes == value for value in range(ABSTAIN, classes)], axis=2)
    shown[:, ~speaks, 0] = False
    return shown.astype(np.float64)


def _first_rates(confidence: Floats, classes: int) -> Floats:
    """Rates that say what the authors say: votes are right with their confidence."""
    wrong = (1 - confidence) / (classes - 1)
    rates = np.repeat(wrong[:, None, None], classes + 1, axis=1).repeat(classes, axis=2)
    place = np.arange(classes)
    rates[:, 1 + place, place] = confidence[:, None]
    rates[:, 0, :] = 1
    return rates


def _authors(confidence: Floats, indicators: Floats, counts: Floats, classes: int) -> Floats:
    """Counts ``(functions, 1 + classes, classes)`` that stand for the authors' word."""
    seen = np.zeros((len(confidence), classes + 1))
    seen[:, : indicators.shape[2]] = np.einsum("pfs,p->fs", indicators, counts)
    rates = seen[:, :, None] * _first_rates(confidence, classes)
    total = rates.sum(axis=1, keepdims=True)
    prior: Floats = np.divide(rates, total, out=np.zeros_like(rates), where=total > 0)
    return PRIOR_ROWS * prior


def _rates(
    expected: Floats,
    indicators: Floats,
    counts: Floats,
    prior: Floats,
    shares: Floats | None,
) -> tuple[Floats, Floats]:
    """Rates and balance under which what is expected is most likely."""
    weights = expected * counts[:, None]
    found = prior.copy()
    symbols = indicators.shape[1:]
    shown = indicators.reshape(len(indicators), -1).T @ weights
    found[:, : symbols[1]] += shown.reshape(*symbols, -1)
    total = found.sum(axis=1, keepdims=True)
    rates = np.divide(found, total, out=np.ones_like(found), where=total > 0)
    _no_vote_against_itself(rates, found)
    if shares is not None:
        return rates, shares
    balance = weights.sum(axis=0) + 1
    return rates, balance / balance.sum()


def _no_vote_against_itself(rates: Floats, found: Floats) -> None:
    """Where a vote is likelier under another class than under its own, it says nothing."""
    for value in range(rates.shape[2]):
        own = rates[:, 1 + value, value]
        against = (rates[:, 1 + value, :] > own[:, None]).any(axis=1)
        if against.any():
            pooled = found[against, 1 + value].sum(axis=1) / found[against].sum(axis=(1, 2))
            rates[against, 1 + value, :] = pooled[:, None]


def _expected(indicators: Floats, rates: Floats, balance: Floats) -> Floats:
    """Probability of each class ``(p, classes)``."""
    symbols = indicators.shape[2]
    # A symbol that no row has shown has rate 0, and can be asked about later.
    logs = np.log(np.maximum(rates[:, :symbols], _LEAST))
    flat = indicators.reshape(len(indicators), -1)
    joint = flat @ logs.reshape(flat.shape[1], -1) + np.log(balance)
    weights = np.exp(joint - joint.max(axis=1, keepdims=True))
    found: Floats = weights / weights.sum(axis=1, keepdims=True)
    return found
