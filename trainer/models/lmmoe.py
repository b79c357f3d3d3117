"""LMMoE: the LSTM-based multi-gate mixture of experts of MULTA, section III-B and Fig. 2.

E experts, each an LSTM, read the sequence. For every task a gate weights them, and a tower of
dense layers turns the gated mix into the task's score. Only stock Keras layers are used, so a
saved model loads in safe mode; their names say what they are, and `trainer.conversion` reads the
weights by these names:

- ``expert_E``: one LSTM an expert, those of the first group of tasks first;
- ``gate_TASK``: softmax over the experts of its group (its output is the task's gate weights); a
  single expert has no gates;
- ``tower_TASK_I``: dense layers of a task's tower;
- ``TASK``: its output.

Two things keep the network exact and cheap:

- **Padding without a mask.** Short sequences are left-padded with zeros and the LSTMs have no
  bias. At a padded step the cell candidate is tanh(0) = 0, so both states stay exactly 0 until
  the first packet. The field ``valid`` is 1 for every packet, so its kernel row is the bias; like
  Keras' own bias it starts at 1 for the forget gate and at 0 elsewhere.
- **Gates on the experts' states.** The paper's gates take the traffic feature as input. Flattened,
  that costs (n·channels + context + 1)·E weights a task, and ties a gate to one padded length.
  Here a gate sees the traffic as the experts read it: their last states, and the context. On real
  captures (three tasks, 2 experts of 16 units, four to seven seeds) that reached the loss of
  flattened gates (0.121 against 0.116) with 4,525 weights instead of 5,581; gates on the average
  packet stayed behind (0.156).

What an expert hands on is its last state, or with `pooling` its states over all packets, pooled:
an LSTM begins with a memory of a few packets, and of 60 the last state hardly says how it began.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import keras
import numpy as np

from sensor.errors import ConfigurationError
from sensor.model.schema import FeatureSchema
from trainer.models.wiring import SHARED, Wiring

_LAYERS = ("x", "c", "states", "experts", "gate_input")
_NONE: Mapping[str, int] = MappingProxyType({})
_PREFIXES = ("expert_", "experts_", "pooled_", "states_", "gate_", "mix_", "tower_")

Pooling = Literal["last", "peak_mean"]
"""What of its states an expert hands on: the last, or their greatest values and their means."""


def build(
    schema: FeatureSchema,
    task_names: Sequence[str],
    experts: int,
    units: int,
    tower_units: Sequence[int] = (8,),
    gates: Literal["states", "context"] = "states",
    wiring: Wiring = SHARED,
    classes: Mapping[str, int] = _NONE,
    pooling: Pooling = "last",
) -> keras.Model:
    """An untrained LMMoE; seed it with ``keras.utils.set_random_seed``.

    Call arguments:
        inputs: ``{"x": (batch, n_packets, channels), "c": (batch, context)}`` float32, as
            `sensor.model.encoding.Encoded.expand` makes them; n_packets is ``schema.n``. Where
            the schema has no context, there is no ``c``.

    Returns of a call: ``{task: (batch, 1)}`` float32 sigmoid scores, of a categorical task
    ``(batch, classes)``, a softmax over its classes.

    Args:
        schema: says the channels; it needs the field ``valid``.
        task_names: one output each; none is ``x`` or ``c`` or named like one of the layers above.
        experts: E, the number of LSTM experts (of each group of tasks, where there are several).
        units: u, the state size of an expert.
        tower_units: widths of a tower's hidden layers.
        gates: what they see: the experts' states and the context, or the context alone.
        wiring: which tasks share experts, and whose score feeds another.
        classes: how many a categorical task has, at least 2; all other tasks are binary.
        pooling: ``peak_mean`` for two values a unit: the greatest of its states and 0, and their
            sum over n. States before the first packet are 0, so neither depends on the padding.

    Raises:
        UsageError: groups or feeds don't fit the tasks.
        ConfigurationError: the schema has no field ``valid``, or no context field where gates are
            to see it alone, or a task's name is used twice or by a layer.
    """
    if "valid" not in schema.fields:
        raise ConfigurationError(
            "the feature schema lacks the field `valid`, which is the bias of the LSTMs; add it"
        )
    if gates == "context" and not schema.context:
        raise ConfigurationError(
            "the feature schema lacks a context field, which the gates are to see alone; add one, "
            "or let them see the experts' states"
        )
    for name in task_names:
        if name in _LAYERS or name.startswith(_PREFIXES) or list(task_names).count(name) > 1:
            raise ConfigurationError(
                f"a task can't be named {name!r}: another task or a layer of the network has that "
                "name; rename the task"
            )
    channels = len(schema.channels)
    x = keras.Input((schema.n, channels), name="x")
    inputs, context = {"x": x}, []
    if schema.context:
        inputs["c"] = keras.Input((len(schema.context),), name="c")
        context = [inputs["c"]]

    of_task, groups = wiring.experts_of(task_names, experts), wiring.groups_of(task_names)
    lstms = [
        keras.layers.LSTM(
            units, use_bias=False, return_sequences=pooling != "last", name=f"expert_{e}"
        )
        for e in range(experts * len(groups))
    ]
    states = [lstm(x) for lstm in lstms]
    if pooling == "peak_mean":
        states = [_peak_and_mean(each, e) for e, each in enumerate(states)]
    seen: dict[str, Any] = {}
    stacked: dict[str, Any] = {}
    for place, group in enumerate(groups):
        its, end = [states[e] for e in of_task[group[0]]], f"_{place}" if len(groups) > 1 else ""
        sees = [*its, *context] if gates == "states" else context
        seen |= dict.fromkeys(group, _joined(sees, f"gate_input{end}"))
        if experts > 1:
            joined = keras.layers.Concatenate(name=f"states{end}")(its)
            width = its[0].shape[-1]
            each = keras.layers.Reshape((experts, width), name=f"experts{end}")(joined)
            stacked |= dict.fromkeys(group, each)

    outputs: dict[str, Any] = {}
    for task in wiring.order(task_names):
        mix = states[of_task[task][0]]
        if experts > 1:
            dense = keras.layers.Dense(experts, activation="softmax", name=f"gate_{task}")
            weights = dense(seen[task])
            mix = keras.layers.Dot(axes=1, name=f"mix_{task}")([weights, stacked[task]])
        fed = [outputs[giver] for giver in wiring.fed(task)]
        hidden = _joined([mix, *context, *fed], f"tower_input_{task}")
        for i, width in enumerate(tower_units):
            name = f"tower_{task}_{i}"
            hidden = keras.layers.Dense(width, activation="relu", name=name)(hidden)
        head = (classes[task], "softmax") if task in classes else (1, "sigmoid")
        outputs[task] = keras.layers.Dense(head[0], activation=head[1], name=task)(hidden)
    outputs = {task: outputs[task] for task in task_names}
    model = keras.Model(inputs, outputs, name="lmmoe")

    valid = schema.channels.index("valid")
    for lstm in lstms:
        kernel, recurrent = lstm.get_weights()
        kernel[valid] = np.repeat([0.0, 1.0, 0.0, 0.0], units)  # Keras' gate order: i, f, g, o
        lstm.set_weights([kernel, recurrent])
    return model


def _peak_and_mean(states: Any, expert: int) -> Any:
    """``(batch, 2·units)`` of an expert's states ``(batch, n, units)``."""
    name = f"pooled_{expert}"
    peak = keras.layers.GlobalMaxPooling1D(name=f"{name}_peak")(states)
    peak = keras.layers.ReLU(name=f"{name}_floor")(peak)  # as if padding stood before every row
    mean = keras.layers.GlobalAveragePooling1D(name=f"{name}_mean")(states)
    return keras.layers.Concatenate(name=name)([peak, mean])


def _joined(parts: Sequence[Any], name: str) -> Any:
    """Side by side, in a layer of that name; one alone as it is."""
    return keras.layers.Concatenate(name=name)(list(parts)) if len(parts) > 1 else parts[0]


def extended(
    model: keras.Model,
    schema: FeatureSchema,
    task_names: Sequence[str],
    experts: int,
    units: int,
    tower_units: Sequence[int] = (8,),
    wiring: Wiring = SHARED,
    classes: Mapping[str, int] = _NONE,
) -> keras.Model:
    """The LMMoE of further tasks that has the weights of a trained one.

    Scores of the trained tasks stay as they were; further ones have untrained gates and towers.

    Args:
        model: made by `build` with the same schema and sizes, for some of the tasks.
        schema: the same.
        task_names: outputs in their new order, the trained ones among them.
        experts: the same.
        units: the same.
        tower_units: the same.
        wiring: the same, so without groups, in which the further tasks have no place.
        classes: of the categorical ones among all tasks.

    Raises:
        UsageError, ConfigurationError: those of `build`.
    """
    larger = build(schema, task_names, experts, units, tower_units, wiring=wiring, classes=classes)
    for layer in model.layers:
        if layer.weights:
            larger.get_layer(layer.name).set_weights(layer.get_weights())
    return larger


def own_layers(model: keras.Model, task: str) -> list[keras.Layer]:
    """The layers that are a task's alone: its gate, its tower and its output."""
    name = re.escape(task)
    pattern = re.compile(f"(gate|mix|tower_input)_{name}|tower_{name}_[0-9]+|{name}")
    return [layer for layer in model.layers if pattern.fullmatch(layer.name)]


def expert_layers(model: keras.Model) -> list[keras.Layer]:
    """The experts, which all tasks share."""
    return [layer for layer in model.layers if layer.name.startswith("expert_")]
