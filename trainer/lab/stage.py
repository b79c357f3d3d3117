"""The first process of the lab's PID namespace: builds the network, starts the hosts, keeps time.

Started by `trainer.lab.recording` through `trainer.lab.network.contained`, never by hand. Reads a
JSON object from standard input, whose end means that nobody wants the recording any more. Writes
JSON lines to standard output: ``phase``, ``elapsed_s``, and at last ``done`` or ``error``. When it
ends, the kernel ends everything that it has started.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from sensor.errors import HostError, MultaError
from trainer.lab.host import CaptureFile, HostProcess
from trainer.lab.links import forward, open_tap
from trainer.lab.network import cables, move
from trainer.lab.plan import Plan
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario
from trainer.lab.services import make_certificates

_ANSWER_S = 60.0
_HEAD_START_S = 0.5
"""Time between the order to start and the recording's start, so that every host has it."""
_TICK_S = 0.5


def _tell(**message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


class _Process:
    """A forked process and the pipe to it."""

    def __init__(self, name: str, main: Callable[[Connection], None]) -> None:
        self.name = name
        self.pipe, theirs = Pipe()
        self.id = os.fork()
        if self.id == 0:
            self.pipe.close()
            try:
                main(theirs)
            finally:
                os._exit(0)
        theirs.close()

    def answer(self, expected: str) -> Any:
        """What the process answers.

        Raises:
            HostError: it failed, died, or takes too long.
        """
        if not self.pipe.poll(_ANSWER_S):
            raise HostError(f"lab host {self.name} does not answer")
        try:
            kind, content = self.pipe.recv()
        except EOFError:
            raise HostError(f"lab host {self.name} died") from None
        if kind == "error":
            raise HostError(content)
        assert kind == expected
        return content


def play(plan: Plan, capture: CaptureFile, folder: Path) -> dict[str, Any]:
    """Plays a plan in this process's namespaces.

    Returns:
        ``start`` and ``end`` of the recording in seconds since 1970, and the hosts' reports:
        ``activities`` (counts by name), ``attacks`` (by index), ``sessions``, ``failures``,
        ``recorder``.

    Raises:
        HostError: something did not start.
    """
    _tell(phase="certificates")
    certificates = make_certificates(folder, plan.seed)
    _tell(phase="hosts")

    def host_main(process: HostProcess, name: str) -> Callable[[Connection], None]:
        return lambda pipe: process.serve(pipe, folder / name, certificates)

    hosts = [
        _Process(
            host.name,
            host_main(
                HostProcess(plan, host, capture if host.side == "gateway" else None), host.name
            ),
        )
        for host in plan.hosts
    ]
    isp = _Process("isp", host_main(HostProcess(plan, None), "isp"))
    links = _Process("links", lambda pipe: _carry(pipe, plan))
    for process in (*hosts, isp):
        process.answer("born")
    links.answer("born")
    gateway = hosts[0]
    for host, process in zip(plan.hosts, hosts, strict=True):
        cable = cables(plan)[host.name]
        move(cable.far, process.id)
        move(cable.near, (gateway if host.side == "lan" else isp).id)
    for process in (*hosts, isp):
        process.pipe.send("configure")
    _tell(phase="services")
    for process in (*hosts, isp):
        process.answer("ready")
    start = time.time() + _HEAD_START_S
    for process in (*hosts, isp):
        process.pipe.send(start)
    _tell(phase="recording")
    while (elapsed := time.time() - start) < plan.duration_s:
        _tell(elapsed_s=round(max(0.0, elapsed), 2))
        # Nobody has anything to say now, unless it has failed or died.
        processes = (*hosts, isp, links)
        pipes = [process.pipe for process in processes]
        ready = wait([*pipes, sys.stdin.fileno()], min(_TICK_S, plan.duration_s - elapsed))
        for process in processes:
            if process.pipe in ready:
                process.answer("nothing")
        if sys.stdin.fileno() in ready:
            raise HostError("the recording was given up")
    reports = []
    for process in (*hosts, isp):
        process.pipe.send("stop")
        reports.append(process.answer("report"))
    return _merge(reports) | {"start": start, "end": time.time()}


def _carry(pipe: Connection, plan: Plan) -> None:
    """The process that is all cables."""
    ends = [(cable, open_tap(cable.near), open_tap(cable.far)) for cable in cables(plan).values()]
    pipe.send(("born", None))
    forward(ends, plan.seed)


def _merge(reports: list[dict[str, Any]]) -> dict[str, Any]:
    activities: dict[str, dict[str, int]] = {}
    attacks: dict[int, Any] = {}
    for report in reports:
        attacks.update(report["attacks"])
        for name, counts in report["activities"].items():
            total = activities.setdefault(name, {})
            for key, count in counts.items():
                total[key] = total.get(key, 0) + count
    return {
        "activities": dict(sorted(activities.items())),
        "attacks": [attacks[index] for index in sorted(attacks)],
        "sessions": [each for report in reports for each in report["sessions"]],
        "failures": [words for report in reports for words in report["failures"]],
        "recorder": reports[0]["recorder"],
    }


def main() -> None:
    """Reads the request, plays it, tells the result."""
    request = json.loads(sys.stdin.readline())
    try:
        plan = make_plan(read_scenario(request["scenario"]), request["seed"], request["duration_s"])
        capture = CaptureFile(Path(request["capture"]), request["snaplen"])
        _tell(done=play(plan, capture, Path(request["folder"])))
    except MultaError as error:
        _tell(error=str(error))
    except OSError as error:
        _tell(error=f"the lab could not be built: {error}")


if __name__ == "__main__":
    main()
