"""What a row costs: all variants in turn, round after round, in one process without TensorFlow.

Times are CPU times of that process, so other processes lengthen them by what they do to caches and
clocks and not by the waiting; rounds in turn spread what is left of that over all variants alike,
and ratios are taken within a round. A network is called as the sensor calls it, by a signature's
name; a variant of several networks calls one after the other, with the same row.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.flows.epochs import part_of
from sensor.flows.table import FlowTable
from sensor.model.encoding import Encoded
from sensor.model.inference import Inference
from sensor.model.schema import FeatureSchema
from sensor.packets.headers import Headers
from trainer.baselines.afterimage import AfterImage
from trainer.baselines.kitnet import KitNet
from trainer.baselines.trees import Trees
from trainer.executors import in_own_process

BATCHES = (1, 256)
"""Rows, or packets, of a call."""

ROUNDS = 60

_SLICE_NS = 3_000_000
"""That the calls of one subject in one round take, about."""

Model = tuple[bytes, tuple[str, ...]]
"""A TFLite file and its tasks."""


@dataclass(frozen=True)
class Workload:
    """What is timed; small enough to be sent to a process of its own.

    Attributes:
        variants: by name.
        rows: at least as many as the largest batch, all with the same number of packets that no
            signature is shorter than; by that number.
        trees: one model a task.
        kitsune: an instance a task.
        packets: of a capture, for statistics of packets.
    """

    variants: dict[str, tuple[Model, ...]]
    rows: dict[int, Encoded]
    trees: Trees | None = None
    kitsune: tuple[KitNet, ...] = ()
    packets: Headers | None = None


@dataclass(frozen=True)
class Timed:
    """Microseconds a row or a packet, one a round.

    Attributes:
        runtime: that ran the networks.
        rows: by variant, length of the row and batch.
        packets: by what works on packets, and batch.
    """

    runtime: str
    rows: dict[str, dict[int, dict[int, list[float]]]] = field(default_factory=dict)
    packets: dict[str, dict[int, list[float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Subject:
    """Something to be called, and where its times go."""

    call: Callable[[], object]
    rows: int
    times: list[float]


def timed(workload: Workload, rounds: int = ROUNDS) -> Timed:
    """Measures in a process of its own."""
    return in_own_process(_timed, workload, rounds)


def _timed(workload: Workload, rounds: int) -> Timed:
    networks = {
        name: [_runnable(workload, *model) for model in models]
        for name, models in workload.variants.items()
    }
    runtime = next((each.runtime for some in networks.values() for each in some), "none")
    found = Timed(runtime)
    subjects = [*_of_rows(workload, networks, found), *_of_packets(workload, found)]
    calls = [_calls(subject) for subject in subjects]
    order = np.random.default_rng(0)
    for _ in range(rounds):
        for number in order.permutation(len(subjects)):
            subject, count = subjects[number], calls[number]
            subject.call()  # lays out the graph for this batch again
            begin = time.process_time_ns()
            for _ in range(count):
                subject.call()
            spent = time.process_time_ns() - begin
            subject.times.append(spent / 1e3 / count / subject.rows)
    return found


def _runnable(workload: Workload, tflite: bytes, tasks: tuple[str, ...]) -> Inference:
    schema = next(iter(workload.rows.values())).schema
    return Inference(tflite, schema, tasks, "a compared network")


def _of_rows(
    workload: Workload, networks: dict[str, list[Inference]], found: Timed
) -> Iterator[_Subject]:
    for length, encoded in workload.rows.items():
        for batch in BATCHES:
            x, c = encoded.expand(slice(batch), length)
            for name, each in networks.items():
                yield _Subject(
                    _runs(each, length, x, c), batch, _times(found.rows, name, length, batch)
                )
            if workload.trees is not None:
                some = encoded.take(slice(batch))
                times = _times(found.rows, "trees", length, batch)
                yield _Subject(_asks(workload.trees, some), batch, times)


def _times(
    times: dict[str, dict[int, dict[int, list[float]]]], name: str, length: int, batch: int
) -> list[float]:
    return times.setdefault(name, {}).setdefault(length, {}).setdefault(batch, [])


def _runs(
    networks: list[Inference], length: int, x: NDArray[np.float32], c: NDArray[np.float32]
) -> Callable[[], object]:
    return lambda: [each._call(length, x, c) for each in networks]  # noqa: SLF001 -- what it times


def _asks(trees: Trees, encoded: Encoded) -> Callable[[], object]:
    return lambda: trees.score(encoded)


def _of_packets(workload: Workload, found: Timed) -> Iterator[_Subject]:
    if workload.packets is None:
        return
    features = AfterImage().add(workload.packets)
    for batch in BATCHES:
        starts = range(0, min(len(workload.packets) - batch + 1, 64 * batch), batch)
        parts = [part_of(workload.packets, slice(start, start + batch)) for start in starts]
        blocks = [features[start : start + batch] for start in starts]
        image, table = AfterImage(), FlowTable(FeatureSchema())
        named: dict[str, Callable[[Any], object]] = {
            "AfterImage": image.add,
            "KitNET": lambda block: [each.score(block) for each in workload.kitsune],
            "flow table": table.add,
        }
        for name, work in named.items():
            items = cycle(blocks if name == "KitNET" else parts)
            times = found.packets.setdefault(name, {}).setdefault(batch, [])
            yield _Subject(_next(work, items), batch, times)


def _next(work: Callable[[Any], object], items: Iterator[Any]) -> Callable[[], object]:
    return lambda: work(next(items))


def _calls(subject: _Subject) -> int:
    """How often a subject is called in a round."""
    subject.call()
    begin = time.process_time_ns()
    subject.call()
    return max(1, _SLICE_NS // max(1, time.process_time_ns() - begin))
