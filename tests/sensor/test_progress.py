import contextlib
import os
import pty
import re
import subprocess
import sys

import frames
import pytest
from command import ROOT, flood

from sensor.capture.files import CaptureFiles
from sensor.service.progress import with_progress


def on_a_terminal(*arguments, **environment):
    """What a command shows on a terminal that is both of its outputs."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "sensor.cli", *arguments]
    variables = {**os.environ, "TERM": "xterm", "NO_COLOR": "", **environment}
    with subprocess.Popen(command, cwd=ROOT, stdout=slave, stderr=slave, env=variables) as process:
        os.close(slave)
        seen = b""
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while piece := os.read(master, 65_536):
                seen += piece
    os.close(master)
    assert process.returncode == 0
    return seen.decode()


@pytest.mark.parametrize("output", ["/dev/null", "-"])
def test_terminal_shows_a_bar_and_a_summary(tmp_path, output):
    """With alerts on the same terminal there is no bar that they would break."""
    path = frames.write_pcap(tmp_path / "x.pcap", *flood(100))
    seen = on_a_terminal("replay", str(path), "--no-models", "-o", output)
    assert "1 incident" in seen
    assert "\x1b[" in seen  # colours
    assert ("100%" in seen) == (output == "/dev/null")
    assert ('"event_type":"alert"' in seen) == (output == "-")


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_are_left_out_where_they_are_not_wanted(tmp_path, variable):
    path = frames.write_pcap(tmp_path / "x.pcap", *flood(100))
    seen = on_a_terminal("replay", str(path), "--no-models", "-o", "/dev/null", **variable)
    assert "1 incident" in seen
    assert not re.search(r"\x1b\[[0-9;]*m", seen)
    assert ("\x1b" in seen) == ("NO_COLOR" in variable)  # hides the cursor while it moves
    assert ("100%" in seen) == ("NO_COLOR" in variable)  # a dumb terminal can't redraw a bar


def test_flows_show_a_bar(tmp_path):
    path = frames.write_pcap(tmp_path / "x.pcap", *flood(100))
    rows = tmp_path / "rows.csv"
    assert "100%" in on_a_terminal("flows", str(path), "-o", str(rows))
    assert len(rows.read_text().splitlines()) == 101


def test_without_a_terminal_the_blocks_pass_silently(tmp_path, capsys):
    path = frames.write_pcap(tmp_path / "x.pcap", *flood(100))
    with contextlib.closing(CaptureFiles([path])) as source:
        assert sum(map(len, with_progress(source))) == 100
    assert capsys.readouterr().err == ""
