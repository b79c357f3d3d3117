"""Where the records of a classic pcap lie: following the chain of lengths without a Python loop.

A record's place is known only from the record before it, so the chain looks sequential. It is
cut into parts instead: a plausible record start is *guessed* in each part, all parts are walked
together, one record of each at a time, and a part counts only if the part before it ends exactly
on its start. Where it does not, the chain is walked record by record until it meets a start
again. A wrong guess therefore costs time, never correctness.
"""

import struct

import numpy as np
from numpy.typing import NDArray

RECORD_HEADER_BYTES = 16
"""Seconds, fraction, captured length, wire length: four 32-bit words."""

MAX_CAPTURED_BYTES = 262_144
"""libpcap's MAXIMUM_SNAPLEN: no tool writes a longer Ethernet record."""

_PART_BYTES = 16_384
_WINDOW_BYTES = 2_048  # longer than a record of an ordinary Ethernet frame
_MAX_CANDIDATES = 16  # guesses tried in a part before it is given up
_PLAUSIBLE_SPAN_S = 2 * 86_400
_STEPS = 16  # records between two looks at whether all parts are through

Offsets = NDArray[np.int64]


def walk(buffer: NDArray[np.uint8], start: int, end: int, order: str) -> Offsets:
    """Starts of the record headers that lie whole in ``buffer[start:end]``.

    The captured lengths are followed whatever they say; the caller checks them. The last record's
    frame may reach past `end`.

    Args:
        buffer: ``(bytes,)``; at least 16 bytes past `end` are readable.
        start: where a record begins.
        end: first byte that does not belong to the file.
        order: ``<`` or ``>``, the byte order of the file.

    Returns:
        ``(records,)`` int64, ascending.
    """
    parts = (end - start) // _PART_BYTES
    if parts < 8:
        return _walk_singly(buffer, start, end, order, np.empty(0, np.int64))[0]
    starts = _guess_starts(buffer, start, end, order, parts)
    limits = np.append(starts[1:], end - RECORD_HEADER_BYTES + 1)
    steps, after = _walk_together(buffer, starts, limits, end, order)
    if (after[:-1] == starts[1:]).all():
        table = steps.T
        records: Offsets = table[table < limits[:, None]]
        return records
    pieces = []
    part, position = 0, start
    while part < starts.size:
        if position != starts[part]:
            # The guess was wrong, or a record is longer than a part.
            piece, position = _walk_singly(buffer, position, end, order, starts[part:])
            pieces.append(piece)
            part = int(np.searchsorted(starts, position))
            continue
        column = steps[:, part]
        pieces.append(column[column < limits[part]])
        position = int(after[part])
        part += 1
    return np.concatenate(pieces)


def _walk_singly(
    buffer: NDArray[np.uint8], position: int, end: int, order: str, meeting: Offsets
) -> tuple[Offsets, int]:
    """Walks record by record until one of the starts in `meeting` is hit, or to the end.

    Returns the records passed and the position reached: a meeting point, or one at which no
    whole header lies any more.
    """
    length_at = struct.Struct(f"{order}I").unpack_from
    octets = buffer.data
    last = end - RECORD_HEADER_BYTES
    known = set(meeting.tolist())
    records = []
    while position <= last and position not in known:
        records.append(position)
        position += RECORD_HEADER_BYTES + length_at(octets, position + 8)[0]
    return np.array(records, np.int64), position


def _walk_together(
    buffer: NDArray[np.uint8], starts: Offsets, limits: Offsets, end: int, order: str
) -> tuple[Offsets, Offsets]:
    """Walks all parts in step, each from its start to the first record at or past its limit.

    Returns ``(steps, parts)`` positions, of which those below a part's limit are its records, and
    for each part the position at which it left.
    """
    length_at = np.ndarray((end + 1,), f"{order}u4", buffer, 8, (1,))
    rounds = [starts[None, :]]
    cursor = starts
    while (cursor < limits).any():
        block = np.empty((_STEPS, starts.size), np.int64)
        for following in block:
            np.add(cursor, length_at[cursor], out=following)
            np.add(following, RECORD_HEADER_BYTES, out=following)
            np.minimum(following, end, out=following)
            cursor = following
        rounds.append(block)
    steps = np.concatenate(rounds)
    passed = (steps < limits).sum(axis=0)
    return steps, steps[passed, np.arange(starts.size)]


def _guess_starts(
    buffer: NDArray[np.uint8], start: int, end: int, order: str, parts: int
) -> Offsets:
    """A plausible record start in each part where one is found; the first is `start` itself.

    Plausible are three record headers in a chain whose times lie near the first record's.
    """
    words = np.ndarray((end + 1, 4), f"{order}u4", buffer, 0, (1, 4))
    first_seconds = int(words[start, 0])
    top = (start + 3 if order == "<" else start, first_seconds >> 24)
    step = (end - start) // parts
    rows = parts - 1
    # The top byte of the seconds is the same for half a year: a cheap first sieve.
    windows = np.ndarray((rows, _WINDOW_BYTES), np.uint8, buffer, top[0] + step, (step, 1))
    hits = np.flatnonzero((windows == top[1]).ravel())
    part = hits // _WINDOW_BYTES
    candidates = start + step + part * step + hits % _WINDOW_BYTES
    near = np.abs(words[candidates, 0].astype(np.int64) - first_seconds) < _PLAUSIBLE_SPAN_S
    candidates, part = candidates[near], part[near]
    rank = np.arange(part.size) - np.searchsorted(part, part)
    candidates, part = candidates[rank < _MAX_CANDIDATES], part[rank < _MAX_CANDIDATES]
    plausible = np.ones(candidates.size, np.bool_)
    cursor = candidates
    for _ in range(3):
        header = words[cursor].astype(np.int64)
        fits = (header[:, 2] <= MAX_CAPTURED_BYTES) & (header[:, 2] <= header[:, 3])
        fits &= (header[:, 3] <= MAX_CAPTURED_BYTES) & (header[:, 1] < 1_000_000_000)
        fits &= np.abs(header[:, 0] - first_seconds) < _PLAUSIBLE_SPAN_S
        # A chain that runs off the end has nothing more to be judged by.
        plausible &= fits | (cursor + RECORD_HEADER_BYTES > end)
        cursor = np.minimum(cursor + RECORD_HEADER_BYTES + header[:, 2], end)
    candidates, part = candidates[plausible], part[plausible]
    _, firsts = np.unique(part, return_index=True)
    return np.unique(np.append(candidates[firsts], start))
