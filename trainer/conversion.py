"""TFLite conversion of an LMMoE, run in a process of its own: it can crash the interpreter.

``python -m trainer.conversion FOLDER`` reads ``FOLDER/weights.npz`` (arrays named LAYER/INDEX) and
``FOLDER/spec.json``, and writes ``FOLDER/model.tflite``.

The graph is not Keras': a converted Keras LSTM needs Flex operators or a fused operator that keeps
state between calls. Here time is unrolled over builtin operators only. A step concatenates
``[x_t, h]`` and multiplies it by one block-diagonal matrix that holds all experts, so E experts
cost one operator. Beyond `BLOCK_LIMIT` the zeros of that matrix cost more than they save: then one
matrix reads the packet for all experts, every expert has its own for its state, and the gates of
all are computed together. One file holds a signature for each sequence length, and they share the
weights.
"""

import json
import operator
import sys
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

BLOCK_LIMIT = {"float16": 48, "int8": 96}
"""State units (E·u) up to which all experts share one block-diagonal matrix, by quantization.

Measured at n = 16 in batches of 32 with LiteRT, µs a row shared / apart: float16 1.8 / 2.0 (2×16),
3.0 / 2.9 (3×16), 4.3 / 3.4 (2×32), 7.6 / 4.8 (3×32); int8 1.6 / 2.2, 2.1 / 3.2, 2.7 / 3.1 and
4.3 / 4.4. A file with the experts apart is up to twice as large.
"""

SUMMED = 8
"""Numbers that a kernel sums at once, at most; half as many or fewer are aligned already, or never
summed at once."""

_NEVER = -1e4
"""A logit whose exponential is 0; 16 bits hold it."""

Weights = dict[str, NDArray[np.float32]]


class Unrolled(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """The network with time unrolled over the given weights."""

    def __init__(self, weights: Weights, spec: dict[str, Any]) -> None:
        super().__init__()
        self.weights = {name: tf.constant(value) for name, value in weights.items()}
        self.spec = spec
        experts, units = spec["experts"], spec["units"]
        self.together = experts * units <= BLOCK_LIMIT[spec["quantization"]]
        if self.together:
            self.block = tf.constant(_block_diagonal(weights, experts, units))
        else:
            kernels = [weights[f"expert_{e}/0"] for e in range(experts)]
            self.packet = tf.constant(np.concatenate(kernels, axis=1))
            self.recurrent = [tf.constant(weights[f"expert_{e}/1"]) for e in range(experts)]

    def signature(self, length: int) -> Any:
        """The function of x ``(b, length, channels)`` and, if there is any, c ``(b, context)``."""
        shapes = [tf.TensorSpec([None, length, self.spec["channels"]], tf.float32, name="x")]
        if self.spec["context"]:
            shapes.append(tf.TensorSpec([None, self.spec["context"]], tf.float32, name="c"))
        return tf.function(self._forward, input_signature=shapes)

    def _forward(self, x: Any, c: Any = None) -> dict[str, Any]:
        steps = tf.unstack(x, axis=1)
        states = self._experts_together(steps) if self.together else self._experts_apart(steps)
        context = [] if c is None else [c]
        scores: dict[str, Any] = {}
        for task in self.spec["order"]:
            its = [states[expert] for expert in self.spec["experts_of"][task]]
            sees = [*its, *context] if self.spec["gates"] == "states" else context
            fed = [scores[giver] for giver in self.spec["fed"][task]]
            scores[task] = self._task(task, its, sees, [*context, *fed])
        return {task: scores[task] for task in self.spec["tasks"]}

    def _experts_together(self, steps: list[Any]) -> list[Any]:
        """What the experts hand on, each ``(b, …)``; i, f, g and o are the LSTM's gates."""
        width = self.spec["experts"] * self.spec["units"]
        # The first step has no state: its zeros are padding and the forget gate forgets nothing.
        joined = tf.pad(steps[0], [[0, 0], [0, width]])
        cell = None
        passed: list[Any] = []
        for t in range(len(steps)):
            i, f, g, o = tf.split(tf.matmul(joined, self.block), 4, axis=1)
            cell, state = _step(cell, i, f, g, o)
            passed.append(state)
            if t + 1 < len(steps):
                joined = tf.concat([steps[t + 1], state], axis=1)
        if self.spec["pooled"]:
            return self._pooled(passed)
        return list(tf.split(state, self.spec["experts"], axis=1))

    def _experts_apart(self, steps: list[Any]) -> list[Any]:
        """The same with a matrix an expert; gates and states are ``(b, experts, u)`` in between."""
        experts, units = self.spec["experts"], self.spec["units"]
        cell = None
        states: list[Any] = []
        passed: list[Any] = []
        for step in steps:
            read = tf.matmul(step, self.packet)
            if states:
                parts = map(tf.matmul, states, self.recurrent)
                read += tf.concat(list(parts), axis=1)
            i, f, g, o = tf.split(tf.reshape(read, [-1, experts, 4 * units]), 4, axis=2)
            cell, state = _step(cell, i, f, g, o)
            passed.append(state)
            states = [tf.reshape(s, [-1, units]) for s in tf.split(state, experts, axis=1)]
        return self._pooled(passed) if self.spec["pooled"] else states

    def _pooled(self, states: list[Any]) -> list[Any]:
        """``(b, 2u)`` of each expert: the greatest of its states and 0, and their sum over n."""
        experts, units = self.spec["experts"], self.spec["units"]
        peak = tf.nn.relu(reduce(tf.maximum, states))
        mean = reduce(operator.add, states) * (1 / max(self.spec["lengths"]))
        both = [tf.reshape(each, [-1, experts, units]) for each in (peak, mean)]
        parts = tf.split(tf.concat(both, axis=2), experts, axis=1)
        return [tf.reshape(part, [-1, 2 * units]) for part in parts]

    def _task(self, task: str, states: list[Any], sees: list[Any], beside: list[Any]) -> Any:
        """Score of a task; its gate sees some tensors, its tower reads others beside the mix."""
        mix = states[0]
        if len(states) > 1:
            gate = self._softmax(f"gate_{task}", _joined(sees))
            shares = tf.split(gate, len(states), axis=1)
            # Not add_n: the accelerated kernels have no such operator.
            mix = reduce(operator.add, map(operator.mul, shares, states))
        hidden = _joined([mix, *beside])
        for i in range(self.spec["tower_layers"]):
            hidden = tf.nn.relu(self._dense(f"tower_{task}_{i}", hidden))
        if task in self.spec["categorical"]:
            return self._softmax(task, hidden)
        return tf.sigmoid(self._dense(task, hidden))

    def _dense(self, layer: str, inputs: Any) -> Any:
        return tf.matmul(inputs, self.weights[f"{layer}/0"]) + self.weights[f"{layer}/1"]

    def _softmax(self, layer: str, inputs: Any) -> Any:
        """Softmax of a layer, each row's sum in the same order wherever in the batch it stands.

        Kernels sum several numbers at once from where memory is aligned on, so rows that are not
        whole multiples of that are summed in one order or another (seen with tflite-runtime). They
        get more columns, whose exponentials are exactly 0.
        """
        kernel, bias = self.weights[f"{layer}/0"], self.weights[f"{layer}/1"]
        width = int(bias.shape[0])
        more = -width % SUMMED if width > SUMMED // 2 else 0
        if not more:
            return tf.nn.softmax(self._dense(layer, inputs))
        kernel = tf.pad(kernel, [[0, 0], [0, more]])
        bias = tf.pad(bias, [[0, more]], constant_values=_NEVER)
        return tf.nn.softmax(tf.matmul(inputs, kernel) + bias)[:, :width]


def _joined(parts: list[Any]) -> Any:
    return tf.concat(parts, axis=1) if len(parts) > 1 else parts[0]


def _step(cell: Any, i: Any, f: Any, g: Any, o: Any) -> tuple[Any, Any]:
    """Cell and state of an LSTM after a step; before the first one there is no cell."""
    update = tf.sigmoid(i) * tf.tanh(g)
    cell = update if cell is None else tf.sigmoid(f) * cell + update
    return cell, tf.sigmoid(o) * tf.tanh(cell)


def _block_diagonal(weights: Weights, experts: int, units: int) -> NDArray[np.float32]:
    """``(channels + U, 4·U)`` for the experts' U units; columns: all i, all f, all g, all o."""
    channels = weights["expert_0/0"].shape[0]
    kernel = np.zeros((channels + experts * units, 4, experts, units), np.float32)
    for e in range(experts):
        rows = slice(channels + e * units, channels + (e + 1) * units)
        kernel[:channels, :, e] = weights[f"expert_{e}/0"].reshape(channels, 4, units)
        kernel[rows, :, e] = weights[f"expert_{e}/1"].reshape(units, 4, units)
    return kernel.reshape(channels + experts * units, 4 * experts * units)


def convert(weights: Weights, spec: dict[str, Any], folder: Path) -> bytes:
    """The TFLite file: quantized, builtin operators only, a signature ``nLENGTH`` a length."""
    module = Unrolled(weights, spec)
    signatures: dict[str, Callable[..., Any]] = {
        f"n{length}": module.signature(length) for length in spec["lengths"]
    }
    saved = folder / "saved_model"
    tf.saved_model.save(module, str(saved), signatures=signatures)
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(saved), signature_keys=list(signatures)
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if spec["quantization"] == "float16":
        converter.target_spec.supported_types = [tf.float16]
    # Files with per-channel scales need FULLY_CONNECTED version 12, which tflite-runtime 2.14 has
    # not; there is no public switch.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True  # noqa: SLF001
    return bytes(converter.convert())


def main() -> None:
    """Entry point of the child process."""
    folder = Path(sys.argv[1])
    spec = json.loads((folder / "spec.json").read_text())
    with np.load(folder / "weights.npz", allow_pickle=False) as archive:
        weights = {name: archive[name] for name in archive.files}
    (folder / "model.tflite").write_bytes(convert(weights, spec, folder))


if __name__ == "__main__":
    main()
