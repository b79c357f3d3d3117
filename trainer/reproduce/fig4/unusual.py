"""Curve (1) of Fig. 4: an instance of Kitsune for each task, on the flows that are drawn.

An instance learns from the benign beginnings of the recordings of the part train in which
its attack occurs or none does, and from nothing after the first flow there that is tested. Its
score of a flow is the highest of the flow's packets; a packet has the label of its flow. All
instances see the statistics of every packet, and score those of the drawn flows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError
from trainer.baselines.kitnet import KitNet, KitnetSettings
from trainer.baselines.kitsune import some_of, statistics
from trainer.baselines.packet_flows import flows_of
from trainer.datasets.extraction import Recording
from trainer.kept import identity, read_kept, write_kept
from trainer.metrics import roc_auc
from trainer.reproduce.courses import SEEDS, TASKS
from trainer.reproduce.fig4.networks import FOLDER
from trainer.reproduce.material import IN_SOURCE, LEFT_OUT, Material

FORMAT = 1

LARGEST = (5, 10, 20)
"""Inputs of an autoencoder at most, the size that is swept; the authors' choice is 10."""

PACKETS = 30_000
"""That an instance learns from, spread evenly over the beginnings."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Instances:
    """Figures of an instance for each task, of one size and one seed.

    Attributes:
        largest: of `LARGEST`.
        seed: of the weights.
        parameters: of all instances together.
        flows, packets: by part, areas against all flows without the task's attack, or their
            packets.
        benign: by part, areas of flows against those without any attack.
    """

    largest: int
    seed: int
    parameters: int
    flows: dict[str, list[float]]
    packets: dict[str, list[float]]
    benign: dict[str, list[float]]


@dataclass(frozen=True)
class _Drawn:
    """The drawn flows of one recording.

    Attributes:
        flow: ``(packets,)`` int64 position in `numbers` of each packet's flow, −1 for the others.
        numbers: ``(flows,)`` of the flows in the material's dataset, ascending.
        beginning: packets that may be learnt from.
        attacks: whether each of `TASKS` occurs in the recording, and whether any attack does.
    """

    flow: NDArray[np.int64]
    numbers: NDArray[np.int64]
    beginning: int
    attacks: tuple[bool, ...]
    any_attack: bool


def instances(
    material: Material, recordings: Sequence[Recording], largest: Sequence[int] = LARGEST
) -> list[Instances]:
    """Trains and tests instances of each size and seed; minutes.

    Args:
        material: the drawn flows.
        recordings: of all its sources.
        largest: sizes.

    Raises:
        MultaError: a recording can't be read.
    """
    drawn = {each.name: _drawn_flows(material, each) for each in recordings}
    networks = trained(material, recordings, drawn, largest, SEEDS)
    scores = _scores(recordings, drawn, list(networks.values()))
    found = []
    for size in largest:
        for seed in SEEDS:
            mine = [list(networks).index((size, seed, task)) for task in TASKS]
            areas = {
                what: {
                    part: [
                        _area(material, part, column, scores, row, what)
                        for column, row in enumerate(mine)
                    ]
                    for part in (IN_SOURCE, LEFT_OUT)
                }
                for what in ("flows", "packets", "benign")
            }
            count = sum(networks[size, seed, task].parameters for task in TASKS)
            found.append(Instances(size, seed, count, **areas))
    return found


def trained(
    material: Material,
    recordings: Sequence[Recording],
    drawn: Mapping[str, _Drawn] | None = None,
    largest: Sequence[int] = LARGEST,
    seeds: Sequence[int] = SEEDS,
) -> dict[tuple[int, int, str], KitNet]:
    """Networks by size, seed and task.

    Args:
        material: the drawn flows.
        recordings: of all its sources.
        drawn: the drawn flows of each recording, where they are known already.
        largest: sizes.
        seeds: of the weights.

    Raises:
        LabelError: there is nothing benign to learn from for a task.
    """
    if drawn is None:
        drawn = {each.name: _drawn_flows(material, each) for each in recordings}
    features = {}
    for column, task in enumerate(TASKS):
        mine = [
            each
            for each in recordings
            if drawn[each.name].beginning
            and (drawn[each.name].attacks[column] or not drawn[each.name].any_attack)
        ]
        total = sum(drawn[each.name].beginning for each in mine)
        if not total:
            raise LabelError(
                f"no benign packets to learn from for {task}; add a benign recording to the part "
                "train, or one whose attacks begin later"
            )
        every = -(-total // PACKETS)
        features[task] = np.concatenate(
            [some_of(each, drawn[each.name].beginning, every) for each in mine]
        )
    return {
        (size, seed, task): KitNet(rows, KitnetSettings(largest=size), seed)
        for size in largest
        for seed in seeds
        for task, rows in features.items()
    }


def _drawn_flows(material: Material, recording: Recording) -> _Drawn:
    dataset = material.dataset
    source = [record.name for record in dataset.sources].index(recording.name)
    rows = np.flatnonzero(dataset.source == source)
    numbers, first = np.unique(dataset.flow[rows], return_index=True)
    ordinals = dataset.batch.flow_ordinal[rows][first]
    packets = flows_of(recording)
    place = np.full(len(packets.labels), -1, np.int64)
    place[ordinals] = np.arange(numbers.size)
    flow = place[packets.flow]
    tested = material.parts[IN_SOURCE][rows][first] | material.parts[LEFT_OUT][rows][first]
    of_tested = np.flatnonzero((flow >= 0) & tested[flow])
    beginning = min(packets.beginning, int(of_tested[0]) if of_tested.size else flow.size)
    learnt_from = not material.parts[LEFT_OUT][rows].any()
    labels = dataset.labels[rows]
    columns = [dataset.tasks.index(task) for task in TASKS]
    return _Drawn(
        flow,
        numbers,
        beginning if learnt_from else 0,
        tuple(bool((labels[:, column] == 1).any()) for column in columns),
        bool(packets.attacked.any()),
    )


@dataclass(frozen=True)
class _Scores:
    """Scores of the packets of drawn flows; ``number`` is that of the packet's flow."""

    number: NDArray[np.int64]
    scores: Array


def _scores(
    recordings: Sequence[Recording], drawn: Mapping[str, _Drawn], networks: Sequence[KitNet]
) -> _Scores:
    """``(networks, packets)`` of all recordings."""
    numbers, scores = [np.zeros(0, np.int64)], [np.zeros((len(networks), 0))]
    for recording in recordings:
        its, begin = drawn[recording.name], 0
        for block in statistics(recording):
            flow = its.flow[begin : begin + len(block)]
            begin += len(block)
            wanted = flow >= 0
            if wanted.any():
                numbers.append(its.numbers[flow[wanted]])
                scores.append(np.stack([each.score(block[wanted]) for each in networks]))
    return _Scores(np.concatenate(numbers), np.concatenate(scores, axis=1))


def _area(
    material: Material, part: str, column: int, scored: _Scores, row: int, what: str
) -> float:
    """An area of one instance in one tested part."""
    dataset = material.dataset
    numbers, first = np.unique(dataset.flow[material.parts[part]], return_index=True)
    every = dataset.labels[material.parts[part]][first]
    label = every[:, dataset.tasks.index(TASKS[column])]
    if what == "benign":
        label = np.where((label == 0) & (every == 1).any(axis=1), np.int8(-1), label)
    place = np.searchsorted(numbers, scored.number)
    place[place == numbers.size] = 0
    here = numbers[place] == scored.number
    place, score = place[here], scored.scores[row, here]
    if what == "packets":
        label = label[place]
    else:
        highest = np.full(numbers.size, -np.inf)
        np.maximum.at(highest, place, score)
        score = highest
    known = (label >= 0) & np.isfinite(score)
    return roc_auc(label[known], score[known])


def known(material: Material, work: Path) -> list[Instances]:
    """What is kept; nothing if it was made of something else."""
    key, path = _place(material, work)
    try:
        document = read_kept(path, key) or {"instances": []}
        return [Instances(**each) for each in document["instances"]]
    except (KeyError, TypeError):
        return []


def keep(material: Material, work: Path, found: Sequence[Instances]) -> None:
    """Writes what `instances` has found.

    Raises:
        OutputError: the folder can't be written.
    """
    key, path = _place(material, work)
    write_kept(path, key, instances=[asdict(each) for each in found])


def _place(material: Material, work: Path) -> tuple[dict[str, Any], Path]:
    key, digest = identity(
        format=FORMAT,
        material=material.identity,
        tasks=TASKS,
        largest=LARGEST,
        packets=PACKETS,
        seeds=SEEDS,
    )
    return key, work / FOLDER / f"kitsune-{digest[:12]}.json"
