"""A sensor that is stopped for two seconds at 50,000 packets a second misses nothing."""

import signal

import frames
import netns
import pytest
from running import started, until

pytestmark = pytest.mark.network

FRAMES = 100_000


def accounted(counted):
    return counted["packets"] + counted["kernel_drops"]


def test_default_ring_holds_two_seconds_of_short_frames():
    short = [
        frames.tcp_frame(f"10.1.{k >> 8}.{k & 255}", 1024, "10.0.0.2", 80, frames.SYN)
        for k in range(1000)
    ]
    padded = [frame.ljust(60, b"\0") for frame in short]
    with netns.link() as cable, started(cable, "--no-models", "-o", "/dev/null") as sensor:
        sensor.process.send_signal(signal.SIGSTOP)
        until(sensor.is_stopped, "the process to stop")
        sent = netns.play(cable.near, cable.port, padded * (FRAMES // 1000), 50_000)
        sensor.process.send_signal(signal.SIGCONT)
        until(lambda: accounted(sensor.statistics()) == sent, "every frame to be accounted for")
        counted = sensor.statistics()
        assert sensor.end() == 0
    assert (counted["packets"], counted["kernel_drops"]) == (FRAMES, 0)
    assert counted["decoded"] == FRAMES
