import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sensor.errors import MissingInputError, OutputError, SeriesError
from trainer.latency import store
from trainer.latency.series import TASKS, LatencySeries
from trainer.latency.store import read_store, write_series


def made(name: str, length: int, *tasks: str) -> LatencySeries:
    times = np.arange(length, dtype=np.int64) * 10**9
    rtts = np.where(times // 10**9 % 3 == 1, np.nan, (times + 1) / 7.0)
    truth = {task: (times // 10**9 % (k + 2) == 0).astype(np.int8) for k, task in enumerate(tasks)}
    return LatencySeries(name, times, rtts, truth)


def test_what_is_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK", 10)
    series = [made("a", 4, *TASKS), made("über b", 25), made("c", 0), made("d", 3, "outage")]
    path = tmp_path / "series.npz"
    write_series(path, iter(series))
    assert [entry.name for entry in tmp_path.iterdir()] == ["series.npz"]
    found = list(read_store(path))
    assert [each.name for each in found] == ["a", "über b", "c", "d"]
    for each, its in zip(found, series, strict=True):
        assert np.array_equal(each.time_ns, its.time_ns)
        assert np.array_equal(each.rtt_ms, its.rtt_ms, equal_nan=True)
        assert each.truth.keys() == its.truth.keys()
        assert all(np.array_equal(each.truth[task], its.truth[task]) for task in its.truth)
    with np.load(path) as archive:
        assert {key.split("/")[0] for key in archive} == {"0", "1"}
        assert archive["0/lengths"].tolist() == [4, 25]


def test_series_are_written_as_they_come_or_not_at_all(tmp_path: Path) -> None:
    def broken() -> Iterator[LatencySeries]:
        yield made("a", 4)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_series(tmp_path / "series.npz", broken())
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError, match=r"none/series\.npz: No such file"):
        write_series(tmp_path / "none/series.npz", [made("a", 4)])


def test_a_link_is_followed_and_no_device_replaced(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("series.npz")
    write_series(tmp_path / "link", [made("a", 4)])
    assert (tmp_path / "link").is_symlink()
    assert len(list(read_store(tmp_path / "series.npz"))) == 1
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="pipe: is no file that can be replaced"):
        write_series(pipe, [made("a", 4)])
    assert pipe.is_fifo()
    with pytest.raises(OutputError, match=r"series\.npz/b: Not a directory"):
        write_series(tmp_path / "series.npz" / "b", [made("a", 4)])


def test_what_is_no_store_is_told(tmp_path: Path) -> None:
    path = tmp_path / "series.npz"
    with pytest.raises(MissingInputError, match=r"series\.npz: No such file"):
        list(read_store(path))
    whole = tmp_path / "whole.npz"
    write_series(whole, [made("a", 100)])
    path.write_bytes(whole.read_bytes()[:-30])
    with pytest.raises(SeriesError, match=r"series\.npz: no archive of latency series"):
        list(read_store(path))
    octets = bytearray(whole.read_bytes())
    octets[octets.index(b"rtt_ms.npy") + 200] ^= 1
    path.write_bytes(octets)
    with pytest.raises(SeriesError, match="damaged"):
        list(read_store(path))
    octets = bytearray(whole.read_bytes())
    octets[-6] ^= 0xFF  # where the list of contents begins
    path.write_bytes(octets)
    with pytest.raises(SeriesError, match="damaged"):
        list(read_store(path))
    np.savez(path, other=np.zeros(3))
    with pytest.raises(SeriesError, match="no archive of latency series"):
        list(read_store(path))
    good = {name: np.load(whole)[f"0/{name}"] for name in ("names", "time_ns", "rtt_ms", *TASKS)}
    for name, value, says in (("rtt_ms", 0.0, "that are none"), ("time_ns", 99, "order of time")):
        columns = good | {"lengths": np.array([100]), name: good[name].copy()}
        columns[name][3] = value
        np.savez(path, **{f"0/{key}": column for key, column in columns.items()})
        with pytest.raises(SeriesError, match=says):
            list(read_store(path))
    for name, value, says in (
        ("lengths", [99], "columns of chunk 0 don't fit each other"),
        ("lengths", [50, 50], "chunk 0 has no list of its series"),
        ("lengths", [-1], "chunk 0 has no list of its series"),
        ("lengths", [100.0], "chunk 0 has no list of its series"),
        ("lengths", 100, "chunk 0 has no list of its series"),
        ("names", [["a"]], "chunk 0 has no list of its series"),
        ("noise", np.full(100, 2, np.int8), "chunk 0 has truth that is none"),
    ):
        columns = good | {"lengths": np.array([100]), name: np.array(value)}
        np.savez(path, **{f"0/{key}": column for key, column in columns.items()})
        with pytest.raises(SeriesError, match=says):
            list(read_store(path))
    none = good | {name: good[name][:0] for name in good} | {"lengths": np.zeros(0, np.int64)}
    np.savez(path, **{f"0/{key}": column for key, column in none.items()})
    with pytest.raises(SeriesError, match="chunk 0 has no list of its series"):
        list(read_store(path))
