import json
import os
import subprocess
import sys

import pytest
from test_symptoms import NOW

from sensor.errors import MissingInputError, PermissionDeniedError
from sensor.reporting import status_file
from sensor.reporting.status_file import boottime_s, judged, read_document, read_status
from sensor.service.health.status_output import StatusOutput


@pytest.fixture
def path(tmp_path):
    return tmp_path / "status.json"


def written(path, state="healthy", reasons=(), /, **changes):
    output = StatusOutput(path, None, 2, print, lambda: NOW)
    output.write(state, list(reasons), {"blind": []})
    document = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(document))
    return document


def gone():
    """Number of a process that was there."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_a_status_of_now_is_what_it_says(path):
    for state in ("healthy", "degraded", "starting"):
        written(path, state, ["because"])
        status = read_status(path)
        assert (status.state, status.reasons) == (state, ("because",))
        assert 0 <= status.age_s < 60


def test_what_ended_is_down(path):
    written(path, "down", ["stopped"], pid=gone())
    status = read_status(path)
    assert (status.state, status.reasons) == ("down", ("stopped",))


def test_a_clock_that_was_set_does_not_make_a_live_sensor_look_dead(path):
    """The time in the file is of 2027, whatever it is now."""
    for text in ("1970-01-01T00:00:00.000000+0000", "2099-01-01T00:00:00.000000+0000"):
        written(path, written=text)
        assert read_status(path).state == "healthy"


def test_a_process_that_is_gone_is_down_at_once(path):
    pid = gone()
    written(path, pid=pid)
    status = read_status(path)
    assert status.state == "down"
    assert status.reasons[0].startswith(f"its process {pid} is gone; it last wrote 0 s ago")


def test_a_process_that_hangs_is_down(path):
    written(path, boottime=boottime_s() - 5)
    assert read_status(path).state == "healthy"
    written(path, boottime=boottime_s() - 8)
    status = read_status(path)
    assert status.state == "down"
    assert "its process is there and hangs" in status.reasons[0]


def test_proving_models_may_take_long(path):
    written(path, "starting", boottime=boottime_s() - 100)
    assert read_status(path).state == "starting"
    written(path, "starting", boottime=boottime_s() - 100, pid_namespace="pid:[1]")
    assert read_status(path).state == "down"


def test_a_process_id_of_another_namespace_means_nothing(path):
    written(path, pid=gone(), pid_namespace="pid:[1]")
    assert read_status(path).state == "healthy"
    written(path, pid=gone(), pid_namespace="pid:[1]", boottime=boottime_s() - 30)
    status = read_status(path)
    assert status.state == "down"
    assert "can't be seen from here" in status.reasons[0]


def test_a_status_of_before_the_machine_was_started_is_down(path):
    document = written(path, boot_id="another", boottime=boottime_s() + 1e6)
    status = judged(document)
    assert (status.state, status.age_s) == ("down", None)
    assert "the machine was started anew" in status.reasons[0]


def test_another_start_is_believed_unless_the_process_has_just_written(path):
    """As in a container, whose services may see the machine's own number of the start."""
    assert judged(written(path, boot_id="another")).state == "healthy"
    for changes in ({"pid": gone()}, {"boottime": boottime_s() - 30}, {"pid_namespace": "pid:[1]"}):
        status = judged(written(path, boot_id="another", **changes))
        assert status.state == "down"
        assert "the machine was started anew" in status.reasons[0]


def test_no_file_is_down_and_says_so(path):
    status = read_status(path)
    assert (status.state, status.document) == ("down", {})
    assert status.reasons == (f"{path}: there is no status; no sensor runs that writes it there",)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "[" * 100_000, '{"format": 2}', '{"format": 1, "written": 5}', "\0" * 10,
     '{"format": 1e400}'],
)  # fmt: skip
def test_what_is_no_status_is_down(path, content):
    path.write_text(content)
    assert read_status(path).state == "down"
    with pytest.raises(MissingInputError, match="no status that this version can read"):
        read_document(path)


@pytest.mark.parametrize("entry", list(status_file._ENTRIES))
def test_every_entry_that_is_relied_on_is_looked_at(path, entry):
    for wrong in (None, {}):
        written(path, **{entry: wrong})
        with pytest.raises(MissingInputError):
            read_document(path)


def test_a_state_that_does_not_exist_is_no_status(path):
    written(path, state="splendid")
    assert read_status(path).state == "down"


def test_a_file_that_may_not_be_read_is_no_answer(path):
    written(path)
    path.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65_534)
        with pytest.raises(PermissionDeniedError, match="permission denied; ask as root"):
            read_status(path)
    finally:
        os.seteuid(user)


def test_a_folder_is_no_status(tmp_path):
    assert read_status(tmp_path).state == "down"
