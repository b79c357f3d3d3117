"""Runs the fuzzers side by side for a while and adds what they saw to docs/results/fuzz.md.

The inputs that reached new code are kept in tests/fuzz/corpus. One that fails is left in the
folder that this was started from; ``python tests/fuzz/fuzz.py decoder crash-…`` runs it alone.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import click
import damaged
from tqdm import tqdm

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
OUT = HERE.parents[1] / "docs/results/fuzz.md"
TARGETS = ("capture", "decoder")
PROGRESS = re.compile(r"^#(\d+)\s.*cov: (\d+) ft: (\d+) corp: (\d+)")
RECORDED = re.compile(r"^\| \d{4}-\d\d-\d\d \| \w+ \| ([\d,]+) \|", re.MULTILINE)
"""The number of inputs in a row of the page."""
PARTS = (64, 16, 4, 2, 1)
"""Coverage is told after 1/64, 1/16, … of the inputs: a plateau shows as equal figures."""

HEAD = f"""# Coverage-guided fuzzing

`make verify TARGET=fuzz` (Atheris over libFuzzer, CPython byte code of `sensor` and of the
reference decoder instrumented). `capture` feeds the bytes of a file to the readers, the decoder
and the flow table; `decoder` feeds lists of frames of every link type to the decoder, alone, all
at once and one by one, and holds it against the reference. An input fails by any exception but
the one documented error, by packets that are neither decoded nor refused, by a second of CPU
time, or by a difference. `frames` are damaged ones by the million, unguided, against the
reference. Features are what libFuzzer counts as coverage (edges with their rough
frequency); their number after a part of the inputs shows where it levels off.

| date | target | inputs | minutes | failures | {" | ".join(f"features at 1/{part}" for part in PARTS)} | corpus |
|---|---|---:|---:|---:|{"---:|" * len(PARTS)}---:|
"""  # noqa: E501 -- a table's head


def main() -> int:
    """Fuzzes every target in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=1_800)
    parser.add_argument("--frames", type=int, default=10_000_000, help="damaged ones, unguided")
    parser.add_argument("targets", nargs="*", default=TARGETS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        running = [_start(target, chosen.seconds, Path(folder)) for target in chosen.targets]
        statuses = [process.wait() for process in running]
        rows = [
            _row(target, Path(folder), status, chosen.seconds)
            for target, status in zip(chosen.targets, statuses, strict=True)
        ]
        for target in chosen.targets:
            _keep(target, Path(folder, target))
    text = OUT.read_text().partition("\n\nInputs over")[0] + "\n" if OUT.exists() else HEAD
    if chosen.frames:
        # other seeds than those of the runs that are on record
        rows.append(_damaged(chosen.frames, text.count("| frames |") * 1_000_000))
    text += "".join(rows)
    inputs = sum(int(cell.replace(",", "")) for cell in RECORDED.findall(text))
    OUT.write_text(f"{text.rstrip()}\n\nInputs over all recorded runs: {inputs:,}.\n")
    click.echo(OUT.read_text())
    return int(any(statuses))


def _damaged(frames: int, seed: int) -> str:
    """The row of many damaged frames; a difference ends all with the batch's seed."""
    started = time.monotonic()
    batches = range(seed, seed + -(-frames // damaged.BATCH))
    with ProcessPoolExecutor() as pool:
        examined = tqdm(pool.map(damaged.examine, batches, chunksize=4), total=len(batches))
        inputs = sum(examined)
    minutes = (time.monotonic() - started) / 60
    today = datetime.now(timezone.utc).date()
    cells = [today, "frames", f"{inputs:,}", f"{minutes:.0f}", 0, *["–"] * len(PARTS), "–"]
    return f"| {' | '.join(map(str, cells))} |\n"


def _start(target: str, seconds: int, folder: Path) -> "subprocess.Popen[bytes]":
    shutil.copytree(CORPUS / target, folder / target)
    command = [sys.executable, HERE / "fuzz.py", target, f"-max_total_time={seconds}"]
    command += ["-max_len=4096", "-rss_limit_mb=8192", folder / target]
    with (folder / f"{target}.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def _row(target: str, folder: Path, status: int, seconds: int) -> str:
    log = (folder / f"{target}.log").read_text(errors="replace")
    seen = [
        tuple(map(int, each.groups()))
        for line in log.splitlines()
        if (each := PROGRESS.match(line))
    ]
    if not seen:
        sys.exit(f"{target}: the fuzzer did not start\n{log[-2_000:]}")
    if status:
        click.echo(log[-4_000:])
    inputs = seen[-1][0]
    levels = [
        max(each[2] for each in seen if each[0] <= max(inputs // part, seen[0][0]))
        for part in PARTS
    ]
    today = datetime.now(timezone.utc).date()
    cells = [
        today,
        target,
        f"{inputs:,}",
        f"{seconds / 60:.0f}",
        int(status != 0),
        *levels,
        seen[-1][3],
    ]
    return f"| {' | '.join(map(str, cells))} |\n"


def _keep(target: str, found: Path) -> None:
    """Keeps what reached new code: libFuzzer has put the least such inputs there."""
    shutil.rmtree(CORPUS / target)
    shutil.copytree(found, CORPUS / target)


if __name__ == "__main__":
    sys.exit(main())
