import math
from fractions import Fraction

import numpy as np
import pytest
from feature_rows import random_rows
from flow_rows import one_row, rows

from sensor.model.encoding import Encoded, encode, named, row_bytes
from sensor.model.fields import CONTEXT_FIELDS, FIELDS
from sensor.model.golden import empty_rows
from sensor.model.schema import FeatureSchema

SCHEMA = FeatureSchema()
CHANNEL = {name: i for i, name in enumerate(SCHEMA.channels)}


def plain_channels(name: str, raw: int) -> list[float]:
    """Values of one field of one packet, from the words of the schema's documentation."""
    field = (FIELDS | CONTEXT_FIELDS)[name]
    if field.transform == "log2p1":
        octaves = math.log2(1 + min(raw, field.clip))
        return [math.floor(field.steps * octaves + 0.5) / field.scale]
    if field.transform == "bits":
        return [float(bool(raw & mask)) for mask in field.values]
    if field.transform == "one_hot":
        return [float(raw == value) for value in field.values]
    return [float(raw)]


def plain_row(batch, r: int, length: int) -> np.ndarray:
    """Model input of one row, packet by packet."""
    x = np.zeros((length, len(SCHEMA.channels)), np.float32)
    protocol = 1 if batch.protocol[r] == 58 else int(batch.protocol[r])
    for k in range(batch.length[r]):
        raw = {
            "ip_length": batch.ip_length[r, k],
            "payload_length": batch.payload_length[r, k],
            "interarrival": batch.interarrival_us[r, k],
            "direction": batch.direction[r, k],
            "tcp_flags": batch.tcp_flags[r, k],
            "protocol": protocol,
            "valid": 1,
        }
        values = [v for name in SCHEMA.fields for v in plain_channels(name, int(raw[name]))]
        x[length - batch.length[r] + k] = values
    return x


def test_values_worked_out_by_hand():
    # 8·log2(41) = 42.86; 2·log2(1001) = 19.93; 4·log2(30) = 19.63; and each clip.
    batch = rows(
        {
            "ip_length": [40, 65_535],
            "payload_length": [0, 1],
            "interarrival_us": [0, 1_000],
            "direction": [1, -1],
            "tcp_flags": [0x02, 0xD8],
            "protocol": 6,
            "context": [0, 1, 29, 65_535, 65_536, 2**32 - 1],
        },
        {"ip_length": [1_500], "interarrival_us": [60_000_000], "direction": [1], "protocol": 58},
    )
    x, c = encode(SCHEMA, batch).expand()
    assert x.shape == (2, 16, 13)
    assert x.dtype == c.dtype == np.float32
    assert not x[0, :14].any()
    #        size     payload   gap     dir  fin syn rst psh ack  tcp udp icmp valid
    assert x[0, 14].tolist() == [43 / 128, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 1]
    assert x[0, 15].tolist() == [1, 8 / 128, 20 / 64, -1, 0, 0, 0, 1, 1, 1, 0, 0, 1]
    assert c[0].tolist() == [0, 4 / 64, 20 / 64, 1, 1, 1]
    # 8·log2(1501) = 84.41; 2·log2(60000001) = 51.68.
    assert x[1, 15].tolist() == [84 / 128, 0, 52 / 64, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]


def test_random_rows_equal_the_plain_form_at_every_length():
    batch = random_rows(16, 300, seed=3)
    encoded = encode(SCHEMA, batch)
    for length in (4, 8, 16):
        chosen = np.flatnonzero(batch.length <= length)
        x, c = encoded.expand(chosen, length)
        assert x.shape == (chosen.size, length, 13)
        for i, r in enumerate(chosen):
            np.testing.assert_array_equal(x[i], plain_row(batch, r, length))
            names = SCHEMA.context
            plain = [
                plain_channels(name, int(v))[0]
                for name, v in zip(names, batch.context[r], strict=True)
            ]
            assert c[i].tolist() == plain


@pytest.mark.parametrize(("name", "steps", "top"), [("ip_length", 8, 128), ("interarrival", 2, 52)])
def test_the_grid_rounds_exactly_at_every_boundary(name, steps, top):
    """Both neighbours of every boundary, against integer powers: no logarithm is involved."""
    schema = FeatureSchema(fields=(name, "valid"))
    column = "interarrival_us" if name == "interarrival" else name
    highest = FIELDS[name].clip
    for code in range(1, top + 1):
        # The smallest v with (1 + v)^(2·steps) ≥ 2^(2·code − 1), found by bisection.
        low, high = 0, highest
        while low < high:
            middle = (low + high) // 2
            reached = Fraction(1 + middle) ** (2 * steps) >= 2 ** (2 * code - 1)
            low, high = (low, middle) if reached else (middle + 1, high)
        batch = rows(*({column: [v], "direction": [1]} for v in (low - 1, low) if v >= 0))
        got = encode(schema, batch).codes[:, -1, 0].tolist()
        # Small values skip codes: 1 byte is an octave above 0, so code 8.
        assert got[-1] >= code, (code, low)
        assert all(below < code for below in got[:-1]), (code, low)
    assert got[-1] == top


def test_all_sixteen_bit_lengths_agree_with_floating_point():
    batch = empty_rows(16, 4_096)
    batch.ip_length[:] = np.arange(65_536).reshape(4_096, 16)
    batch.length[:] = 16
    codes = encode(SCHEMA, batch).codes[..., 0].reshape(-1)
    np.testing.assert_array_equal(codes, np.rint(8 * np.log2(1 + np.arange(65_536))))


@pytest.mark.parametrize(
    ("protocol", "channel"), [(6, "tcp"), (17, "udp"), (1, "icmp"), (58, "icmp"), (47, None)]
)
def test_protocol_channels(protocol, channel):
    batch = one_row(direction=[1], protocol=protocol)
    x, _ = encode(SCHEMA, batch).expand()
    for name in ("tcp", "udp", "icmp"):
        assert x[0, 15, CHANNEL[name]] == (name == channel)


def test_bits_without_a_channel_are_not_in_the_code():
    """Else rows that are equal to the network would not be equal bytes."""
    plain, other = (
        one_row(direction=[1], tcp_flags=[0x12]),
        one_row(direction=[1], tcp_flags=[0xF2]),
    )
    np.testing.assert_array_equal(encode(SCHEMA, plain).packed, encode(SCHEMA, other).packed)
    assert encode(SCHEMA, other).codes[0, 15, SCHEMA.fields.index("tcp_flags")] == 0x12


def test_identities_and_times_do_not_enter():
    batch = random_rows(16, 50, seed=4)
    other = batch.take(slice(None))
    for name in ("source_high", "source_port", "flow_start_ns", "flow_ordinal", "decided_ns"):
        getattr(other, name)[:] = 7
    np.testing.assert_array_equal(encode(SCHEMA, batch).packed, encode(SCHEMA, other).packed)


def test_a_row_is_encoded_alone_as_in_company():
    batch = random_rows(16, 40, seed=5)
    together = encode(SCHEMA, batch).packed
    for r in range(40):
        alone = encode(SCHEMA, batch.take(slice(r, r + 1)))
        np.testing.assert_array_equal(alone.packed[0], together[r])


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_rows_with_little_room_are_the_same_rows(steps):
    """Whichever of the rows are asked for, and whatever room they have, the inputs are the same."""
    batch = random_rows(16, 300, seed=9)
    rows = np.flatnonzero(batch.length <= steps)[::-1]
    narrow, wide = encode(SCHEMA, batch, rows, steps), encode(SCHEMA, batch.take(rows))
    assert narrow.packed.shape == (rows.size, row_bytes(SCHEMA, steps))
    assert narrow.codes.shape == (rows.size, steps, 7)
    for name in ("context", "length"):
        np.testing.assert_array_equal(getattr(narrow, name), getattr(wide, name))
    for length in (None, 8):
        for got, expected in zip(
            narrow.expand(length=length), wide.expand(length=length), strict=True
        ):
            np.testing.assert_array_equal(got, expected)


def test_rows_of_one_length_are_encoded_as_in_company():
    batch = random_rows(16, 60, seed=10)
    batch.length[:30] = 16
    together = encode(SCHEMA, batch).packed[:30]
    np.testing.assert_array_equal(encode(SCHEMA, batch, slice(30)).packed, together)


def test_an_empty_batch_is_encoded():
    encoded = encode(SCHEMA, empty_rows(16, 0))
    assert len(encoded) == 0
    assert encoded.packed.shape == (0, row_bytes(SCHEMA))
    first, inverse = encoded.unique_rows()
    assert first.size == inverse.size == 0
    assert encoded.expand()[0].shape == (0, 16, 13)


def test_codes_context_and_length_are_views_of_the_packed_row():
    batch = random_rows(16, 20, seed=6)
    encoded = encode(SCHEMA, batch)
    assert row_bytes(SCHEMA) == 120  # 16·7 codes, 6 context codes, 1 length, up to a multiple of 8
    assert encoded.codes.shape == (20, 16, 7)
    np.testing.assert_array_equal(encoded.length, batch.length)
    valid = encoded.codes[..., SCHEMA.fields.index("valid")]
    np.testing.assert_array_equal(valid.sum(axis=1), batch.length)
    again = Encoded(SCHEMA, encoded.packed.copy(), 16)
    np.testing.assert_array_equal(again.expand()[0], encoded.expand()[0])


def test_a_schema_chooses_and_orders_its_fields():
    schema = FeatureSchema(
        lengths=(2, 5), fields=("valid", "direction", "ip_length"), context=("dst_10s", "srv_1s")
    )
    batch = empty_rows(5, 1)
    batch.length[:], batch.ip_length[0, 0], batch.direction[0, 0] = 1, 40, -1
    batch.context[0] = [1, 2, 3, 4, 5, 7]
    x, c = encode(schema, batch).expand(slice(None), 2)
    assert x.tolist() == [[[0, 0, 0], [1, -1, 43 / 128]]]
    assert c.tolist() == [[12 / 64, 4 / 64]]  # 4·log2(8), 4·log2(2)


def test_without_context_there_is_one_input():
    schema = FeatureSchema(lengths=(2, 5), fields=("valid",), context=())
    x, c = encode(schema, rows({"length": 1}, {"length": 2})).expand(slice(None), 2)
    assert x.tolist() == [[[0], [1]], [[1], [1]]]
    assert c.shape == (2, 0)
    assert list(named(x, c)) == ["x"]
    assert list(named(x, np.zeros((2, 1), np.float32))) == ["x", "c"]


def test_identical_rows_have_one_representative():
    batch = random_rows(16, 60, seed=7)
    order = np.random.default_rng(8).integers(0, 60, 500)
    encoded = encode(SCHEMA, batch.take(order))
    first, inverse = encoded.unique_rows()
    assert first.size == np.unique(order).size
    np.testing.assert_array_equal(encoded.packed[first][inverse], encoded.packed)


def test_length_tells_rows_apart_where_their_bytes_do_not():
    schema = FeatureSchema(fields=("payload_length",))
    batch = rows({"length": 1}, {"length": 2})
    first, _ = encode(schema, batch).unique_rows()
    assert first.size == 2


def test_rows_that_share_a_hash_are_kept_apart(monkeypatch):
    words = np.zeros((5, row_bytes(SCHEMA) // 8), np.uint64)
    words[1:3, 0] = words[1:3, 1] = 1
    words[4, 0] = 2
    encoded = Encoded(SCHEMA, words.view(np.uint8), 16)
    assert np.unique(encoded.hashed()).size == 3
    shared = np.array([9, 9, 9, 9, 4], np.uint64)
    monkeypatch.setattr(Encoded, "hashed", lambda _: shared)
    first, inverse = encoded.unique_rows()
    np.testing.assert_array_equal(encoded.packed[first][inverse], encoded.packed)
    assert inverse[0] == inverse[3]
    assert len({inverse[0], inverse[1], inverse[4]}) == 3


def test_hashes_of_rows_that_differ_in_one_byte_differ_and_spread():
    """In every byte of a row, also where the upper bytes of two words change together."""
    words = np.zeros((2_000, row_bytes(SCHEMA) // 8), np.uint64)
    octets = words.view(np.uint8)
    for byte in range(0, 113, 7):
        octets[:] = 0
        octets[:, byte] = np.arange(2_000) % 250
        octets[:, (byte + 8) % 120] = np.arange(2_000) // 250
        hashed = Encoded(SCHEMA, octets, 16).hashed()
        assert np.unique(hashed).size == 2_000
        # Chance throws 2,000 balls into 1,582 of 4,096 boxes.
        assert np.unique(hashed >> np.uint64(32) & np.uint64(4_095)).size > 750
