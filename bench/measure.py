"""Runs contenders in turn on the same files and the same core, and keeps what they took."""

import datetime as dt
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.contenders import Contender
from bench.install import NotInstalledError, Place
from bench.material import ONE, Capture, Material

ROOT = Path(__file__).resolve().parent.parent
ACCOUNT = Path(__file__).with_name("account.py")


@dataclass
class Results:
    """All that is known, as it stands in the JSON file beside the page.

    Attributes:
        path: the file.
        scale: of the captures.
        core: the core on which all ran.
        machine: in words.
        captures: by name: packets, five-tuples (0: not counted) and bytes.
        versions: of contenders, by name.
        absent: contenders that can't be had here, with the reason.
        runs: one entry a run: contender, capture, number, time of day, `account.py`'s report,
            what the contender ``told`` (its counts), and a ``failure`` in words where it did not
            end well.
    """

    path: Path
    scale: float
    core: int
    machine: str
    captures: dict[str, dict[str, int]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Reads what `write` wrote."""
        return cls(path, **json.loads(path.read_text()))

    @property
    def place(self) -> tuple[float, int, str]:
        """What must be the same for results to be compared."""
        return self.scale, self.core, self.machine

    def write(self) -> None:
        """Writes the file, whole or not at all."""
        fields = {name: value for name, value in vars(self).items() if name != "path"}
        runs = ",\n".join(json.dumps(run) for run in fields.pop("runs"))
        head = json.dumps(fields, indent=1)[:-2]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        written = self.path.with_suffix(".tmp")
        written.write_text(f'{head},\n "runs": [\n{runs}\n]\n}}\n')
        written.replace(self.path)

    def of(self, contender: str, capture: str) -> list[dict[str, Any]]:
        """Runs of a contender on a capture that ended well."""
        return [run for run in self._about(contender, capture) if "failure" not in run]

    def told(self, contender: str, capture: str) -> list[dict[str, float]]:
        """What a contender counted on a capture, run by run, where it was asked."""
        return [run["told"] for run in self.of(contender, capture) if "told" in run]

    def failure(self, contender: str, capture: str) -> str:
        """What went wrong, or nothing."""
        return next((r["failure"] for r in self._about(contender, capture) if "failure" in r), "")

    def forget(self, jobs: Iterable[tuple[str, str]], *, only_failed: bool) -> None:
        """Drops the runs of jobs that are measured anew, or those of them that failed."""
        gone = set(jobs)
        self.runs = [
            run
            for run in self.runs
            if (run["contender"], run["capture"]) not in gone
            or (only_failed and "failure" not in run)
        ]

    def _about(self, contender: str, capture: str) -> list[dict[str, Any]]:
        pair = (contender, capture)
        return [run for run in self.runs if (run["contender"], run["capture"]) == pair]


def capture_of(contender: Contender, capture: str) -> str:
    """The capture that a contender reads in place of this one: its first packets, if it is slow."""
    cut = contender.cuts.get(capture)
    return f"{capture}@{cut}" if cut else capture


def plan(contenders: Sequence[Contender], captures: Sequence[str]) -> dict[str, list[Contender]]:
    """Who reads which capture: captures one after the other, contenders of one in turn.

    All begin with a capture of one packet. The sensor's assembly also reads the cuts that others
    are held to, so that both are compared on the same packets.
    """
    readers: dict[str, list[Contender]] = {}
    for capture in captures:
        for contender in contenders:
            if capture in contender.captures:
                readers.setdefault(capture_of(contender, capture), []).append(contender)
    started = [c for c in contenders if c.starts and any(c in there for there in readers.values())]
    assembly = [contender for contender in contenders if contender.name == "assembly"]
    for capture, there in readers.items():
        if "@" in capture:
            there[:0] = assembly
    return {ONE: started, **readers}


def install(
    contenders: Sequence[Contender], work: Path, results: Results, say: Callable[[str], None]
) -> dict[str, Place]:
    """Installs what can be; the others are named in the results with the reason."""
    places = {}
    for contender in contenders:
        say(f"installing {contender.name}")
        results.absent.pop(contender.name, None)
        try:
            places[contender.name] = contender.install.install(work)
        except NotInstalledError as error:
            results.absent[contender.name] = str(error)
        else:
            results.versions[contender.name] = places[contender.name].version
    return places


class Bench:
    """Runs what is planned and writes the results after each run."""

    def __init__(
        self, results: Results, material: Material, work: Path, say: Callable[[str], None]
    ) -> None:
        """Nothing runs yet."""
        self._results, self._material, self._work, self._say = results, material, work, say

    def run(
        self,
        planned: dict[str, list[Contender]],
        places: dict[str, Place],
        runs: int,
        *,
        resume: bool,
    ) -> None:
        """Runs everything `runs` times, interleaved; a contender that failed is not tried again.

        Args:
            planned: contenders by capture (`plan`).
            places: where they are installed; others are left out.
            runs: how often.
            resume: keep what the results hold, and do only what is missing.
        """
        jobs = [(c.name, capture) for capture, there in planned.items() for c in there]
        self._results.forget(jobs, only_failed=resume)
        for name, contenders in planned.items():
            there = [contender for contender in contenders if contender.name in places]
            if not there:
                continue
            capture = self._material.get(name)
            self._results.captures[name] = {
                "packets": capture.packets,
                "flows": capture.flows,
                "bytes": capture.size_bytes,
            }
            _into_memory(capture.path)
            for number in range(1, runs + 1):
                for contender in there:
                    done = self._results.of(contender.name, name)
                    if len(done) < number and not self._results.failure(contender.name, name):
                        self._say(f"{name}, run {number} of {runs}: {contender.name}")
                        self._once(contender, places[contender.name], capture, number)

    def _once(self, contender: Contender, place: Place, capture: Capture, number: int) -> None:
        scratch = self._work / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        output = self._work / "output"
        filled = {"capture": str(capture.path), "scratch": str(scratch), "python": place.python}
        command = [word.format(**filled) for word in shlex.split(contender.command)]
        environment = {**os.environ, **dict(place.environment)}
        account = [sys.executable, "-I", "-S", str(ACCOUNT), str(self._results.core)]
        at = dt.datetime.now(dt.timezone.utc)
        done = subprocess.run(
            [*account, str(contender.limit), str(output), *command],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
        )
        report = json.loads(done.stdout)
        run = {"contender": contender.name, "capture": capture.name, "run": number}
        run |= {"at": f"{at:%Y-%m-%dT%H:%M:%S}Z", **report}
        if report["timed_out"]:
            run["failure"] = f"not done within {contender.limit:.0f} s"
        elif report["status"]:
            errors = Path(f"{output}.err").read_text(errors="replace").split("\n")
            said = [line.strip() for line in errors if line.strip()]
            run["failure"] = f"exit status {report['status']}" + "".join(
                f": {s}" for s in said[-1:]
            )
        self._results.runs.append(run)
        if "failure" in run:
            self._say(f"{contender.name}: {run['failure']}")
        elif not contender.count_command:
            run["told"] = contender.counts(output.read_text(errors="replace"))
        elif number == 1:
            other = [word.format(**filled) for word in shlex.split(contender.count_command)]
            asked = subprocess.run(
                other, cwd=ROOT, env=environment, capture_output=True, check=False
            )
            run["told"] = contender.counts(asked.stdout.decode(errors="replace"))
        self._results.write()


def _into_memory(path: Path) -> None:
    """Reads a file, so that the first contender does not wait for the disk."""
    with path.open("rb") as stream:
        while stream.read(1 << 24):
            pass
