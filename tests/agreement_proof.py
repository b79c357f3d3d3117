"""The sensor against the reference, and the reference against tshark, on every public capture.

    python tests/agreement_proof.py --data ../shared/data --out docs/results/reference.md

What is done is kept in a file under ``--store`` that is named for the code that decides
rows, so an interrupted run goes on where it stopped, and a change of that code begins anew. The
page is written at the end, an interrupt included, and says what has not been run yet.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import tarfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from agreement import SIZES, disagreements
from agreement_result import TSHARK, Result, page
from reference import KEYS
from reference_capture import read_capture
from tqdm import tqdm
from tshark_counts import compare_with_tshark

from sensor.errors import LinkTypeError

ROOT = Path(__file__).parent.parent
ARCHIVES = ("security", "iot-sentinel", "ndpi", "requet")
LIVE = ("ring.py", "record.py", "interfaces.py", "tshark.py")
"""Capture sources that read no files, or not with our own readers."""
LINES = 20
"""Differences of one run that are written down; the others are counted."""


def examine(archive: str, path: Path, name: str, run: str) -> Result:
    """One capture at one block size, or beside tshark."""
    result = Result(archive, name, run)
    frames = list(read_capture(path) or ())
    result.packets = len(frames)
    if run == TSHARK:
        compared = compare_with_tshark(path, frames)
        result.pairs = (compared.pairs, compared.their_pairs)
        result.explained = dict(compared.explained)
        lines = compared.unexplained
    else:
        try:
            outcome, lines = disagreements(path, frames, KEYS, (int(run),))
        except LinkTypeError as error:
            result.refusal = str(error).partition(": ")[2]
            return result
        result.decoded, result.refused = outcome.decoded, outcome.refused
        result.rows = {key: len(rows) for key, rows in outcome.rows.items()}
    result.differing, result.different = lines[:LINES], len(lines)
    return result


def code_digest() -> str:
    """Of all that decides the rows of a file, in the sensor and here."""
    files = [
        path
        for folder in ("capture", "packets", "flows")
        for path in sorted((ROOT / "sensor" / folder).glob("*.py"))
        if path.name not in LIVE
    ]
    files += [ROOT / "sensor/pipeline.py", ROOT / "tests/agreement.py"]
    files += [ROOT / "tests/tshark_counts.py", *sorted((ROOT / "tests").glob("reference*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def unpacked(data: Path, archive: str, into: Path) -> Path:
    """Folder of an archive's files, unpacked if that was not done yet."""
    folder, done = into / archive, into / f".{archive}"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        with tarfile.open(data / f"{archive}.tar.xz") as tar:
            tar.extractall(folder, filter="data")
        done.touch()
    return folder


def captures(folder: Path) -> list[Path]:
    """The captures in a folder, by their first bytes."""
    return [p for p in sorted(folder.rglob("*")) if p.is_file() and read_capture(p) is not None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is left to run.

    Returns:
        1 if anything differs without a reason, 130 if it was interrupted, else 0.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/reference.md")
    parser.add_argument("--store", type=Path, default=ROOT / "out/reference")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(arguments)
    if absent := [a for a in ARCHIVES if not (chosen.data / f"{a}.tar.xz").is_file()]:
        parser.error(f"{chosen.data} lacks {', '.join(a + '.tar.xz' for a in absent)}")
    if not shutil.which(TSHARK):
        parser.error("tshark is not installed; on Debian: apt-get install tshark")
    chosen.store.mkdir(parents=True, exist_ok=True)
    state = chosen.store / f"{code_digest()}.jsonl"
    results = [Result(**json.loads(line)) for line in _lines(state)]
    done = {(result.archive, result.name, result.run) for result in results}
    wanted: list[tuple[str, Path, str, str]] = []
    for archive in ARCHIVES:
        folder = unpacked(chosen.data, archive, chosen.store)
        wanted += [
            (archive, path, str(path.relative_to(folder)), run)
            for path in captures(folder)
            for run in (TSHARK, *map(str, SIZES))
        ]
    left = [task for task in wanted if (task[0], *task[2:]) not in done]
    # Small captures first, and blocks of one packet, which take longest, after all others.
    left.sort(key=lambda task: (task[3] == "1", task[1].stat().st_size))
    with ProcessPoolExecutor(chosen.jobs) as pool, state.open("a", encoding="utf-8") as kept:
        futures = [pool.submit(examine, *task) for task in left]
        try:
            for future in tqdm(as_completed(futures), total=len(futures), unit="run"):
                result = future.result()
                results.append(result)
                kept.write(json.dumps(asdict(result)) + "\n")
                kept.flush()
                if result.different:
                    where = f"{result.archive}/{result.name}, {result.run}"
                    tqdm.write(f"{where}: {result.differing[0]}", file=sys.stderr)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
    counts = Counter(archive for archive, *_, run in wanted if run == TSHARK)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(page(results, dict(counts), ROOT), encoding="utf-8")
    unfinished = len(results) < len(wanted)
    return 130 if unfinished else int(any(result.different for result in results))


def _lines(state: Path) -> list[str]:
    """Whole lines: the last one of an interrupted run may not be."""
    if not state.exists():
        return []
    whole, _, torn = state.read_text(encoding="utf-8").rpartition("\n")
    if torn:
        state.write_text(whole + "\n" if whole else "", encoding="utf-8")
    return whole.splitlines()


if __name__ == "__main__":
    sys.exit(main())
