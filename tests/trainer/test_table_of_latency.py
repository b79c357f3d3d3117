from pathlib import Path

import numpy as np
import pytest

from sensor.errors import SeriesError
from trainer.latency.formats.table import is_table, read_marked, read_table
from trainer.latency.formats.text import AT_ONCE_MS
from trainer.latency.series import LatencySeries

DAY = 1_479_427_200 * 10**9  # 2016-11-18, as `date -u -d @1479427200` says
SECOND = 10**9
NAN = np.nan


def read(tmp_path: Path, text: str) -> LatencySeries:
    path = tmp_path / "table.csv"
    path.write_text(text, newline="")
    assert is_table(text)
    [series] = read_table(path)
    return series


def test_the_hand_marked_form(tmp_path: Path) -> None:
    path = tmp_path / "11119.csv"
    path.write_text(
        "epoch;rtt;cp\r\n18/11/2016 00:00;178.924995;0\r\n18/11/2016 00:04;-3;0\r\n"
        "18/11/2016 00:08;190,5;1\r\n18/11/2016 00:12;-4;0\r\n",
        newline="",
    )
    marked = read_marked(path)
    assert marked.series.name == "11119.csv"
    assert marked.series.time_ns.tolist() == [DAY + 240 * k * SECOND for k in range(4)]
    assert np.array_equal(marked.series.rtt_ms, [178.924995, NAN, 190.5, NAN], equal_nan=True)
    assert marked.change_points.tolist() == [2]
    assert marked.failed.tolist() == [1, 3]


def test_marks_move_with_their_measurements(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("epoch;rtt;cp;\n10;1;0;\n30;3;1;\n20;2;0;\n40;4;0;\n")
    marked = read_marked(path)
    assert marked.series.rtt_ms.tolist() == [1, 2, 3, 4]
    assert marked.change_points.tolist() == [2]


def test_rounds_in_milliseconds(tmp_path: Path) -> None:
    series = read(
        tmp_path, "timestamp,rtt_ms 1,rtt_ms 2,loss\n100,12.5,,1\n\n160,NaN,13,1\n220,U,0,2\n"
    )
    assert (series.time_ns // SECOND).tolist() == [100, 100, 160, 160, 220, 220]
    assert np.array_equal(series.rtt_ms, [12.5, NAN, NAN, 13.0, NAN, NAN], equal_nan=True)


def test_smokeping_keeps_seconds(tmp_path: Path) -> None:
    series = read(tmp_path, "time,uptime,loss,median,ping1,ping2\n300,U,1,1.2e-02,1.2000e-02,nan\n")
    assert np.array_equal(series.rtt_ms, [12.0, NAN], equal_nan=True)
    assert read(tmp_path, "time\trtt_s\n300\t0,25\n").rtt_ms.tolist() == [250.0]


def test_without_a_header_all_are_milliseconds(tmp_path: Path) -> None:
    series = read(tmp_path, "1700000000.5,12.1,12.3,\n1700000060.5,12.2,NaN,12.4\n")
    assert series.time_ns[::3].tolist() == [1_700_000_000_500_000_000, 1_700_000_060_500_000_000]
    assert np.array_equal(series.rtt_ms, [12.1, 12.3, NAN, 12.2, NAN, 12.4], equal_nan=True)


def test_the_anomaly_benchmark(tmp_path: Path) -> None:
    series = read(tmp_path, "timestamp,value\n2016-11-18 00:00:00,45.868\n")
    assert (series.time_ns[0], series.rtt_ms.tolist()) == (DAY, [45.868])


def test_the_sensors_own_table(tmp_path: Path) -> None:
    path = tmp_path / "rtt.csv"
    path.write_text(
        "time,peer,port,kind,rtt_ms,from\n"
        "100.250000000,192.0.2.1,443,syn,12.500000,10.0.0.2\n"
        "101.000000000,2001:db8::1,0,echo,,10.0.0.2\n"
        "102.000000000,192.0.2.1,443,syn,,10.0.0.3\n"
        "103.000000000,192.0.2.1,443,syn,0.000000,10.0.0.3\n"
    )
    syn, echo = read_table(path)
    assert (syn.name, echo.name) == ("rtt.csv 192.0.2.1 443 syn", "rtt.csv 2001:db8::1 0 echo")
    assert syn.time_ns.tolist() == [100_250_000_000, 102_000_000_000, 103_000_000_000]
    assert np.array_equal(syn.rtt_ms, [12.5, NAN, AT_ONCE_MS], equal_nan=True)
    assert np.array_equal(echo.rtt_ms, [NAN], equal_nan=True)
    with pytest.raises(SeriesError, match=r"rtt\.csv: 2 series; a table of marks has one"):
        read_marked(path)


def test_what_is_no_table() -> None:
    for text in ("", "\n", "one line of text\n", "a,b\nc,d\n", '{"a": 1,\n"b": 2}', "17\n18\n"):
        assert not is_table(text), text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("time,rtt\n100,1\n160,fast\n", ":3: could not convert string to float: 'fast'; write"),
        ("time,rtt\n100,1\nlater,2\n", ":3: 'later' is no time"),
        ("time,rtt\n100,1\n160\n", ":3: 1 fields instead of 2"),
        ("time,rtt\n100,1,7\n", ":2: 3 fields instead of 2"),
        ("time,rtt\n100,inf\n", ":2: 'inf' is no round-trip time"),
        ("time,loss\n100,1\n", ":1: no column of round-trip times"),
        ("time;rtt;cp\n100;1;maybe\n", ":2: invalid literal"),
        ("time;rtt;cp\n", ": no measurement in it"),
    ],
)
def test_what_a_person_can_mend_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(SeriesError, match=rf"table\.csv{says}"):
        read_marked(path)
