"""Incidents against attacks: found, missed, false, repeated, and how long it took."""

from dataclasses import replace

import numpy as np
import pytest
from flow_rows import rows

from sensor.model.schema import FeatureSchema
from trainer.datasets.dataset import Dataset
from trainer.incidents import incident_figures
from trainer.tasks import TASKS

TASK = replace(TASKS[0], threshold=0.8)
assert TASK.incident.open_flows == 10
assert TASK.incident.open_seconds == 10


def dataset(*each):
    """Rows of (start, victim, source index); every one is a flow decided a second later."""
    batch = rows(
        *(
            {
                "start": start,
                "decided": start + 1,
                "source": ("198.51.100.1", 1000 + number),
                "destination": (victim, 80),
                "flow_ordinal": number,
            }
            for number, (start, victim, _) in enumerate(each)
        )
    )
    source = np.array([source for *_, source in each], np.int32)
    flow = np.arange(len(batch), dtype=np.int64)
    labels = np.zeros((len(batch), 1), np.int8)
    return Dataset(FeatureSchema(), (TASK.name,), (), batch, labels, source, flow)


def flood(start, victim="10.0.0.1", flows=20, source=0):
    return [(start + number * 0.1, victim, source) for number in range(flows)]


def judge(each, labels, scores):
    labels = np.array(labels, np.int8)[:, None]
    (found,) = incident_figures(dataset(*each), [TASK], labels, np.array(scores)[:, None])
    return found


def test_a_flood_that_scores_is_found_with_its_time_to_alert():
    figures = judge(flood(100), [1] * 20, [0.8] * 20)
    assert (figures.attacks, figures.found, figures.missed, figures.false) == (1, 1, 0, 0)
    # The tenth flow starts 0.9 s after the first and is decided a second after that.
    assert figures.seconds_to_alert == pytest.approx((1.9,))


def test_a_flood_that_does_not_score_is_missed():
    figures = judge(flood(100), [1] * 20, [0.79] * 20)
    assert (figures.attacks, figures.found, figures.missed, figures.too_small) == (1, 0, 1, 0)


def test_fewer_flows_than_open_an_incident_are_missed_as_too_small():
    figures = judge(flood(100, flows=9), [1] * 9, [0.9] * 9)
    assert (figures.attacks, figures.missed, figures.too_small) == (1, 1, 1)


def test_an_incident_elsewhere_or_at_another_time_is_false():
    each = flood(100) + flood(101, "10.0.0.2") + flood(500)
    figures = judge(each, [1] * 20 + [0] * 40, [0.9] * 60)
    assert (figures.attacks, figures.found, figures.false) == (1, 1, 2)


def test_a_part_of_the_flood_is_enough_and_foreign_flows_may_help_but_do_not_make_one_false():
    each = flood(100)
    figures = judge(each, [1, 0] * 10, [0.9] * 20)
    assert (figures.attacks, figures.found, figures.false) == (1, 1, 0)


def test_attacks_of_one_victim_a_minute_apart_are_two():
    each = flood(100) + flood(163)
    figures = judge(each, [1] * 40, [0.9] * 40)
    assert (figures.attacks, figures.found, figures.repeated) == (2, 2, 0)


def test_an_incident_that_opens_again_for_the_same_attack_is_counted_as_repeated():
    # The middle of the attack does not score, so the first incident ends a minute before.
    each = [event for start in range(100, 240, 5) for event in flood(start)]
    scores = [0.9 if start < 110 or start > 230 else 0.1 for start, *_ in each]
    figures = judge(each, [1] * len(each), scores)
    assert (figures.attacks, figures.found, figures.repeated, figures.false) == (1, 1, 1, 0)


def test_a_flow_decided_late_does_not_make_a_second_attack():
    rows_of = dataset(*flood(100))
    rows_of.batch.decided_ns[-1] += 120 * 10**9
    ones = np.ones((20, 1), np.int8)
    (figures,) = incident_figures(rows_of, [TASK], ones, ones * 0.9)
    assert (figures.attacks, figures.found) == (1, 1)


def test_masked_flows_count_neither_for_nor_against():
    figures = judge(flood(100), [-1] * 20, [0.9] * 20)
    assert (figures.attacks, figures.false) == (0, 0)


def test_sources_are_judged_one_by_one():
    each = flood(100) + flood(100, source=1)
    figures = judge(each, [1] * 20 + [0] * 20, [0.9] * 40)
    assert (figures.attacks, figures.found, figures.false) == (1, 1, 1)
