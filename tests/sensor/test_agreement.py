"""How a shadow agrees with what is in force: worked by hand, and through a lane."""

from dataclasses import replace

import numpy as np
from blocks import headers_of
from traffic import Mixture, random_packets

from sensor.alerts.agreement import Agreement
from sensor.alerts.incidents import IncidentTracker
from sensor.alerts.rule import CountingRule
from sensor.exchange import Lanes
from sensor.flows.table import FlowTable
from sensor.lane import Lane, Watch
from sensor.model.schema import FeatureSchema
from sensor.pipeline import Detection, decide

SCHEMA = FeatureSchema()
TASK = CountingRule(SCHEMA).tasks[0]


def test_rows_are_counted_by_who_finds_them_positive_where_both_have_a_score():
    other = replace(TASK, name="other")
    agreement = Agreement()
    active = np.float32([[0.9], [0.8], [0.1], [0.2], [np.nan], [0.9]])
    shadow = np.float32([[9, 0.7], [9, 0.2], [9, 0.6], [9, 0.1], [9, 0.9], [9, np.nan]])
    agreement.add(((TASK,), (other, TASK)), (active, shadow))
    agreement.add(((TASK,), (other, TASK)), (active[:1], shadow[:1]))
    found = agreement.tasks[TASK.name]
    assert list(agreement.tasks) == [TASK.name]
    assert (found.both, found.only_a, found.only_b, found.neither) == (2, 1, 1, 1)
    assert found.compared == 5
    assert np.isclose(found.difference, 0.2 + 0.6 + 0.5 + 0.1 + 0.2)
    assert np.isclose(found.largest, 0.6)
    assert agreement.document()[TASK.name]["mean_difference"] == round(1.6 / 5, 6)


def test_no_row_is_no_agreement():
    agreement = Agreement()
    nothing = np.full((3, 1), np.nan, np.float32)
    agreement.add(((TASK,), (TASK,)), (nothing, nothing))
    assert agreement.tasks == {}


def test_a_shadow_is_compared_and_its_events_are_marked():
    rule = CountingRule(SCHEMA)
    shadow = Watch(rule, IncidentTracker(rule), shadow=True)
    lane = Lane(FlowTable(SCHEMA), [rule])
    lane.watches = (*lane.watches, shadow)
    lanes = Lanes([lane])
    crowd = Mixture(hosts=3, ports=5_000, steps_ns=(1_000_000, 4_000_000), again=0.1)
    detection, events = Detection(lanes), []
    for decided in decide([(headers_of(random_packets(5, 2_500, crowd)), 0)], lanes):
        events += detection.take(decided)
    found = shadow.agreement.tasks[TASK.name]
    assert found.both > 0
    assert (found.only_a, found.only_b, found.largest) == (0, 0, 0.0)
    of_shadow = [replace(event, shadow=False) for event in events if event.shadow]
    assert of_shadow
    assert of_shadow == [event for event in events if not event.shadow]
