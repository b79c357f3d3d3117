"""KitNET: an ensemble of small autoencoders whose errors another autoencoder looks at.

Y. Mirsky, T. Doitshman, Y. Elovici, A. Shabtai: Kitsune: An Ensemble of Autoencoders for Online
Network Intrusion Detection. NDSS 2018, section V. A packet's score is the error of the last one.

The authors' network learns as packets arrive. Here it learns from packets that are all there, so
inputs are scaled by the range of the whole training instead of the range so far, the feature map
is made from all of it, and the last autoencoder learns when the others have learnt. Statistics
that are constant in training have no range, and are left out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.baselines.autoencoders import Autoencoders
from trainer.baselines.feature_map import clusters, correlation_distance

SCORED_PACKETS = 4_096
"""Packets that are scored at once."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class KitnetSettings:
    """The authors' choices, but for the batch.

    Attributes:
        largest: m, inputs of an autoencoder of the ensemble at most.
        hidden_ratio: units of a hidden layer by inputs.
        learning_rate: of a packet.
        batch: packets of a step. The authors' is 1; the gradients of a batch are summed, so that
            a packet weighs the same. Batches of 8 score alike within the spread of seeds, those
            of 32 spread more.
    """

    largest: int = 10
    hidden_ratio: float = 0.75
    learning_rate: float = 0.1
    batch: int = 1


class KitNet:
    """A trained network.

    Attributes:
        parameters: weights and biases of all autoencoders.
        feature_map: columns of each autoencoder of the ensemble.
    """

    def __init__(self, features: Array, settings: KitnetSettings, seed: int) -> None:
        """Learns what is normal.

        Args:
            features: ``(packets, statistics)`` of benign traffic, in order, at least one column
                of which varies.
            settings: sizes and steps.
            seed: of the weights.
        """
        self._low, scale = _range(features)
        varying = np.flatnonzero(scale > 0)
        if not varying.size:
            raise ValueError("KitNET learns from packets that differ in something")
        groups = clusters(correlation_distance(features[:, varying]), settings.largest)
        self.feature_map = tuple(tuple(varying[list(group)].tolist()) for group in groups)
        self._scale = np.where(scale > 0, scale, 1)
        self._columns = np.zeros((len(groups), max(map(len, groups))), np.int64)
        self._used = np.zeros((len(groups), 1, self._columns.shape[1]), np.bool_)
        for row, group in enumerate(self.feature_map):
            self._columns[row, : len(group)] = group
            self._used[row, 0, : len(group)] = True
        sizes = [len(group) for group in groups]
        self._ensemble = Autoencoders(sizes, settings.hidden_ratio, seed)
        self._output = Autoencoders([len(groups)], settings.hidden_ratio, seed + 1)
        self.parameters = self._ensemble.parameters + self._output.parameters
        for start in range(0, len(features), settings.batch):
            batch = features[start : start + settings.batch]
            self._ensemble.learn(self._inputs(batch), settings.learning_rate)
        errors = self._errors(features)
        self._low_error, scale = _range(errors)
        self._error_scale = np.where(scale > 0, scale, 1)
        for start in range(0, len(errors), settings.batch):
            batch = self._scaled(errors[start : start + settings.batch])
            self._output.learn(batch, settings.learning_rate)

    def score(self, features: Array) -> Array:
        """How unusual packets are, ``(packets,)``, from ``(packets, statistics)``; unbounded."""
        score: Array = self._output.errors(self._scaled(self._errors(features)))[0]
        return score

    def _inputs(self, features: Array) -> Array:
        """``(k, packets, inputs)`` of the ensemble, 0 to 1 in training."""
        scaled = (features - self._low) / self._scale
        inputs: Array = scaled.T[self._columns].swapaxes(1, 2) * self._used
        return inputs

    def _errors(self, features: Array) -> Array:
        """``(packets, k)`` of the ensemble."""
        parts = [np.zeros((0, len(self.feature_map)))]
        for start in range(0, len(features), SCORED_PACKETS):
            inputs = self._inputs(features[start : start + SCORED_PACKETS])
            parts.append(self._ensemble.errors(inputs).T)
        return np.concatenate(parts)

    def _scaled(self, errors: Array) -> Array:
        scaled: Array = ((errors - self._low_error) / self._error_scale)[None]
        return scaled


def _range(values: Array) -> tuple[Array, Array]:
    """Lowest values of columns, and the distances of the highest ones from them."""
    low: Array = values.min(axis=0)
    return low, values.max(axis=0) - low
