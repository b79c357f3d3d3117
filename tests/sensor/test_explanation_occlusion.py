"""What is left out of a row, against rows that are changed here by hand and scored directly."""

import numpy as np
import pytest
from demo_evidence import BUNDLE, demo

from sensor.model.bundle import Bundle
from sensor.model.encoding import encode
from sensor.model.fields import MEASURED_FIELDS
from sensor.model.golden import empty_rows
from sensor.model.inference import Inference, calibrate
from sensor.reporting.explanation_occlusion import (
    Occlusion,
    benign_rows,
    with_usual,
    without_each_packet,
)

COLUMNS = ("ip_length", "payload_length", "interarrival_us", "direction", "tcp_flags")


@pytest.fixture(scope="module")
def bundle():
    return Bundle.read(BUNDLE)


@pytest.fixture(scope="module")
def inference(bundle):
    names = [task.name for task in bundle.tasks]
    return Inference(bundle.model, bundle.schema, names, "by hand")


def plain(batch, place):
    """A row as lists: its packets as tuples by `COLUMNS`, its counts and its protocol."""
    count = int(batch.length[place])
    columns = (getattr(batch, name)[place, :count].tolist() for name in COLUMNS)
    packets = list(zip(*columns, strict=True))
    return packets, batch.context[place].tolist(), int(batch.protocol[place])


def score(bundle, inference, task, rows):
    """Calibrated scores of such rows, by the network itself."""
    batch = empty_rows(16, len(rows))
    for place, (packets, context, protocol) in enumerate(rows):
        batch.length[place], batch.protocol[place] = len(packets), protocol
        batch.context[place] = context
        for k, packet in enumerate(packets):
            for name, value in zip(COLUMNS, packet, strict=True):
                getattr(batch, name)[place, k] = value
    scores = calibrate(bundle.tasks, inference.scores(encode(bundle.schema, batch)))
    return scores[:, [each.name for each in bundle.tasks].index(task)]


def left_out(packets, k, *, first):
    """The packets without one; the gap before the next one is the sum of both."""
    rest = [list(each) for j, each in enumerate(packets) if j != k]
    if k < len(rest):
        rest[k][2] = 0 if k == 0 and first else min(60_000_000, packets[k][2] + packets[k + 1][2])
    return [tuple(each) for each in rest]


@pytest.mark.parametrize("task", ["syn_dos", "ssdp_flood", "ssl_renegotiation"])
def test_the_score_without_a_packet_is_that_of_a_row_without_it(bundle, inference, task):
    evidence, occlusion = demo()[task], Occlusion(bundle, task)
    looked_at = 0
    for place in range(0, len(evidence.rows), 3):
        packets, context, protocol = plain(evidence.batch, place)
        found = occlusion.without_packets(evidence.batch.take(slice(place, place + 1)))
        if len(packets) == 1:
            assert found == ()
            continue
        first = evidence.rows[place].sequence_index == 0
        rows = [(left_out(packets, k, first=first), context, protocol) for k in range(len(packets))]
        expected = score(bundle, inference, task, rows)
        assert found == tuple(expected.tolist())
        looked_at += len(found)
    assert looked_at >= 10


def test_gaps_are_clipped_and_the_first_of_a_flow_has_none():
    row = empty_rows(16, 1)
    row.length[0], row.protocol[0] = 3, 6
    row.interarrival_us[0, :3] = [7, 50_000_000, 20_000_000]
    row.direction[0, :3] = [1, -1, 1]

    gaps = without_each_packet(row).interarrival_us[:, :3].tolist()
    assert gaps == [[0, 20_000_000, 0], [7, 60_000_000, 0], [7, 50_000_000, 0]]
    row.sequence_index[0] = 2
    assert without_each_packet(row).interarrival_us[0, :2].tolist() == [50_000_007, 20_000_000]
    assert row.interarrival_us[0, :3].tolist() == [7, 50_000_000, 20_000_000]  # untouched


PLACE = {"ip_length": 0, "payload_length": 1, "interarrival": 2, "direction": 3, "tcp_flags": 4}
COUNTS = ("srv_1s", "srv_10s", "src_1s", "src_10s", "dst_1s", "dst_10s")


@pytest.mark.parametrize("task", ["syn_dos", "ssdp_flood", "ssl_renegotiation"])
def test_a_part_gets_the_values_of_benign_rows_packet_for_packet(bundle, inference, task):
    evidence, occlusion = demo()[task], Occlusion(bundle, task)
    scores = calibrate(bundle.tasks, bundle.golden.scores)
    thresholds = [each.threshold for each in bundle.tasks]
    benign = [
        plain(bundle.golden.rows, row)
        for row in range(len(scores))
        if all(s < t for s, t in zip(scores[row], thresholds, strict=True))
    ]
    assert len(benign) == len(benign_rows(bundle)) == occlusion.references > 20
    for place in (0, len(evidence.rows) // 2, len(evidence.rows) - 1):
        packets, context, protocol = plain(evidence.batch, place)
        row = evidence.batch.take(slice(place, place + 1))
        wanted = [part.fields for part in occlusion.parts]
        wanted += [(field,) for part in occlusion.parts for field in part.fields]
        for fields in wanted:
            changed = []
            for others, counts, transport in benign:
                if (transport == protocol) == (fields == ("protocol",)):
                    continue
                mine = [list(each) for each in packets]
                for k, packet in enumerate(mine):
                    for field in set(fields) & set(PLACE):
                        packet[PLACE[field]] = others[min(k, len(others) - 1)][PLACE[field]]
                context_of_it = [
                    counts[i] if name in fields else context[i] for i, name in enumerate(COUNTS)
                ]
                number = transport if "protocol" in fields else protocol
                changed.append((mine, context_of_it, number))
            expected = score(bundle, inference, task, changed).astype(np.float64).mean()
            assert occlusion.without(row, fields) == pytest.approx(expected, abs=1e-6)


def test_without_benign_rows_of_the_transport_nothing_is_said(bundle):
    row = empty_rows(16, 1)
    row.length[0], row.protocol[0], row.direction[0, 0] = 1, 132, 1  # SCTP
    occlusion = Occlusion(bundle, "scan")
    assert occlusion.without(row, ("ip_length",)) is None
    assert occlusion.without(row, ("protocol",)) is not None


def test_parts_hold_every_field_of_the_schema_but_the_mark_of_a_packet(bundle):
    fields = [field for part in Occlusion(bundle, "scan").parts for field in part.fields]
    assert sorted([*fields, "valid"]) == sorted([*bundle.schema.fields, *bundle.schema.context])


def measured(rtt, gaps, answered, usual):
    """A row of measurements."""
    row = empty_rows(4, 1, MEASURED_FIELDS)
    row.length[0] = len(rtt)
    for name, values in zip(MEASURED_FIELDS, (rtt, gaps, answered, usual), strict=True):
        getattr(row, name)[0, : len(rtt)] = values
    return row


def test_usual_is_the_rows_own_median_where_nothing_was_before():
    row = measured([9, 5, 0, 7], [0, 30, 10, 20], [1, 1, 0, 1], [0, 0, 8, 6])
    assert with_usual(row, "rtt").rtt.tolist() == [[7, 7, 0, 6]]
    calm = with_usual(row, "answered")
    assert calm.rtt.tolist() == [[9, 5, 8, 7]]
    assert calm.answered.tolist() == [[1, 1, 1, 1]]
    assert with_usual(row, "rtt_gap").rtt_gap.tolist() == [[10, 10, 10, 10]]
    silent = measured([0, 0], [0, 5], [0, 0], [0, 0])
    assert with_usual(silent, "rtt") is None
    assert with_usual(silent, "answered") is None
    known = measured([0, 0], [0, 5], [0, 0], [4, 3])
    assert with_usual(known, "answered").rtt.tolist() == [[4, 3, 0, 0]]


def test_gaps_of_measurements_are_clipped_and_the_first_of_a_series_has_none():
    row = measured([1, 2, 3], [7, 3_000_000, 1_000_000], [1, 1, 1], [0, 0, 0])
    row.row[0] = 9
    without = without_each_packet(row)
    assert without.rtt.tolist() == [[2, 3, 0, 0], [1, 3, 0, 0], [1, 2, 0, 0]]
    assert without.rtt_gap[:, :2].tolist() == [
        [3_000_007, 1_000_000],
        [7, 3_600_000],
        [7, 3_000_000],
    ]
    row.row[0], row.rtt_gap[0, 0] = 2, 0
    assert without_each_packet(row).rtt_gap[0, :2].tolist() == [0, 1_000_000]
