"""The key index against a dictionary, under insertion, deletion and crowding."""

import numpy as np

from sensor.flows.index import FIRST_SLOT, KeyIndex


def test_agrees_with_a_dictionary():
    random = np.random.default_rng(1)
    index, model = KeyIndex(500, 4), {}
    for _ in range(400):
        # few distinct values a word, so that keys share words and repeat within a call; the
        # second word tells short keys from long ones
        asked = random.integers(0, 8, (4, int(random.integers(0, 60))), dtype=np.uint64)
        long = random.random(asked.shape[1]) < 0.5
        asked[1, long] += 100
        asked[2:, ~long] = 0
        names = list(map(tuple, asked.T.tolist()))
        if not long.any():
            asked = asked[:2]
        if len(set(names) | set(model)) > 500:
            continue
        slots, created = index.find(asked, long)
        new = dict(zip(names, slots.tolist(), strict=True))
        assert all(new[name] == slot for name, slot in zip(names, slots.tolist(), strict=True))
        assert all(model.get(name, slot) == slot for name, slot in new.items())
        assert sorted(created) == sorted(slot for name, slot in new.items() if name not in model)
        model.update(new)
        assert len(set(model.values())) == len(model)
        assert min(model.values(), default=FIRST_SLOT) >= FIRST_SLOT
        assert index.free == 500 - len(model)
        leaving = [name for name in model if random.random() < 0.3]
        index.delete(np.array([model.pop(name) for name in leaving], np.int32))


def test_every_slot_can_be_used_and_used_again():
    index = KeyIndex(64, 2)
    for turn in range(50):
        keys = np.stack((np.arange(64, dtype=np.uint64), np.full(64, turn, np.uint64)))
        slots, created = index.find(keys)
        assert sorted(slots.tolist()) == list(range(FIRST_SLOT, FIRST_SLOT + 64))
        assert created.size == 64
        assert index.free == 0
        again, created = index.find(keys)
        assert again.tolist() == slots.tolist()
        assert not created.size
        index.delete(slots)


def test_a_key_that_comes_and_goes_finds_its_way_no_longer():
    """Nor do keys that take turns, so that there is always one behind a deleted cell."""
    index = KeyIndex(64, 2)
    index._mask = np.int64(7)  # all cells but eight are out of reach, so keys do meet
    index._hash = lambda words, _: (words[0] & np.uint64(3)).view(np.int64)
    keys = np.stack((np.arange(4, dtype=np.uint64), np.zeros(4, np.uint64)))
    slots, _ = index.find(keys)
    slot_of = dict(enumerate(slots.tolist()))
    for turn in range(200):
        leaving = turn % 4
        index.delete(np.array([slot_of[leaving]], np.int32))
        (slot,), _ = index.find(keys[:, leaving : leaving + 1])
        slot_of[leaving] = int(slot)
        assert index._deleted <= 4
        assert index.find(keys)[0].tolist() == list(slot_of.values())
    assert np.count_nonzero(index._cells == 0) >= index._cells.size - 8


def test_two_processes_hash_differently():
    keys = np.arange(200, dtype=np.uint64).reshape(2, 100)
    first, second = (KeyIndex(100, 2)._hash(keys, None).tolist() for _ in "12")
    assert first != second


def test_keys_that_differ_in_their_top_bits_only_do_not_collide():
    index = KeyIndex(4_096, 6)
    top = np.arange(4_096, dtype=np.uint64)
    words = np.zeros((6, 4_096), np.uint64)
    for word in range(2, 5):
        words[word] = (top >> np.uint64(4 * (word - 2)) & np.uint64(15)) << np.uint64(60)
    cells = np.unique(index._hash(words, None))
    # 4,096 balls in 8,192 or 16,384 cells hit at least 39 % of their number apart
    assert cells.size > 2_500


def test_a_difference_in_one_word_is_not_undone_in_the_next():
    """Of keys made to meet: where words are mixed one after the other, 256 are one for the hash."""
    index = KeyIndex(1 << 16, 6)
    first, second = (each.ravel() for each in np.meshgrid(*[np.arange(256, dtype=np.uint64)] * 2))
    for word in range(2, 5):
        words = np.zeros((6, first.size), np.uint64)
        words[word] = first << np.uint64(56)
        words[word + 1] = second << np.uint64(56) | second << np.uint64(24)
        # 2^16 balls in 2^18 cells hit some 58,000; fewer than 50,000 in none of 10^9 processes
        assert np.unique(index._hash(words, None)).size > 50_000


def test_halves_of_a_word_have_secrets_of_their_own():
    """Nor do words: of keys whose parts have one sum, all would meet."""
    index = KeyIndex(1 << 16, 6)
    part = np.arange(1 << 16, dtype=np.uint64)
    for parts in ((1, 0), (2, 0), (5, 4), (11, 10), (11, 1)):
        words = np.zeros((6, part.size), np.uint64)
        for place, summand in zip(parts, (part, part[::-1]), strict=True):
            words[place // 2] |= summand << np.uint64(32 * (place % 2))
        assert np.unique(index._hash(words, None)).size > 50_000
