"""The command on a terminal of its own, a pty; `test_live_view.py` has what it shows."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest
from command import ROOT, assert_fails, sensor_command, sensor_process
from running import PATIENCE_S
from test_health import Watched, frames_of

from sensor.reporting.status_file import boottime_s


class Terminal:
    """A program on a pty, and all that it has drawn."""

    def __init__(self, *command, rows=40, columns=100, term="xterm", **environment):
        self.end, other = pty.openpty()
        self.resize(rows, columns)
        self.drawn = b""
        self.process = subprocess.Popen(
            command,
            stdin=other,
            stdout=other,
            stderr=other,
            cwd=ROOT,
            start_new_session=True,
            env={**os.environ, "TERM": term, "LC_ALL": "C.UTF-8", **environment},
        )
        os.close(other)

    def resize(self, rows, columns):
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def wait_for(self, text):
        """Reads until it has drawn a text since this was last asked.

        Curses draws what has changed, so the text should have no character where the former had it.
        """
        deadline = time.monotonic() + PATIENCE_S
        while text.encode() not in self.drawn:
            ready, _, _ = select.select([self.end], [], [], PATIENCE_S)
            assert ready, self.drawn
            assert time.monotonic() < deadline, self.drawn
            self.drawn += os.read(self.end, 65_536)
        self.drawn = self.drawn.partition(text.encode())[2]

    def ended(self):
        """Its exit status; what it still draws is read away meanwhile."""
        while True:
            try:
                if not os.read(self.end, 65_536):
                    break
            except OSError:  # Linux's way to say that nobody has the other end any more
                break
        return self.process.wait(PATIENCE_S)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.end)


@pytest.fixture
def path(tmp_path):
    watched = Watched(tmp_path)
    watched.detect(frames_of(300))
    watched.look(0)
    return watched.path


@pytest.fixture
def terminal(path):
    opened = Terminal(sys.executable, "-m", "sensor.cli", "top", "--file", str(path))
    yield opened
    opened.close()


def change(path, **changes):
    document = {**json.loads(path.read_text()), "boottime": boottime_s(), **changes}
    path.with_name("new").write_text(json.dumps(document))
    path.with_name("new").replace(path)


def test_it_draws_follows_fits_and_ends(terminal, path):
    terminal.wait_for("HEALTHY")
    terminal.wait_for("eth0")
    terminal.wait_for("Last alerts")
    change(path, state="degraded", reasons=["@@@@@@@@"])
    terminal.wait_for("@@@@@@@@")
    terminal.resize(3, 20)
    os.kill(terminal.process.pid, signal.SIGWINCH)
    change(path, state="degraded", reasons=["%%%%%%%%"])
    terminal.wait_for("%%%%%%%%")
    path.unlink()
    terminal.wait_for("OWN")
    os.write(terminal.end, b"q")
    assert terminal.ended() == 0


def test_an_interruption_ends_it_quietly(terminal):
    terminal.wait_for("HEALTHY")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.ended() == 0


@pytest.mark.parametrize("term", ["dumb", "no-such-terminal"])
def test_a_terminal_that_can_not_be_drawn_on_is_refused(path, term):
    command = (sys.executable, "-m", "sensor.cli", "top", "--file", str(path))
    opened = Terminal(*command, term=term)
    try:
        opened.wait_for("can't move its cursor; use `status`")
        assert opened.ended() == 64
    finally:
        opened.close()


def test_without_a_terminal_it_is_refused(path, capfd):
    done = sensor_process("top", "--file", path)
    assert done.returncode == 64
    assert b"top needs a terminal; use `status`" in done.stderr
    configuration = path.with_name("sensor.toml")
    configuration.write_text('[health]\nstatus = ""\n')
    assert_fails(
        sensor_command(capfd, "top", "--config", configuration), 66, "no status is written"
    )
