"""Predictions by flow: the latest one counts, each is taken out once, and there is a bound."""

import random

import numpy as np

from sensor.annotations.predictions import Predictions, prediction_type


def said(*flows, told=0, used=8):
    """Predictions of one task about the given flows."""
    records = np.zeros(len(flows), prediction_type(1))
    records["ordinal"], records["told"][:, 0], records["used"] = flows, told, used
    return records


def test_the_later_of_two_counts_within_a_batch_and_across():
    predictions = Predictions(1)
    first = said(7, 3, 7)
    first["told"][:, 0] = (1, 2, 3)
    assert predictions.put(first) == 2
    assert predictions.put(said(3, told=4)) == 0
    found, records = predictions.take(np.array([9, 7, 3]))
    assert found.tolist() == [1, 2]
    assert records["ordinal"].tolist() == [7, 3]
    assert records["told"][:, 0].tolist() == [3, 4]
    assert not len(predictions)


def test_they_do_what_a_dictionary_does():
    chance, known, predictions = random.Random(5), {}, Predictions(1)
    for turn in range(200):
        flows = chance.choices(range(60), k=chance.randrange(12))
        batch = said(*flows, told=turn)
        fresh = len(set(flows) - known.keys())
        assert predictions.put(batch) == fresh
        known |= dict.fromkeys(flows, turn)
        asked = chance.sample(range(60), chance.randrange(20))
        found, records = predictions.take(np.array(asked, np.int64))
        hits = [flow for flow in asked if flow in known]
        assert [asked[place] for place in found] == hits == records["ordinal"].tolist()
        assert records["told"][:, 0].tolist() == [known.pop(flow) for flow in hits]
        assert len(predictions) == len(known)
    assert predictions.forgotten == 0


def test_of_too_many_the_flows_that_began_first_are_forgotten_and_counted():
    predictions = Predictions(1, most=4)
    predictions.put(said(5, 1, 9))
    predictions.put(said(2, 8, 7))
    assert (len(predictions), predictions.forgotten) == (4, 2)
    found, _ = predictions.take(np.arange(10))
    assert found.tolist() == [5, 7, 8, 9]
    predictions.put(said(11))
    predictions.clear()
    assert (len(predictions), predictions.forgotten) == (0, 3)
