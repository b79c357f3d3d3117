"""Damaged frames by the million, in blocks of thousands: the decoder against the reference.

The fuzzer's corpus gives the frames; a seed decides which are taken, what is damaged, and when
each of them comes. Unguided, but a thousand times as fast as guided fuzzing, and long enough for
the memory of fragments and the limit of the slow path to come into play.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import targets
from reference_decode import Frame

BATCH = 20_000
CORPUS = Path(__file__).parent / "corpus/decoder"


def originals() -> list[Frame]:
    """All frames of the corpus."""
    return [
        frame for path in sorted(CORPUS.iterdir()) for frame in targets.frames_of(path.read_bytes())
    ]


def batch(known: list[Frame], seed: int) -> list[Frame]:
    """`BATCH` frames of any link type, most of them damaged."""
    chance = random.Random(seed)
    return list(_damaged(known, chance))


def _damaged(known: list[Frame], chance: random.Random) -> Iterator[Frame]:
    time_ns = targets.START_NS
    # now and then slow enough for all fragments to be too old, now and then many in a second
    step_ns = chance.choice((1_000, 100_000, 5_000_000, 3_000_000_000))
    for frame in chance.choices(known, k=BATCH):
        time_ns += chance.randrange(2 * step_ns)
        octets = frame.octets
        damage = chance.random()
        if damage < 0.6 and octets:
            content = bytearray(octets)
            for _ in range(chance.choice((1, 1, 1, 2, 5))):
                content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            octets = bytes(content)
        elif damage < 0.75:
            octets = octets[: chance.randrange(len(octets) + 1)]
        yield frame._replace(time_ns=time_ns, octets=octets)


def examine(seed: int) -> int:
    """Compares a batch; the number of its frames.

    Raises:
        AssertionError: decoder and reference differ.
    """
    frames = batch(_known(), seed)
    targets.compare(frames)
    return len(frames)


_cache: list[Frame] = []


def _known() -> list[Frame]:
    if not _cache:
        _cache.extend(originals())
    return _cache
