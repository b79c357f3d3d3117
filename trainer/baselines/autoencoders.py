"""Small autoencoders side by side: one hidden layer, tied weights, logistic units.

They are of different sizes; the smaller ones are padded with inputs and units that count nowhere,
so that one matrix product computes all of them.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Autoencoders:
    """k autoencoders that learn and are asked together, each of its own inputs.

    Attributes:
        weight: ``(k, inputs, units)``, used in both directions.
        unit_bias, input_bias: ``(k, 1, units)`` and ``(k, 1, inputs)``.
    """

    def __init__(self, sizes: Sequence[int], hidden_ratio: float, seed: int) -> None:
        """Draws weights from ±1/inputs, as in the authors' code.

        Args:
            sizes: inputs of each autoencoder.
            hidden_ratio: units by inputs, rounded up.
            seed: of the weights.
        """
        units = [math.ceil(size * hidden_ratio) for size in sizes]
        self._inputs = np.arange(max(sizes)) < np.array(sizes)[:, None, None]
        self._units = np.arange(max(units)) < np.array(units)[:, None, None]
        self._sizes = np.array(sizes, np.float64)[:, None]
        self.parameters = sum(n * h + n + h for n, h in zip(sizes, units, strict=True))
        shape = (len(sizes), max(sizes), max(units))
        self.weight: Array = np.random.default_rng(seed).uniform(-1, 1, shape)
        self.weight *= self._inputs.transpose(0, 2, 1) * self._units / self._sizes[:, :, None]
        self.unit_bias = np.zeros((shape[0], 1, shape[2]))
        self.input_bias = np.zeros((shape[0], 1, shape[1]))

    def errors(self, x: Array) -> Array:
        """Root mean squared errors ``(k, b)`` of inputs ``(k, b, inputs)``; what pads them is 0."""
        _, difference = self._differences(x)
        error: Array = np.sqrt(np.einsum("kbi,kbi->kb", difference, difference) / self._sizes)
        return error

    def learn(self, x: Array, rate: float) -> None:
        """One step down the gradient of the cross entropy, summed over a batch ``(k, b, inputs)``.

        The authors' code moves all biases of a layer by the mean of their gradients; here each
        has its own.
        """
        hidden, difference = self._differences(x)
        back = (difference @ self.weight) * hidden * (1 - hidden)
        # padding has no difference, and zero weights to and from its units
        self.weight += rate * (x.swapaxes(1, 2) @ back + difference.swapaxes(1, 2) @ hidden)
        self.unit_bias += rate * back.sum(axis=1, keepdims=True)
        self.input_bias += rate * difference.sum(axis=1, keepdims=True)

    def _differences(self, x: Array) -> tuple[Array, Array]:
        hidden = _logistic(x @ self.weight + self.unit_bias) * self._units
        rebuilt = _logistic(hidden @ self.weight.swapaxes(1, 2) + self.input_bias)
        return hidden, (x - rebuilt) * self._inputs


def _logistic(x: Array) -> Array:
    """1 / (1 + e^−x) without an overflow."""
    value: Array = 0.5 + 0.5 * np.tanh(0.5 * x)
    return value
