"""Signals from before the run is there; `test_lifecycle.py` has those that come to a run."""

import os
import signal
import subprocess
import sys

import netns
import pytest
from command import ROOT

from sensor.service.signals import Signals


def kill(number):
    os.kill(os.getpid(), number)


def test_what_comes_early_is_remembered(capfd):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    stops = []
    signals = Signals()
    with signals.handled():
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM):
            kill(number)
        assert capfd.readouterr().err == "multa-sensor: starting\n"
        signals.are_about(lambda: stops.append(1), lambda: "counted\n")
        assert stops == [1]
        assert signals.reopen_asked()
        assert not signals.reopen_asked()
        kill(signal.SIGUSR1)
        assert capfd.readouterr().err == "counted\n"
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_counters_that_nobody_reads_are_left_out():
    """A pipe whose reader stands still would else hold the run and every signal to it."""
    reader, writer = os.pipe()
    kept = os.dup(2)
    os.dup2(writer, 2)
    signals = Signals()
    try:
        os.set_blocking(writer, False)
        os.write(writer, bytes(1 << 20))  # as much as it takes
        os.set_blocking(writer, True)
        with signals.handled():
            signals.are_about(list, lambda: "counted\n")
            kill(signal.SIGUSR1)
            os.read(reader, 1 << 20)
            kill(signal.SIGUSR1)
        assert os.read(reader, 100) == b"counted\n"
    finally:
        os.dup2(kept, 2)
        for descriptor in (reader, writer, kept):
            os.close(descriptor)


@pytest.mark.parametrize("late", [signal.SIGHUP, signal.SIGUSR1])
def test_what_comes_after_the_end_does_not_change_the_status(late):
    """The interpreter takes a few milliseconds to end, in which a storm may go on."""
    program = f"""
import atexit, os, signal, sys
from sensor.service.signals import Signals
signal.signal({int(late)}, signal.SIG_DFL)
with Signals().handled():
    pass
atexit.register(os.kill, os.getpid(), {int(late)})
sys.exit(74)
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 74


def test_who_handles_a_signal_goes_on_doing_so():
    before = signal.signal(signal.SIGUSR1, kept := lambda *_: None)
    try:
        with Signals().handled():
            pass
        assert signal.getsignal(signal.SIGUSR1) is kept
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_second_interruption_ends_it_at_once():
    stops = []
    signals = Signals()
    with signals.handled():
        signals.are_about(lambda: stops.append(1), str)
        kill(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            kill(signal.SIGINT)
    assert stops == [1]


@pytest.mark.network
@pytest.mark.parametrize("early", ["SIGHUP", "SIGUSR1", "SIGTERM", "SIGINT"])
def test_signal_while_models_are_proved_ends_or_loses_nothing(tmp_path, early):
    """The proof itself sends the signal, so that it comes then and at no other time."""
    log, stats = tmp_path / "alerts.json", tmp_path / "stats.json"
    program = f"""
import os, signal, sys
import sensor.service.session as session
prove = session.build_lanes
def signalled(*arguments, **options):
    os.kill(os.getpid(), signal.{early})
    return prove(*arguments, **options)
session.build_lanes = signalled
from sensor.cli import main
limit = [] if "{early}" in ("SIGTERM", "SIGINT") else ["--duration", "0.1"]
main(["run", "-i", "port0", "--no-models", "-o", {str(log)!r}, "--stats", {str(stats)!r}, *limit])
"""
    with netns.link() as cable:
        done = subprocess.run(
            ["ip", "netns", "exec", cable.far, sys.executable, "-c", program],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert stats.exists()
