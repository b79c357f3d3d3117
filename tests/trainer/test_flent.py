import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensor.errors import SeriesError
from trainer.latency.formats.flent import is_flent, read_flent
from trainer.latency.series import LatencySeries

T0 = 1_588_855_601


def ping(number: float, after_s: float, rtt_ms: float) -> dict[str, float]:
    return {"seq": number, "t": T0 + after_s, "val": rtt_ms}


def read(tmp_path: Path, **raw: Any) -> list[LatencySeries]:
    text = json.dumps({"metadata": {"NAME": "rrul"}, "raw_values": raw, "results": {}})
    assert is_flent(text)
    path = tmp_path / "rrul.flent.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return list(read_flent(path))


def test_pings_with_the_lost_ones_between_them(tmp_path: Path) -> None:
    [series] = read(
        tmp_path,
        **{
            "Ping (ms) ICMP": [
                ping(1.0, 0.25, 250.0), ping(2.0, 1.5, 500.0), ping(2.0, 1.6, 600.0),
                ping(4.0, 3.5, 500.0),
            ],
            "Ping (ms) avg": [],
            "TCP upload": [{"dur": 0.2, "t": T0, "val": 7.14}],
        },
    )  # fmt: skip
    assert series.name == "rrul.flent.gz ICMP"
    # Floating-point seconds hold some hundred nanoseconds.
    expected = [0, 10**9, 2 * 10**9, 3 * 10**9]
    assert (series.time_ns - T0 * 10**9).tolist() == pytest.approx(expected, abs=500)
    assert np.array_equal(series.rtt_ms, [250.0, 500.0, np.nan, 500.0], equal_nan=True)


def test_irtt_says_which_were_lost(tmp_path: Path) -> None:
    lost = {"lost": True, "lost_dir": "up", "seq": 1, "t": T0 + 1.0}
    [series] = read(
        tmp_path,
        **{"Ping (ms) UDP BE1": [{**ping(0, 0.5, 500.0), "owd_up": 1.0}, lost]},
    )
    assert (series.time_ns - T0 * 10**9).tolist() == [0, 10**9]
    assert np.array_equal(series.rtt_ms, [500.0, np.nan], equal_nan=True)


def test_transactions_a_second_become_round_trip_times(tmp_path: Path) -> None:
    entries = [{"dur": 0.2, "t": T0 + k, "val": rate} for k, rate in enumerate((50.0, 0.0, 20.0))]
    [series] = read(tmp_path, **{"Ping (ms) UDP BE1": entries})
    assert np.array_equal(series.rtt_ms, [20.0, np.nan, 50.0], equal_nan=True)
    assert (series.time_ns // 10**9 - T0).tolist() == [0, 1, 2]


def test_what_a_person_can_mend_is_told(tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match=r"rrul\.flent\.gz: a test without pings"):
        read(tmp_path, **{"TCP upload": [{"t": T0, "val": 1.0}]})
    for entry in ({"seq": 1, "t": T0}, {"seq": 1, "t": T0, "val": 0}, {"seq": "x", "t": 1}):
        with pytest.raises(SeriesError, match="ICMP is damaged"):
            read(tmp_path, **{"Ping (ms) ICMP": [entry]})
    with pytest.raises(SeriesError, match="numbers from 1 to 1000000000"):
        read(tmp_path, **{"Ping (ms) ICMP": [ping(1, 0, 1.0), ping(1e9, 1, 1.0)]})
    path = tmp_path / "broken.flent"
    path.write_text('{"raw_values": ')
    with pytest.raises(SeriesError, match=r"broken\.flent: not a data file of flent"):
        list(read_flent(path))
