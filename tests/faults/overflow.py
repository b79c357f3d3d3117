"""Frames that come while the sensor does not read: how soon it says that some were lost."""

import random
import signal
import tempfile
import time
from pathlib import Path

import frames
import netns
from running import until
from tqdm import tqdm

from faults.process import Sensor, sensor, sensor_command
from faults.result import Result

REPORTED_S = 10.0
BUFFER_MIB = 2
FRAMES = 30_000
"""Of 136 bytes each in the ring: twice what fits."""
DROPPED = "the kernel dropped"


def main(count: int, seed: int) -> Result:
    """Stops sensors while frames come.

    Args:
        count: of stops; a fifth of them are of a sensor of their own, as the first loss is said
            at once, and one that goes on once a minute.
        seed: of the numbers of frames.
    """
    result = Result(
        "overflow",
        f"The sensor is stopped (SIGSTOP) while {FRAMES:,} to {2 * FRAMES:,} frames come, which do "
        f"not fit into its ring of {BUFFER_MIB} MiB, and goes on (SIGCONT). *Said* is from then to "
        "the message about what the kernel dropped, of a sensor that had not said so before (it "
        "says so once a minute); *counted* to statistics that have lost frames in them and "
        "account for all that were sent. The counting rule alone.",
    )
    chance = random.Random(seed)
    said: list[float] = []
    counted: list[float] = []
    unaccounted = 0
    with tempfile.TemporaryDirectory() as folder, netns.link() as cable:
        command = sensor_command(
            cable, "--no-models", "-o", "/dev/null", "--buffer", str(BUFFER_MIB)
        )
        left = tqdm(total=count, desc="overflow", disable=None)
        while len(counted) < count:
            with sensor(command, Path(folder)) as running:
                for number in range(min(5, count - len(counted))):
                    seen = _accounted(running)
                    began = _stopped(running, cable, sent := FRAMES + chance.randrange(FRAMES))
                    if number == 0:
                        running.wait_until_said(DROPPED)
                        said.append(time.monotonic() - began)
                    until(lambda r=running, n=seen + sent: _accounted(r) >= n, "every frame")
                    counted.append(time.monotonic() - began)
                    unaccounted += _accounted(running) - seen - sent
                    left.update()
                drops = running.statistics()["kernel_drops"]
                unaccounted += drops == 0
                running.end()
    result.exactly("stops", len(counted), count)
    result.below("said", said, REPORTED_S)
    result.below("counted", counted, REPORTED_S)
    result.exactly("frames that are neither seen nor counted as lost", unaccounted, 0)
    return result


def _stopped(running: Sensor, cable: netns.Link, sent: int) -> float:
    """Sends while the sensor is stopped; when it went on."""
    running.process.send_signal(signal.SIGSTOP)
    until(running.is_stopped, "the process to stop")
    frame = frames.udp_frame("10.0.0.1", 1, "10.0.0.2", 2, bytes(18))
    netns.play(cable.near, cable.port, (frame for _ in range(sent)))
    running.process.send_signal(signal.SIGCONT)
    return time.monotonic()


def _accounted(running: Sensor) -> int:
    counters = running.statistics()
    return counters["packets"] + counters["kernel_drops"]
