import gzip
import math
from pathlib import Path

import pytest

from sensor.errors import MissingInputError, SeriesError
from trainer.latency.formats.text import (
    AT_ONCE_MS,
    measured_milliseconds,
    milliseconds,
    opened,
    time_ns,
)

DAY = 1_479_427_200  # 2016-11-18 00:00:00 UTC, as `date -u -d @1479427200` says


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1700000000", 1_700_000_000 * 10**9),
        ("1700000000.123456", 1_700_000_000_123_456_000),
        ("1700000000.1234567891", 1_700_000_000_123_456_789),
        ("1700000000123", 1_700_000_000_123_000_000),
        ("1700000000123.5", 1_700_000_000_123_500_000),
        ("1700000000123456", 1_700_000_000_123_456_000),
        ("1700000000123456789", 1_700_000_000_123_456_789),
        ("0", 0),
        ("2016-11-18 00:00:05", (DAY + 5) * 10**9),
        ("2016-11-18T00:00:05Z", (DAY + 5) * 10**9),
        ("2016-11-18T01:00:00.250000+01:00", DAY * 10**9 + 250_000_000),
        ("18/11/2016 01:01", (DAY + 3660) * 10**9),
        ("18/11/2016 01:01:02", (DAY + 3662) * 10**9),
    ],
)
def test_times_as_people_write_them(text: str, nanoseconds: int) -> None:
    assert time_ns(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "soon", "2016-13-01", "18/11", "-5", "1e9", "1969-12-31"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"no time|out of the range"):
        time_ns(text)


def test_round_trip_times_and_what_stands_for_none() -> None:
    assert milliseconds("12.5") == 12.5
    for text in ("", " ", "NaN", "U", "*", "-", "null", "0", "-3", "-4.0", "-nan"):
        assert math.isnan(milliseconds(text)), text
    for text in ("fast", "inf", "1,5"):
        with pytest.raises(ValueError, match=text):
            milliseconds(text)


def test_what_the_sensor_has_measured_as_0_was_answered() -> None:
    assert [measured_milliseconds(text) for text in ("12.5", "0.000000")] == [12.5, AT_ONCE_MS]
    for text in ("", "null", "nan", "-3"):
        assert math.isnan(measured_milliseconds(text)), text


def test_packed_text_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "packed"
    path.write_bytes(gzip.compress("\ufeffrtt µs".encode()))
    with opened(path) as file:
        assert file.read() == "rtt µs"
    path.write_bytes(gzip.compress(bytes(1000))[:-9])
    with pytest.raises(SeriesError, match="packed: the gzip archive is damaged"), opened(path) as f:
        f.read()


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SeriesError, match="binary: not text"), opened(path) as file:
        file.read()
    with pytest.raises(MissingInputError, match="none: No such file"), opened(tmp_path / "none"):
        pass
