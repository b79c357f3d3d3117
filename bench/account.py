"""Runs a command on one core and prints, as JSON, what it and all its descendants took.

A process of its own, without imports to speak of, for two reasons: the kernel counts what a
process held before it became another program as that program's memory, so this one must be
small; and it adopts descendants whose parent did not wait for them, so that their time counts.

    python -I -S bench/account.py CORE LIMIT_SECONDS OUTPUT COMMAND...

The command's standard output goes to OUTPUT, its standard error to OUTPUT.err. The report has
``cpu`` (seconds, user and system, all processes), ``wall`` (seconds), ``resident`` (bytes, peak
of the process that held most), ``status`` (exit status, or minus the signal that ended it) and
``timed_out``.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
"""linux/prctl.h"""


def main(core: int, limit: float, output: str, command: list[str]) -> None:
    """Runs the command and prints the report."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.sched_setaffinity(0, {core})
    began = time.monotonic()
    child = os.fork()
    if not child:
        _become(command, output)
    late = False

    def stop(*_: object) -> None:
        nonlocal late
        late = True
        os.killpg(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit)
    cpu, resident, status = 0.0, 0, 0
    try:
        while True:
            pid, ended, usage = os.wait4(-1, 0)
            cpu += usage.ru_utime + usage.ru_stime
            resident = max(resident, usage.ru_maxrss * 1024)
            if pid == child:
                status = os.waitstatus_to_exitcode(ended)
    except ChildProcessError:
        pass
    except KeyboardInterrupt:
        os.killpg(child, signal.SIGKILL)
        raise
    report = {"cpu": cpu, "wall": time.monotonic() - began, "resident": resident}
    print(json.dumps({**report, "status": status, "timed_out": late}))


def _become(command: list[str], output: str) -> None:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for descriptor, path in ((1, output), (2, f"{output}.err")):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        os.execvp(command[0], command)  # noqa: S606 (no shell is meant)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4:])
