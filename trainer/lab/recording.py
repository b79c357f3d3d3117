"""One recording: a folder with a capture, its labels, and the account of what happened.

- ``capture.pcap``: what passed the gateway's bridge, nanosecond pcap;
- ``labels.csv``: rule 17 of `docs/semantics.md`;
- ``recording.json``: scenario, seed, times, versions, hosts, counts, attacks, sessions, written
  last: a folder without it is not a recording.
"""

import contextlib
import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sensor
from sensor.errors import HostError, OutputError
from trainer.datasets.extraction import ACCOUNT, CAPTURE, LABELS, WORK
from trainer.lab.network import contained, require_host, search_path
from trainer.lab.plan import Plan
from trainer.lab.planning import make_plan
from trainer.lab.scenario import Scenario, read_scenario
from trainer.lab.service_shapes import SHAPES
from trainer.lab.service_truth import DECLARATION, connection_rows
from trainer.lab.truth import (
    Row,
    captured_flows,
    check_rows,
    label_rows,
    require_whole,
    write_labels,
)

HEADER_SNAPLEN = 128
"""Enough for the headers of every frame; no payload is a feature."""

Progress = Callable[[float], None]
"""Told how many seconds of the recording have passed."""


def record(
    scenario_name: str,
    folder: Path,
    duration_s: float,
    seed: int,
    snaplen: int = HEADER_SNAPLEN,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Plays a scenario and records it into a folder.

    Returns:
        What ``recording.json`` holds.

    Raises:
        MissingInputError, ScenarioError: about the scenario.
        PermissionDeniedError, HostError: about this machine.
        OutputError: the folder can't be written, holds a recording or anything else, or another
            recording is being made in it.
        LabelError: labels and capture do not agree; nothing is kept.
    """
    scenario = read_scenario(scenario_name)
    plan = make_plan(scenario, seed, duration_s)
    services = {service for host in plan.hosts for service in host.services}
    require_host(services | {attack.settings.get("tool", "") for attack in plan.attacks})
    with _claimed(folder) as work:
        request = {
            "scenario": scenario_name,
            "seed": seed,
            "duration_s": duration_s,
            "capture": str((folder / CAPTURE).resolve()),
            "snaplen": snaplen,
            "folder": str(work.resolve()),
        }
        try:
            played = _play(request, work, progress)
            require_whole(folder / CAPTURE, played["recorder"]["captured"])
            reports = dict(enumerate(played["attacks"]))
            flows = captured_flows(folder / CAPTURE)
            bursts = {host.name: host.loss_burst for host in plan.hosts}
            rows, matched = check_rows(
                label_rows(plan, played["attacks"]),
                reports,
                flows,
                {attack.index: bursts[attack.host] for attack in plan.attacks},
            )
            classes = connection_rows(played["sessions"], flows)
            write_labels(
                folder / LABELS,
                [*(row.line() for row in rows), *(row.line() for row in classes)],
                [DECLARATION] if classes else [],
            )
            account = _account(scenario, plan, played, rows, matched, snaplen, len(flows))
            account["classes"] = Counter(row.value for row in classes if row.value in SHAPES)
            text = json.dumps(account, indent=1) + "\n"
            (work / ACCOUNT).write_text(text, encoding="utf-8")
            # The recording is there from this moment on, and not before.
            (work / ACCOUNT).replace(folder / ACCOUNT)
        except BaseException as error:
            _discard(folder)
            if isinstance(error, OSError):
                raise OutputError(
                    f"{folder}: {error.strerror}; choose a folder with room in it"
                ) from None
            raise
        shutil.rmtree(work, ignore_errors=True)
    return account


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[Path]:
    """Makes the folder and an empty one for work in it; no one else records into it meanwhile.

    What a recording that was killed has left in it is removed; nothing else ever is.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The kernel lets go of the lock when this process ends, in whatever way.
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}; choose a writable folder") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"{folder}: another recording is being made in it; choose another folder"
            ) from None
        yield _prepared(folder)
    finally:
        os.close(lock)


def _prepared(folder: Path) -> Path:
    if (folder / ACCOUNT).exists():
        raise OutputError(
            f"{folder}: holds a recording already; choose another folder or remove it"
        )
    work = folder / WORK
    try:
        if work.exists():
            _discard(folder)
        if others := sorted(path.name for path in folder.iterdir()):
            raise OutputError(
                f"{folder}: holds {others[0]}, which is no recording's; choose a new folder"
            )
        work.mkdir()
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}; choose a writable folder") from None
    return work


def _discard(folder: Path) -> None:
    """Removes what there is of a recording that will not be; the sign that it was one goes last."""
    for name in (CAPTURE, LABELS, ACCOUNT):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / WORK, ignore_errors=True)


def _play(request: dict[str, Any], work: Path, progress: Progress) -> dict[str, Any]:
    """Runs `trainer.lab.stage` in new namespaces; leaving this function, however, ends it."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    with (work / "stage.log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            contained([sys.executable, "-m", "trainer.lab.stage"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"PYTHONPATH": path, "PATH": search_path()},
            start_new_session=True,  # Ctrl-C is for this process; it ends the others
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                message = json.loads(line)
                if "elapsed_s" in message:
                    progress(message["elapsed_s"])
                elif "error" in message:
                    raise HostError(message["error"])
                elif "done" in message:
                    done: dict[str, Any] = message["done"]
                    if done["failures"]:
                        raise HostError(done["failures"][0])
                    return done
        except BrokenPipeError:
            pass
        finally:
            process.kill()
            # The pipe ends when the last process of the namespaces has gone.
            process.stdout.read()
            process.stdout.close()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()
        log.seek(0)
        words = log.read().strip().splitlines() or ["it ended without a word"]
        raise HostError(f"the lab failed: {words[-1]}")


def _account(
    scenario: Scenario,
    plan: Plan,
    played: dict[str, Any],
    rows: list[Row],
    matched: dict[int, int],
    snaplen: int,
    flows: int,
) -> dict[str, Any]:
    attacks = []
    for attack, report in zip(plan.attacks, played["attacks"], strict=True):
        mine = [row for row in rows if row.attack is attack]
        planned = asdict(attack)
        del planned["claims"]
        labels = [{"row": row.line(), "flows": row.flows, "packets": row.packets} for row in mine]
        found = {"captured_flows": matched.get(attack.index, 0), "labels": labels}
        attacks.append(planned | report | found)
    return {
        "scenario": scenario.name,
        "description": scenario.description,
        "seed": plan.seed,
        "duration_s": plan.duration_s,
        "start": played["start"],
        "end": played["end"],
        "snaplen": snaplen,
        "multa": sensor.__version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "lan": plan.lan,
        "flows": flows,
        "recorder": played["recorder"],
        "hosts": [asdict(host) for host in plan.hosts],
        "activities": played["activities"],
        "attacks": attacks,
        "sessions": played["sessions"],
    }
