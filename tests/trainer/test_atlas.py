import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensor.errors import SeriesError
from trainer.latency.formats.atlas import is_atlas, read_atlas
from trainer.latency.series import LatencySeries


def result(at: int, pings: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A ping result as firmware 5020 gives it."""
    return {
        "fw": 5020, "mver": "2.2.1", "lts": 43, "dst_name": "ping.example", "af": 4,
        "dst_addr": "192.0.2.7", "src_addr": "192.168.10.6", "proto": "ICMP", "ttl": 55,
        "size": 48, "result": pings, "dup": 0, "rcvd": 3, "sent": 3, "min": 31.4, "max": 32.2,
        "avg": 31.8, "msm_id": 41688561, "prb_id": 1000650, "timestamp": at,
        "msm_name": "Ping", "from": "203.0.113.26", "type": "ping", "step": None,
    } | more  # fmt: skip


ALL = [
    # Not in order of time, as probes deliver late.
    result(1_654_959_558, [{"rtt": 31.469868}, {"x": "*"}, {"rtt": 32.5}]),
    result(1_654_959_318, [{"rtt": 30.5}, {"rtt": 30.6, "dup": 1}, {"error": "unreachable"}]),
    result(1_654_959_318, [{"rtt": 9.25, "ttl": 50}], prb_id=7),
    result(1_654_959_319, [{"rtt": 8.5}], prb_id=7, dst_addr=None, addr="2001:db8::1"),
    result(1_654_959_320, [{"error": "dns resolution failed"}], prb_id=7, dst_addr=None),
]


def read(path: Path, text: str) -> list[LatencySeries]:
    path.write_text(text)
    assert is_atlas(text[: 1 << 16])
    return list(read_atlas(path))


@pytest.mark.parametrize("lines", [False, True], ids=["array", "lines"])
def test_a_series_for_each_probe_and_target(tmp_path: Path, *, lines: bool) -> None:
    text = "\n".join(map(json.dumps, ALL)) if lines else json.dumps(ALL, indent=1)
    series = read(tmp_path / "atlas.json", text)
    assert [each.name for each in series] == [
        "atlas.json probe 7 to 192.0.2.7",
        "atlas.json probe 7 to 2001:db8::1",
        "atlas.json probe 1000650 to 192.0.2.7",
    ]
    assert series[0].rtt_ms.tolist() == [9.25]
    assert series[1].time_ns.tolist() == [1_654_959_319 * 10**9]
    last = series[2]
    assert (last.time_ns // 10**9 - 1_654_959_318).tolist() == [0, 1, 240, 241, 242]
    nan = np.nan
    assert np.array_equal(last.rtt_ms, [30.5, nan, 31.469868, nan, 32.5], equal_nan=True)


def test_results_may_lie_across_chunks(tmp_path: Path) -> None:
    many = [result(1_654_959_318 + 240 * k, [{"rtt": 1.0 + k}]) for k in range(6000)]
    assert len(json.dumps(many)) > 2 << 20
    [series] = read(tmp_path / "atlas.json", json.dumps(many))
    assert series.rtt_ms.tolist() == [1.0 + k for k in range(6000)]
    packed = tmp_path / "atlas.json.gz"
    packed.write_bytes(gzip.compress(json.dumps(many).encode()))
    assert np.array_equal(next(read_atlas(packed)).rtt_ms, series.rtt_ms)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (json.dumps(ALL)[:-40], "1: not JSON"),
        (json.dumps(ALL[0]) + "\n{broken", "2: not JSON"),
        (json.dumps(result(1, [{"ttl": 3}])), "1: .*a ping without rtt, x or error"),
        (json.dumps(result(1, [{"rtt": -1}])), "1: .*a round-trip time of -1.0 ms"),
        (json.dumps(result(1, [{"rtt": "fast"}])), "1: not a ping result"),
        (json.dumps(result(10**20, [])), "1: not a ping result"),
        (json.dumps(result(1, ["x"])), "1: not a ping result"),  # type: ignore[list-item]
        ("\n\n" + json.dumps(result(1, [], type="traceroute")), "3: .*its type is traceroute"),
        ('[{"prb_id": 1,\n"timestamp": 2}]', "1: .*no 'result'"),
        ('[17, {"prb_id": 1}]', "1: not a result of RIPE Atlas but 17"),
    ],
)
def test_what_a_person_can_mend_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SeriesError, match=rf"atlas\.json:{says}"):
        read(tmp_path / "atlas.json", text)
