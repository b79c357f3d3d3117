"""Trains networks of any size alike, converts them, and keeps file and figures of each.

All learn from the same drawn flows with true labels for the same epochs, and are measured as the
sensor runs them: the float16 TFLite file on the installed runtime. A task that looks at the first
sequence of a flow only has fewer distinct examples than all tasks together, so a network of it
alone would make fewer steps in as many epochs, and was seen to reach less for no other reason
(0.985 instead of 0.995 for an LSTM of 8 units). So every network makes as many steps an epoch as
the common one, with smaller batches where it has fewer examples.
"""

import hashlib
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sensor.errors import OutputError
from trainer.datasets.examples import LabelledRows, Patterns
from trainer.executors import Workers, begin_network, in_own_process
from trainer.kept import identity, read_kept, write_kept
from trainer.reproduce.courses import SEEDS, SETTINGS, TASKS
from trainer.reproduce.determinism import determined
from trainer.reproduce.fig4.variants import EPOCHS, Network, Variant
from trainer.reproduce.material import IN_SOURCE, LEARNT, LEFT_OUT, Material
from trainer.reproduce.results import Say
from trainer.reproduce.side_by_side import side_by_side
from trainer.reproduce.training import Areas, learn, measured
from trainer.tasks import chosen

FORMAT = 1
"""Raised when what is trained or measured changes."""

FOLDER = "fig4"
"""Within the work folder; a document and a file for each network and seed."""


@dataclass(frozen=True)
class Outcome:
    """What became of a network.

    Attributes:
        areas: of the network's tasks in their order.
        parameters: weights.
        seconds: that it took, conversion included.
        sha256: of the TFLite file.
    """

    areas: Areas
    parameters: int
    seconds: float
    sha256: str


def steps_of(material: Material) -> int:
    """Steps of an epoch of the network of all tasks."""
    patterns = Patterns.of(material.dataset)
    examples = _rows(material, patterns, TASKS).examples()
    return -(-len(examples) // SETTINGS.batch_size)


def _rows(material: Material, patterns: Patterns, names: Sequence[str]) -> LabelledRows:
    labels = material.truth[:, [TASKS.index(name) for name in names]]
    return LabelledRows(
        patterns, labels, material.dataset.flow, material.parts[LEARNT], chosen(names)
    )


def train(material: Material, network: Network, steps: int, seed: int) -> tuple[Outcome, bytes]:
    """Trains, converts and measures a network; runs in a worker.

    Args:
        material: to train and to test on.
        network: the size.
        steps: of an epoch.
        seed: of the network and of the order of examples.

    Returns:
        What became of it, and its TFLite file.
    """
    if threading.current_thread() is not threading.main_thread():
        return in_own_process(train, material, network, steps, seed)
    # TensorFlow takes seconds to load, and only workers need it.
    from trainer.export import convert, converted_scores  # noqa: PLC0415
    from trainer.models.lmmoe import build  # noqa: PLC0415

    begin = time.perf_counter()
    begin_network(seed)
    schema, names = material.dataset.schema, network.tasks
    model = build(schema, names, network.experts, network.units, network.tower_units, network.gates)
    patterns = Patterns.of(material.dataset)
    training = _rows(material, patterns, names)
    examples = training.examples()
    settings = replace(SETTINGS, batch_size=-(-len(examples) // steps))
    for _ in learn(model, training, examples, settings, seed, EPOCHS):
        pass
    tflite = convert(model, schema)
    tested = material.parts[IN_SOURCE] | material.parts[LEFT_OUT]
    distinct = np.unique(patterns.number[tested])
    scores = np.zeros((len(patterns.encoded), len(names)), np.float32)
    scores[distinct] = converted_scores(tflite, patterns.encoded.take(distinct), names)
    areas = measured(material, patterns, scores, names)
    seconds = time.perf_counter() - begin
    sha256 = hashlib.sha256(tflite).hexdigest()
    return Outcome(areas, int(model.count_params()), seconds, sha256), tflite


class Networks:
    """The networks of some material, in a folder.

    Args:
        material: that is trained and tested on.
        work: folder of all results.
    """

    def __init__(self, material: Material, work: Path) -> None:
        self._material = material
        self._of_material = material.identity
        self._folder = work / FOLDER
        self._steps = steps_of(material)

    def outcome(self, network: Network, seed: int) -> Outcome | None:
        """What is kept of a network, if its file is there too and is its own."""
        key, path = self._place(network, seed)
        if (document := read_kept(path, key)) is None:
            return None
        try:
            outcome = Outcome(**document["outcome"])
            found = hashlib.sha256(path.with_suffix(".tflite").read_bytes()).hexdigest()
        except (OSError, KeyError, TypeError):
            return None
        return outcome if found == outcome.sha256 else None

    def tflite(self, network: Network, seed: int) -> bytes:
        """The file of a network that has an outcome."""
        return self._place(network, seed)[1].with_suffix(".tflite").read_bytes()

    def complete(self, variant: Variant) -> bool:
        """Whether all its networks are there."""
        return all(self.outcome(each, seed) for each in variant.networks for seed in SEEDS)

    def areas(self, variant: Variant, part: str) -> list[list[float]]:
        """For each seed, the areas of a complete variant in the order of `TASKS`."""
        found = []
        for seed in SEEDS:
            outcomes = [self.outcome(each, seed) for each in variant.networks]
            found.append([area for each in outcomes if each for area in each.areas[part]])
        return found

    def parameters(self, variant: Variant) -> int:
        """Weights of all networks of a complete variant."""
        return sum(each.parameters for each in self._outcomes(variant, SEEDS[0]))

    def file_bytes(self, variant: Variant) -> int:
        """Of all files of a complete variant."""
        return sum(len(self.tflite(each, SEEDS[0])) for each in variant.networks)

    def seconds(self, variants: Iterable[Variant]) -> float:
        """That training and conversion took."""
        networks = dict.fromkeys(each for variant in variants for each in variant.networks)
        outcomes = (self.outcome(each, seed) for each in networks for seed in SEEDS)
        return sum(each.seconds for each in outcomes if each)

    def make(self, variants: Iterable[Variant], workers: Workers, say: Say) -> None:
        """Trains what is not there; killed, it goes on where it stopped.

        Raises:
            OutputError: the folder can't be written.
            MultaError: a training or a conversion failed.
        """
        networks = list(dict.fromkeys(each for variant in variants for each in variant.networks))
        waiting = [
            (network, seed)
            for seed in SEEDS
            for network in networks
            if self.outcome(network, seed) is None
        ]

        def begin(each: tuple[Network, int]) -> "Future[tuple[Outcome, bytes]]":
            return workers.submit(train, self._material, each[0], self._steps, each[1])

        def keep(each: tuple[Network, int], trained: tuple[Outcome, bytes]) -> None:
            self._keep(*each, *trained)
            say(f"{each[0].name}, seed {each[1]}: trained in {trained[0].seconds:.0f} s")

        side_by_side(waiting, begin, keep, workers.count)

    def _outcomes(self, variant: Variant, seed: int) -> list[Outcome]:
        found = [self.outcome(each, seed) for each in variant.networks]
        return [each for each in found if each is not None]

    def _keep(self, network: Network, seed: int, outcome: Outcome, tflite: bytes) -> None:
        key, path = self._place(network, seed)
        # The document last: where it is, its file is.
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".tflite").write_bytes(tflite)
        except OSError as error:
            raise OutputError(
                f"{path.parent}: {error.strerror}; name a folder that can be written (--work)"
            ) from None
        write_kept(path, key, outcome=asdict(outcome))

    def _place(self, network: Network, seed: int) -> tuple[dict[str, Any], Path]:
        """What decides the outcome, as JSON has it, and the file that is named by it."""
        key, digest = identity(
            format=FORMAT,
            material=self._of_material,
            network=network.document(),
            epochs=EPOCHS,
            steps=self._steps,
            learning_rate=SETTINGS.learning_rate,
            settle_after=SETTINGS.settle_after,
            seed=seed,
            **determined(),
        )
        return key, self._folder / f"{network.name}-{seed}-{digest[:12]}.json"
