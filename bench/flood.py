"""A flood of ten million distinct connections: what it takes of memory, and of other verdicts.

The sensor's whole chain, with the shipped bundle and the counting rule, is given two minutes of
answered traffic (`bench.captures`, the mix) twice: alone, and among SYNs from distinct endpoints
to a server beside it. Nothing is written or read; frames are made block by block.

    python -m bench.flood --out docs/results/flood.md
"""

import datetime as dt
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from bench.captures import START_US, mix, write
from sensor.capture.block import BLOCK_PACKETS, GATHER_BYTES, PacketBlock, one_link_type
from sensor.capture.files import CaptureFiles
from sensor.capture.link_types import ETHERNET
from sensor.flows.sequences import SequenceBatch
from sensor.lane import Detector
from sensor.packets.decode import Decoder
from sensor.pipeline import detect
from sensor.service.lanes import Detecting, build_lanes
from sensor.service.models.model_store import shipped_bundle

WARM_SCALE = 0.1
"""Share of the mix that comes before the flood."""
WARM_TUPLES = 5_000_000
"""Tuples of the flood that still belong to the warm-up: until then answered flows have been in
places of every page of the tables, which takes memory when it is touched and not before."""
SPAN_US = 120_000_000
VICTIM = 0x0A00_0005
MIB = 1 << 20
FLOW = (
    "source_high", "source_low", "destination_high", "destination_low", "source_port",
    "destination_port", "protocol", "flow_start_ns",
)  # fmt: skip

Frames = NDArray[np.uint8]
Index = NDArray[np.int64]


@dataclass(slots=True)
class Traffic:
    """Answered traffic: frames cut to `GATHER_BYTES`, in order of time."""

    frames: Frames
    captured: Index
    wire: Index
    time_ns: Index

    @classmethod
    def of_mix(cls, scale: float) -> "Traffic":
        """A part of the mix."""
        parts = [
            cls(
                block.buffer[block.offset[:, None] + np.arange(GATHER_BYTES)],
                np.minimum(block.captured_length, GATHER_BYTES),
                block.wire_length,
                block.timestamp_ns,
            )
            for block in mixed(scale, seed=7)
        ]
        names = cls.__slots__
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def take(self, rows: Index | slice) -> "Traffic":
        """The given packets."""
        return Traffic(*(getattr(self, name)[rows] for name in self.__slots__))


def mixed(scale: float, seed: int) -> Iterator[PacketBlock]:
    """A part of the mix, from a file that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mix.pcap")
        random = np.random.default_rng(seed)
        write(path, mix(random, scale), random)
        yield from CaptureFiles([path])


def warm_up(scale: float) -> Iterator[PacketBlock]:
    """Answered traffic that ends before the flood begins."""
    for block in mixed(scale, seed=8):
        yield replace(block, timestamp_ns=block.timestamp_ns - 4 * SPAN_US * 1_000)


def flood(first: int, count: int, tuples: int) -> Traffic:
    """SYNs number `first` and following of so many, spread over two minutes, to `VICTIM`."""
    number = np.arange(first, first + count)
    frames = np.zeros((count, GATHER_BYTES), np.uint8)
    frames[:, 12:14] = 8, 0
    header = frames[:, 14:54]
    header[:, 0], header[:, 3], header[:, 8], header[:, 9] = 0x45, 40, 64, 6
    # an odd multiplier permutes the numbers of 24 bits, and what is above them is in the port: no
    # two SYNs have both in common
    source = (number * 2_654_435_761 & 0x00FF_FFFF) | 0x0B00_0000
    header[:, 12:16] = source.astype(">u4")[:, None].view(np.uint8)
    header[:, 16:20] = np.array([VICTIM], ">u4").view(np.uint8)
    header[:, 20:22] = (1_024 + (number >> 24)).astype(">u2")[:, None].view(np.uint8)
    header[:, 22:24] = 0, 80
    header[:, 32:34] = 0x50, 0x02
    time_ns = START_US * 1_000 + number * (SPAN_US * 1_000 // max(tuples, 1))
    sixty = np.full(count, 60)
    return Traffic(frames, sixty, sixty, time_ns)


def blocks(answered: Traffic, tuples: int) -> Iterator[PacketBlock]:
    """Both together, in order of time; without tuples the answered traffic alone."""
    done = 0
    for first in range(0, max(tuples, 1), BLOCK_PACKETS):
        attack = flood(first, min(BLOCK_PACKETS, tuples - first), tuples)
        last = not tuples or first + BLOCK_PACKETS >= tuples
        until = int(np.searchsorted(answered.time_ns, attack.time_ns[-1])) if not last else None
        part = slice(done, until)
        done = until or 0
        yield from _blocks_of(answered.take(part), attack)


def _blocks_of(answered: Traffic, attack: Traffic) -> Iterator[PacketBlock]:
    names = Traffic.__slots__
    both = Traffic(*(np.concatenate([getattr(t, n) for t in (answered, attack)]) for n in names))
    both = both.take(np.argsort(both.time_ns, kind="stable"))
    for start in range(0, both.time_ns.size, BLOCK_PACKETS):
        part = both.take(slice(start, start + BLOCK_PACKETS))
        packets = part.time_ns.size
        none = np.zeros(packets, np.uint16)
        yield PacketBlock(
            buffer=np.append(part.frames, np.zeros(GATHER_BYTES, np.uint8)),
            offset=np.arange(packets) * GATHER_BYTES,
            captured_length=part.captured,
            wire_length=part.wire,
            timestamp_ns=part.time_ns,
            vlan_tci=none,
            vlan_tpid=none,
            link_type=one_link_type(ETHERNET, packets),
        )


class Witness:
    """A detector that remembers its verdicts about flows that the flood is not."""

    def __init__(self, detector: Detector) -> None:
        self.name, self.version, self.model_sha256 = (
            detector.name,
            detector.version,
            detector.model_sha256,
        )
        self.fingerprint, self.tasks = detector.fingerprint, detector.tasks
        self._detector = detector
        self._rows: list[tuple[NDArray[np.uint64], NDArray[np.bool_]]] = []

    def score(self, batch: SequenceBatch) -> NDArray[np.float32]:
        """The detector's scores."""
        scores = self._detector.score(batch)
        rows = np.flatnonzero(
            (batch.destination_low != VICTIM) & (batch.flow_start_ns >= START_US * 1_000)
        )
        if rows.size:
            thresholds = np.array([task.threshold for task in self.tasks], np.float32)
            flow = np.stack([getattr(batch, name)[rows].astype(np.uint64) for name in FLOW], axis=1)
            self._rows.append((flow, scores[rows] >= thresholds))
        return scores

    def verdicts(self) -> dict[bytes, NDArray[np.bool_]]:
        """By flow, of each task whether one of its rows was positive."""
        found: dict[bytes, NDArray[np.bool_]] = {}
        for flows, positive in self._rows:
            for flow, row in zip(flows, positive, strict=True):
                found[flow.tobytes()] = found.get(flow.tobytes(), np.zeros_like(row)) | row
        return found


def resident_bytes() -> int:
    """Of this process, now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096


@dataclass
class Outcome:
    """What one run left."""

    witnesses: list[Witness]
    flows: int = 0
    evicted: int = 0
    incidents: int = 0
    warm: int = 0
    most: int = 0
    after: int = 0


def run(answered: Traffic, tuples: int, warm_scale: float = WARM_SCALE) -> Outcome:
    """The whole chain over the traffic; resident bytes when warm, and the most after that."""
    lanes = build_lanes(Detecting([shipped_bundle()]))
    witnesses: list[Witness] = []
    for lane in lanes:
        for watch in lane.watches:
            watch.detector = Witness(watch.detector)
            witnesses.append(watch.detector)
    outcome = Outcome(witnesses)
    source = _sampled(warm_up(warm_scale), blocks(answered, tuples), tuples, outcome)
    outcome.incidents = sum(event.kind == "start" for event in detect(source, Decoder(), lanes))
    counts = lanes.counts()
    outcome.flows, outcome.evicted = counts["flows"], counts["evicted"]
    return outcome


def _sampled(
    before: Iterator[PacketBlock], source: Iterator[PacketBlock], tuples: int, outcome: Outcome
) -> Iterator[PacketBlock]:
    yield from before
    packets = 0
    for block in source:
        yield block
        packets += len(block)
        outcome.after = max(outcome.after, resident_bytes())
        if packets < tuples:
            outcome.most = outcome.after
        if packets < WARM_TUPLES:
            outcome.warm = outcome.after


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--tuples", default=10_000_000, show_default=True)
@click.option("--scale", default=0.02, show_default=True, help="Share of the mix that is answered.")
@click.option("--out", type=click.Path(path_type=Path), help="Markdown file; default: terminal.")
def main(tuples: int, scale: float, out: Path | None) -> None:
    """Measures, and prints or writes a page."""
    answered = Traffic.of_mix(scale)
    attacked, calm = run(answered, tuples), run(answered, 0)
    same = total = 0
    for quiet, busy in zip(calm.witnesses, attacked.witnesses, strict=True):
        alone, among = quiet.verdicts(), busy.verdicts()
        total += len(alone)
        same += sum(flow in among and (among[flow] == alone[flow]).all() for flow in alone)
    growth = (attacked.most - attacked.warm) / MIB
    text = f"""# A flood of {tuples:,} distinct connections

{dt.datetime.now(dt.timezone.utc):%Y-%m-%d}; `make verify TARGET=flood`. The whole chain in one \
process, with the shipped bundle and the counting rule, 65,536 slots. Answered traffic: \
{answered.time_ns.size:,} packets of the mix in two minutes; beside it, in the same two minutes, \
a SYN from each of {tuples:,} endpoints to a server of its own. Warm-up: a tenth of the mix before \
that, and the first {WARM_TUPLES:,} SYNs: tables take memory where they are touched first.

| | measured | aim |
|---|---|---|
| flows, evicted ones | {attacked.flows:,}, {attacked.evicted:,} | |
| most resident at the end of the warm-up, and of the flood | {attacked.warm / MIB:.1f} MiB, \
{attacked.most / MIB:.1f} MiB | |
| most resident when it has ended and all its flows fall due at once | \
{attacked.after / MIB:.1f} MiB | |
| growth after warm-up | {growth:.1f} MiB | less than 5 MiB |
| answered flows with the verdicts that they have without the flood (both detectors) | \
{same:,} of {total:,} ({same / total:.2%}) | at least 99 % |
| incidents with the flood, and without | {attacked.incidents}, {calm.incidents} | |
"""
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
    click.echo(text)


if __name__ == "__main__":
    main()
