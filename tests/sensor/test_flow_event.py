"""Records of flow events: what they take from rows and from ends."""

import numpy as np
from flow_rows import rows
from test_ends import ends_of

from sensor.annotations.flow_event import (
    END,
    PREDICTION,
    end_events,
    events_of,
    prediction_events,
)
from sensor.annotations.predictions import prediction_type
from sensor.flows.sequences import END_REASONS

FULL, EARLY, CLOSED, IDLE, EVICTED = range(len(END_REASONS))


def said(*told):
    records = np.zeros(len(told), prediction_type(2))
    records["told"], records["used"] = told, 8
    records["confidence"] = [(0.5, 0.25)] * len(told)
    return records


def test_a_prediction_tells_of_the_packets_of_its_row():
    batch = rows(
        {"end_reason": CLOSED},
        {
            "end_reason": EARLY,
            "source": ("10.0.0.1", 40_000),
            "destination": ("10.0.0.9", 443),
            "protocol": 6,
            "direction": [1, -1, 1, 1],
            "ip_length": [60, 1500, 40, 41],
            "flow_ordinal": 77,
            "start": 1,
            "last": 1.5,
            "decided": 2,
        },
    )
    looked_at = np.array([0, 1])
    (event,) = events_of(prediction_events(batch, looked_at, said((0, 1), (2, 254))))
    assert (event.kind, event.flow_ordinal, event.end_reason) == (PREDICTION, 77, EARLY)
    assert (event.packets, event.octets) == ([3, 1], [141, 1500])
    assert (event.flow_start_ns, event.last_ns, event.time_ns) == (10**9, 15 * 10**8, 2 * 10**9)
    assert (event.source_low, event.destination_port) == (0x0A000001, 443)
    assert (event.told, event.used, event.confidence) == ([2, 254], 8, [0.5, 0.25])
    assert event.duration_ns == 5 * 10**8


def test_an_end_tells_of_all_packets():
    ends = ends_of(
        {
            "flow_ordinal": 5,
            "end_reason": EVICTED,
            "start_ns": 10,
            "last_ns": 40,
            "ended_ns": 90,
            "packets": (7, 9),
            "octets": (700, 90_000),
            "whole": True,
            "source_port": 6,
        }
    )
    true = np.uint8([[1, 255]])
    (event,) = events_of(end_events(ends, said((0, 1)), true, np.array([2])))
    assert (event.kind, event.flow_ordinal, event.end_reason, event.time_ns) == (
        END,
        5,
        EVICTED,
        90,
    )
    assert (event.packets, event.octets, event.source_port) == ([7, 9], [700, 90_000], 6)
    assert (event.duration_ns, event.whole, event.why, event.true) == (30, True, 2, [1, 255])


def test_many_events_are_made_in_parts_and_in_their_order():
    ends = ends_of(*({"flow_ordinal": k, "packets": (k, 2)} for k in range(1_300)))
    true, why = np.zeros((1_300, 2), np.uint8), np.zeros(1_300, np.intp)
    records = end_events(ends, said(*[(1, 0)] * 1_300), true, why)
    events = list(events_of(records))
    assert [event.flow_ordinal for event in events] == list(range(1_300))
    assert events[1_299].packets == [1_299, 2]
