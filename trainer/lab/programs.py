"""Runs a program of other people's for a bounded time."""

import os
import subprocess
import time
from pathlib import Path

_GRACE_S = 1.0


def run_bounded(command: list[str], folder: Path, seconds: float) -> str:
    """Runs a program until it ends, or until its time is over and it is killed.

    Args:
        command: program and arguments.
        folder: where it may write.
        seconds: its time.

    Returns:
        The last line that it said.

    Raises:
        FileNotFoundError: this machine lacks it.
    """
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            cwd=folder,
            env=os.environ | {"HOME": str(folder)},
            start_new_session=True,
        )
        end = time.monotonic() + seconds
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    lines = (folder / "said").read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:300]
