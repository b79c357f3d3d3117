"""What is learnt from, tuned on and tested on: 60, 20 and 20 % (latency paper, section 3.1)."""

from itertools import pairwise

PARTS = ("train", "validation", "test")


def spans(length: int) -> dict[str, slice]:
    """Places of the first 60 %, the next 20 % and the last 20 % of so many measurements."""
    ends = (0, length * 3 // 5, length * 4 // 5, length)
    return {part: slice(*span) for part, span in zip(PARTS, pairwise(ends), strict=True)}
