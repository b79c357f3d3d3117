"""What is said of flows, and what their ends tell of it: columns in, events and counts out."""

from dataclasses import replace

import numpy as np
from flow_rows import rows
from test_ends import ends_of

from sensor.annotations.annotator import Annotator, least_packets
from sensor.annotations.flow_event import END, PREDICTION, Waiting
from sensor.annotations.predictions import ABSTAINED, NOT_COUNTED
from sensor.annotations.tally import UNKNOWN
from sensor.flows.sequences import END_REASONS
from sensor.model.schema import AnnotationSpec

FULL, EARLY, CLOSED, IDLE, EVICTED = range(len(END_REASONS))
TRAFFIC = AnnotationSpec("traffic", ("documents", "music"), 8, abstain_below=0.6)
SECONDS = AnnotationSpec(
    "seconds", ("below 1", "1 to 10", "10 on"), 2, 0.0, "duration", (1.0, 10.0)
)
SPEED = AnnotationSpec("speed", ("slow", "fast"), 2, 0.0, "bandwidth", (8_000.0,))


class Detector:
    """Answers with the columns that it is given; the first one is a binary task's."""

    name, version, tasks = "classes", "1", ("syn_dos",)

    def __init__(self, *annotations):
        self.annotations = annotations
        self.columns = []

    def look(self, batch):
        columns, self.columns = self.columns[: len(batch)], self.columns[len(batch) :]
        return np.float32(columns)


NAN = np.nan


def of(flow, reason, **more):
    return {"flow_ordinal": flow, "end_reason": reason, **more}


def events(annotator):
    waiting = Waiting()
    waiting.add(annotator.take_events())
    return [event for _, event in waiting.release(1 << 62)]


def test_binary_scores_go_their_way_and_the_best_class_is_told_if_it_is_likely_enough():
    detector = Detector(TRAFFIC, SECONDS)
    annotator = Annotator(detector)
    detector.columns = [
        [0.5, 0.3, 0.7, 0.2, 0.5, 0.3],
        [0.6, 0.5, 0.5, 0.1, 0.1, 0.8],
        [0.7, NAN, NAN, 0.4, 0.3, 0.3],
        [0.8, NAN, NAN, NAN, NAN, NAN],
    ]
    scores = annotator.look(
        rows(*(of(flow, EARLY, decided=flow, direction=[1, -1, 1]) for flow in range(4)))
    )
    assert scores[:, 0].tolist() == np.float32([0.5, 0.6, 0.7, 0.8]).tolist()
    first, second, third = events(annotator)
    assert (first.told, second.told, third.told) == ([1, 1], [ABSTAINED, 2], [NOT_COUNTED, 0])
    assert [round(each, 3) for each in second.confidence] == [0.5, 0.8]
    assert (first.kind, first.used, first.packets) == (PREDICTION, 3, [2, 1])
    assert (annotator.predicted, annotator.open, annotator.ended) == (3, 3, 0)
    assert least_packets([annotator]) == 2
    assert least_packets([]) is None


def test_a_class_is_told_from_the_probability_below_which_it_abstains():
    detector = Detector(replace(TRAFFIC, abstain_below=0.5))
    annotator = Annotator(detector)
    detector.columns = [[0.5, 0.5, 0.5], [0.5, np.nextafter(np.float32(0.5), np.float32(0)), 0.25]]
    annotator.look(rows(of(0, EARLY), of(1, EARLY)))
    assert [event.told for event in events(annotator)] == [[0], [ABSTAINED]]


def test_the_end_answers_for_the_last_row_and_is_judged_where_the_flow_is_whole():
    detector = Detector(SECONDS, SPEED)
    annotator = Annotator(detector)
    detector.columns = [[0.5, 0.1, 0.8, 0.1, 0.9, 0.1]] * 4 + [[0.5, 0.7, 0.2, 0.1, 0.2, 0.8]]
    annotator.look(rows(*(of(flow, EARLY) for flow in range(4)), of(0, FULL, row=1)))
    seconds, octets = 10**9, (600, 400)
    whole = {"whole": True, "end_reason": CLOSED, "octets": octets, "packets": (6, 4)}
    annotator.end(
        ends_of(
            {"flow_ordinal": 9, "last_ns": 5 * seconds, **whole},
            {"flow_ordinal": 0, "last_ns": seconds - 1, **whole},
            {"flow_ordinal": 1, "last_ns": 10 * seconds, **whole},
            {"flow_ordinal": 2, "midstream": True, "end_reason": EVICTED},
            {"flow_ordinal": 3, "last_ns": seconds, "end_reason": IDLE},
        )
    )
    # 8,000 bits in just under a second are fast, in ten seconds slow.
    judged = [event for event in events(annotator) if event.kind == END]
    assert [event.flow_ordinal for event in judged] == [0, 1, 2, 3]
    assert [event.told for event in judged] == [[0, 1], [1, 0], [1, 0], [1, 0]]
    unknown = [UNKNOWN, UNKNOWN]
    assert [event.true for event in judged] == [[0, 1], [2, 0], unknown, unknown]
    assert [event.why for event in judged[2:]] == [0, 2]
    of_seconds, of_speed = annotator.tallies
    assert of_seconds.confusion.tolist() == [[1, 0, 0, 0], [0, 0, 1, 2], [0] * 4, [0] * 4]
    assert of_speed.confusion.tolist() == [[1, 0, 2], [0, 1, 0], [0, 0, 0]]
    assert annotator.unknown.tolist() == [1, 0, 1]
    assert (annotator.predicted, annotator.ended, annotator.open) == (4, 4, 0)


def test_ranges_begin_at_their_edges():
    detector = Detector(SECONDS)
    annotator = Annotator(detector)
    nanoseconds = (999_999_999, 10**9, 10**10 - 1, 10**10, 0)
    detector.columns = [[0.5, 0.6, 0.2, 0.2]] * 5
    annotator.look(rows(*(of(flow, EARLY) for flow in range(5))))
    flows = enumerate(nanoseconds)
    annotator.end(
        ends_of(*({"flow_ordinal": flow, "last_ns": ns, "whole": True} for flow, ns in flows))
    )
    assert annotator.tallies[0].confusion[0].tolist() == [2, 2, 1, 0]


def test_of_a_flow_that_has_ended_there_is_no_prediction_but_an_end():
    detector = Detector(TRAFFIC)
    annotator = Annotator(detector)
    detector.columns = [[0.5, 0.3, 0.7]] * 5
    annotator.look(rows(*(of(flow, reason) for flow, reason in enumerate(range(5)))))
    assert [event.flow_ordinal for event in events(annotator)] == [FULL, EARLY]
    annotator.end(ends_of(*({"flow_ordinal": flow, "end_reason": CLOSED} for flow in range(5))))
    assert [event.kind for event in events(annotator)] == [END] * 5


def test_where_no_ends_will_come_flows_are_forgotten_and_counted():
    detector = Detector(TRAFFIC)
    annotator = Annotator(detector)
    detector.columns = [[0.5, 0.3, 0.7]] * 2
    annotator.look(rows(of(0, EARLY), of(1, EARLY)))
    annotator.forget()
    annotator.end(ends_of({"flow_ordinal": 0}))
    assert (annotator.predicted, annotator.ended, annotator.forgotten) == (2, 0, 2)


def test_events_come_in_order_of_time_detector_flow_and_kind():
    first, second = Detector(TRAFFIC), Detector(TRAFFIC)
    first.name, second.name = "b", "a"
    waiting = Waiting()
    for detector in (first, second):
        annotator = Annotator(detector)
        detector.columns = [[0.5, 0.3, 0.7]] * 3
        annotator.look(
            rows(of(4, EARLY, decided=1), of(2, EARLY, decided=2), of(3, FULL, decided=2))
        )
        annotator.end(
            ends_of(
                {"flow_ordinal": 2, "ended_ns": 2 * 10**9},
                {"flow_ordinal": 4, "ended_ns": 3 * 10**9},
            )
        )
        waiting.add(annotator.take_events())

    def released(clock_ns):
        return [
            (event.time_ns // 10**9, by.name, event.flow_ordinal, event.kind)
            for by, event in waiting.release(clock_ns)
        ]

    assert released(2 * 10**9) == [(1, "a", 4, PREDICTION), (1, "b", 4, PREDICTION)]
    assert released(2 * 10**9) == []
    assert released(1 << 62) == [
        *((2, name, flow, kind) for name in "ab" for flow, kind in ((2, 0), (2, 1), (3, 0))),
        *((3, name, 4, END) for name in "ab"),
    ]
