from pathlib import Path

import numpy as np
import pytest

from sensor.errors import SeriesError
from trainer.latency.formats.ping import read_ping
from trainer.latency.series import LatencySeries

BEGIN = "PING dns.google (8.8.8.8) 56(84) bytes of data."


def read(tmp_path: Path, *lines: str) -> list[LatencySeries]:
    path = tmp_path / "ping.txt"
    path.write_text("\n".join(lines) + "\n")
    return list(read_ping(path))


def answer(at: str, number: int, rtt: str, more: str = "") -> str:
    return f"[{at}] 64 bytes from 8.8.8.8: icmp_seq={number} ttl=117 time={rtt} ms{more}"


def milliseconds(series: LatencySeries) -> list[float | None]:
    return [None if np.isnan(rtt) else rtt for rtt in series.rtt_ms.tolist()]


def test_a_run_with_all_that_ping_prints(tmp_path: Path) -> None:
    [series] = read(
        tmp_path,
        BEGIN,
        answer("1700000000.012300", 1, "12.3"),
        answer("1700000000.013000", 1, "13.0", " (DUP!)"),
        "[1700000002.000000] no answer yet for icmp_seq=2",
        "[1700000003.001000] From 10.0.0.1 icmp_seq=3 Destination Host Unreachable",
        answer("1700000004.020000", 5, "20.0"),
        "ping: sendmsg: Network is unreachable",
        "",
        "--- dns.google ping statistics ---",
        "7 packets transmitted, 2 received, +1 duplicates, +1 errors, 71% packet loss, time 6004ms",
        "rtt min/avg/max/mdev = 12.300/16.150/20.000/3.850 ms",
    )
    assert series.name == "ping.txt dns.google"
    assert milliseconds(series) == [12.3, None, None, None, 20.0, None, None]
    start = 1_700_000_000 * 10**9
    assert series.time_ns.tolist() == [start + k * 10**9 for k in range(7)]


def test_an_answer_that_comes_late_is_an_answer(tmp_path: Path) -> None:
    [series] = read(
        tmp_path,
        BEGIN,
        answer("1700000000.001000", 1, "1.00"),
        "[1700000002.000000] no answer yet for icmp_seq=2",
        answer("1700000002.001000", 3, "1.00"),
        answer("1700000002.500000", 2, "1500"),
    )
    assert milliseconds(series) == [1.0, 1500.0, 1.0]
    assert np.diff(series.time_ns).tolist() == [10**9, 10**9]


def test_numbers_begin_again_after_65535(tmp_path: Path) -> None:
    numbers = (65_534, 65_535, 1, 2, 65_535)
    lines = [answer(f"{1_700_000_000 + k}.001", n, "1") for k, n in enumerate(numbers)]
    [series] = read(tmp_path, *lines)
    # 0 is missing; the last line is a duplicate of the second.
    assert milliseconds(series) == [1.0, 1.0, None, 1.0, 1.0]
    assert series.name == "ping.txt 8.8.8.8"


def test_a_log_that_was_cut_at_its_beginning_begins_there(tmp_path: Path) -> None:
    lines = (answer("1700000000.5", 40, "1.0"), answer("1700000001.5", 41, "1.0"))
    assert len(read(tmp_path, *lines)[0]) == 2
    assert len(read(tmp_path, BEGIN, *lines)[0]) == 41, "with its beginning, 39 were lost"


def test_a_peer_that_never_answers(tmp_path: Path) -> None:
    [series] = read(
        tmp_path,
        BEGIN,
        *(f"[17000000{k:02}.500000] no answer yet for icmp_seq={k}" for k in (1, 2, 3)),
        "4 packets transmitted, 0 received, 100% packet loss, time 3000ms",
    )
    assert milliseconds(series) == [None] * 4
    assert np.diff(series.time_ns).tolist() == [10**9] * 3


def test_less_than_ping_can_print_is_an_answer(tmp_path: Path) -> None:
    [series] = read(tmp_path, answer("1700000000.5", 1, "0.000"))
    assert milliseconds(series) == [0.0005]


def test_several_runs_are_several_series(tmp_path: Path) -> None:
    lines = (BEGIN, answer("1700000000.5", 1, "1"), "PING ::1(::1) 56 data bytes")
    both = read(tmp_path, *lines, answer("1700000001.5", 1, "2"), "PING unanswered (10.0.0.1)")
    assert [(series.name, milliseconds(series)) for series in both] == [
        ("ping.txt dns.google", [1.0]),
        ("ping.txt ::1", [2.0]),
    ]


def test_a_summary_of_another_run_is_left_out(tmp_path: Path) -> None:
    lines = (BEGIN, answer("1700000000.5", 1, "1"), answer("1700000001.5", 2, "1"))
    (series,) = read(tmp_path, *lines, "9999999999 packets transmitted, 2 received")
    assert len(series) == 2


def test_leaps_of_numbers_fill_no_memory(tmp_path: Path) -> None:
    lines = (answer(f"17000{k:05d}.5", k * 32_767 % 65_536, "1") for k in range(100))
    with pytest.raises(SeriesError, match=r"ping\.txt: numbers from 0 to 3243933, and 100 of them"):
        read(tmp_path, *lines)
    (series,) = read(tmp_path, answer("1700000000.5", 0, "1"), answer("1700003000.5", 30_000, "1"))
    assert len(series) == 30_001


def test_what_a_person_can_mend_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match=r"ping\.txt:2: .* record with `ping -D`"):
        read(tmp_path, BEGIN, "64 bytes from 8.8.8.8: icmp_seq=1 ttl=117 time=1 ms")
    with pytest.raises(SeriesError, match=r"ping\.txt:1: an answer without a round-trip time"):
        read(tmp_path, "[1700000000.5] 16 bytes from 8.8.8.8: icmp_seq=1 ttl=117")
    with pytest.raises(SeriesError, match=r"ping\.txt:1: a round-trip time of 99999999999999 ms"):
        read(tmp_path, answer("1700000000.5", 1, "99999999999999"))
    with pytest.raises(SeriesError, match=r"ping\.txt:1: .* out of the range of times"):
        read(tmp_path, answer("17000000000.5", 1, "1"))
    with pytest.raises(SeriesError, match=r"ping\.txt:1: could not convert"):
        read(tmp_path, answer("1700000000.5", 1, "1.2.3"))
