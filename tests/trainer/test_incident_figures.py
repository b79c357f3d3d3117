"""Incidents against attacks: found, missed, false, repeated, and how long it took."""

from dataclasses import replace

import numpy as np
import pytest
from flow_rows import rows

from sensor.model.schema import FeatureSchema, IncidentRule
from trainer.datasets.dataset import Dataset
from trainer.incidents import incident_figures, opening_scores, role_addresses
from trainer.tasks import TASKS

RULE = IncidentRule("responder", open_flows=10, open_seconds=10)
TASK = replace(TASKS[0], threshold=0.8, incident=RULE)


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
    return incident_figures(dataset(*each), TASK, np.array(labels, np.int8), np.array(scores))


def test_a_flood_that_scores_is_found_with_its_time_to_alert():
    figures = judge(flood(100), [1] * 20, [0.8] * 20)
    assert (figures.attacks, figures.found, figures.missed, figures.false) == (1, 1, 0, 0)
    # The tenth flow starts 0.9 s after the first and is decided a second after that.
    assert figures.seconds_to_alert == pytest.approx((1.9,))
    assert figures.seconds_behind == pytest.approx((0.0,))


def test_how_late_an_alert_is_counts_from_when_perfect_scores_would_raise_it():
    # Five flows pass unseen, a tenth of a second apart.
    figures = judge(flood(100), [1] * 20, [0.1] * 5 + [0.8] * 15)
    assert figures.seconds_behind == pytest.approx((0.5,))
    assert figures.seconds_to_alert == pytest.approx((2.4,))


def test_a_flood_that_does_not_score_is_missed():
    figures = judge(flood(100), [1] * 20, [0.79] * 20)
    assert (figures.attacks, figures.found, figures.missed, figures.scattered_flows) == (1, 0, 1, 0)


def test_attack_flows_that_could_never_open_an_incident_are_scattered_and_not_false():
    each = flood(100, flows=9) + flood(103, "10.0.0.2")
    figures = judge(each, [1] * 29, [0.9] * 29)
    assert (figures.attacks, figures.found, figures.scattered_flows) == (1, 1, 9)
    # With one benign flow more, the nine open an incident; it is about attack flows all the same.
    each = flood(100, flows=10)
    figures = judge(each, [1] * 9 + [0], [0.9] * 10)
    assert (figures.attacks, figures.false, figures.scattered_flows) == (0, 0, 9)


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
    ones = np.ones(20, np.int8)
    figures = incident_figures(rows_of, TASK, ones, ones * 0.9)
    assert (figures.attacks, figures.found) == (1, 1)


def test_masked_flows_count_neither_for_nor_against():
    figures = judge(flood(100), [-1] * 20, [0.9] * 20)
    assert (figures.attacks, figures.false) == (0, 0)


def test_sources_are_judged_one_by_one():
    each = flood(100) + flood(100, source=1)
    figures = judge(each, [1] * 20 + [0] * 20, [0.9] * 40)
    assert (figures.attacks, figures.found, figures.false) == (1, 1, 1)


def opening(each, labels, scores):
    return opening_scores(dataset(*each), TASK, np.array(labels, np.int8), np.array(scores))


def test_an_attack_opens_at_its_tenth_highest_score_within_ten_seconds():
    scores = [0.5 + 0.01 * number for number in range(20)]
    benign, attack = opening(flood(100), [1] * 20, scores)
    assert attack == pytest.approx([0.6])
    assert benign == [0]


def test_only_flows_within_the_window_count_together():
    # Twenty flows, one each 1.5 s: seven fit into ten seconds, so nothing opens for the rule.
    each = [(100 + 1.5 * number, "10.0.0.1", 0) for number in range(20)]
    benign, attack = opening(each, [0] * 20, [0.9] * 19 + [0.2])
    assert attack == []
    # Benign traffic is held against half as many flows, which do fit.
    assert benign == pytest.approx([0.9])


def test_a_flow_counts_once_with_its_highest_score():
    rows_of = dataset(*flood(100, flows=6))
    rows_of.flow[:] = [0, 0, 0, 1, 2, 3]
    benign, _ = opening_scores(rows_of, TASK, np.zeros(6, np.int8), np.full(6, 0.9))
    assert benign == [0]
    rows_of.flow[:] = [0, 0, 1, 2, 3, 4]
    benign, _ = opening_scores(
        rows_of, TASK, np.zeros(6, np.int8), np.array([0.7, 0.1, 0.9, 0.9, 0.9, 0.9])
    )
    assert benign == pytest.approx([0.7])


def test_where_the_rule_asks_for_rows_single_ones_open_nothing():
    task = replace(TASK, incident=IncidentRule("responder", 1, 10, open_rows=2))
    rows_of = dataset(*flood(100, flows=3), (200, "10.0.0.1", 0))
    rows_of.flow[:3] = 0
    rows_of.batch.sequence_index[:3] = [0, 0, 1]
    scores = np.array([0.7, 0.9, 0.8, 0.99])
    # Sequence 0 counts once, with the higher of its two scores; the last row is alone in its time.
    benign, _ = opening_scores(rows_of, task, np.zeros(4, np.int8), scores)
    assert benign == pytest.approx([0.8])
    _, attack = opening_scores(rows_of, task, np.array([1, 1, 1, 0], np.int8), scores)
    assert attack == pytest.approx([0.8])


def test_benign_flows_to_a_victim_under_attack_are_not_held_against_the_threshold():
    each = flood(100) + flood(100.05) + flood(500)
    benign, attack = opening(
        each, [1] * 20 + [0] * 20 + [0] * 20, [0.9] * 20 + [0.99] * 20 + [0.3] * 20
    )
    assert attack == pytest.approx([0.9])
    assert benign == pytest.approx([0.3])


def test_addresses_are_told_apart_by_the_role_as_the_tracker_does():
    ssdp = next(task for task in TASKS if task.name == "ssdp_flood")
    batch = rows(
        {"source": ("10.0.0.1", 5000), "destination": ("10.0.0.2", 1900)},
        {"source": ("10.0.0.2", 1900), "destination": ("10.0.0.1", 5000)},
        {"source": ("10.0.0.3", 5000), "destination": ("10.0.0.1", 5001)},
        {"source": ("2001:db8::1", 1900), "destination": ("2001:db8::2", 1900)},
    )
    one, other = 0x0A000001, 0x0A000002
    assert role_addresses(batch, TASK)[:, 2].tolist() == [other, one, one, 2]
    assert role_addresses(batch, ssdp)[:, 2].tolist() == [one, one, one, 2]
    assert role_addresses(batch, ssdp)[:, 0].tolist() == [4, 4, 4, 6]
