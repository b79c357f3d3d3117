"""Runs the proofs one after the other: ``python -m faults [--only NAME ...]``.

What is done is kept under ``--store``, so that an interrupted run goes on where it stopped, and
one fault can be run again by its name. The page is written after each of them, from all that
the store holds.
"""

import argparse
import importlib
import os
import sys
import time
import traceback
from datetime import datetime, timezone
from pathlib import Path

from tqdm import tqdm

from faults.result import Result, from_dictionary, keep, kept, page

ROOT = Path(__file__).parents[2]

COUNTS = {
    "interface": 200,
    "kill": 200,
    "disk": 100,
    "clock": 10,
    "models": 10_000,
    "swaps": 200,
    "configurations": 100_000,
    "overflow": 20,
    "storms": 5_000,
    "soak": 1_800,
}
"""Faults in the order in which they are run, with their full counts (of the soak: seconds)."""

DONE = {
    "models": "Signed copies of the shipped bundle, of which one file is damaged: bits, cut, "
    "swapped, noise, grown. All have to be refused. In a tenth the hashes are made right again, as "
    "a forger would: with a key configured all of these are refused; without one they are refused, "
    "or they answer the golden vectors. A *failure* is anything else: a bundle that is taken, an "
    "error that is none of a bundle, five seconds of CPU time, a store in which something has "
    "changed. In the end the model in use answers.",
    "configurations": "Configurations made from all keys that there are, and damaged. Each is "
    "accepted, and then what is in force means the same when it is written out; or it is refused "
    "with one line and status 78. A *failure* is anything else, a traceback above all, or a second "
    "of CPU time.",
}
"""What those did that give their counts as a dictionary."""


def run(name: str, count: int, seed: int) -> Result:
    """One fault, with the time that it took and how busy the machine was."""
    began, before = time.monotonic(), os.getloadavg()[0]
    found = importlib.import_module(f"faults.{name}").main(count, seed)
    result = found if isinstance(found, Result) else from_dictionary(name, DONE[name], found)
    result.date = f"{datetime.now(timezone.utc):%Y-%m-%d}"
    result.seconds = round(time.monotonic() - began, 1)
    result.load = f"{before:.1f} at the start, {os.getloadavg()[0]:.1f} at the end"
    return result


def main() -> int:
    """Runs what is left to run.

    Returns:
        1 if an aim is missed or a proof ended early, else 0.
    """
    parser = argparse.ArgumentParser(description=__doc__, prog="faults")
    parser.add_argument("--only", nargs="+", choices=COUNTS, default=[], help="run these (again)")
    parser.add_argument("--count", type=int, help="instead of the full counts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="also what is in the store")
    parser.add_argument("--store", type=Path, default=ROOT / "out/faults")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/faults.md")
    chosen = parser.parse_args()
    done = {result.name for result in kept(COUNTS, chosen.store)}
    wanted = chosen.only or [name for name in COUNTS if chosen.again or name not in done]
    failed = []
    for name in wanted:
        try:
            result = run(name, chosen.count or COUNTS[name], chosen.seed)
        except Exception:  # noqa: BLE001 -- the other faults are run all the same
            traceback.print_exc()
            failed.append(f"{name}: the proof itself ended early")
            continue
        keep(result, chosen.store)
        results = kept(COUNTS, chosen.store)
        missing = sorted(COUNTS.keys() - {each.name for each in results}, key=list(COUNTS).index)
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(page(results, missing), encoding="utf-8")
        verdict = "met" if result.holds else "MISSED"
        tqdm.write(f"{name}: {verdict} in {result.seconds:,.0f} s")
        failed += result.broken()
    for line in failed:
        tqdm.write(line, file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
