import numpy as np
import pytest

from sensor.model.seen import PLACES, SeenSequences


def sequences(count, width, seed):
    """Distinct words, random hashes, and scores of their own."""
    generator = np.random.default_rng(seed)
    words = generator.integers(1, 2**64, (count, width), dtype=np.uint64)
    hashed = generator.integers(0, 2**64, count, dtype=np.uint64)
    return words, hashed, generator.random((count, 3), np.float32)


def test_nothing_is_known_at_first():
    words, hashed, _ = sequences(100, 2, seed=1)
    hashed[:10] = 0
    assert not SeenSequences(2, 3).find(words, hashed)[1].any()


def test_what_was_remembered_is_found_in_any_order():
    words, hashed, scores = sequences(200, 5, seed=2)
    hashed[:] = (np.arange(200) * 7) << 32  # a place for each
    seen = SeenSequences(5, 3)
    seen.remember(words[:150], hashed[:150], scores[:150])
    order = np.random.default_rng(3).permutation(200)
    found, known = seen.find(words[order], hashed[order])
    np.testing.assert_array_equal(known, order < 150)
    np.testing.assert_array_equal(found[known], scores[order][known])


@pytest.mark.parametrize("places", [1, 50, PLACES])
def test_sequences_at_the_same_place_replace_each_other_and_keep_their_own_scores(places):
    words, hashed, scores = sequences(3_000, 2, seed=4)
    hashed = hashed % np.uint64(places) << np.uint64(32)
    seen = SeenSequences(2, 3)
    for start in range(0, 3_000, 700):
        part = slice(start, start + 700)
        seen.remember(words[part], hashed[part], scores[part])
        found, known = seen.find(words, hashed)
        np.testing.assert_array_equal(found[known], scores[known])
        # one at each place that is taken
        assert np.count_nonzero(known) == np.unique(hashed[: start + 700]).size


def test_each_word_counts():
    words, hashed, scores = sequences(1, 5, seed=5)
    seen = SeenSequences(5, 3)
    seen.remember(words, hashed, scores)
    for i in range(5):
        other = words.copy()
        other[0, i] ^= np.uint64(1)
        assert not seen.find(other, hashed)[1].any()
    assert seen.find(words, hashed)[1].all()
