"""Teaches the network of an annotating bundle, and finds its temperatures.

It is the LMMoE of `trainer.traffic.networks` with sizes of its own, and is taught as there, with
one difference: a flow is learnt once for each length of the sensor's model, by its first 8, 16, 32
and 60 packets, as the sensor looks early at a flow that is slow, and at short ones when they end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import keras
import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import SequenceBatch
from sensor.model.encoding import encode
from trainer.annotating.abstention import temperature
from trainer.annotating.annotation_recipe import AnnotationRecipe
from trainer.annotating.targets import Target
from trainer.models.lmmoe import build
from trainer.traffic.alterations import altered
from trainer.traffic.inputs import CLASS, SCHEMA, TASKS, recurrent
from trainer.traffic.learning import Learner, Share, steps_of
from trainer.traffic.material import TRAINING, VALIDATION, Material
from trainer.traffic.networks import for_sensor

BATCH = 96
"""Flows of a step; as many again without a class, where there are such."""


def shortened(rows: SequenceBatch, k: int) -> SequenceBatch:
    """Rows as the sensor would have them of a flow's first k packets, n wide."""
    columns = {}
    for name in ("ip_length", "payload_length", "interarrival_us", "direction", "tcp_flags"):
        columns[name] = getattr(rows, name)[:, : SCHEMA.n].copy()
        columns[name][:, k:] = 0
    return replace(rows, **columns, length=np.minimum(rows.length, np.uint16(min(k, SCHEMA.n))))


def teach(material: Material, wanted: Sequence[Target], recipe: AnnotationRecipe) -> keras.Model:
    """A network that has learnt the training part, with temperatures of the validation part.

    Args:
        material: the data set.
        wanted: what is learnt of its flows, in the order of `TASKS`.
        recipe: size, learning rate, turns and seed.
    """
    heads = {target.name: len(target.classes) for target in wanted}
    keras.utils.set_random_seed(recipe.seed)
    sizes = recipe.experts, recipe.units, recipe.tower_units
    model = build(SCHEMA, tuple(heads), *sizes, classes=heads, pooling=recipe.pooling)
    every = [shortened(material.rows, k) for k in SCHEMA.lengths]
    inputs = recurrent(SequenceBatch.concatenate(every), SCHEMA.n)
    labels = np.tile(np.stack([target.labels for target in wanted], axis=1), (len(every), 1))
    learnt = np.tile(material.part == TRAINING, len(every))
    shares = [Share(tuple(heads), np.flatnonzero(learnt & (labels[:, CLASS] >= 0)), BATCH)]
    if (others := np.flatnonzero(learnt & (labels[:, CLASS] < 0))).size:
        # What has no class has its bandwidth and duration all the same.
        shares.append(Share(TASKS[:CLASS], others, BATCH))
    weights = dict.fromkeys(heads, 1.0) | {TASKS[CLASS]: recipe.class_weight}
    learner = Learner(model, weights, compiled=True)
    learner.begin(model.get_weights(), weights)
    longest = max(share.rows.size for share in shares)
    steps = steps_of(longest // len(every), BATCH, recipe.epochs)
    rate, altering = recipe.learning_rate, partial(altered, behind=False)
    learner.teach(inputs, labels, shares, steps, rate, recipe.seed, altering)
    for_sensor(model)
    held_out = np.flatnonzero(np.tile(material.part == VALIDATION, len(every)))
    scores = probabilities(model, SequenceBatch.concatenate(every).take(held_out))
    for column, target in enumerate(wanted):
        divide(model, target.name, temperature(scores[target.name], labels[held_out, column]))
    return model


def probabilities(model: keras.Model, rows: SequenceBatch) -> Mapping[str, NDArray[np.float32]]:
    """``(flows, classes)`` of each task, by Keras."""
    scores = model.predict({"x": encode(SCHEMA, rows).expand()[0]}, batch_size=512, verbose=0)
    return {name: np.asarray(each, np.float32) for name, each in scores.items()}


def divide(model: keras.Model, task: str, by: float) -> None:
    """Divides the logits of a task: its last layer holds the temperature from then on."""
    layer = model.get_layer(task)
    layer.set_weights([values / np.float32(by) for values in layer.get_weights()])
