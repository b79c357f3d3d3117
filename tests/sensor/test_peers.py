"""Who has a series, and for how long its failures count."""

import numpy as np

from sensor.latency.measurements import ECHO_KIND, MEASUREMENT, SYN_ACK_KIND, SYN_KIND
from sensor.latency.peers import KNOWN_NS, SERIES, SeriesTable

ANSWERED, FAILED, REFUSED = (True, False), (False, False), (True, True)


def found(*each):
    """Measurements from (seconds, peer, port, kind, how it ended)."""
    records = np.zeros(len(each), MEASUREMENT)
    for record, (seconds, peer, port, kind, (answered, refused)) in zip(records, each, strict=True):
        record["decided_ns"] = seconds * 10**9
        record["version"] = 6 if peer >> 32 else 4
        record["destination_high"], record["destination_low"] = peer >> 64, peer & (1 << 64) - 1
        record["destination_port"], record["kind"] = port, kind
        record["answered"], record["refused"] = answered, refused
    return records


def placed(table, *each):
    """Which of the measurements belong to a series, and to which."""
    got = table.place(found(*each))
    table.make_room(len(each))
    return list(zip(got.chosen.tolist(), got.ordinal.tolist(), strict=True))


def test_a_peer_has_a_series_from_its_first_answer_on():
    table = SeriesTable()
    assert placed(
        table,
        (1, 7, 80, SYN_KIND, FAILED),
        (2, 7, 80, SYN_KIND, REFUSED),
        (3, 7, 80, SYN_KIND, ANSWERED),
        (4, 7, 80, SYN_KIND, FAILED),
        (5, 7, 80, SYN_KIND, REFUSED),
        (6, 8, 80, SYN_KIND, FAILED),
    ) == [(2, 0), (3, 0), (4, 0)]
    assert placed(table, (7, 7, 80, SYN_KIND, FAILED)) == [(0, 0)]
    assert (table.begun, table.held, table.unknown) == (1, 1, 2)


def test_kinds_ports_and_versions_are_series_of_their_own():
    table = SeriesTable()
    six = 1 << 70
    got = placed(
        table,
        (1, 7, 80, SYN_KIND, ANSWERED),
        (1, 7, 81, SYN_KIND, ANSWERED),
        (1, 7, 80, SYN_ACK_KIND, ANSWERED),
        (1, 7, 81, SYN_ACK_KIND, ANSWERED),
        (1, 7, 0, ECHO_KIND, ANSWERED),
        (1, six | 7, 0, ECHO_KIND, ANSWERED),
        (1, six << 1 | 7, 0, ECHO_KIND, ANSWERED),
        (1, 7, 80, SYN_KIND, ANSWERED),
    )
    assert [series for _, series in got] == [0, 1, 2, 2, 3, 4, 5, 0]
    # IPv4 alone has short keys: the same series
    assert placed(table, (2, 7, 80, SYN_KIND, FAILED)) == [(0, 0)]


def test_silence_of_ten_minutes_fails_nothing_more():
    table, least = SeriesTable(), KNOWN_NS // 10**9
    assert least == 600
    answered = (10, 7, 0, ECHO_KIND, ANSWERED)
    late = (10 + least + 1, 7, 0, ECHO_KIND, FAILED)
    assert placed(table, answered, (10 + least, 7, 0, ECHO_KIND, FAILED), late) == [(0, 0), (1, 0)]
    assert placed(table, late) == []
    again = (10 + least + 2, 7, 0, ECHO_KIND, REFUSED)
    assert placed(table, again, (10 + least + 3, 7, 0, ECHO_KIND, FAILED)) == [(0, 0), (1, 0)]
    assert (table.begun, table.unknown) == (1, 2)


def test_failures_of_strangers_hold_no_place():
    table = SeriesTable()
    for start in range(0, 3 * SERIES, 1_024):
        assert (
            placed(table, *((1, start + k + 1, 0, ECHO_KIND, FAILED) for k in range(1_024))) == []
        )
        assert table.held == 0
    assert (table.unknown, table.evicted) == (3 * SERIES, 0)


def test_the_longest_silent_make_room_of_equals_the_first():
    table = SeriesTable()
    for second in range(3):
        first = 1_024 * second + 1
        placed(table, *((second, first + k, 0, ECHO_KIND, ANSWERED) for k in range(1_024)))
    assert (table.held, table.evicted) == (3_072, 0)
    again = [(3, 1 + k, 0, ECHO_KIND, ANSWERED) for k in range(1_000)]
    new = [(3, 9_000 + k, 0, ECHO_KIND, ANSWERED) for k in range(20)]
    placed(table, *again, *new, *again[:4])
    assert (table.held, table.evicted) == (3_072, 20)
    known = placed(
        table, *((4, k, 0, ECHO_KIND, FAILED) for k in (1, 1_000, 1_001, 1_020, 1_021, 9_000))
    )
    assert [place for place, _ in known] == [0, 1, 4, 5]
