"""Where the records of a capture file lie: following a chain of lengths without a Python loop.

A record's place is known only from the record before it, so the chain looks sequential. It is
cut into parts instead: a plausible record start is *guessed* in each part, all parts are walked
together, one record of each at a time, and a part counts only if the part before it ends exactly
on its start. Where it does not, the chain is walked record by record until it meets a start
again. A wrong guess therefore costs time, never correctness.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_PART_BYTES = 16_384
_WINDOW_BYTES = 2_048  # longer than a record of an ordinary Ethernet frame
_MAX_CANDIDATES = 16  # guesses tried in a part before it is given up
_STEPS = 16  # records between two looks at whether all parts are through
_CHAINED = 3  # headers in a row that make a guess plausible
_MOST_STEPS = 2_048  # records of one part that are walked together; a part has room for half

Offsets = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Chain:
    """How the records of a format follow one another.

    Attributes:
        header_bytes: without which a record is not looked at.
        length_at: where its 32-bit length lies.
        added: what that length leaves out.
        least: bytes that a record takes at least, whatever it claims, so that a walk ends.
        plausible: of ``(buffer, candidates, first, end, order)``, which candidates look like the
            start of a record of the same capture as the record at `first`.
        sieve: of ``(buffer, first, order)``, a byte that most records have in common with the
            record at `first`: its distance from a record's start, and its value.
    """

    header_bytes: int
    length_at: int
    added: int
    least: int
    plausible: Callable[[Bytes, Offsets, int, int, str], NDArray[np.bool_]]
    sieve: Callable[[Bytes, int, str], tuple[int, int]]


def walk(buffer: Bytes, start: int, end: int, order: str, chain: Chain) -> Offsets:
    """Starts of the record headers that lie whole in ``buffer[start:end]``.

    The lengths are followed whatever they say; the caller checks them. The last record may reach
    past `end`.

    Args:
        buffer: ``(bytes,)``; at least 32 bytes past `end` are readable.
        start: where a record begins.
        end: first byte that does not belong to the file.
        order: ``<`` or ``>``, the byte order of the file.
        chain: the format.

    Returns:
        ``(records,)`` int64, ascending.
    """
    parts = (end - start) // _PART_BYTES
    if parts < 8:
        return _walk_singly(buffer, start, end, order, chain, np.empty(0, np.int64))[0]
    starts = _guess_starts(buffer, start, end, order, chain, parts)
    limits = np.append(starts[1:], end - chain.header_bytes + 1)
    steps, after = _walk_together(buffer, starts, limits, end, order, chain)
    if after[-1] >= limits[-1] and (after[:-1] == starts[1:]).all():
        table = steps.T
        records: Offsets = table[table < limits[:, None]]
        return records
    limits = np.minimum(limits, after)
    pieces = []
    part, position = 0, start
    while part < starts.size or position <= end - chain.header_bytes:
        if part == starts.size or position != starts[part]:
            # The guess was wrong, or a record is longer than a part, or the part was left early.
            piece, position = _walk_singly(buffer, position, end, order, chain, starts[part:])
            pieces.append(piece)
            part = int(np.searchsorted(starts, position))
            continue
        column = steps[:, part]
        pieces.append(column[column < limits[part]])
        position = int(after[part])
        part += 1
    return np.concatenate(pieces)


def _walk_singly(
    buffer: Bytes, position: int, end: int, order: str, chain: Chain, meeting: Offsets
) -> tuple[Offsets, int]:
    """Walks record by record until one of the starts in `meeting` is hit, or to the end.

    Returns the records passed and the position reached: a meeting point, or one at which no
    whole header lies any more.
    """
    length_from = struct.Struct(f"{order}I").unpack_from
    octets = buffer.data
    length_at, added, least = chain.length_at, chain.added, chain.least
    last = end - chain.header_bytes
    known = set(meeting.tolist())
    records = []
    while position <= last and position not in known:
        records.append(position)
        position += max(added + length_from(octets, position + length_at)[0], least)
    return np.array(records, np.int64), position


def _walk_together(
    buffer: Bytes, starts: Offsets, limits: Offsets, end: int, order: str, chain: Chain
) -> tuple[Offsets, Offsets]:
    """Walks all parts in step, each from its start to the first record at or past its limit.

    A part of very many records (its neighbours had no start, and theirs are short) is left before
    that: every step takes memory for all parts.

    Returns ``(steps, parts)`` positions, of which those below a part's limit are its records, and
    for each part the position that it came to.
    """
    lengths = np.ndarray((end + 1,), f"{order}u4", buffer, chain.length_at, (1,))
    rounds = [starts[None, :]]
    cursor = starts
    while len(rounds) <= _MOST_STEPS // _STEPS and (cursor < limits).any():
        block = np.empty((_STEPS, starts.size), np.int64)
        for following in block:
            length = lengths[cursor]
            if chain.added:
                np.add(cursor, length, out=following)
                np.add(following, chain.added, out=following)
            else:
                np.add(cursor, np.maximum(length, chain.least), out=following)
            np.minimum(following, end, out=following)
            cursor = following
        rounds.append(block)
    steps = np.concatenate(rounds)
    passed = np.minimum((steps < limits).sum(axis=0), len(steps) - 1)
    return steps, steps[passed, np.arange(starts.size)]


def _guess_starts(
    buffer: Bytes, start: int, end: int, order: str, chain: Chain, parts: int
) -> Offsets:
    """A plausible record start in each part where one is found; the first is `start` itself."""
    step = (end - start) // parts
    rows = parts - 1
    distance, value = chain.sieve(buffer, start, order)
    first = start + step
    windows = np.ndarray((rows, _WINDOW_BYTES), np.uint8, buffer, first + distance, (step, 1))
    hits = np.flatnonzero((windows == value).ravel())
    part = hits // _WINDOW_BYTES
    candidates = first + part * step + hits % _WINDOW_BYTES
    likely = chain.plausible(buffer, candidates, start, end, order)
    candidates, part = candidates[likely], part[likely]
    rank = np.arange(part.size) - np.searchsorted(part, part)
    candidates, part = candidates[rank < _MAX_CANDIDATES], part[rank < _MAX_CANDIDATES]
    chained = np.ones(candidates.size, np.bool_)
    lengths = np.ndarray((end + 1,), f"{order}u4", buffer, chain.length_at, (1,))
    cursor = candidates
    for _ in range(_CHAINED):
        # A chain that runs off the end has nothing more to be judged by.
        beyond = cursor + chain.header_bytes > end
        chained &= chain.plausible(buffer, cursor, start, end, order) | beyond
        taken = lengths[cursor].astype(np.int64) + chain.added
        cursor = np.minimum(cursor + np.maximum(taken, chain.least), end)
    candidates, part = candidates[chained], part[chained]
    first_of_part = np.append(True, part[1:] != part[:-1])[: part.size]
    # they ascend with their parts, but one may lie beyond the part in which it was looked for
    found = np.maximum.accumulate(np.append(start, candidates[first_of_part]))
    starts: Offsets = found[np.append(True, found[1:] > found[:-1])]
    return starts
