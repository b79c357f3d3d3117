import json
import math
import struct

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.model import canonical

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)

# RFC 8785 appendix B: bits of a binary64 number and its form.
APPENDIX_B = (
    (0x0000000000000000, "0"),
    (0x8000000000000000, "0"),
    (0x0000000000000001, "5e-324"),
    (0x8000000000000001, "-5e-324"),
    (0x7FEFFFFFFFFFFFFF, "1.7976931348623157e+308"),
    (0x4340000000000000, "9007199254740992"),
    (0x4430000000000000, "295147905179352830000"),
    (0x44B52D02C7E14AF5, "9.999999999999997e+22"),
    (0x44B52D02C7E14AF6, "1e+23"),
    (0x444B1AE4D6E2EF4E, "999999999999999700000"),
    (0x444B1AE4D6E2EF4F, "999999999999999900000"),
    (0x444B1AE4D6E2EF50, "1e+21"),
    (0x3EB0C6F7A0B5ED8C, "9.999999999999997e-7"),
    (0x3EB0C6F7A0B5ED8D, "0.000001"),
    (0x41B3DE4355555553, "333333333.3333332"),
    (0x41B3DE4355555557, "333333333.33333343"),
    (0xBECBF647612F3696, "-0.0000033333333333333333"),
    (0x43143FF3C1CB0959, "1424953923781206.2"),
)


@pytest.mark.parametrize(("bits", "text"), APPENDIX_B)
def test_numbers_of_appendix_b(bits, text):
    (value,) = struct.unpack(">d", struct.pack(">Q", bits))
    assert canonical.canonical(value).decode() == text


def test_sorting_example_of_section_3_2_3():
    keys = ["€", "\r", "\ufb33", "1", "😀", "\x80", "ö"]
    order = list(json.loads(canonical.canonical(dict.fromkeys(keys, 0))))
    assert order == ["\r", "1", "\x80", "ö", "€", "😀", "\ufb33"]


@settings(deadline=None)
@given(JSON)
def test_equals_the_reference_implementation(document):
    assert canonical.canonical(document) == rfc8785.dumps(document)


@settings(deadline=None)
@given(JSON)
def test_form_survives_a_round_trip_through_indented_json(document):
    text = json.dumps(document, indent=1).encode()
    assert canonical.canonical(canonical.parse(text)) == canonical.canonical(document)


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**53, {1: 2}, b"x", "\ud800"])
def test_what_is_not_json_is_refused(value):
    with pytest.raises(ValueError, match=r"JSON|string|surrogates"):
        canonical.canonical(value)


def test_what_is_nested_too_deeply_is_refused():
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(ValueError, match="nested too deeply"):
        canonical.canonical(nested)


@pytest.mark.parametrize(
    "text", [b'{"a":1,"a":2}', b"NaN", b"[-Infinity]", b"\xff", b"{", b"[" * 100_000]
)
def test_what_readers_disagree_on_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        canonical.parse(text)
