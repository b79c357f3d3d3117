"""From votes that contradict each other to a probability of each class.

Rows are of a few *kinds*, each of which belongs to a class; given a row's kind, functions vote
independently of each other, each with rates of its own. What kind a row is nobody says: the rates
and the kinds' shares are those that make the votes most likely, found by expectation maximization
over distinct patterns of votes. With one kind a class that is the model of A. P. Dawid and
A. M. Skene (Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm, 1979).

One kind a class is not always enough. Two functions that look at the same bucket are wrong
together, and of all that can be told apart by votes such company may be what shows most: it would
be taken for the class. So kinds are added, each begun at the pattern of votes that is most too
frequent, as long as the Bayesian information criterion says that the votes bear them out
(G. Schwarz, Estimating the Dimension of a Model, 1978). Which class a kind belongs to is for the
functions' authors to say: that which its votes speak for, each with its author's confidence. Their
word also counts as much as `PRIOR_ROWS` rows of each kind.

Silence of a function that votes for some of the classes only is heard: what it tells is learnt as
what a vote tells is, and to begin with it speaks for the first class, the ordinary one, unless it
votes for that. Silence of one that votes for all classes says that it is not sure, and nothing
else. A class for which nobody ever votes, other than the first, is not there at all.
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
"""What the authors' word weighs, in rows of each kind."""

MOST_KINDS = 12
"""Greatest number of kinds."""

STEPS = 1_000
"""Greatest number of steps; they end when nothing changes any more."""

SETTLED = 1e-3
"""Change of the logarithm of the votes' probability by a step after which there is no other."""

SILENCE = 0.25
"""What silence weighs beside a vote, where it speaks for the first class."""

_LEAST = 1e-12
"""Rate of what was never seen."""


@dataclass(frozen=True)
class LabelModel:
    """How functions vote, given the kind of row.

    Attributes:
        task: what they vote on.
        names: of the functions.
        classes: ``(kinds,)`` class of each kind.
        shares: ``(kinds,)`` share of the rows.
        rates: ``(functions, 1 + classes, kinds)``; ``[f, 1 + v, k]`` is the probability that
            function f votes v on rows of kind k, ``[f, 0, k]`` that it abstains, which is 0 where
            its silence is not heard.
        speaks: ``(functions,)`` whether its silence is heard.
    """

    task: Task
    names: tuple[str, ...]
    classes: NDArray[np.intp]
    shares: Floats
    rates: Floats
    speaks: NDArray[np.bool_]

    def probabilities(self, votes: Votes) -> Floats:
        """Probability ``(p, classes)`` of each class.

        Args:
            votes: ``(p, functions)``, such as `Patterns.votes`; all rows work too.

        Raises:
            LabelError: they are votes of other functions.
        """
        if votes.shape[1:] != (len(self.names),):
            raise LabelError(
                f"task {self.task.name}: learnt from votes of {len(self.names)} functions, asked "
                f"about those of {votes.shape[1]}; apply the same functions"
            )
        shown = _shown(votes, self.speaks, len(self.task.classes))
        expected, _ = _expected(shown, self.rates, self.shares)
        return expected @ self._belongs

    @property
    def balance(self) -> Floats:
        """``(classes,)`` share of each class."""
        return self.shares @ self._belongs

    @property
    def accuracies(self) -> Floats:
        """``(functions,)`` share of each function's votes that the model takes for right."""
        joint = (self.rates[:, 1:, :] * self.shares) @ self._belongs
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
            "learnt": dict(zip(self.names, self.accuracies.tolist(), strict=True)),
            "kinds": [
                {
                    "class": self.task.classes[of_class],
                    "share": float(share),
                    "rates": dict(zip(self.names, rates.tolist(), strict=True)),
                }
                for of_class, share, rates in zip(
                    self.classes.tolist(), self.shares, np.moveaxis(self.rates, 2, 0), strict=True
                )
            ],
        }

    @property
    def _belongs(self) -> Floats:
        """``(kinds, classes)`` 1 for the class of each kind."""
        belongs: Floats = np.eye(len(self.task.classes))[self.classes]
        return belongs


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
    if not (patterns.votes != ABSTAIN).any():
        raise LabelError(
            f"task {task.name}: no function votes on any row, so nothing can be learnt; name the "
            "other tasks with --task, or write functions that vote"
        )
    given = _given(task, balance)
    learner = _Learner.of(patterns, functions, given)
    best = learner.settled(learner.begun())
    while best.shares.size < MOST_KINDS:
        more = learner.settled(learner.with_another(best))
        if more.criterion >= best.criterion:
            break
        best = more
    names = tuple(function.name for function in functions)
    return LabelModel(task, names, best.classes, best.shares, best.rates, learner.speaks)


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


@dataclass(frozen=True)
class _State:
    """Kinds as they have been learnt so far.

    Attributes:
        classes, shares, rates: as in `LabelModel`.
        expected: ``(p, kinds)`` probability of each kind for each pattern.
        likelihoods: ``(p,)`` logarithm of each pattern's own probability.
        criterion: of Schwarz; the lower the better.
    """

    classes: NDArray[np.intp]
    shares: Floats
    rates: Floats
    expected: Floats
    likelihoods: Floats
    criterion: float


@dataclass(frozen=True)
class _Learner:
    """What does not change while kinds are learnt.

    Attributes:
        shown: ``(p, functions, 1 + classes)``: which symbol each function shows.
        counts: ``(p,)`` rows of each pattern.
        speaks: as in `LabelModel`.
        words: ``(functions, 1 + classes, classes)`` how much each symbol speaks for each class.
        prior: ``(functions, 1 + classes, classes)`` counts that stand for the authors' word.
        present: the classes that are there.
        balance: ``(classes,)`` if it is known.
    """

    shown: Floats
    counts: Floats
    speaks: NDArray[np.bool_]
    words: Floats
    prior: Floats
    present: NDArray[np.intp]
    balance: Floats | None

    @classmethod
    def of(
        cls, patterns: Patterns, functions: Sequence[LabelingFunction], balance: Floats | None
    ) -> "_Learner":
        """Weighs the authors' words."""
        classes = len(functions[0].task.classes)
        votes, counts = patterns.votes, patterns.counts.astype(np.float64)
        confidence = np.array([function.confidence for function in functions])
        ever = np.stack([(votes == value).any(axis=0) for value in range(classes)], axis=1)
        speaks = np.array([0 < each.sum() < classes for each in ever], bool)
        shown = _shown(votes, speaks, classes)
        weight = np.log(confidence * (classes - 1) / (1 - confidence))
        words = np.zeros((len(functions), 1 + classes, classes))
        words[:, 0, 0] = np.where(speaks & ~ever[:, 0], SILENCE * weight, 0.0)
        place = np.arange(classes)
        words[:, 1 + place, place] = weight[:, None]
        seen = np.einsum("pfs,p->fs", shown, counts)
        prior = seen[:, :, None] * np.exp(words)
        total = prior.sum(axis=1, keepdims=True)
        prior = np.divide(prior, total, out=np.zeros_like(prior), where=total > 0)
        present = np.flatnonzero(ever.any(axis=0) | (place == 0))
        return cls(shown, counts, speaks, words, PRIOR_ROWS * prior, present, balance)

    def begun(self) -> Floats:
        """One kind a class, by the authors' words alone: ``(p, kinds)`` probabilities."""
        said = np.exp(np.tensordot(self.shown, self.words[:, :, self.present], axes=2))
        found: Floats = said / said.sum(axis=1, keepdims=True)
        return found

    def with_another(self, state: _State) -> Floats:
        """Probabilities of one kind more, which begins at what is most too frequent."""
        excess = self.counts * (np.log(self.counts / self.counts.sum()) - state.likelihoods)
        at = int(excess.argmax())
        alike = np.tensordot(self.shown, self.shown[at], axes=2)
        taken = 0.9 * np.exp(2 * (alike - alike[at]))[:, None]
        return np.concatenate([state.expected * (1 - taken), taken], axis=1)

    def settled(self, expected: Floats) -> _State:
        """Rates and shares from given probabilities on, until nothing changes any more."""
        classes = self.present[np.arange(expected.shape[1]) % len(self.present)]
        rates = self._rates(expected, classes)
        likely = -np.inf
        for _ in range(STEPS):
            classes = self._classes(rates)
            rates = self._rates(expected, classes)
            shares = self._shares(expected, classes)
            expected, likelihoods = _expected(self.shown, rates, shares)
            before, likely = likely, float(self.counts @ likelihoods)
            if abs(likely - before) < SETTLED:
                break
        rows = self.counts.sum()
        free = (self.shown.any(axis=0).sum(axis=1) - 1).clip(0).sum() + 1
        criterion = free * shares.size * np.log(rows) - 2 * likely
        return _State(classes, shares, rates, expected, likelihoods, criterion)

    def _classes(self, rates: Floats) -> NDArray[np.intp]:
        """The class for which the votes of each kind speak most; each class has a kind."""
        words = self.words[:, :, self.present]
        said = rates.reshape(-1, rates.shape[2]).T @ words.reshape(-1, len(self.present))
        places: NDArray[np.intp] = said.argmax(axis=1)
        counts = np.bincount(places, minlength=len(self.present))
        for missing in np.flatnonzero(counts == 0).tolist():
            others = np.bincount(places, minlength=len(self.present))[places] > 1
            lead = said[:, missing] - said.max(axis=1)
            places[np.where(others, lead, -np.inf).argmax()] = missing
        classes: NDArray[np.intp] = self.present[places]
        return classes

    def _rates(self, expected: Floats, classes: NDArray[np.intp]) -> Floats:
        """Rates under which what is expected is most likely."""
        flat = self.shown.reshape(len(self.shown), -1)
        found = (flat.T @ (expected * self.counts[:, None])).reshape(*self.shown.shape[1:], -1)
        found += self.prior[:, :, classes]
        total = found.sum(axis=1, keepdims=True)
        rates: Floats = np.divide(found, total, out=np.zeros_like(found), where=total > 0)
        return rates

    def _shares(self, expected: Floats, classes: NDArray[np.intp]) -> Floats:
        """Shares of the kinds; where the classes' are given, these add up to them."""
        found: Floats = self.counts @ expected + 1
        found = found / found.sum()
        if self.balance is not None:
            sums = np.bincount(classes, found, minlength=len(self.balance))
            found = found * (self.balance / np.where(sums > 0, sums, 1))[classes]
            found = found / found.sum()
        return found


def _given(task: Task, balance: Sequence[float] | None) -> Floats | None:
    if balance is None:
        return None
    shares = np.asarray(balance, np.float64)
    if shares.shape != (len(task.classes),) or not ((shares > 0) & np.isfinite(shares)).all():
        raise LabelError(
            f"task {task.name}: the balance must be a share above 0 for each of "
            f"{', '.join(task.classes)}"
        )
    return shares / float(shares.sum())


def _shown(votes: Votes, speaks: NDArray[np.bool_], classes: int) -> Floats:
    """``(p, functions, 1 + classes)``: 1 at the symbol that each function shows, if it does."""
    shown = np.stack([votes == value for value in range(ABSTAIN, classes)], axis=2)
    shown[:, ~speaks, 0] = False
    return shown.astype(np.float64)


def _expected(shown: Floats, rates: Floats, shares: Floats) -> tuple[Floats, Floats]:
    """Probability of each kind ``(p, kinds)``, and ``(p,)`` logarithms of the patterns' own."""
    # A vote that a function has never given has rate 0, and may be asked about later.
    logs = np.log(np.maximum(rates, _LEAST)).reshape(-1, shares.size)
    joint = shown.reshape(len(shown), -1) @ logs + np.log(shares)
    most = joint.max(axis=1, keepdims=True)
    weights = np.exp(joint - most)
    total = weights.sum(axis=1, keepdims=True)
    return weights / total, (most + np.log(total))[:, 0]
