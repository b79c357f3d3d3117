"""Questions that wait: how many are held, and which of them make room."""

import numpy as np
import pytest
from frames import SYN, TCP
from latency_traffic import SECOND, START

from sensor.latency.measurements import SYN_KIND
from sensor.latency.probes import MOST, PIECE, SLOTS, Probes
from sensor.latency.questions import connections_and_echoes
from sensor.latency.round_trips import RoundTrips
from sensor.packets.headers import COLUMN_TYPES, Headers


def segments(time, flags, source, destination, sequence, acknowledged=0):
    """TCP segments without payload, as decoded columns."""
    count = len(time)
    columns = {name: np.zeros(count, kind) for name, kind in COLUMN_TYPES.items()}
    columns["timestamp_ns"][:] = time
    columns["version"][:], columns["protocol"][:] = 4, TCP
    columns["source_low"][:], columns["destination_low"][:] = source, destination
    columns["source_port"][:], columns["destination_port"][:] = 1_000, 1_000
    columns["tcp_flags"][:] = flags
    columns["sequence_numbers"][:] = np.asarray(sequence) * 2**32 + np.asarray(acknowledged)
    return Headers(**columns)


def flood(count, first=0):
    """SYNs of as many hosts, a microsecond apart."""
    numbers = np.arange(first, first + count)
    return segments(START + numbers * 1_000, SYN, 0x0A000001 + numbers, 0xC0000201, numbers)


@pytest.mark.parametrize("size", [333, 4_096, 16_384])
def test_the_oldest_half_makes_room_in_a_flood(size):
    trips, everything = RoundTrips(), flood(40_000)
    for start in range(0, 40_000, size):
        part = slice(start, start + size)
        trips.add(Headers(*(getattr(everything, name)[part] for name in COLUMN_TYPES)))
        assert trips.waiting <= SLOTS
    # with the 28,672nd packet (7 · 4,096) 4,096 places are free, and 16,384 questions stay; so
    # again 12,288 packets later, which is beyond the end
    assert trips.evicted == 28_672 - SLOTS // 2
    assert trips.waiting == 40_000 - trips.evicted
    # those that stayed fail after 3 s, each at its own time, and they are the latest ones
    failed = trips.finish()
    assert failed.size == trips.waiting + failed.size == 40_000 - trips.evicted
    assert (failed["decided_ns"] == failed["sent_ns"] + 3 * SECOND).all()
    np.testing.assert_array_equal(failed["number"], np.arange(trips.evicted, 40_000))
    assert not failed["answered"].any()


def test_questions_and_answers_of_a_piece_always_fit():
    """Answers without a question take a place while their piece is looked at, and no longer."""
    probes = Probes(SECOND, (SYN_KIND,), certain=False)
    number = np.arange(PIECE)
    both = segments(START + number, SYN | 0x10, 1 + number, 9_999, number, number)
    clock = both.timestamp_ns
    for piece in range(8):
        questions = connections_and_echoes(both)
        assert len(questions) == MOST * PIECE
        probes.add(both, questions, clock + piece, piece * PIECE)
        assert probes.held == PIECE
        probes.make_room()
    assert probes.evicted == 0


def test_a_later_question_of_the_same_key_begins_when_the_first_one_is_over():
    """SYNs at 0, 1, 3, 3 s and 1 ns, 7 s: two failures, of the first and of the one after 3 s."""
    times = START + np.array([0, 1, 3, 3, 7]) * SECOND + np.array([0, 0, 0, 1, 0])
    trips = RoundTrips()
    found = trips.add(segments(times, SYN, 1, 2, 5))
    assert (found["decided_ns"] - START).tolist() == [3 * SECOND, 6 * SECOND + 1]
    assert found["number"].tolist() == [0, 3]
    assert (trips.finish()["decided_ns"] - START).tolist() == [10 * SECOND]
