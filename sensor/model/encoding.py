"""From raw integer columns to the model's inputs, on the grid of the feature schema.

Every packet field becomes one byte, its *code*; only `Encoded.expand` turns codes into the
float32 channels of the network. A dataset stores codes and the sensor compares them, so equal
sequences are equal bytes in both, on every machine: the boundaries of the logarithmic grid are
worked out in integers, not with a logarithm of some C library.

Codes of a field, by `Field.transform`:

- ``log2p1``: round(steps · log2(1 + raw)); its channel is code / scale;
- ``linear``: the raw value; its channel is code / scale;
- ``sign``: 1 for +1, 2 for −1, 0 for padding;
- ``bits``: the byte less the bits that have no channel;
- ``one_hot``: 1 + the position of the value, 0 for a value without a channel;
- ``one``: 1.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import CONTEXT_COLUMNS, SequenceBatch
from sensor.model.fields import CONTEXT_FIELDS, FIELDS, Field
from sensor.model.schema import FeatureSchema
from sensor.packets.headers import ICMP, ICMPV6

_WORD = 8
_TABLE_SIZE = 65_536


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows on the grid, one contiguous run of bytes a row.

    Attributes:
        schema: says what the bytes mean.
        packed: ``(b, row_bytes(schema))`` uint8: the codes, the context codes, the length, and
            zeros up to a multiple of 8 bytes. Packets stand at the end of a row, padding (code 0
            in every field) before them. This is what a dataset stores.
    """

    schema: FeatureSchema
    packed: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.packed)

    @property
    def codes(self) -> NDArray[np.uint8]:
        """``(b, n, fields)``, left-padded."""
        n, k = self.schema.n, len(self.schema.fields)
        return self.packed[:, : n * k].reshape(len(self), n, k)

    @property
    def context(self) -> NDArray[np.uint8]:
        """``(b, context fields)``."""
        start = self.schema.n * len(self.schema.fields)
        return self.packed[:, start : start + len(self.schema.context)]

    @property
    def length(self) -> NDArray[np.uint8]:
        """``(b,)`` packets in the row."""
        return self.packed[:, self.schema.n * len(self.schema.fields) + len(self.schema.context)]

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "Encoded":
        """The given rows, in the given order."""
        return Encoded(self.schema, self.packed[rows])

    def unique_rows(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Finds identical rows.

        Rows are compared by a 64-bit hash and then byte by byte: a row that shares its hash with
        a different one stands for itself, so a collision costs time and never a wrong score.

        Returns:
            ``(u,)`` a row for each distinct sequence, and ``(b,)`` the position of each row's
            representative among those u; so ``packed[first][inverse]`` equals ``packed``.
        """
        _, first, inverse = np.unique(_hash(self.packed), return_index=True, return_inverse=True)
        inverse = inverse.reshape(-1)
        foreign = np.flatnonzero((self.packed[first[inverse]] != self.packed).any(axis=1))
        inverse[foreign] = len(first) + np.arange(foreign.size)
        return np.concatenate([first, foreign]), inverse

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
        chosen = self.take(rows)
        n = self.schema.n
        codes = chosen.codes[:, n - (n if length is None else length) :]
        x = np.empty((*codes.shape[:2], len(self.schema.channels)), np.float32)
        channel = 0
        for i, name in enumerate(self.schema.fields):
            values = _values(FIELDS[name])
            x[..., channel : channel + values.shape[1]] = values[codes[..., i]]
            channel += values.shape[1]
        c = np.empty((len(chosen), len(self.schema.context)), np.float32)
        for i, name in enumerate(self.schema.context):
            c[:, i] = _values(CONTEXT_FIELDS[name])[chosen.context[:, i], 0]
        return x, c


def row_bytes(schema: FeatureSchema) -> int:
    """Bytes of an encoded row: a multiple of 8, so that rows are compared as 64-bit words."""
    used = schema.n * len(schema.fields) + len(schema.context) + 1
    return -(-used // _WORD) * _WORD


def encode(schema: FeatureSchema, batch: SequenceBatch) -> Encoded:
    """Puts rows on the schema's grid.

    Args:
        schema: chooses and orders the fields.
        batch: b rows of up to ``schema.n`` packets.
    """
    b, n, k = len(batch), schema.n, len(schema.fields)
    length = batch.length.astype(np.intp)
    # Only packets are looked up, not padding: most rows of a flood hold one packet. `packet` is
    # where each packet stands in the raw columns, `place` where it goes, against the row's end.
    packet = np.flatnonzero(np.arange(n) < length[:, None])
    place = packet + np.repeat(n - length, length)
    codes = np.zeros((b * n, k), np.uint8)
    for i, name in enumerate(schema.fields):
        codes[place, i] = _codes(FIELDS[name], _raw(name, batch, packet, length))
    packed = np.zeros((b, row_bytes(schema)), np.uint8)
    packed[:, : n * k] = codes.reshape(b, n * k)
    for i, name in enumerate(schema.context):
        column = batch.context[:, CONTEXT_COLUMNS.index(name)]
        packed[:, n * k + i] = _codes(CONTEXT_FIELDS[name], column)
    packed[:, n * k + len(schema.context)] = length
    return Encoded(schema, packed)


def _raw(
    name: str, batch: SequenceBatch, packet: NDArray[np.intp], length: NDArray[np.intp]
) -> NDArray[np.unsignedinteger]:
    """Raw values of one field for every packet, ``(packets,)`` unsigned."""
    if name == "valid":
        return np.ones(packet.size, np.uint8)
    if name == "protocol":
        shared = np.where(batch.protocol == ICMPV6, np.uint8(ICMP), batch.protocol)
        return np.repeat(shared, length)
    attribute = "interarrival_us" if name == "interarrival" else name
    column: NDArray[np.unsignedinteger] = getattr(batch, attribute)
    raw = column.reshape(-1)[packet]
    return raw.view(np.uint8) if raw.dtype == np.int8 else raw


def _codes(field: Field, raw: NDArray[np.unsignedinteger]) -> NDArray[np.uint8]:
    """Codes of raw values; a signed byte comes as its two's complement."""
    table = _table(field)
    small = raw if raw.dtype.itemsize <= 2 else np.minimum(raw, np.uint32(_TABLE_SIZE - 1))
    codes: NDArray[np.uint8] = table[small]
    if field.clip >= _TABLE_SIZE:
        beyond = np.flatnonzero(raw >= _TABLE_SIZE)
        codes[beyond] = _log_codes(field, raw[beyond])
    return codes


@lru_cache(maxsize=64)
def _table(field: Field) -> NDArray[np.uint8]:
    """``(65536,)`` code of every 16-bit raw value."""
    raw = np.arange(_TABLE_SIZE)
    if field.transform == "log2p1":
        return _log_codes(field, raw)
    table = np.zeros(_TABLE_SIZE, np.uint8)
    if field.transform == "linear":
        table[:] = np.minimum(raw, field.clip)
    elif field.transform == "sign":
        table[0x01], table[0xFF] = 1, 2
    elif field.transform == "bits":
        table[:256] = raw[:256] & sum(field.values)
    elif field.transform == "one_hot":
        table[list(field.values)] = range(1, len(field.values) + 1)
    else:
        table[1:] = 1
    return table


def _log_codes(field: Field, raw: NDArray[np.integer]) -> NDArray[np.uint8]:
    codes = np.searchsorted(boundaries(field), np.minimum(raw, field.clip), side="right")
    narrow: NDArray[np.uint8] = codes.astype(np.uint8)
    return narrow


@lru_cache(maxsize=64)
def boundaries(field: Field) -> NDArray[np.int64]:
    """Smallest raw value of each code from 1 on, for ``log2p1``; equal where codes are skipped.

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
    elif field.transform == "sign":
        values[1], values[2] = 1, -1
    elif field.transform == "bits":
        values[:] = (code & np.array(field.values)) != 0
    else:
        values[:] = code == 1 + np.arange(len(field.values))
    return values


def _hash(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """``(b,)`` 64-bit hash of each row.

    Per 64-bit word a multiply by an odd number, and a shift that carries high bits down: the two
    steps of MurmurHash3's finalizer.
    """
    words = np.ascontiguousarray(packed).view(np.uint64)
    mixed = np.zeros(len(words), np.uint64)
    for i in range(words.shape[1]):
        mixed ^= words[:, i]
        mixed *= np.uint64(0xFF51AFD7ED558CCD)
        mixed ^= mixed >> np.uint64(33)
    return mixed
