"""The label model against what can be worked out from the rates with which votes were drawn."""

import itertools

import numpy as np
import pytest

from sensor.errors import LabelError
from trainer.weak.functions import LabelingFunction, Task
from trainer.weak.label_model import fit, hard, majority
from trainer.weak.patterns import Patterns

TWO = Task("two")
THREE = Task("three", ("a", "b", "c"))


def voters(task, count, confidence=0.7):
    return [
        LabelingFunction(f"f{k}", task, (), lambda _: None, confidence=confidence)
        for k in range(count)
    ]


def exact_patterns(rates, balance, rows=1_000_000):
    """Every pattern as often as the rates make it: no chance is left in the counts.

    Args:
        rates: ``(functions, 1 + classes, classes)`` as in `LabelModel`.
        balance: shares of the classes.
        rows: about how many.

    Returns:
        The patterns, and each one's exact probabilities of the classes.
    """
    symbols, classes = rates.shape[1:]
    votes, joints = [], []
    for pattern in itertools.product(range(symbols), repeat=len(rates)):
        joint = np.array(balance, float)
        for function, symbol in enumerate(pattern):
            joint = joint * rates[function, symbol]
        if joint.sum() * rows >= 0.5:
            votes.append(np.array(pattern) - 1)
            joints.append(joint)
    joints = np.array(joints)
    counts = np.rint(joints.sum(axis=1) * rows).astype(np.int64)
    patterns = Patterns(np.array(votes, np.int8), counts, np.zeros(0, np.int32))
    return patterns, joints / joints.sum(axis=1, keepdims=True), classes


def rates_of(accuracies, coverages, classes):
    """Votes that are right with an accuracy that is the same for all classes."""
    rates = np.zeros((len(accuracies), 1 + classes, classes))
    for function, (accuracy, coverage) in enumerate(zip(accuracies, coverages, strict=True)):
        rates[function, 0] = 1 - coverage
        rates[function, 1:] = coverage * (1 - accuracy) / (classes - 1)
        for value in range(classes):
            rates[function, 1 + value, value] = coverage * accuracy
    return rates


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("balance", [(0.5, 0.5), (0.9, 0.1)])
def test_rates_and_probabilities_are_those_that_made_the_votes(given, balance):
    accuracies = (0.9, 0.8, 0.75, 0.85)
    patterns, exact, _ = exact_patterns(rates_of(accuracies, (0.9, 0.7, 0.8, 0.5), 2), balance)
    model = fit(patterns, voters(TWO, 4), balance if given else None)
    np.testing.assert_allclose(model.balance, balance, atol=0.005)
    np.testing.assert_allclose(model.probabilities(patterns.votes), exact, atol=0.03)
    if given:
        np.testing.assert_allclose(
            model.accuracies, accuracies, atol=0.02 if balance[0] > 0.5 else 0.01
        )


def test_three_classes():
    patterns, exact, _ = exact_patterns(
        rates_of((0.9, 0.8, 0.7, 0.85), (0.9, 0.8, 0.9, 0.7), 3), (0.6, 0.3, 0.1)
    )
    model = fit(patterns, voters(THREE, 4))
    np.testing.assert_allclose(model.balance, (0.6, 0.3, 0.1), atol=0.01)
    np.testing.assert_allclose(model.probabilities(patterns.votes), exact, atol=0.05)


def test_silence_of_who_votes_for_one_class_only_speaks_for_the_other():
    """Four functions that find 90 % of a rare class and never err: all silent means no."""
    rates = np.zeros((4, 3, 2))
    rates[:, 0] = [1.0, 0.1]
    rates[:, 2, 1] = 0.9
    patterns, exact, _ = exact_patterns(rates, (0.95, 0.05))
    model = fit(patterns, voters(TWO, 4))
    assert model.speaks.all()
    # The authors, who are 0.7 sure, are heard beside the 45 rows in a million with a single vote.
    np.testing.assert_allclose(model.probabilities(patterns.votes), exact, atol=0.1)
    assert model.probabilities(np.full((1, 4), -1, np.int8))[0, 0] > 0.999


def test_silence_of_who_votes_for_all_classes_says_nothing():
    patterns, _, _ = exact_patterns(rates_of((0.9, 0.8, 0.7), (0.5, 0.5, 0.5), 2), (0.7, 0.3))
    model = fit(patterns, voters(TWO, 3))
    assert not model.speaks.any()
    silent = model.probabilities(np.full((1, 3), -1, np.int8))
    np.testing.assert_allclose(silent, model.balance[None], atol=1e-9)


@pytest.mark.parametrize(("confidence", "said"), [(0.9, 0), (0.7, 1)])
def test_silence_weighs_a_quarter_of_what_the_vote_would(confidence, said):
    """Two who are 0.6 sure go together while two others are silent, who vote yes or not at all.

    Their votes speak for the class with 2 ln(0.6 / 0.4) = 0.81; against it speaks the silence of
    the others, with 2/4 ln(0.9 / 0.1) = 1.10 or with 2/4 ln(0.7 / 0.3) = 0.42.
    """
    votes = np.array([[-1, -1, -1, -1], [1, 1, -1, -1], [1, 1, 1, 1], [-1, -1, 1, 1]], np.int8)
    patterns = Patterns(votes, np.array([8_500, 1_000, 100, 400]), np.zeros(0, np.int32))
    model = fit(patterns, voters(TWO, 2, 0.6) + voters(TWO, 2, confidence))
    assert model.probabilities(votes).argmax(axis=1).tolist() == [0, said, 1, 1]


@pytest.mark.parametrize("rows", [10, 40])
def test_an_authors_word_counts_as_ten_rows_of_each_kind(rows):
    """Two always agree, for either class equally often: only what was said beforehand is news.

    By symmetry all rates are one number r, the chance of a vote for the row's own class. A row is
    of the class that is voted for with e = r² / (r² + (1 − r)²), and r is the share of right ones
    among the `rows` rows of a class, of which e are, and ten more, of which the confidence is.
    """
    votes = np.array([[0, 0], [1, 1]], np.int8)
    model = fit(Patterns(votes, np.array([rows, rows]), np.zeros(0, np.int32)), voters(TWO, 2, 0.8))
    r = 0.8
    for _ in range(500):
        right = r**2 / (r**2 + (1 - r) ** 2)
        r = (rows * right + 10 * 0.8) / (rows + 10)
    np.testing.assert_allclose(model.rates[:, 1:, :], [[[r, 1 - r], [1 - r, r]]] * 2, atol=1e-3)
    np.testing.assert_allclose(model.probabilities(votes)[1], [1 - right, right], atol=1e-3)


def patterns_of_kinds(rows):
    """Five who all vote, of which two are wrong together on a tenth of the rows."""
    kinds = np.array([[0.1] * 5, [0.9] * 5, [0.9, 0.9, 0.1, 0.1, 0.1]])
    votes = np.array(list(itertools.product((0, 1), repeat=5)), np.int8)
    each = np.where(votes[:, :, None] == 1, kinds.T, 1 - kinds.T).prod(axis=1)
    counts = np.rint(rows * each @ [0.6, 0.3, 0.1]).astype(np.int64)
    return Patterns(votes[counts > 0], counts[counts > 0], np.zeros(0, np.int32))


def unexplained(model, patterns):
    """Twice the logarithm of how much likelier the counts' own shares make the votes."""
    joint = model.shares * np.ones((len(patterns), 1))
    for place, of in enumerate(patterns.votes.T):
        joint = joint * model.rates[place, 1 + of]
    own = patterns.counts / patterns.counts.sum()
    return 2 * float(patterns.counts @ np.log(own / joint.sum(axis=1)))


def test_kinds_are_added_as_far_as_schwarz_says():
    """A kind more costs the logarithm of the rows for its share and each of its five rates.

    No model explains more than all: where less than that cost is unexplained, no kind pays.
    """
    few, many = patterns_of_kinds(200), patterns_of_kinds(500)
    assert 20 < unexplained(fit(few, voters(TWO, 5)), few) < 6 * np.log(few.counts.sum())
    assert fit(few, voters(TWO, 5)).classes.tolist() == [0, 1]
    assert unexplained(fit(many, voters(TWO, 5)), many) < 10
    assert fit(many, voters(TWO, 5)).classes.tolist() == [0, 1, 0]


def test_a_class_for_which_nobody_votes_is_not_there():
    """Silence of those who only ever say no is no reason to say yes."""
    votes = np.array([[0, 0, -1], [0, -1, -1], [-1, -1, -1]], np.int8)
    patterns = Patterns(votes, np.array([50, 30, 20]), np.zeros(0, np.int32))
    model = fit(patterns, voters(TWO, 3))
    np.testing.assert_allclose(model.probabilities(votes), [[1, 0]] * 3)
    np.testing.assert_allclose(model.balance, [1, 0])


def test_functions_that_are_wrong_together_do_not_become_the_class():
    """Two weak ones go together on 3 % of all rows, three good ones find a class of 1 %.

    One kind a class takes what the two have in common for the class, which is then 4 %: votes and
    counts are like those on noise of round-trip times.
    """
    rows = np.array(
        [  # three good ones; one that votes yes or not at all, one that votes no or not at all
            [0, 0, 0, -1, 0, 70_000],
            [0, 0, 0, -1, -1, 14_000],
            [-1, 0, -1, -1, -1, 9_000],
            [-1, 0, -1, 1, -1, 2_500],
            [-1, -1, -1, 1, -1, 300],
            [0, 0, -1, 1, -1, 400],
            [1, 1, 1, 1, -1, 800],
            [1, 1, -1, 1, -1, 60],
            [1, -1, 1, 1, -1, 60],
            [-1, 1, 1, 1, -1, 60],
        ]
    )
    patterns = Patterns(rows[:, :5].astype(np.int8), rows[:, 5], np.zeros(0, np.int32))
    model = fit(patterns, voters(TWO, 3, 0.9) + voters(TWO, 1, 0.6) + voters(TWO, 1, 0.9))
    assert 0.009 < model.balance[1] < 0.013
    assert model.probabilities(patterns.votes).argmax(axis=1).tolist() == [0] * 6 + [1] * 4


def test_a_function_that_is_always_wrong_is_turned_around_by_the_others():
    patterns, exact, _ = exact_patterns(rates_of((0.9, 0.9, 0.9, 0.1), (1, 1, 1, 1), 2), (0.5, 0.5))
    model = fit(patterns, voters(TWO, 4), (0.5, 0.5))
    np.testing.assert_allclose(model.accuracies, (0.9, 0.9, 0.9, 0.1), atol=0.01)
    np.testing.assert_allclose(model.probabilities(patterns.votes), exact, atol=0.01)


def test_the_same_bytes_every_time():
    patterns, _, _ = exact_patterns(rates_of((0.9, 0.8, 0.7), (0.5, 0.9, 0.7), 2), (0.7, 0.3))
    first, second = (fit(patterns, voters(TWO, 3)) for _ in range(2))
    assert first.rates.tobytes() == second.rates.tobytes()
    assert first.document() == second.document()


def test_what_can_not_be_learnt():
    silent = Patterns(np.full((1, 3), -1, np.int8), np.array([9]), np.zeros(9, np.int32))
    with pytest.raises(LabelError, match="task two: no function votes on any row"):
        fit(silent, voters(TWO, 3))
    patterns, _, _ = exact_patterns(rates_of((0.9, 0.8, 0.7), (1, 1, 1), 2), (0.7, 0.3))
    for balance in ((1.0,), (1.0, 0.0), (np.inf, 1.0)):
        with pytest.raises(LabelError, match="a share above 0 for each of no, yes"):
            fit(patterns, voters(TWO, 3), balance)
    with pytest.raises(
        LabelError, match="learnt from votes of 3 functions, asked about those of 2"
    ):
        fit(patterns, voters(TWO, 3)).probabilities(patterns.votes[:, :2])


def test_majority_by_hand():
    """Snorkel's own example of its MajorityLabelVoter, and a row on which nobody votes."""
    votes = np.array([[0, 0, -1], [-1, 0, 1], [1, -1, 0], [-1, -1, -1]], np.int8)
    assert majority(votes, 2).tolist() == [[1, 0], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]


def test_hard_labels_where_they_are_sure():
    assert hard(np.array([[0.95, 0.05], [0.2, 0.8], [0.1, 0.9]]), 0.9).tolist() == [0, -1, 1]
