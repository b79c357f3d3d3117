"""The fields that this version implements, and which of them a schema has to ask for."""

from dataclasses import replace

import numpy as np
import pytest
from feature_rows import random_rows

from sensor.errors import BundleError
from sensor.flows.sequences import MEASURED_TYPES, SequenceBatch
from sensor.model.encoding import encode
from sensor.model.fields import (
    COMBINED_FIELDS,
    CONTEXT_FIELDS,
    DEFAULT_FIELDS,
    FIELDS,
    LATENCY_FIELDS,
    MEASURED_FIELDS,
    OPTIONAL_FIELDS,
)
from sensor.model.schema import PEER_LATENCY, FeatureSchema
from sensor.packets.headers import OPTIONAL_TYPES, PROBE_TYPES

WIDE = FeatureSchema(fields=tuple(FIELDS))

RELEASED = "c2cd416c6fffd4bf41f99e4026a191b46f0bed18b50401835303c03167703a99"
"""Fingerprint of the default schema in every bundle of these revisions."""


def test_optional_fields_leave_the_default_schema_alone():
    assert FeatureSchema().fingerprint() == RELEASED
    assert FeatureSchema().optional == ()
    assert (*DEFAULT_FIELDS, *OPTIONAL_FIELDS, *COMBINED_FIELDS) == tuple(FIELDS)
    assert WIDE.fingerprint() != RELEASED
    assert FeatureSchema.from_manifest(WIDE.to_manifest(), "m") == WIDE


def test_a_schema_names_its_optional_fields_in_one_order():
    assert WIDE.optional == OPTIONAL_FIELDS
    assert FeatureSchema(fields=("tcp_window", "valid", "ttl")).optional == OPTIONAL_FIELDS
    assert FeatureSchema(fields=("tcp_window",)).optional == ("tcp_window",)


def test_the_decoder_knows_the_same_optional_columns():
    """And every raw value of them has a code of its field."""
    assert tuple(OPTIONAL_TYPES) == OPTIONAL_FIELDS
    for name, kind in OPTIONAL_TYPES.items():
        assert np.iinfo(kind).max == FIELDS[name].clip


@pytest.mark.parametrize("name", [*FIELDS, *CONTEXT_FIELDS, *LATENCY_FIELDS])
def test_codes_fit_a_byte_and_scales_are_powers_of_two(name):
    field = (FIELDS | CONTEXT_FIELDS | LATENCY_FIELDS)[name]
    assert field.scale & (field.scale - 1) == 0
    if field.transform == "log2p1":
        assert round(field.steps * np.log2(1 + field.clip)) <= 255
    if field.transform == "signed_log2p1":
        assert round(field.steps * np.log2(1 + field.clip)) <= 127
    assert field.transform != "linear" or field.clip <= 255


def test_rows_without_optional_columns_are_the_same_rows():
    wide = random_rows(16, 60, seed=8, optional=OPTIONAL_FIELDS)
    narrow = random_rows(16, 60, seed=8)
    assert (wide.optional, narrow.optional) == (OPTIONAL_FIELDS, ())
    assert narrow.ttl.nbytes == narrow.tcp_window.nbytes == 0
    default = FeatureSchema()
    np.testing.assert_array_equal(encode(default, wide).packed, encode(default, narrow).packed)
    for batch in (wide, narrow):
        again = SequenceBatch.concatenate([batch.take(slice(0, 20)), batch.take(slice(20, 60))])
        assert again.optional == batch.optional
        np.testing.assert_array_equal(again.ttl, batch.ttl)
    with pytest.raises(ValueError, match="must match exactly"):
        SequenceBatch.concatenate([wide, narrow])


def test_channels_of_hops_and_windows_by_hand():
    """255 / 256; 8·log2(1 + 8192) = 104.0014, so code 104 of 128."""
    batch = random_rows(4, 1, seed=1, optional=OPTIONAL_FIELDS)
    batch.length[:] = 2
    batch.ttl[0] = [255, 64, 0, 0]
    batch.tcp_window[0] = [8_192, 0, 0, 0]
    schema = replace(FeatureSchema(), lengths=(4,), fields=("valid", "tcp_window", "ttl"))
    x, _ = encode(schema, batch).expand()
    assert x[0].tolist() == [[0, 0, 0], [0, 0, 0], [1, 104 / 128, 255 / 256], [1, 0, 0.25]]


def test_a_length_with_direction_by_hand():
    """8·log2(41) = 42.86, 8·log2(1501) = 84.41, and the clip: 8·log2(32768) = 120."""
    batch = random_rows(8, 1, seed=1)
    batch.length[:] = 6
    batch.ip_length[0] = [40, 1_500, 40, 1_500, 32_767, 65_535, 0, 0]
    batch.direction[0] = [1, 1, -1, -1, -1, 1, 0, 0]
    schema = replace(FeatureSchema(), lengths=(8,), fields=("signed_length", "valid"))
    x, _ = encode(schema, batch).expand()
    numbers = [0, 0, 43, 84, -43, -84, -120, 120]
    assert (x[0, :, 0] * 128).tolist() == numbers
    assert x[0, :, 1].tolist() == [0, 0, 1, 1, 1, 1, 1, 1]


def test_a_length_with_direction_says_what_both_say():
    """Over random rows, below the clip: the fields that it combines, put together again."""
    batch = random_rows(16, 80, seed=5)
    np.minimum(batch.ip_length, 32_767, out=batch.ip_length)
    fields = ("ip_length", "direction", "signed_length")
    x, _ = encode(replace(FeatureSchema(), fields=fields), batch).expand()
    np.testing.assert_array_equal(x[..., 2], x[..., 0] * x[..., 1])
    assert (x[..., 2] < 0).any()


def test_the_paper_of_traffic_classes_has_its_two_channels():
    """Rezaei and Liu, Multitask Learning for Network Traffic Classification, section III."""
    fields = ("interarrival", "signed_length", "valid")
    schema = FeatureSchema(lengths=(8, 16, 32, 60), fields=fields)
    assert schema.channels == fields
    assert (schema.optional, schema.n) == ((), 60)
    assert FeatureSchema.from_manifest(schema.to_manifest(), "m") == schema


MEASURED = FeatureSchema(
    lengths=(4,), fields=("rtt", "rtt_gap", "answered", "valid"), context=(), key=PEER_LATENCY
)


def test_measurements_have_fields_of_their_own():
    assert MEASURED.channels == MEASURED.fields
    assert MEASURED.optional == MEASURED_FIELDS == tuple(MEASURED_TYPES)
    assert set(LATENCY_FIELDS) == {*MEASURED_TYPES, "rtt_above", "rtt_raised"}
    assert MEASURED.decoded == tuple(PROBE_TYPES)
    assert WIDE.decoded == WIDE.optional
    assert FeatureSchema.from_manifest(MEASURED.to_manifest(), "m") == MEASURED


@pytest.mark.parametrize(
    "mixed",
    [
        replace(MEASURED, key="five_tuple"),
        replace(MEASURED, fields=("rtt", "direction", "valid")),
        replace(MEASURED, context=("srv_1s",)),
        replace(WIDE, key=PEER_LATENCY),
        replace(WIDE, fields=("valid", "rtt")),
    ],
)
def test_packets_and_measurements_do_not_mix(mixed):
    with pytest.raises(BundleError, match="does not implement"):
        FeatureSchema.from_manifest(mixed.to_manifest(), "m")


def test_measurements_on_the_grid_by_hand():
    """8·log2(11) = 27.7, 8·log2(6e7) = 206.7; 4·log2(3.6e6) = 87.1, 4·log2(2) = 4."""
    batch = random_rows(4, 1, seed=1, optional=MEASURED.optional)
    batch.length[:] = 3
    batch.rtt[0] = [10, 0, 4_000_000_000, 0]
    batch.rtt_gap[0] = [0, 4_000_000, 1, 0]
    batch.answered[0] = [1, 0, 1, 0]
    x, _ = encode(MEASURED, batch).expand()
    assert x[0].tolist() == [
        [0, 0, 0, 0],
        [28 / 256, 0, 1, 1],
        [0, 87 / 128, 0, 1],
        [207 / 256, 4 / 128, 1, 1],
    ]


@pytest.mark.parametrize(
    ("name", "least", "most", "apart"), [("rtt", 10, 6e7, 1.2), ("rtt_gap", 1, 3.6e6, 2)]
)
def test_times_of_all_magnitudes_are_told_apart(name, least, most, apart):
    values = least * apart ** np.arange(int(np.log(most / least) / np.log(apart)) + 1)
    batch = random_rows(1, values.size, seed=1, optional=MEASURED.optional)
    batch.length[:] = 1
    getattr(batch, name)[:, 0] = np.round(values)
    codes = encode(replace(MEASURED, lengths=(1,)), batch).codes[:, 0, MEASURED.fields.index(name)]
    assert (np.diff(codes.astype(int)) > 0).all()


def test_what_is_above_the_least_of_a_row_by_hand():
    """12·log2(1 + 50) = 68.07, 12·log2(1 + 9) = 39.9; a row without answers has no least."""
    schema = replace(MEASURED, fields=("rtt_above", "answered", "valid"))
    batch = random_rows(4, 3, seed=1, optional=schema.optional)
    batch.length[:] = [3, 4, 2]
    batch.rtt[:] = [[20_000, 21_000, 20_199, 1], [0, 4_000_000_000, 0, 0], [0, 0, 0, 0]]
    batch.answered[:] = [[1, 1, 1, 0], [1, 1, 0, 1], [0, 0, 0, 0]]
    x, _ = encode(schema, batch).expand()
    assert x[..., 0].tolist() == [
        [0, 0, 68 / 128, 40 / 128],
        [0, 192 / 128, 0, 0],
        [0, 0, 0, 0],
    ]
    assert FeatureSchema.from_manifest(schema.to_manifest(), "m") == schema


def test_what_is_above_the_usual_by_hand():
    """12·log2(1 + 50) = 68.07, likewise 50 µs of a millisecond; nothing is above the unknown."""
    schema = replace(MEASURED, fields=("rtt_raised", "rtt_usual", "answered", "valid"))
    batch = random_rows(6, 1, seed=1, optional=schema.optional)
    batch.length[:] = 6
    batch.rtt[0] = [21_000, 19_000, 30_000, 0, 4_000_000_000, 51]
    batch.rtt_usual[0] = [20_000, 20_000, 0, 20_000, 1, 1]
    batch.answered[0] = [1, 1, 1, 0, 1, 1]
    schema = replace(schema, lengths=(6,))
    x, _ = encode(schema, batch).expand()
    assert x[0, :, 0].tolist() == [68 / 128, 0, 0, 0, 192 / 128, 68 / 128]
    assert x[0, :, 1].tolist() == [114 / 256, 114 / 256, 0, 114 / 256, 8 / 256, 8 / 256]
    assert FeatureSchema.from_manifest(schema.to_manifest(), "m") == schema
