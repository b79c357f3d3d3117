"""Clocks that are set while a sensor runs, and one that starts in 1970."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import frames
import netns
from command import ROOT
from running import until
from tqdm import tqdm

from faults.floods import address, flood, refused
from faults.installation import configuration
from faults.process import Sensor, lines_of, multa, sensor, sensor_command
from faults.result import Result
from sensor.service.health.symptoms import FIRST_YEAR

HERE = Path(__file__).parent
HOUR, YEAR = 3_600, 31_557_600
STEPS = (HOUR, -HOUR, 10 * YEAR, -10 * YEAR, -HOUR, HOUR, -10 * YEAR, 10 * YEAR)
"""Seconds; after all of them the clock is right again."""
FLOWS = 120
"""64 packets tell that a clock was set back; more than the rule's 30 flows come after them."""
ALLOWED = 1_000_000
"""The victim whose floods are allowed, as an audit's might be."""
EXPIRES = datetime(2030, 1, 1, tzinfo=timezone.utc)
THOROUGH = 8
"""From so many steps on, the status is waited for and looked at too."""
NEAR_S = 5.0
ALERTED_S = 5.0


class Clock:
    """The clock of a sensor, as far as it is from this machine's."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "offset"
        shim = folder / "shim.so"
        command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(shim), str(HERE / "clock_shim.c")]
        subprocess.run(command, check=True)
        self.environment = {"CLOCK_OFFSET": str(self._path), "LD_PRELOAD": str(shim)}
        self._path.write_bytes(bytes(8))
        self.offset_s = 0

    def set(self, offset_s: int) -> None:
        """Sets it to so much after this machine's."""
        self.offset_s = offset_s
        with self._path.open("r+b", buffering=0) as file:
            file.write((offset_s * 10**9).to_bytes(8, sys.byteorder, signed=True))

    def now(self) -> float:
        """What it shows."""
        return time.time() + self.offset_s


def main(count: int, seed: int) -> Result:
    """Sets clocks.

    Args:
        count: of steps, of a running sensor and in a recording each.
        seed: number of the first victim.
    """
    result = Result(
        "clock",
        "The sensor's wall clock is shifted by a library before libc (`tests/faults/clock_shim.c`),"
        " and the times that the kernel stamps on packets by as much, where they are read from the "
        "ring. It starts in 1970, is set right, and then steps by ±1 h and ±10 years, in the "
        "middle of traffic. After each step comes a flood: *alerted* is from its last packet to "
        "the start of its incident in the log. Times in alerts have to be those of the clock (±5 "
        "s). Before it comes a flood that a rule allows until 2030: it is told when the clock "
        "says that that is past, and not before. Then a recording with the same steps is replayed. "
        "The counting rule alone.",
    )
    with tempfile.TemporaryDirectory() as name:
        _live(result, Path(name), count, seed)
        _replayed(result, Path(name), count, seed)
    return result


def _live(result: Result, folder: Path, count: int, seed: int) -> None:
    clock, log = Clock(folder), folder / "log/alerts.json"
    stats = folder / "stats"
    alerted: list[float] = []
    misjudged = stale = sent = 0
    with netns.link() as cable:
        settings = _settings(folder, cable.port)
        command = sensor_command(
            cable, "--no-models", "--config", str(settings), "--stats", str(stats)
        )
        at = command.index("-m")
        command[at : at + 2] = [str(HERE / "shifted.py")]
        clock.set(40 - int(time.time()))
        backwards = 0
        wrong: list[str] = []
        with sensor(command, folder, environment=clock.environment) as running:
            for number in tqdm(range(count + 1), desc="clock", disable=None):
                victim = seed + number
                flood(cable, ALLOWED, FLOWS)
                flood(cable, victim, FLOWS)
                alerted.append(_until_alert(running, log, victim))
                wrong += _wrong_times(lines_of(log), address(victim), clock.now())
                told = _told_now(lines_of(log), address(ALLOWED), clock.now())
                misjudged += told != (clock.now() >= EXPIRES.timestamp())
                if count >= THOROUGH:
                    stale += _is_stale(folder / "status.json", clock)
                sent += 2 * 2 * FLOWS  # each connection is two packets; read before the step
                until(lambda n=sent: running.statistics()["packets"] >= n, "all packets")
                step = STEPS[(number - 1) % len(STEPS)] if number else -clock.offset_s
                clock.set(clock.offset_s + step)
                backwards += step < 0
                # As on any network, there is traffic before the next attack.
                sent += netns.play(cable.near, cable.port, _talk(70))
            status, _ = running.end()
        final = json.loads(stats.read_text())
    kinds = [(multa(line)["address"], multa(line)["event"]) for line in lines_of(log)]
    victims = [address(seed + number) for number in range(count + 1)]
    result.exactly("steps of a running sensor", count + 1, count + 1)
    result.below("alerted", alerted, ALERTED_S)
    result.exactly(
        "floods with one start and one end each",
        sum(kinds.count((each, "start")) == kinds.count((each, "end")) == 1 for each in victims),
        count + 1,
    )
    spans = [_span(line) for line in lines_of(log)]
    result.exactly("incidents of less than 0 or more than 60 s", _outside(spans, 0, 60), 0)
    result.exactly("allowed floods that were told, or expired ones that were not", misjudged, 0)
    if count >= THOROUGH:
        result.exactly("status that was not the clock's, or a wrong one", stale, 0)
    result.exactly("times in alerts that are not the clock's", len(wrong), 0)
    for text in wrong[:3]:
        result.inform("such a time", text)
    result.exactly("steps back that were counted", final["clock_steps"], backwards)
    result.exactly("alerts lost", final["alerts_lost"], 0)
    result.exactly("exit status", status, 0)


def _replayed(result: Result, folder: Path, count: int, seed: int) -> None:
    """A recording with the same steps: each flood is one incident, told with its own times."""
    recording, log = folder / "steps.pcap", folder / "replayed.json"
    contents: list[bytes] = []
    times: list[int] = []
    began: dict[str, int] = {}
    now = 1_700_000_000 * 10**9
    for number in range(count + 1):
        began[address(seed + number)] = now // 10**9
        for frame in [*refused(seed + number, FLOWS), *_talk(70)]:
            contents.append(frame)
            times.append(now)
            now += 1_000_000
        now += STEPS[number % len(STEPS)] * 10**9
    # The first frames after a step are the talk's, as above.
    frames.write_pcap(recording, contents, times, frames.NANOS_LE)
    command = [sys.executable, "-m", "sensor.cli", "replay", str(recording), "--no-models"]
    done = subprocess.run(
        [*command, "-o", str(log)], cwd=ROOT, check=False, capture_output=True, text=True
    )
    found = lines_of(log)
    starts = {multa(line)["address"]: line for line in found if multa(line)["event"] == "start"}
    right = sum(
        victim in starts and abs(_seconds(starts[victim]["timestamp"]) - second) < NEAR_S
        for victim, second in began.items()
    )
    result.exactly("replay: floods told at their own times", right, count + 1)
    result.exactly("replay: exit status", done.returncode, 0)


def _settings(folder: Path, port: str) -> Path:
    (folder / "log").mkdir()
    path = configuration(folder / "sensor.toml", port, folder)
    with path.open("a") as file:
        file.write(
            f'[[allow]]\ncomment = "audit"\nexpires = {EXPIRES:%Y-%m-%d}\n'
            f'destination = "{address(ALLOWED)}"\n'
        )
    return path


def _told_now(lines: Sequence[dict], victim: str, now: float) -> bool:
    """Whether an incident of the victim began lately by this clock."""
    return any(
        multa(line)["address"] == victim and abs(_seconds(line["timestamp"]) - now) < NEAR_S
        for line in lines
    )


def _is_stale(status: Path, clock: Clock) -> bool:
    """Whether the next status has another time than the clock, or says what is not so."""
    before = status.stat().st_mtime_ns
    until(lambda: status.stat().st_mtime_ns != before, "a new status")
    document = json.loads(status.read_text())
    lost = any("clock says" in reason for reason in document["reasons"])
    return (
        abs(_seconds(document["written"]) - clock.now()) > NEAR_S
        or lost != (clock.now() < datetime(FIRST_YEAR, 1, 1, tzinfo=timezone.utc).timestamp())
        or any("no packet" in reason or "blind" in reason for reason in document["reasons"])
        or document["silent_s"] > NEAR_S
        or bool(document["blind"])
    )


def _talk(packets: int) -> Sequence[bytes]:
    """Of two hosts that say little: enough packets to see that a clock was set back."""
    return [frames.udp_frame("10.0.0.8", 5_353, "10.0.0.9", 5_353, bytes(30))] * packets


def _until_alert(running: Sensor, log: Path, victim: int) -> float:
    began = time.monotonic()
    wanted = address(victim)
    while time.monotonic() - began < 2 * ALERTED_S and not running.ended():
        if any(multa(line)["address"] == wanted for line in lines_of(log)):
            return time.monotonic() - began
        time.sleep(0.01)
    return float("inf")


def _wrong_times(lines: Sequence[dict], victim: str, now: float) -> list[str]:
    """The times of a victim's alerts that are not near the clock's."""
    found = []
    for line in lines:
        ours = multa(line)
        if ours["address"] != victim:
            continue
        times = {key: ours[key] for key in ("first_packet", "last_packet", "emitted_at")}
        times |= {"timestamp": line["timestamp"], "flow": line["flow"]["start"]}
        times |= {f"sample {k}": each["start"] for k, each in enumerate(ours["sample"])}
        found += [
            f"{ours['event']}: {key} {value}"
            for key, value in times.items()
            if abs(_seconds(value) - now) > NEAR_S
        ]
    return found


def _span(line: dict) -> float:
    ours = multa(line)
    return _seconds(ours["last_packet"]) - _seconds(ours["first_packet"])


def _outside(values: Sequence[float], least: float, most: float) -> int:
    return sum(not least <= value <= most for value in values)


def _seconds(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
