"""From raw integer columns to the model's inputs, on the grid of the feature schema.

Every packet field becomes one byte, its *code*; only `Encoded.expand` turns codes into the
float32 channels of the network. A dataset stores codes and the sensor compares them, so equal
sequences are equal bytes in both, on every machine: the boundaries of the logarithmic grid are
worked out in integers, not with a logarithm of some C library.

Codes of a field, by `Field.transform`:

- ``log2p1``: round(steps · log2(1 + raw)); its channel is code / scale;
- ``signed_log2p1``: that of the magnitude, and 128 more where the raw value is negative; its
  channel is ± code / scale;
- ``linear``: the raw value; its channel is code / scale;
- ``sign``: 1 for +1, 2 for −1, 0 for padding;
- ``bits``: the byte less the bits that have no channel;
- ``one_hot``: 1 + the position of the value, 0 for a value without a channel;
- ``one``: 1.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import CONTEXT_COLUMNS, SequenceBatch
from sensor.model.fields import CONTEXT_FIELDS, SEQUENCE_FIELDS, Field
from sensor.model.schema import FeatureSchema
from sensor.packets.headers import ICMP, ICMPV6

_WORD = 8
_NEGATIVE = 128
"""What a negative raw value adds to the code of its magnitude."""
_SIGN = np.uint16(0x8000)
"""Of a signed length: its magnitude stands in the other bits."""
_TABLE_SIZE = 65_536
_TABLE_END = np.uint32(_TABLE_SIZE - 1)
_LEAST_US = 1_000
"""Round-trip times are compared with a millisecond where others are less."""
_MOST = np.uint32(np.iinfo(np.uint32).max)
_ONE = np.ones((1, 1), np.uint8)

_ODD = np.array([pow(0xFF51AFD7ED558CCD, i + 1, 2**64) for i in range(512)], np.uint64)
"""Odd numbers without a pattern, one for each word of the longest row: MurmurHash3's multiplier."""

_Places = slice | list[int]
_Inputs = tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.intp]]
"""Values of the codes of one field after another, and for each input the place of its code in a
packed row and where its field's values begin."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows on the grid, one contiguous run of bytes a row.

    Attributes:
        schema: says what the bytes mean.
        packed: ``(b, row_bytes(schema, steps))`` uint8: the codes, the context codes, the length,
            and zeros up to a multiple of 8 bytes. Packets stand at the end of a row, padding
            (code 0 in every field) before them. A dataset stores this, with n steps.
        steps: packets that a row has room for, n or fewer.
    """

    schema: FeatureSchema
    packed: NDArray[np.uint8]
    steps: int

    def __len__(self) -> int:
        return len(self.packed)

    @property
    def codes(self) -> NDArray[np.uint8]:
        """``(b, steps, fields)``, left-padded."""
        k = len(self.schema.fields)
        return self.packed[:, : self.steps * k].reshape(len(self), self.steps, k)

    @property
    def context(self) -> NDArray[np.uint8]:
        """``(b, context fields)``."""
        start = self.steps * len(self.schema.fields)
        return self.packed[:, start : start + len(self.schema.context)]

    @property
    def length(self) -> NDArray[np.uint8]:
        """``(b,)`` packets in the row."""
        return self.packed[:, self.steps * len(self.schema.fields) + len(self.schema.context)]

    @property
    def words(self) -> NDArray[np.uint64]:
        """``(b, words)``, the packed rows as 64-bit words."""
        return self.packed.view(np.uint64)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "Encoded":
        """The given rows, in the given order."""
        return Encoded(self.schema, self.packed[rows], self.steps)

    def unique_rows(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Finds identical rows.

        Rows are compared by a 64-bit hash and then byte by byte: a row that shares its hash with
        a different one stands for itself, so a collision costs time and never a wrong score.

        Returns:
            ``(u,)`` a row for each distinct sequence, and ``(b,)`` the position of each row's
            representative among those u; so ``packed[first][inverse]`` equals ``packed``.
        """
        if len(self) == 1:
            return np.zeros(1, np.intp), np.zeros(1, np.intp)
        hashed, words = self.hashed(), self.words
        # numpy.unique is slower, and loads numpy.ma, which holds more than a megabyte.
        order = np.argsort(hashed, kind="stable")
        ranked = hashed[order]
        new = np.empty(order.size, np.bool_)
        new[:1] = True
        new[1:] = ranked[1:] != ranked[:-1]
        if new.all():
            return np.arange(order.size), np.arange(order.size)
        first = order[new]
        inverse = np.empty(order.size, np.intp)
        inverse[order] = np.cumsum(new) - 1
        foreign = np.flatnonzero((words[first[inverse]] != words).any(axis=1))
        inverse[foreign] = len(first) + np.arange(foreign.size)
        return np.concatenate([first, foreign]), inverse

    def hashed(self) -> NDArray[np.uint64]:
        """``(b,)`` 64-bit hash of each row, whose upper half depends on all of the row.

        Per 64-bit word a multiply by an odd number, a shift that carries high bits down, and
        another multiply, as in MurmurHash3's finalizer; the sum over the words.
        """
        odd = _ODD[: self.packed.shape[1] // _WORD]
        mixed = self.words * odd
        mixed ^= mixed >> np.uint64(32)
        hashed: NDArray[np.uint64] = mixed @ odd
        return hashed

    def expand(
        self, rows: NDArray[np.intp] | slice = slice(None), length: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The network's inputs for some rows.

        Args:
            rows: which, by default all of them.
            length: padded length, by default n; no chosen row may have more packets.

        Returns:
            ``x (rows, length, channels)`` and ``c (rows, context fields)``.
        """
        length = self.schema.n if length is None else length
        packed = self.packed[rows]
        x, c = (
            values.take(packed.take(places, axis=1) + offsets)
            for values, places, offsets in _inputs(self.schema, self.steps, length)
        )
        return x.reshape(len(packed), length, len(self.schema.channels)), c


def named(x: NDArray[np.float32], c: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The network's inputs by name; that of features without context has no ``c``."""
    return {"x": x, "c": c} if c.shape[1] else {"x": x}  # no tensor of TFLite is 0 wide


def row_bytes(schema: FeatureSchema, steps: int | None = None) -> int:
    """Bytes of an encoded row: a multiple of 8, so that rows are compared as 64-bit words.

    Args:
        schema: chooses the fields.
        steps: packets that the row has room for, by default n.
    """
    steps = schema.n if steps is None else steps
    used = steps * len(schema.fields) + len(schema.context) + 1
    return -(-used // _WORD) * _WORD


def encode(
    schema: FeatureSchema,
    batch: SequenceBatch,
    rows: NDArray[np.intp] | slice = slice(None),
    steps: int | None = None,
) -> Encoded:
    """Puts rows on the schema's grid.

    Args:
        schema: chooses and orders the fields.
        batch: rows of up to ``schema.n`` packets.
        rows: which of them, by default all.
        steps: packets that an encoded row has room for, by default n; no row may have more. Short
            rows with little room are cheap: a flood has one packet a row.
    """
    steps = schema.n if steps is None else steps
    length, context = batch.length[rows], batch.context[rows]
    b, k = length.size, len(schema.fields)
    packet_grids, flow_grids = _grids(schema)
    codes = np.empty((b, steps, k), np.uint8)  # packets where the raw columns have them
    for i, (name, grid) in enumerate(zip(schema.fields, packet_grids, strict=True)):
        codes[..., i] = grid.codes(_raw(name, batch, rows, steps))
    packed = np.zeros((b, row_bytes(schema, steps)), np.uint8)
    # Packets move from the row's beginning to its end, all fields of one in a step.
    held = np.arange(steps, dtype=np.uint16) < length[:, None]
    if held.all():
        packed[:, : steps * k] = codes.reshape(b, steps * k)
    else:
        whole = np.dtype((np.void, k))
        packed[:, : steps * k].view(whole)[held[:, ::-1]] = codes.view(whole)[..., 0][held]
    for grid, places, columns in flow_grids:
        packed[:, steps * k :][:, places] = grid.codes(context[:, columns])
    packed[:, steps * k + len(schema.context)] = length
    return Encoded(schema, packed, steps)


def _raw(
    name: str, batch: SequenceBatch, rows: NDArray[np.intp] | slice, steps: int
) -> NDArray[np.unsignedinteger]:
    """Raw values of one field, ``(b, steps)`` or what broadcasts to it, unsigned."""
    if name == "valid":
        return _ONE
    if name == "protocol":
        return batch.protocol[rows][:, None]
    if name == "signed_length":
        length = np.minimum(batch.ip_length[rows, :steps], _SIGN - np.uint16(1))
        signed: NDArray[np.uint16] = length | _SIGN * (batch.direction[rows, :steps] < 0)
        return signed
    if name == "rtt_above":
        return _above_least(batch.rtt[rows, :steps], batch.answered[rows, :steps] > 0)
    if name == "rtt_raised":
        usual = batch.rtt_usual[rows, :steps]
        return _above(
            batch.rtt[rows, :steps], usual, (batch.answered[rows, :steps] > 0) & (usual > 0)
        )
    attribute = "interarrival_us" if name == "interarrival" else name
    column: NDArray[np.unsignedinteger] = getattr(batch, attribute)[rows, :steps]
    return column.view(np.uint8) if column.dtype == np.int8 else column


def _above_least(
    rtt: NDArray[np.uint32], answered: NDArray[np.bool_]
) -> NDArray[np.unsignedinteger]:
    """Thousandths ``(b, steps)`` by which round-trip times are above the least of their row."""
    least = np.where(answered, rtt, _MOST).min(axis=1, keepdims=True, initial=_MOST)
    return _above(rtt, least, answered)


def _above(
    rtt: NDArray[np.uint32], base: NDArray[np.uint32], there: NDArray[np.bool_]
) -> NDArray[np.unsignedinteger]:
    """Thousandths ``(b, steps)`` by which round-trip times are above others, 0 where not there."""
    wide = base.astype(np.int64)
    above = np.maximum(rtt.astype(np.int64) - wide, 0) * 1000 // np.maximum(wide, _LEAST_US)
    return np.where(there, np.minimum(above, np.int64(_MOST)), 0).astype(np.uint32)


class _Grid:
    """Where a field's raw values lie."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self._table = _table(field)  # ``(65536,)`` code of every 16-bit raw value

    def codes(self, raw: NDArray[np.unsignedinteger]) -> NDArray[np.uint8]:
        """Codes of raw values; a signed byte as its two's complement, a length with a sign bit."""
        wide = raw.dtype.itemsize > 2
        small = np.minimum(raw, _TABLE_END) if wide else raw
        # `take`, as indexing with integers narrower than a pointer costs ten times as much.
        codes: NDArray[np.uint8] = self._table.take(small)
        if wide and self._field.clip >= _TABLE_SIZE:
            beyond = raw > _TABLE_END
            codes[beyond] = _log_codes(self._field, raw[beyond])
        return codes


@lru_cache(maxsize=16)
def _grids(schema: FeatureSchema) -> tuple[list[_Grid], list[tuple[_Grid, _Places, _Places]]]:
    """The grid of each packet field; each grid of context, with places of codes and raw columns."""
    shared: dict[Field, _Grid] = {}

    def grid(field: Field) -> _Grid:
        nameless = replace(field, revision=0, unit="", channels=(), meaning="", caveat="")
        if nameless not in shared:
            shared[nameless] = _Grid(nameless)
        return shared[nameless]

    flow: dict[_Grid, list[int]] = {}
    for place, name in enumerate(schema.context):
        flow.setdefault(grid(CONTEXT_FIELDS[name]), []).append(place)
    column = [CONTEXT_COLUMNS.index(name) for name in schema.context]
    return (
        [grid(SEQUENCE_FIELDS[name]) for name in schema.fields],
        [
            (each, _places(places), _places([column[place] for place in places]))
            for each, places in flow.items()
        ],
    )


def _places(numbers: list[int]) -> _Places:
    """A slice where they follow each other: no copy is made then."""
    consecutive = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return slice(numbers[0], numbers[-1] + 1) if consecutive else numbers


@lru_cache(maxsize=64)
def _inputs(schema: FeatureSchema, steps: int, length: int) -> tuple[_Inputs, _Inputs]:
    """How rows with room for `steps` packets become `length` steps of x, and c."""
    fields = [
        (i, column)
        for i, name in enumerate(schema.fields)
        for column in _values(SEQUENCE_FIELDS[name]).T
    ]
    values = np.concatenate([np.zeros(256, np.float32), *(column for _, column in fields)])
    places = np.zeros((length, len(fields)), np.intp)
    offsets = np.zeros((length, len(fields)), np.intp)  # of padding too, whose values are zeros
    held = min(steps, length)
    step = np.arange(steps - held, steps)[:, None]
    places[length - held :] = step * len(schema.fields) + [i for i, _ in fields]
    offsets[length - held :] = 256 * np.arange(1, len(fields) + 1)
    packets = values, places.reshape(-1), offsets.reshape(-1)
    flow = [_values(CONTEXT_FIELDS[name])[:, 0] for name in schema.context]
    order = np.arange(len(flow))
    none = np.zeros(0, np.float32)  # of a schema without context
    return packets, (np.concatenate([none, *flow]), steps * len(schema.fields) + order, 256 * order)


@lru_cache(maxsize=64)
def _table(field: Field) -> NDArray[np.uint8]:
    """``(65536,)`` code of every 16-bit raw value."""
    raw = np.arange(_TABLE_SIZE)
    if field.transform == "log2p1":
        return _log_codes(field, raw)
    table = np.zeros(_TABLE_SIZE, np.uint8)
    if field.transform == "signed_log2p1":
        table[:_SIGN] = _log_codes(field, raw[:_SIGN])
        table[_SIGN:] = _NEGATIVE + table[:_SIGN]
    elif field.transform == "linear":
        table[:] = np.minimum(raw, field.clip)
    elif field.transform == "sign":
        table[0x01], table[0xFF] = 1, 2
    elif field.transform == "bits":
        table[:256] = raw[:256] & sum(field.values)
    elif field.transform == "one_hot":
        table[list(field.values)] = range(1, len(field.values) + 1)
        table[ICMPV6] = table[ICMP]
    else:
        table[1:] = 1
    return table


def _log_codes(field: Field, raw: NDArray[np.integer]) -> NDArray[np.uint8]:
    codes = np.searchsorted(boundaries(field), np.minimum(raw, field.clip), side="right")
    narrow: NDArray[np.uint8] = codes.astype(np.uint8)
    return narrow


@lru_cache(maxsize=64)
def boundaries(field: Field) -> NDArray[np.int64]:
    """Smallest raw value (or magnitude) of each code from 1 on; equal where codes are skipped.

    round(steps · log2(1 + raw)) ≥ code means (1 + raw)^(2·steps) ≥ 2^(2·code − 1); equality is
    impossible because 2·steps is even and 2·code − 1 is odd.
    """
    smallest: list[int] = []
    power, code = 2 * field.steps, 1
    while True:
        target = 1 << (2 * code - 1)
        value = max(1, math.floor(2.0 ** ((2 * code - 1) / power)) - 1)
        while value**power < target:
            value += 1
        if value - 1 > field.clip:
            return np.array(smallest, np.int64)
        smallest.append(value - 1)
        code += 1


@lru_cache(maxsize=64)
def _values(field: Field) -> NDArray[np.float32]:
    """``(256, channels)`` value of every code; exact, for scales are powers of two."""
    code = np.arange(256)[:, None]
    values: NDArray[np.float32] = np.zeros((256, len(field.channels)), np.float32)
    if field.transform in ("log2p1", "linear", "one"):
        values[:] = code / field.scale
    elif field.transform == "signed_log2p1":
        values[:] = np.where(code < _NEGATIVE, code, _NEGATIVE - code) / field.scale
    elif field.transform == "sign":
        values[1], values[2] = 1, -1
    elif field.transform == "bits":
        values[:] = (code & np.array(field.values)) != 0
    else:
        values[:] = code == 1 + np.arange(len(field.values))
    return values
