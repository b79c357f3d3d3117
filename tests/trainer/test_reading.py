import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from real_captures import DATA

from sensor.errors import MissingInputError, SeriesError
from trainer.latency.reading import read_file, read_files
from trainer.latency.series import LatencySeries
from trainer.latency.store import write_series

AT = 1_700_000_000
TEXTS = {
    "atlas.json": json.dumps(
        [{"prb_id": 1, "dst_addr": "192.0.2.1", "timestamp": AT, "result": [{"rtt": 5.0}]}]
    ),
    "ping.log": f"[{AT}.005000] 64 bytes from 192.0.2.1: icmp_seq=1 ttl=64 time=5.00 ms\n",
    "table.txt": f"\ufefftime;rtt\n{AT};5,0\n",
    "sensor.jsonl": json.dumps(
        {"time": AT, "peer": "192.0.2.1", "port": 0, "kind": "echo", "rtt_ms": 5, "from": "::1"}
    ),
    "rrul.flent": json.dumps(
        {"raw_values": {"Ping (ms) ICMP": [{"seq": 1, "t": AT + 0.005, "val": 5.0}]}}
    ),
}


def test_the_form_is_told_from_the_contents(tmp_path: Path) -> None:
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text)
    one = LatencySeries("store", np.array([AT * 10**9]), np.array([5.0]))
    write_series(tmp_path / "store", [one])
    paths = sorted(tmp_path.iterdir())
    found = list(read_files(paths))
    assert [series.name.split()[0] for series in found] == [path.name for path in paths]
    for series in found:
        assert series.time_ns.tolist() == pytest.approx([AT * 10**9], abs=500)
        assert series.rtt_ms.tolist() == [5.0]


def test_what_has_no_form_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    for text in ("", "Dear diary,\n", "[]", '{"a": 1}'):
        path.write_text(text)
        with pytest.raises(SeriesError, match="notes: no latency series; read are RIPE Atlas"):
            list(read_file(path))
    with pytest.raises(MissingInputError, match="none: No such file"):
        list(read_file(tmp_path / "none"))
    with pytest.raises(MissingInputError, match="Is a directory"):
        list(read_file(tmp_path))


def test_a_file_without_a_measurement_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ping.log"
    for text in (
        "PING 192.0.2.1 (192.0.2.1) 56(84) bytes of data.\n",
        "time,peer,port,kind,rtt_ms,from\n",
    ):
        path.write_text(text)
        with pytest.raises(SeriesError, match=r"ping\.log: no measurement in it"):
            list(read_file(path))


def test_published_series_of_every_form(tmp_path: Path) -> None:
    archive = DATA / "latency.tar.xz"
    if not archive.is_file():
        pytest.skip("needs ../shared/data/latency.tar.xz")
    wanted = {
        # Lines and failed pings by `grep -c ';-[34]'`; pings by `zcat | jq`.
        "latency/rtt-atlas/real_trace_labelled/13835.csv": [(7001, 218)],
        "latency/rtt-atlas/artificial_trace_labelled/20.csv": [(6506, 0)],
        "latency/nab/data/realKnownCause/ec2_request_latency_system_failure.csv": [(4032, 0)],
        "latency/flent/unittests/test_data/test-rrul.flent.gz": [
            (747, 65), (35, 0), (35, 0), (33, 0),
        ],
    }  # fmt: skip
    with tarfile.open(archive) as tar:
        for name, expected in wanted.items():
            path = tmp_path / Path(name).name
            path.write_bytes(tar.extractfile(name).read())  # type: ignore[union-attr]
            found = [(len(each), int((~each.answered).sum())) for each in read_file(path)]
            assert found == expected, name
