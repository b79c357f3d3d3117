"""Disks that fill up, and folders that are removed, under a sensor that writes alerts."""

import contextlib
import errno
import itertools
import json
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import netns
from running import until
from tqdm import tqdm

from faults.floods import flood
from faults.installation import configuration
from faults.process import Sensor, lines_of, names, sensor, sensor_command
from faults.result import Result
from sensor.alerts.sinks import SPOOL_LINES

RECOVERY_S = 5.0
DISK_MIB = 8
VICTIMS = 400
"""Each gives a start, an update and an end: more than wait in memory, and no more than the
budget of alerts."""
OVERFLOWING = 60
"""From so many rounds on, the log stays unwritable until alerts are lost, which takes a minute."""
WAITING, AGAIN = "alerts wait in memory", "can be written again"


def main(count: int, seed: int) -> Result:
    """Fills disks and removes folders.

    Args:
        count: rounds, of both kinds.
        seed: decides their order.
    """
    result = Result(
        "disk",
        f"Alerts, evidence, status and metrics go to a disk of {DISK_MIB} MiB (tmpfs in the "
        "sensor's own mount namespace). "
        "In a random half of the rounds it is filled to the last page, so that lines are torn; in "
        "the others the log's folder is removed with all that is in it. A flood follows, which "
        "has to be detected and told meanwhile; then there is room, or the folder, again. In the "
        f"end the disk stays full until more alerts wait than the {SPOOL_LINES:,} that may. "
        "Every line that was ever in the log is collected. *Told* is what the statistics count "
        "of events that are not withheld. *Current* is a status file that was written after there "
        "was room. The counting rule alone.",
    )
    chance = random.Random(seed)
    recovered: list[float] = []
    with tempfile.TemporaryDirectory() as name, netns.link() as cable:
        folder, disk = Path(name), Path(name, "disk")
        disk.mkdir()
        settings = configuration(folder / "sensor.toml", cable.port, disk)
        outputs = ("--config", str(settings), "--stats", str(folder / "stats"))
        inner = sensor_command(cable, "--no-models", *outputs)
        mount = f"mount -t tmpfs -o size={DISK_MIB}m,mode=750 tmpfs {disk} && mkdir {disk}/log"
        command = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", *inner]
        with sensor(command, folder) as running, _opened(running, disk) as place:
            victims = itertools.count()
            before = running.descriptors()
            kinds = [chance.random() < 0.5 for _ in range(count)]
            rounds = tqdm(kinds, desc="disk", disable=None)
            recovered += [place.harmed(cable, victims, full=full) for full in rounds]
            result.exactly("rounds of which the log recovered by itself", len(recovered), count)
            result.inform("of them with a full disk", sum(kinds))
            result.below("written again after there was room", recovered, RECOVERY_S)
            result.below("status current after there was room", place.current, RECOVERY_S)
            result.at_most("descriptors more", running.descriptors_more(before), 0)
            if count >= OVERFLOWING:
                place.overflow(cable, victims)
            broken, evidence = place.broken_evidence()
            result.exactly("files of evidence that are not whole", broken, 0)
            if not all(kinds):
                result.at_least("files of evidence", evidence, 1)
            status, _ = running.end()
            place.collect()
            result.exactly("files that were left unfinished", place.unfinished(), 0)
        counted = json.loads((folder / "stats").read_text())
        told = sum(counted["alerts"].values()) - counted["alerts_withheld"]
        written, lost = counted["alerts_written"], counted["alerts_lost"]
        result.exactly("told − written − lost", told - written - lost, 0)
        result.exactly("lines found in the log − written", place.lines.total() - written, 0)
        result.exactly("lines found twice", place.lines.total() - len(place.lines), 0)
        result.inform("told, written, lost", f"{told:,}, {written:,}, {lost:,}")
        result.exactly("exit status (74 if alerts were lost)", status, 74 if lost else 0)
        if count >= OVERFLOWING:
            said = running.said(f"; {lost} alerts were lost")
            result.exactly("said how many were lost, when it recovered", said, 1)
            result.at_least("lost, so that losses were counted at all", lost, 1)
    return result


@contextlib.contextmanager
def _opened(running: Sensor, disk: Path) -> Iterator["Disk"]:
    """The disk as it is in the sensor's mount namespace, even after the sensor's end."""
    descriptor = os.open(f"/proc/{running.pid}/root{disk}", os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Disk(running, Path(f"/proc/self/fd/{descriptor}"))
    finally:
        os.close(descriptor)


class Disk:
    """What the sensor writes its alerts to.

    Attributes:
        lines: that were found, by what tells them apart.
        current: seconds until the status was current again, by round.
    """

    def __init__(self, running: Sensor, root: Path) -> None:
        self.lines: Counter[tuple] = Counter()
        self.current: list[float] = []
        self._running, self._root, self._log = running, root, root / "log"

    def harmed(self, cable: netns.Link, victims: Iterator[int], *, full: bool) -> float:
        """One round; the seconds until the log was written again after it could be."""
        running = self._running
        waited, again = running.said(WAITING), running.said(AGAIN)
        incidents = _incidents(running)
        if full:
            self._fill()
        else:
            self._remove()
        flooded = 0
        while running.said(WAITING) == waited:
            # Two lines may fit into what is left of the log's last page.
            flood(cable, next(victims))
            flooded += 1
            with contextlib.suppress(AssertionError):
                running.wait_until_said(WAITING, waited + 1, patience_s=2)
            if flooded > 20:
                raise AssertionError(f"the log was written all the same: {running.tail()}")
        until(lambda: _incidents(running) >= incidents + flooded, "the incidents")
        began = time.monotonic()
        if full:
            (self._root / "filler").unlink()
        else:
            self._log.mkdir()
        now = time.time_ns()
        running.wait_until_said(AGAIN, again + 1)
        recovered = time.monotonic() - began
        until(lambda: self._status_ns() > now, "a status that is current")
        self.current.append(time.monotonic() - began)
        return recovered

    def overflow(self, cable: netns.Link, victims: Iterator[int]) -> None:
        """More alerts than may wait, then room again."""
        running = self._running
        again, lost = running.said(AGAIN), running.statistics()["alerts_lost"]
        self._fill()
        for _ in range(VICTIMS):
            flood(cable, next(victims))
        patience_s = time.monotonic() + 180  # the incidents end a minute later

        def ended() -> bool:
            if time.monotonic() > patience_s:
                raise AssertionError(f"nothing was lost: {running.tail()}")
            return running.statistics()["alerts_lost"] > lost

        while not ended():
            time.sleep(0.5)
        time.sleep(2)  # most of them end together
        (self._root / "filler").unlink()
        running.wait_until_said(AGAIN, again + 1)

    def collect(self) -> None:
        """Counts the lines of the log."""
        self.lines.update(names(lines_of(self._log / "alerts.json")))

    def broken_evidence(self) -> tuple[int, int]:
        """How many files of evidence are not whole, and how many there are."""
        found = sorted((self._root / "evidence").glob("*.json"))
        return sum(not _is_whole(path) for path in found), len(found)

    def unfinished(self) -> int:
        """How many files under a name of passage are left."""
        return sum(path.name.endswith(".new") for path in self._root.rglob("*"))

    def _status_ns(self) -> int:
        """When the status was written; whatever happens, what stands there is whole."""
        path = self._root / "status.json"
        json.loads(path.read_text())
        return path.stat().st_mtime_ns

    def _fill(self) -> None:
        with (self._root / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def _remove(self) -> None:
        # By another name first: nothing is written any more to what is counted then.
        away = self._root / "away"
        self._log.rename(away)
        time.sleep(0.05)
        self.lines.update(names(lines_of(away / "alerts.json")))
        shutil.rmtree(away)


def _is_whole(path: Path) -> bool:
    with contextlib.suppress(ValueError):
        return (
            path.stem
            == json.loads(path.read_text())["alert"]["alert"]["metadata"]["multa"]["alert_id"]
        )
    return False


def _incidents(running: Sensor) -> int:
    return sum(running.statistics()["incidents"].values())
