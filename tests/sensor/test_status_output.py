import json
import os
import stat
from pathlib import Path

import pytest
from test_symptoms import NOW

from sensor.reporting.status_file import boot_id, boottime_s
from sensor.service.health.status_output import StatusOutput


def output(folder, **options):
    said = []
    given = {"status": folder / "status.json", "metrics_file": None, **options}
    return StatusOutput(interval_s=2, say=said.append, wall_ns=lambda: NOW, **given), said


def read(folder):
    return json.loads((folder / "status.json").read_text())


def test_who_wrote_it_and_when_is_told(tmp_path):
    out, _ = output(tmp_path)
    out.write("healthy", [], {"statistics": {}})
    told = read(tmp_path)
    assert told["format"] == 1
    assert told["written"] == told["started"] == "2027-01-15T08:00:00.000000+0000"
    assert (told["pid"], told["boot_id"], told["interval_s"]) == (os.getpid(), boot_id(), 2)
    assert told["pid_namespace"] == str(Path("/proc/self/ns/pid").readlink())
    assert 0 <= boottime_s() - told["boottime"] < 60
    assert stat.S_IMODE((tmp_path / "status.json").stat().st_mode) == 0o640


def test_no_file_is_left_beside_it(tmp_path):
    out, _ = output(tmp_path, metrics_file=tmp_path / "metrics.prom")
    with out:
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.prom", "status.json"]


def test_a_reader_never_sees_half_a_file(tmp_path):
    """Whoever opened the old one keeps it."""
    out, _ = output(tmp_path)
    out.write("healthy", [], {"statistics": "x" * 100_000})
    with (tmp_path / "status.json").open() as reader:
        out.write("degraded", ["because"], {})
        assert json.loads(reader.read())["state"] == "healthy"
    assert read(tmp_path)["state"] == "degraded"


def test_a_link_in_the_way_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("keep")
    (tmp_path / ".status.json.new").symlink_to(tmp_path / "precious")
    out, said = output(tmp_path)
    out.write("healthy", [], {})
    assert (tmp_path / "precious").read_text() == "keep"
    assert (out.failures, len(said)) == (1, 1)


def test_without_paths_nothing_is_written(tmp_path):
    out, _ = output(tmp_path, status=None)
    with out:
        out.write("healthy", [], {})
    assert list(tmp_path.iterdir()) == []
    assert out.blind == []


def test_a_failure_is_counted_each_time_and_told_once():
    out, said = output(Path("/proc/self"), status=Path("/proc/self/status.json"))
    out.write("healthy", [], {})
    out.write("healthy", [], {})
    assert out.failures == 2
    (text,) = said
    assert text.startswith("/proc/self/status.json: can't be written")


def test_a_run_tells_the_gap_before_it(tmp_path):
    before, _ = output(tmp_path)
    down = {"interface": "eth0", "from": "a", "to": None, "why": "is down", "seconds": 3.0}
    before.write("degraded", [], {"blind": [down]})
    after, _ = output(tmp_path)
    ended, gap = after.blind
    assert ended == {**down, "to": "2027-01-15T08:00:00.000000+0000"}
    assert gap["interface"] is None
    assert gap["why"] == "the sensor was not running"
    assert 0 <= gap["seconds"] < 60


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "[" * 100_000, '{"format": 2}', '{"format": 1, "written": 5}', "\0" * 10],
)
def test_what_is_no_status_is_no_gap(tmp_path, content):
    (tmp_path / "status.json").write_text(content)
    assert output(tmp_path)[0].blind == []


def test_intervals_of_another_start_of_the_machine_are_not_told(tmp_path):
    before, _ = output(tmp_path)
    before.write("healthy", [], {"blind": []})
    told = {**read(tmp_path), "boot_id": "another"}
    (tmp_path / "status.json").write_text(json.dumps(told))
    assert output(tmp_path)[0].blind == []


def test_intervals_that_are_none_are_left_out(tmp_path):
    before, _ = output(tmp_path)
    before.write("healthy", [], {"blind": [5, {"interface": "eth0"}]})
    assert [each["why"] for each in output(tmp_path)[0].blind] == ["the sensor was not running"]


def test_metrics_are_written_when_the_state_changes_and_not_each_time(tmp_path):
    out, _ = output(tmp_path, metrics_file=tmp_path / "metrics.prom")
    seen = []
    for state in ("starting", "starting", "down", "down"):
        out.write(state, [], {})
        seen.append((tmp_path / "metrics.prom").stat().st_ino)
    assert seen[0] == seen[1] != seen[2] == seen[3]
