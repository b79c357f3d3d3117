"""Kitsune ×N: an instance of Kitsune for each task, which is what one deploys without MULTA.

Mirsky et al., NDSS 2018 (`afterimage`, `kitnet`); MULTA, section IV, has one instance a task as a
baseline. An instance learns from benign packets at the beginning of captures, and scores packets
by how unusual they are. It can't tell one attack from another: so there are two figures, against
all flows without the task's attack, and against those without any.

What to expect: it finds what makes a host or a connection unlike itself before, above all more of
it. A flood of which each packet has another sender is in no stream with a past, and nothing is
keyed by the victim: such packets look like the beginning of any conversation, which is what an
autoencoder knows best, so an AUC may lie far below a half.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError
from sensor.flows.epochs import part_of
from sensor.packets.headers import Headers
from trainer.baselines.afterimage import AfterImage
from trainer.baselines.kitnet import KitNet, KitnetSettings
from trainer.baselines.packet_flows import PacketFlows, flows_of, parts_of
from trainer.datasets.extraction import Recording
from trainer.metrics import roc_auc
from trainer.tasks import KNOWN

Array = NDArray[np.float64]
Labels = NDArray[np.int8]
T = TypeVar("T")


@dataclass(frozen=True)
class KitsuneSettings:
    """How an instance is trained.

    Attributes:
        packets: learnt from at most, spread evenly over the benign beginnings; all of these pass
            through AfterImage. The authors' example learns from the first 55,000 of a capture.
        kitnet: of the network.
    """

    packets: int = 55_000
    kitnet: KitnetSettings = field(default_factory=KitnetSettings)


@dataclass(frozen=True)
class Aucs:
    """Areas under ROC curves; NaN where one class is missing.

    A flow's score is the highest of its packets', and a packet's label that of its flow.
    """

    packets: float
    flows: float


@dataclass(frozen=True)
class TaskFigures:
    """What an instance does on the tested recordings.

    Attributes:
        task: its name.
        learnt_packets: how many it has learnt from.
        parameters: of its network.
        network: of the instance, for `cost`.
        attack_flows, other_flows: tested; flows whose label is unknown are not.
        against_all: with all flows without this attack as negatives.
        against_benign: with flows without any attack as negatives.
    """

    task: str
    learnt_packets: int
    parameters: int
    network: KitNet
    attack_flows: int
    other_flows: int
    against_all: Aucs
    against_benign: Aucs


def kitsune(
    train: Sequence[Recording],
    test: Sequence[Recording],
    tasks: Sequence[str],
    settings: KitsuneSettings | None = None,
    seed: int = 0,
) -> list[TaskFigures]:
    """Trains an instance for each task and tests it.

    An instance learns from the beginnings, up to the first packet of any attack, of the recordings
    in which its attack occurs, and of those without any attack. What it has learnt from is not
    tested: so a recording may be in both lists, as in the paper.

    Args:
        train: recordings to learn from.
        test: recordings to test on.
        tasks: names in `trainer.tasks.KNOWN`.
        settings: of all instances; the defaults if none are given.
        seed: of all instances.

    Raises:
        MultaError: a capture or label file can't be read.
        LabelError: there is nothing benign to learn from for a task.
    """
    settings = settings or KitsuneSettings()
    every = {each.capture: each for each in (*train, *test)}
    flows = {capture: flows_of(each) for capture, each in every.items()}
    instances = [_instance(task, train, flows, settings, seed) for task in tasks]
    scored = [_scores(each, [instance.network for instance in instances]) for each in test]
    return [
        _figures(instance, test, flows, [each[row] for each in scored])
        for row, instance in enumerate(instances)
    ]


@dataclass(frozen=True)
class Cost:
    """Microseconds a packet, the best of several repeats, on one thread's numpy.

    Attributes:
        afterimage: by packets taken at once.
        kitnet: by packets taken at once.
    """

    afterimage: dict[int, float]
    kitnet: dict[int, float]


def cost(
    network: KitNet, headers: Headers, batches: Sequence[int] = (1, 256), repeats: int = 5
) -> Cost:
    """Measures an instance.

    AfterImage is made for blocks: one packet at a time, numpy's calls are nearly all of its time,
    and a plain loop over dictionaries is some eight times as fast as what is told here.

    Args:
        network: the instance's.
        headers: packets, at least as many as the largest batch.
        batches: packets taken at once.
        repeats: the fastest counts.
    """
    features = AfterImage().add(headers)
    found = Cost({}, {})
    for batch in batches:
        starts = range(0, min(len(headers) - batch + 1, 64 * batch), batch)
        packets = batch * len(starts)
        parts = [part_of(headers, slice(start, start + batch)) for start in starts]
        rows = [features[start : start + batch] for start in starts]
        found.afterimage[batch] = _fastest(AfterImage().add, parts, repeats) / packets
        found.kitnet[batch] = _fastest(network.score, rows, repeats) / packets
    return found


def _fastest(work: Callable[[T], object], items: Sequence[T], repeats: int) -> float:
    """Microseconds that the work on all items takes."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        for item in items:
            work(item)
        best = min(best, time.perf_counter() - start)
    return best * 1e6


@dataclass(frozen=True)
class _Instance:
    """A trained network.

    Attributes:
        task: its task.
        network: of the instance.
        packets: how many it has learnt from.
        beginnings: how many packets of each capture these were chosen from.
    """

    task: str
    network: KitNet
    packets: int
    beginnings: Mapping[Path, int]


def _instance(
    task: str,
    train: Sequence[Recording],
    flows: Mapping[Path, PacketFlows],
    settings: KitsuneSettings,
    seed: int,
) -> _Instance:
    column = KNOWN.index(task)
    beginnings = {
        each: flows[each.capture].beginning
        for each in train
        if not flows[each.capture].attacked.any()
        or (flows[each.capture].labels[:, column] == 1).any()
    }
    total = sum(beginnings.values())
    if not total:
        raise LabelError(
            f"no benign packets to learn from for {task}; add a benign recording to those that "
            "are trained on, or one whose attacks begin later"
        )
    every = -(-total // settings.packets)
    features = np.concatenate(
        [part for each, packets in beginnings.items() for part in _some(each, packets, every)]
    )
    by_capture = {each.capture: packets for each, packets in beginnings.items()}
    return _Instance(task, KitNet(features, settings.kitnet, seed), len(features), by_capture)


def statistics(recording: Recording) -> Iterator[Array]:
    """AfterImage ``(packets, 115)`` of a recording, block by block."""
    image = AfterImage()
    for begins, headers, _ in parts_of(recording):
        if begins:
            image.restart()
        yield image.add(headers)


def _some(recording: Recording, packets: int, every: int) -> Iterator[Array]:
    """Every so many of the first packets of a recording."""
    begin = 0
    for block in statistics(recording):
        if begin >= packets:
            break
        yield block[-begin % every : packets - begin : every]
        begin += len(block)


def _scores(recording: Recording, networks: Sequence[KitNet]) -> Array:
    """``(networks, packets)`` of a recording."""
    parts = [np.zeros((len(networks), 0))]
    parts += [
        np.stack([network.score(block) for network in networks]) for block in statistics(recording)
    ]
    return np.concatenate(parts, axis=1)


def _figures(
    instance: _Instance,
    test: Sequence[Recording],
    flows: Mapping[Path, PacketFlows],
    scores: Sequence[Array],
) -> TaskFigures:
    """Figures from the ``(packets,)`` scores of each tested recording."""
    each = [
        _Tested.of(flows[recording.capture], row, instance.beginnings.get(recording.capture, 0))
        for recording, row in zip(test, scores, strict=True)
    ]
    column = KNOWN.index(instance.task)
    packets = _Classes.of(column, [(t.packet_labels, t.packet_scores) for t in each])
    by_flow = _Classes.of(column, [(t.flow_labels, t.flow_scores) for t in each])
    return TaskFigures(
        task=instance.task,
        learnt_packets=instance.packets,
        parameters=instance.network.parameters,
        network=instance.network,
        attack_flows=by_flow.attack.size,
        other_flows=by_flow.other.size,
        against_all=Aucs(packets.auc(packets.other), by_flow.auc(by_flow.other)),
        against_benign=Aucs(packets.auc(packets.benign), by_flow.auc(by_flow.benign)),
    )


@dataclass(frozen=True)
class _Tested:
    """Scores of a recording's packets and flows that were not learnt from, with their labels."""

    packet_labels: Labels
    packet_scores: Array
    flow_labels: Labels
    flow_scores: Array

    @classmethod
    def of(cls, flows: PacketFlows, scores: Array, learnt: int) -> "_Tested":
        flow, scores = flows.flow[learnt:], scores[learnt:]
        order = np.argsort(flow, kind="stable")
        which, start = np.unique(flow[order], return_index=True)
        highest = np.maximum.reduceat(scores[order], start) if start.size else scores
        return cls(flows.labels[flow], scores, flows.labels[which], highest)


@dataclass(frozen=True)
class _Classes:
    """Scores of those with the task's attack, of those without it, and of those without any."""

    attack: Array
    other: Array
    benign: Array

    @classmethod
    def of(cls, column: int, tested: Sequence[tuple[Labels, Array]]) -> "_Classes":
        labels = np.concatenate([np.zeros((0, len(KNOWN)), np.int8), *(each for each, _ in tested)])
        scores = np.concatenate([np.zeros(0), *(each for _, each in tested)])
        mine = labels[:, column]
        return cls(
            scores[mine == 1],
            scores[mine == 0],
            scores[(mine == 0) & ~(labels == 1).any(axis=1)],
        )

    def auc(self, negative: Array) -> float:
        labels = np.repeat(np.array([1, 0]), [self.attack.size, negative.size])
        return roc_auc(labels, np.concatenate([self.attack, negative]))
