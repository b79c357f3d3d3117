"""Seeded mutations of captures, and what the sensor makes of each.

A mutant is decided by its number alone, so a failure is reproduced by ``python tests/mutations.py
--only NUMBER``. The promise that is proved: no exception but a `MultaError`, no file that takes
a second of CPU time, and every packet that was read is decoded or refused under one reason.
"""

import argparse
import functools
import gzip
import json
import random
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import click
import frames
from tqdm import tqdm

from sensor.errors import MultaError, TruncatedCaptureError
from sensor.extract import Extraction
from sensor.model.schema import FeatureSchema

KINDS = ("truncated", "bit_flipped", "reordered", "spliced")
MOST_BYTES = 65_536
"""Longer originals are cut: what breaks a reader lies in headers, and small files are fast."""
CPU_SECONDS = 1.0
"""More than this for one file is a failure."""
BATCH = 500

Original = tuple[str, bytes]


class Outcome(NamedTuple):
    """What became of a file: ``whole``, ``cut`` (read to the damage), or the error's class."""

    ending: str
    packets: int
    decoded: int
    refused: dict[str, int]
    seconds: float

    @property
    def failure(self) -> str:
        """Why this breaks the promise, or nothing."""
        if self.ending.startswith("!"):
            return self.ending[1:]
        if self.packets != self.decoded + sum(self.refused.values()):
            return f"{self.packets} packets, {self.decoded} decoded, refused {self.refused}"
        return f"{self.seconds:.1f} s" if self.seconds > CPU_SECONDS else ""


def examine(path: Path) -> Outcome:
    """Reads, decodes and assembles a file to its end, as ``multa-sensor flows`` does."""
    started = time.process_time()
    extraction, ending = None, "whole"
    try:
        extraction = Extraction([path], FeatureSchema())
        for _ in extraction:
            pass
        extraction.raise_if_truncated()
    except TruncatedCaptureError:
        ending = "cut"
    except MultaError as error:
        ending = type(error).__name__
    except Exception:  # noqa: BLE001 -- whatever else comes is the finding
        ending = "!" + traceback.format_exc()
    seconds = time.process_time() - started
    if extraction is None:
        return Outcome(ending, 0, 0, {}, seconds)
    extraction.close()
    decoder = extraction.decoder
    packets = extraction.source.counters.packets
    return Outcome(ending, packets, decoder.decoded, dict(decoder.refused), seconds)


def originals(*folders: Path) -> list[Original]:
    """Captures to mutate: made here, one for each format and link type, and those of folders."""
    found = list(_own())
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        found += [(path.name, path.read_bytes()[:MOST_BYTES]) for path in files]
    return [(name, octets) for name, octets in found if octets]


def _own() -> Iterator[Original]:
    packets = [
        frames.tcp_frame("10.0.0.1", 40_000 + k, "10.0.0.2", 443, 2, bytes(k)) for k in range(6)
    ]
    packets += [frames.udp_frame("2001:db8::1", 5_000 + k, "2001:db8::2", 53) for k in range(4)]
    tags = [(frames.QINQ, 7), (frames.VLAN, 9)]
    packets += [frames.icmp_frame("10.0.0.1", "10.0.0.2", 8, tags=tags[:k]) for k in range(3)]
    packets += [frames.arp_frame("10.0.0.1", "10.0.0.2")]
    for magic in frames.MAGICS:
        yield f"pcap-{magic.hex()}", frames.pcap_bytes(packets, magic=magic)
    for order in "<>":
        yield f"pcapng-{order}", pcapng_bytes(packets, order)
    leads = {0: b"\2\0\0\0", 101: b"", 108: b"\0\0\0\2", 113: bytes(14) + b"\x08\0", 228: b""}
    leads |= {9: b"\xff\x03\0\x21", 276: b"\x08\0" + bytes(18)}
    for link_type, lead in leads.items():
        bare = [lead + packet[14:] for packet in packets[:6]]
        yield f"link-{link_type}", frames.pcap_bytes(bare, link_type=link_type)


def pcapng_bytes(packets: Sequence[bytes], order: str) -> bytes:
    """A pcapng section with two interfaces, enhanced and simple packet blocks."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        length = struct.pack(f"{order}I", len(body) + 12)
        return struct.pack(f"{order}I", kind) + length + body + length

    section = struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1)
    resolution = struct.pack(f"{order}HHB3xHH", 9, 1, 9, 0, 0)
    blocks = [block(0x0A0D0D0A, section)]
    blocks += [
        block(1, struct.pack(f"{order}HHI", 1, 0, 65_535) + end) for end in (resolution, b"")
    ]
    for place, packet in enumerate(packets):
        if place % 5 == 4:
            blocks.append(block(3, struct.pack(f"{order}I", len(packet)) + packet))
            continue
        lead = (place % 2, 1, place * 1_000, len(packet), len(packet))
        blocks.append(block(6, struct.pack(f"{order}5I", *lead) + packet))
    return b"".join(blocks)


def mutant(captures: Sequence[Original], number: int) -> tuple[str, str, bytes]:
    """The mutation's kind, the original's name, and the bytes of mutant `number`."""
    chance = random.Random(number)
    kind = KINDS[number % len(KINDS)]
    name, octets = chance.choice(captures)
    if kind == "truncated":
        octets = octets[: chance.randrange(len(octets))]
    elif kind == "bit_flipped":
        octets = _flipped(octets, chance)
    else:
        parts = _pieces(octets)
        keep_header = chance.random() < 0.9
        body = parts[1:] if keep_header else parts
        if kind == "reordered":
            for _ in range(chance.randrange(1, 8)):
                body.insert(chance.randrange(len(body) + 1), body.pop(chance.randrange(len(body))))
        else:
            other = _pieces(chance.choice(captures)[1])
            start = chance.randrange(len(other))
            place = chance.randrange(len(body) + 1)
            body[place:place] = other[start : start + chance.randrange(1, 20)]
        octets = b"".join((parts[:1] if keep_header else []) + body)
    if chance.random() < 0.05:
        octets = gzip.compress(octets, 1)
        if chance.random() < 0.5:
            octets = _flipped(octets, chance)
    return kind, name, octets


def _flipped(octets: bytes, chance: random.Random) -> bytes:
    content = bytearray(octets)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        # half of them where formats are decided: near the beginning
        limit = len(content) if chance.random() < 0.5 else min(len(content), 256)
        content[chance.randrange(limit)] ^= 1 << chance.randrange(8)
    return bytes(content)


def _pieces(octets: bytes) -> list[bytes]:
    """A capture cut at its records, as far as they can be followed; else into 64 bytes each."""
    cuts = list(_record_starts(octets))
    if len(cuts) < 3:
        cuts = list(range(0, len(octets), 64))
    ends = [*cuts[1:], len(octets)]
    pieces = [octets[start:end] for start, end in zip(cuts, ends, strict=True)]
    return pieces if len(pieces) > 1 else [octets, octets]


def _record_starts(octets: bytes) -> Iterator[int]:
    order = "<" if octets[:1] in {b"\xd4", b"\x4d"} or octets[8:9] == b"\x4d" else ">"
    is_pcapng = octets[:4] == b"\n\r\r\n"
    at = 0 if is_pcapng else 24
    if not is_pcapng:
        yield 0
    while at + 16 <= len(octets):
        yield at
        words = struct.unpack_from(f"{order}4I", octets, at)
        at += max(12, words[1]) if is_pcapng else 16 + words[2]


@functools.cache
def _captures(folders: tuple[Path, ...]) -> list[Original]:
    return originals(*folders)


Record = tuple[int, str, str, Outcome]


def run(numbers: Sequence[int], folders: tuple[Path, ...]) -> list[Record]:
    """Outcomes of some mutants: number, kind, name of the original, outcome."""
    captures = _captures(folders)
    records = []
    with tempfile.NamedTemporaryFile(suffix=".mutant") as file:
        path = Path(file.name)
        for number in numbers:
            kind, name, octets = mutant(captures, number)
            path.write_bytes(octets)
            records.append((number, kind, name, examine(path)))
    return records


def main() -> int:
    """Runs a range of mutants, resuming where an earlier run was interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="*", help="captures to mutate beside our own")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="one mutant, kept as a file")
    parser.add_argument("--state", type=Path, default=Path("out/mutations.json"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/mutations.md"))
    chosen = parser.parse_args()
    folders = tuple(folder for folder in chosen.folders if folder.is_dir())
    if chosen.only is not None:
        kind, name, octets = mutant(_captures(folders), chosen.only)
        path = Path(f"mutant-{chosen.only}")
        path.write_bytes(octets)
        outcome = examine(path)
        click.echo(f"{path}: {kind} {name}: {outcome.failure or outcome}")
        return bool(outcome.failure)
    whole = [examine_original(original) for original in _captures(folders)]
    state = {"files": len(whole), "done": 0, "tally": {}, "failures": [], "packets": 0, "worst": 0}
    if chosen.state.exists():
        earlier = json.loads(chosen.state.read_text())
        state = earlier if earlier["files"] == len(whole) else state
    batches = [range(at, at + BATCH) for at in range(state["done"], chosen.count, BATCH)]
    chosen.state.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        results = pool.map(run, batches, [folders] * len(batches))
        for batch, records in zip(batches, tqdm(results, total=len(batches)), strict=True):
            _tally(state, records)
            state["done"] = batch.stop
            chosen.state.write_text(json.dumps(state))
    failed = [failure for failure in whole if failure] + state["failures"]
    chosen.out.write_text(_report(state, failed))
    chosen.state.unlink()
    click.echo(chosen.out.read_text())
    return bool(failed)


def examine_original(original: Original) -> str:
    """Why an original breaks the promise, or nothing."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(original[1])
        failure = examine(Path(file.name)).failure
    return f"{original[0]}: {failure}" if failure else ""


def _tally(state: dict, records: Sequence[Record]) -> None:
    tally = Counter(state["tally"])
    for number, kind, name, outcome in records:
        tally[f"{kind} {outcome.ending.split()[0]}"] += 1
        state["packets"] += outcome.packets
        state["worst"] = max(state["worst"], outcome.seconds)
        if outcome.failure:
            state["failures"].append(f"mutant {number} ({kind}, {name}): {outcome.failure}")
    state["tally"] = dict(tally)


def _report(state: dict, failed: Sequence[str]) -> str:
    endings = sorted({key.split()[1] for key in state["tally"]})
    rows = [
        [kind, *(str(state["tally"].get(f"{kind} {ending}", 0)) for ending in endings)]
        for kind in KINDS
    ]
    table = [["mutation", *endings], ["---"] + ["---:"] * len(endings), *rows]
    summary = (
        f"{datetime.now(timezone.utc):%Y-%m-%d}, `make verify TARGET=mutations`: "
        f"{state['done']:,} seeded mutants of {state['files']:,} captures, "
        f"{state['packets']:,} packets. Each is read, decoded and assembled to its end. `whole` "
        "was read to its end, `cut` to the damage, which was said; the others are the one error "
        "that was given. "
        f"Longest file: {state['worst']:.2f} s of CPU time (at most {CPU_SECONDS:.0f} s is "
        "promised)."
    )
    lines = [
        "# Mutated captures",
        "",
        summary,
        "",
        *(f"| {' | '.join(row)} |" for row in table),
        "",
        f"Exceptions, files over the limit, or packets neither decoded nor refused: {len(failed)}.",
        *(f"- {failure.strip().splitlines()[-1]}" for failure in failed),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
