import hashlib
import tarfile
from pathlib import Path

import pytest
from real_captures import DATA

from sensor.errors import MissingInputError, UsageError
from trainer.latency.marked import HALVES, probes, read_half


def test_halves_are_dealt_by_hash() -> None:
    halves = [probes(half) for half in HALVES]
    assert [len(half) for half in halves] == [20, 20]
    by_hash = sorted(
        [*halves[0], *halves[1]], key=lambda probe: hashlib.sha256(probe.encode()).digest()
    )
    assert len(set(by_hash)) == 40
    assert set(halves[0]) == set(by_hash[:20])
    with pytest.raises(UsageError, match="no half of the marked series is called both"):
        probes("both")


def test_a_half_is_read_with_its_marks(tmp_path: Path) -> None:
    for k, probe in enumerate(probes("held_out")):
        text = "epoch;rtt;cp\n100;1,5;0\n340;-3;0\n" + "580;9;1\n" * k
        (tmp_path / f"{probe}.csv").write_text(text)
    (tmp_path / f"{probes('development')[0]}.csv").write_text("not read")
    half = read_half(tmp_path, "held_out")
    assert [each.series.name for each in half] == [f"{p}.csv" for p in probes("held_out")]
    assert [each.failed.tolist() for each in half] == [[1]] * 20
    assert half[2].change_points.tolist() == [2, 3]
    with pytest.raises(MissingInputError, match=r"11134\.csv: no such file, and 18 others"):
        read_half(tmp_path, "development")


def test_the_published_series() -> None:
    archive = DATA / "latency.tar.xz"
    if not archive.is_file():
        pytest.skip("needs ../shared/data/latency.tar.xz")
    with tarfile.open(archive) as tar:
        names = {Path(name).stem for name in tar.getnames() if "real_trace_labelled/" in name}
    assert names == {probe for half in HALVES for probe in probes(half)}
