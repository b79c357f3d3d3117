"""Which rows of an incident are kept, against a plain second implementation."""

import numpy as np
import pytest

from sensor.alerts.kept_rows import FIRST, HIGHEST, SAMPLED, KeptRows, lots
from sensor.model.schema import FeatureSchema

KIND = np.dtype([("score", "f4"), ("number", "i8")])


def kept_of(scores, lot, sizes):
    """What is kept of rows that come in pieces of these sizes, the last one over and over."""
    kept, start = KeptRows(FeatureSchema(), KIND), 0
    while start < len(scores):
        stop = start + (sizes.pop(0) if len(sizes) > 1 else sizes[0])
        entering = kept.entering(scores[start:stop], lot[start:stop])
        records = np.zeros(entering.size, KIND)
        records["number"] = start + entering
        records["score"] = scores[records["number"]]
        kept.put(records)
        start = stop
    return kept


def plain(scores, lot):
    """The same rows by sorting everything, with the reasons for which each is kept."""
    rows = range(len(scores))
    wanted = (
        set(rows[:FIRST]),
        set(sorted(rows, key=lambda row: (-scores[row], row))[:HIGHEST]),
        set(sorted(rows, key=lambda row: lot[row])[:SAMPLED]),
    )
    union = sorted(set.union(*wanted))
    return union, [[row in each for each in wanted] for row in union]


@pytest.mark.parametrize("count", [1, 15, 16, 17, 33, 64, 65, 1000])
@pytest.mark.parametrize("sizes", [[1], [7], [5000], [20, 1, 300]])
def test_the_rows_kept_are_those_of_a_plain_sort_however_they_are_batched(count, sizes):
    random = np.random.default_rng(count)
    scores = random.integers(0, 40, count).astype(np.float32) / 40  # with many equal ones
    lot = lots(np.arange(count), random.integers(0, 3, count).astype(np.int32))
    kept = kept_of(scores, lot, list(sizes))
    union, why = plain(scores.tolist(), lot.tolist())
    assert kept.records["number"].tolist() == union
    assert kept.why().tolist() == why
    assert kept.seen == count


def test_a_row_enters_up_to_the_very_last_place_of_the_sample():
    lot = np.array([*range(10, 330, 10), 315, 316], np.uint64)
    kept = kept_of(np.linspace(1, 0.9, 34, dtype=np.float32), lot, [1])
    assert kept.records["number"].tolist() == [*range(31), 32]


def test_rising_scores_enter_and_equal_ones_do_not():
    count = 500
    lot = np.full(count, 2**64 - 2, np.uint64)
    lot[:SAMPLED] = np.arange(SAMPLED)
    rising = kept_of(np.linspace(0, 1, count, dtype=np.float32), lot, [9])
    assert rising.records["number"].tolist() == [*range(SAMPLED), *range(count - HIGHEST, count)]
    level = kept_of(np.ones(count, np.float32), lot, [9])
    assert level.records["number"].tolist() == [*range(SAMPLED)]


def test_every_row_is_as_likely_to_be_sampled():
    """Of 640 rows each is sampled in 1 of 20 incidents; 4,000 incidents, 5 standard deviations."""
    hits = np.zeros(640)
    for incident in range(4_000):
        ordinal = np.arange(incident * 640, (incident + 1) * 640)
        lot = lots(ordinal, np.zeros(640, np.int32))
        hits[np.argsort(lot)[:SAMPLED]] += 1
    expected = 4_000 * SAMPLED / 640
    assert np.abs(hits - expected).max() < 5 * np.sqrt(expected)


def test_lots_are_those_of_splitmix64():
    """The first output of the generator of Java's SplittableRandom with seed 0, worked out here."""

    def mix(value):
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
        return value ^ (value >> 31)

    golden = 0x9E3779B97F4A7C15
    assert mix(golden) == 0xE220A8397B1DCDAF  # published: SplitMix64(0)
    ordinal, row = np.array([1, 0, 2**40 + 7]), np.array([0, 1, 3], np.int32)
    other = 0xD1B54A32D192ED03
    sums = (ordinal.astype(object) * golden + row.astype(object) * other) % 2**64
    assert lots(ordinal, row).tolist() == [mix(value) for value in sums]
