"""What a candidate network is worth: trained for a few epochs on some flows, tested on others.

A candidate of one expert and one task is an LMMoE without gates, which is a single LSTM with the
task's tower; so both parts of Algorithm 1 train the same model and count the same parameters. Its
accuracy is the area under the ROC curve over the flows of the validation part, of the network as
Keras computes it: converting it changes no area by more than the export allows.
"""

import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import LabelledRows, Patterns, task_labels
from trainer.datasets.splits import Split, require_classes
from trainer.executors import begin_network, in_own_process
from trainer.metrics import by_flow, roc_auc
from trainer.settings import Settings
from trainer.tasks import chosen
from trainer.tuning.algorithm1 import Candidate


@dataclass(frozen=True)
class Material:
    """Rows that candidates are trained and tested on; small enough to be sent to a worker.

    Attributes:
        patterns: of these rows.
        labels: ``(rows, tasks)`` int8, as `trainer.datasets.examples.task_labels` gives them.
        flow: ``(rows,)`` int64 number of the flow.
        row: ``(rows,)`` int32 number of the row within its flow.
        sequence_index: ``(rows,)`` int32 as in `sensor.flows.sequences.SequenceBatch`.
        training, validation: ``(rows,)`` bool, the rows of each part.
        task_names: the columns of `labels`.
    """

    patterns: Patterns
    labels: NDArray[np.int8]
    flow: NDArray[np.int64]
    row: NDArray[np.int32]
    sequence_index: NDArray[np.int32]
    training: NDArray[np.bool_]
    validation: NDArray[np.bool_]
    task_names: tuple[str, ...]

    @classmethod
    def draw(
        cls, dataset: Dataset, split: Split, task_names: Sequence[str], flows: int, seed: int
    ) -> "Material":
        """Draws whole flows of the training and the validation part.

        Args:
            dataset: of all sources of the split.
            split: whose test part is left alone.
            task_names: to tune for.
            flows: at most so many of each part and each combination of labels, so that a flood
                leaves room for what is rare.
            seed: of the draw.

        Raises:
            LabelError: the dataset has no labels for a task, or a part lacks one of its classes.
            UsageError: there is no such task.
        """
        tasks = chosen(task_names)
        known = task_labels(dataset, tasks)
        parts = split.rows(dataset)
        generator = np.random.default_rng(seed)
        columns = [dataset.tasks.index(name) for name in task_names]
        kept = np.zeros(len(dataset), bool)
        for part in ("train", "validation"):
            numbers, first = np.unique(dataset.flow[parts[part]], return_index=True)
            labels = dataset.labels[parts[part]][first][:, columns]
            _, kind = np.unique(labels, axis=0, return_inverse=True)
            kind = kind.reshape(-1)
            drawn = [
                generator.permutation(numbers[kind == each])[:flows]
                for each in range(int(kind.max(initial=-1)) + 1)
            ]
            kept |= parts[part] & np.isin(dataset.flow, np.concatenate([*drawn, numbers[:0]]))
        rows = dataset.take(kept)
        labels = known[kept]
        training, validation = (parts[part][kept] for part in ("train", "validation"))
        require_classes({"train": training, "validation": validation}, labels, task_names)
        return cls(
            Patterns.of(rows),
            labels,
            rows.flow,
            rows.batch.row,
            rows.batch.sequence_index,
            training,
            validation,
            tuple(task_names),
        )

    @property
    def identity(self) -> str:
        """SHA-256, equal for equal rows, labels and parts."""
        digest = hashlib.sha256(self.patterns.encoded.schema.fingerprint().encode())
        for column in (
            self.patterns.encoded.packed,
            self.patterns.number,
            self.labels,
            self.flow,
            self.row,
            self.sequence_index,
            self.training,
            self.validation,
        ):
            digest.update(f"{column.dtype}{column.shape}".encode())
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Trained:
    """A candidate after its training.

    Attributes:
        aucs: over the validation flows, of its tasks in their order.
        parameters: weights of the network, which are those of the exported one.
        epochs: that were trained.
        best_epoch: whose weights were kept, from 1.
        seconds: that it took.
    """

    aucs: tuple[float, ...]
    parameters: int
    epochs: int
    best_epoch: int
    seconds: float


def train_candidate(
    material: Material, candidate: Candidate, settings: Settings, seed: int
) -> Trained:
    """Trains a candidate; runs in a worker.

    In a thread other than the first, as on a cluster, it runs in a process of its own: Keras draws
    the first weights from Python's random numbers, of which all threads of a process draw.

    Args:
        material: to train and to test on.
        candidate: says the tasks and the size.
        settings: all else of the fit.
        seed: of the network.

    Raises:
        UsageError: the losses are no numbers any more.
    """
    if threading.current_thread() is not threading.main_thread():
        return in_own_process(train_candidate, material, candidate, settings, seed)
    # TensorFlow takes seconds to load, and only workers need it.
    from trainer.export import keras_scores  # noqa: PLC0415
    from trainer.fit import fit  # noqa: PLC0415

    begin = time.perf_counter()
    tasks = chosen(candidate.tasks)
    labels = material.labels[:, [material.task_names.index(name) for name in candidate.tasks]]
    patterns, held_out = material.patterns, material.validation
    training, validation = (
        LabelledRows(patterns, labels, material.flow, part, tasks)
        for part in (material.training, held_out)
    )
    sized = replace(settings, experts=candidate.experts, units=candidate.units)
    begin_network(seed)
    schema = patterns.encoded.schema
    fitted = fit(schema, candidate.tasks, sized, seed, training, validation)
    distinct, number = np.unique(patterns.number[held_out], return_inverse=True)
    raw = keras_scores(fitted.model, patterns.encoded.take(distinct), candidate.tasks)
    number = number.reshape(-1)
    aucs = []
    for column, task in enumerate(tasks):
        flows = by_flow(
            task.policy,
            scores=raw[number, column],
            labels=labels[held_out, column],
            patterns=number,
            flow=material.flow[held_out],
            row=material.row[held_out],
            sequence_index=material.sequence_index[held_out],
        )
        aucs.append(roc_auc(flows.labels, flows.scores))
    return Trained(
        tuple(aucs),
        int(fitted.model.count_params()),
        len(fitted.validation_losses),
        fitted.best_epoch,
        time.perf_counter() - begin,
    )
