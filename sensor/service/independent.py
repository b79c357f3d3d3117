"""Captures that have nothing to do with each other, each replayed by itself, over processes."""

import ctypes
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sensor.alerts.sinks import EventLog
from sensor.capture.files import CaptureFiles
from sensor.capture.formats import CaptureFile
from sensor.errors import HostError, MultaError
from sensor.extract import raise_if_truncated
from sensor.service.flow_log import FLOW_EVENTS
from sensor.service.lanes import Detecting, build_lanes
from sensor.service.run import Run

PR_SET_PDEATHSIG = 1
"""linux/prctl.h"""

Opener = Callable[[str, int], CaptureFile]


@dataclass(frozen=True, slots=True)
class Replayed:
    """One capture, replayed.

    Attributes:
        path: as it was given.
        alerts: how many lines it gave.
        statistics: of the run (`docs/statistics.md`); empty where the capture can't be opened.
        failure: what a person should know and mend, with its exit status; or `None`.
    """

    path: str
    alerts: int
    statistics: Mapping[str, Any]
    failure: MultaError | None


def replay_each(
    paths: Sequence[str],
    detecting: Detecting,
    open_file: Opener,
    logs: tuple[EventLog, EventLog | None],
    jobs: int,
    severity: Mapping[str, int] | None = None,
) -> Iterator[Replayed]:
    """Replays every capture as if it were alone, and writes the alerts of all, capture by capture.

    Lines are those of `replay` of the capture, with its name as ``pcap_filename``. The order is
    that of the captures, however many processes there are. A capture that can't be read, or ends
    within a packet, does not keep the others from being replayed.

    Args:
        paths: of the captures.
        detecting: with what; the bundles have been proved before.
        open_file: of a path and of the bytes to read at a time.
        logs: take the alerts, and what is said of flows if that is asked for; they stay the
            caller's to close.
        jobs: processes.
        severity: of tasks, in place of their bundles'.

    Raises:
        OutputError: the log can't be written.
        HostError: a process was ended by somebody else, such as the kernel for want of memory.
    """
    with tempfile.TemporaryDirectory(prefix="multa-") as folder:
        kinds = [(log, kind) for log, kind in zip(logs, ("alerts", "flows"), strict=True) if log]
        lines = [
            [str(Path(folder, f"{place}.{kind}")) for _, kind in kinds]
            for place in range(len(paths))
        ]
        replay = partial(_replay, replace(detecting, proved=True), open_file, severity or {})
        # Forked, so that the runtime and numpy need not be loaded again.
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(jobs, context, _belong, (os.getpid(),)) as pool:
            try:
                for replayed, written in zip(pool.map(replay, paths, lines), lines, strict=True):
                    for (log, _), path in zip(kinds, written, strict=True):
                        _move(Path(path), log)
                    yield replayed
            except BrokenProcessPool:
                raise HostError(
                    "a process that replays was ended from outside; use fewer --jobs if memory "
                    "was short"
                ) from None
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for child in multiprocessing.active_children():
                    child.terminate()
                raise


def _move(path: Path, log: EventLog) -> None:
    with path.open("rb") as lines:
        for line in lines:
            log.write(line)
    path.unlink()


def _belong(parent: int) -> None:
    """Lets a process end with the one that began it, and by it alone.

    Ctrl-C reaches all of them, and the first one ends the others. Where that one is killed, they
    would wait for work for ever: each holds the pipe of the others open.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # killed before that
        os._exit(1)


def _replay(
    detecting: Detecting,
    open_file: Opener,
    severity: Mapping[str, int],
    path: str,
    lines: Sequence[str],
) -> Replayed:
    log, *others = [
        EventLog(each, strict=True, of=of)
        for each, of in zip(lines, ("alerts", FLOW_EVENTS), strict=False)
    ]
    failure: MultaError | None = None
    run: Run | None = None
    try:
        packets = CaptureFiles([path], open_file)
        try:
            flow_log = others[0] if others else None
            run = Run(packets.counters, build_lanes(detecting), log, flow_log=flow_log)
            run.adopt(detecting.allow.rules if detecting.allow else (), severity)
            run.over(packets, path)
            run.statistics.truncated = packets.truncated
            raise_if_truncated(packets.truncated)
        finally:
            packets.close()
    except MultaError as error:
        failure = error
    finally:
        for each in (log, *others):
            each.close()
    return Replayed(path, log.written, run.statistics.document() if run else {}, failure)
