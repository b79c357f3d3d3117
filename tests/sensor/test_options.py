import os
import stat
import threading
from pathlib import Path

import pytest

from sensor.cli.options import chosen_models, open_fresh_log, open_statistics
from sensor.errors import MissingInputError, UsageError
from sensor.service import lanes


def test_models_given_are_used(tmp_path):
    assert chosen_models((tmp_path,), no_models=False) == [tmp_path]
    assert chosen_models((), no_models=True) == []
    with pytest.raises(UsageError, match="exclude each other"):
        chosen_models((tmp_path,), no_models=True)


def test_shipped_model_is_the_default(monkeypatch, tmp_path):
    monkeypatch.setattr(lanes, "shipped_models", lambda: tmp_path)
    with pytest.raises(MissingInputError, match="no model came with this installation"):
        chosen_models((), no_models=False)
    (tmp_path / "iot-gateway").mkdir()
    assert chosen_models((), no_models=False) == [tmp_path / "iot-gateway"]


def test_two_outputs_do_not_share_a_place(tmp_path):
    path = str(tmp_path / "x")
    for place in ("-", path):
        with pytest.raises(UsageError, match="two outputs"):
            open_statistics(place, place)
    assert open_statistics(None, "-") is None
    assert not Path(path).exists()


def test_fresh_log_empties_files_and_nothing_else(tmp_path):
    path = tmp_path / "alerts.json"
    path.write_text("old\n")
    open_fresh_log(str(path)).close()
    assert path.read_text() == ""
    open_fresh_log("/dev/null").close()
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_fresh_log_waits_for_the_reader_of_a_pipe_and_says_so(tmp_path, capfd):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    said = []

    def read():
        # Only then does the other side open the pipe.
        while "waiting for a reader" not in "".join(said):
            said.append(capfd.readouterr().err)
        said.append(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    log = open_fresh_log(str(path))
    log.write(b"line\n")
    log.close()
    reader.join(timeout=60)
    assert said[-1] == "line\n"
    assert f"waiting for a reader of {path}" in "".join(said)


def test_reader_that_is_there_is_not_told_of_an_end(tmp_path, capfd):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = open_fresh_log(str(path))
    with pytest.raises(BlockingIOError):  # a pipe without writers would give b"", the end
        os.read(reader, 10)
    log.close()
    os.close(reader)
    assert capfd.readouterr().err == ""
