"""Gradient-boosted trees on the network's own inputs, one model a task."""

import numpy as np
from numpy.typing import NDArray

from sensor.model.encoding import Encoded
from trainer.datasets.examples import Examples


class Trees:
    """One histogram-based gradient-boosted classifier for each task.

    Args:
        training: the same weighted examples that the network is trained on.
        seed: of the boosting.
    """

    def __init__(self, training: Examples, seed: int) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 -- slow to load

        self._models = []
        inputs = _flat(training.x, training.c)
        for column in range(training.labels.shape[1]):
            known = training.labels[:, column] >= 0
            model = HistGradientBoostingClassifier(random_state=seed, early_stopping=False)
            model.fit(
                inputs[known],
                training.labels[known, column],
                sample_weight=training.weights[known, column],
            )
            self._models.append(model)

    def score(self, encoded: Encoded) -> NDArray[np.float32]:
        """Raw scores ``(rows, tasks)`` of encoded rows."""
        inputs = _flat(*encoded.expand())
        each = [model.predict_proba(inputs)[:, 1] for model in self._models]
        return np.stack(each, axis=1).astype(np.float32)


def _flat(x: NDArray[np.float32], c: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(rows, n · channels + context)``."""
    return np.concatenate([x.reshape(len(x), -1), c], axis=1)
