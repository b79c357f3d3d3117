"""The networks that are compared; all have one softmax head a task, and layers of their own.

- `cnn`: Table II of S. Rezaei and X. Liu, Multitask Learning for Network Traffic Classification:
  32-32-pool-64-64-pool-128-128-pool-256-256, kernel 3, pool 2, ReLU.
- `cnn_rnn`: after M. Lopez-Martin et al., Network Traffic Classifier with Convolutional and
  Recurrent Neural Networks (2017): two convolutions of 32 and 64, each with a pool of 2, an LSTM of
  100 and a dense layer of 100; without their batch normalisation, which a batch drawn from ten
  flows would mislead.
- `lmmoe`: the sensor's own (`trainer.models.lmmoe`) with categorical tasks, and with experts that
  hand on the greatest and the mean of their states: of 60 packets the last state says little.
"""

from collections.abc import Mapping
from dataclasses import replace

import keras
import numpy as np

from trainer.models.lmmoe import build, expert_layers
from trainer.traffic.inputs import GAIN, SCHEMA
from trainer.traffic.training import EXPERTS, TOWER, UNITS


def cnn(k: int, heads: Mapping[str, int]) -> keras.Model:
    """The paper's network.

    Call arguments:
        inputs: ``{"x": (batch, k, 2)}`` float32, as `trainer.traffic.inputs.convolved` makes it.

    Returns of a call: ``{task: (batch, classes)}`` float32.

    Args:
        k: packets.
        heads: classes of each task.
    """
    x = keras.Input((k, 2), name="x")
    hidden = x
    for filters in (32, 64, 128):
        for _ in range(2):
            layer = keras.layers.Conv1D(filters, 3, padding="same", activation="relu")
            hidden = layer(hidden)
        hidden = keras.layers.MaxPooling1D(2)(hidden)
    hidden = keras.layers.Flatten()(hidden)
    for width in (256, 256):
        hidden = keras.layers.Dense(width, activation="relu")(hidden)
    return keras.Model({"x": x}, _heads(hidden, heads), name="cnn")


def cnn_rnn(k: int, heads: Mapping[str, int]) -> keras.Model:
    """Convolutions, then an LSTM.

    Call arguments:
        inputs: ``{"x": (batch, k, 3)}`` as `trainer.traffic.inputs.recurrent` makes them;
            padding stands before the packets, as an LSTM remembers best what came last.

    Returns and args are those of `cnn`.
    """
    x = keras.Input((k, len(SCHEMA.channels)), name="x")
    hidden = x
    for filters in (32, 64):
        hidden = keras.layers.Conv1D(filters, 3, padding="same", activation="relu")(hidden)
        hidden = keras.layers.MaxPooling1D(2)(hidden)
    hidden = keras.layers.LSTM(100)(hidden)
    hidden = keras.layers.Dense(100, activation="relu")(hidden)
    return keras.Model({"x": x}, _heads(hidden, heads), name="cnn_rnn")


def lmmoe(k: int, heads: Mapping[str, int]) -> keras.Model:
    """The sensor's network; inputs are those of `cnn_rnn`, returns and args those of `cnn`."""
    schema = replace(SCHEMA, lengths=(k,))
    return build(schema, tuple(heads), EXPERTS, UNITS, TOWER, classes=heads, pooling="peak_mean")


def for_sensor(model: keras.Model) -> None:
    """Lets a taught `lmmoe` see the channels as the sensor encodes them: `GAIN` moves inside."""
    gain = np.where([channel == "valid" for channel in SCHEMA.channels], np.float32(1), GAIN)
    for lstm in expert_layers(model):
        kernel, recurrent = lstm.get_weights()
        lstm.set_weights([kernel * gain[:, None], recurrent])


def _heads(hidden: keras.KerasTensor, heads: Mapping[str, int]) -> dict[str, keras.KerasTensor]:
    return {
        task: keras.layers.Dense(classes, activation="softmax", name=task)(hidden)
        for task, classes in heads.items()
    }
