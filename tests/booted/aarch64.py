"""The sensor on 64-bit ARM, emulated: golden vectors, their tests, and a replay.

``python tests/booted/aarch64.py --page docs/results/aarch64.md``, as root. A Debian for arm64 is
made by debootstrap, wheels for aarch64 are put into it, and qemu runs its programs one by one
(Debian packages qemu-user-static and binfmt-support).
"""

import argparse
import json
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import click
from container import debian

ROOT = Path(__file__).parents[2]
ROOTS = Path("out/booted")
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
WHEELS = ("numpy", "dpkt", "click", "ai-edge-litert", "pytest", "hypothesis")
CAPTURE = "tests/captures/demo.pcap"
BUNDLE = "models/iot-gateway"
TOLERANCE = 1e-3
"""By which scores may differ, as golden vectors may (docs/bundle.md)."""

PAGE = """\
# The sensor on aarch64

`make verify TARGET=aarch64`: Debian {debian} for arm64 with Python {python} and the wheels that \
`pip` installs there, each process emulated by {qemu} on {machine}. Times are of the emulation \
and say nothing about real hardware. {date}.

| what | on aarch64 | on {machine} |
|---|---|---|
"""


class Arm:
    """A Debian for arm64 with this sensor in it."""

    def __init__(self, root: Path) -> None:
        """Copies the sensor, and installs what it needs where that is not there yet."""
        self._root = root
        site = root / "opt/site"
        if not (site / "complete").exists():
            shutil.rmtree(site, ignore_errors=True)
            minor = self.tell("python3 -c 'import sys; print(sys.version_info[1])'")
            platforms = [f"--platform={each}" for each in PLATFORMS]
            command = [sys.executable, "-m", "pip", "install", "-qq", "--target", str(site)]
            command += [*platforms, "--only-binary=:all:", f"--python-version=3.{minor}"]
            subprocess.run([*command, *WHEELS], check=True)
            (site / "complete").touch()
        source = root / "src"
        shutil.rmtree(source, ignore_errors=True)
        for name in ("sensor", "tests", "models"):
            ignored = shutil.ignore_patterns("__pycache__", "fuzz")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", source)

    def run(self, script: str) -> "subprocess.CompletedProcess[str]":
        """Runs a shell script in it, in the folder of the source."""
        # A mount of /proc that is gone with the script; kernels for matrices are chosen by it.
        inside = f"cd /src 2>/dev/null; export PYTHONPATH=/src:/opt/site; {script}"
        mounting = 'mount -t proc proc "$0/proc" && exec chroot "$0" sh -c "$1"'
        command = ["unshare", "--mount", "sh", "-c", mounting, str(self._root.resolve()), inside]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def tell(self, script: str) -> str:
        """What a script writes to standard output."""
        done = self.run(script)
        if done.returncode:
            raise RuntimeError(
                f"{script}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
        return done.stdout.strip()


def here(*arguments: str) -> str:
    """What the sensor writes on this machine."""
    command = [sys.executable, "-m", "sensor.cli", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def difference(one: Any, other: Any, path: str = "") -> float:
    """The largest difference of numbers; everything else must be equal.

    Raises:
        ValueError: something else differs.
    """
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return max((difference(one[key], other[key], f"{path}.{key}") for key in one), default=0.0)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = zip(one, other, strict=True)
        return max((difference(*pair, f"{path}[]") for pair in pairs), default=0.0)
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other)
    if one != other:
        raise ValueError(f"{path}: {one!r} and {other!r}")
    return 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Proves, writes the page, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--page", type=Path, required=True, help="where the results go")
    options = parser.parse_args(arguments)
    arm = Arm(debian(ROOTS, ("python3",), architecture="arm64"))
    rows: list[tuple[str, str, str]] = []

    verify = f"models verify --json {BUNDLE}"
    proofs = [
        json.loads(text)
        for text in (arm.tell(f"python3 -m sensor.cli {verify}"), here(*verify.split()))
    ]
    told = [
        f"{proof['golden_rows']} rows answered, largest difference {proof['max_difference']:.1e} "
        f"({proof['runtime']})"
        for proof in proofs
    ]
    rows.append(("`models verify`: golden vectors", *told))

    tests = "tests/sensor/test_golden.py"
    last = arm.tell(f"python3 -m pytest -q -p no:cacheprovider {tests}").splitlines()[-1]
    rows.append((f"`{tests}`", f"{last.strip('= ')}", "part of `make test`"))

    replay = f"replay {CAPTURE} --models {BUNDLE}"
    began = time.monotonic()
    theirs, ours = arm.tell(f"python3 -m sensor.cli {replay}"), here(*replay.split())
    took = time.monotonic() - began
    alerts = [[json.loads(line) for line in text.splitlines()] for text in (theirs, ours)]
    largest = difference(*alerts)
    held = largest <= TOLERANCE
    rows.append(
        (
            f"`replay {CAPTURE}`",
            f"{len(alerts[0])} alert lines in {took:.0f} s, "
            + ("the same bytes" if theirs == ours else f"numbers differ by {largest:.1e} at most"),
            f"{len(alerts[1])} alert lines",
        )
    )
    facts = {
        "debian": arm.tell("cat /etc/debian_version"),
        "python": arm.tell("python3 -c 'import platform; print(platform.python_version())'"),
        "qemu": _qemu(),
        "machine": platform.machine(),
        "date": datetime.now(timezone.utc).date(),
    }
    assert arm.tell("python3 -c 'import platform; print(platform.machine())'") == "aarch64"
    text = PAGE.format(**facts) + "".join(f"| {' | '.join(row)} |\n" for row in rows)
    options.page.write_text(text)
    click.echo(text)
    return 0 if held else 1


def _qemu() -> str:
    told = subprocess.run(
        ["qemu-aarch64-static", "--version"], capture_output=True, text=True, check=True
    )
    return "qemu " + told.stdout.split("version ")[1].split()[0]


if __name__ == "__main__":
    sys.exit(main())
