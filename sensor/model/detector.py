"""A bundle as a detector of the pipeline: rows in, calibrated scores out."""

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import SequenceBatch
from sensor.model.bundle import Bundle
from sensor.model.encoding import encode
from sensor.model.inference import Inference, calibrate


class BundleDetector:
    """Scores rows with a bundle's network (`sensor.pipeline.Detector`).

    Attributes:
        name: of the bundle.
        fingerprint: of its features.
        tasks: in the order of the score columns.
        bundle: where it comes from.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Loads the model; `sensor.model.verification.verify` comes first where it is untrusted.

        Raises:
            HostError: no TFLite runtime is installed.
            BundleError: the runtime refuses the model.
        """
        self.bundle = bundle
        self.name = bundle.name
        self.fingerprint = bundle.schema.fingerprint()
        self.tasks = bundle.tasks
        self._inference = Inference(
            bundle.model, bundle.schema, [task.name for task in bundle.tasks], str(bundle.path)
        )
        self._first = np.array([task.policy == "first" for task in bundle.tasks])

    @property
    def runtime(self) -> str:
        """Name and version of the TFLite runtime."""
        return self._inference.runtime

    @property
    def scored(self) -> int:
        """Rows that at least one task looked at."""
        return self._inference.rows

    @property
    def unique(self) -> int:
        """How many of them had to be computed; the others equalled one of the same batch."""
        return self._inference.unique

    def score(self, batch: SequenceBatch) -> NDArray[np.float32]:
        """Calibrated scores ``(b, tasks)``, the same however rows are batched.

        NaN means that the row does not count for the task: a task with policy ``first`` looks at
        a flow's first sequence only. NaN is never at or above a threshold.
        """
        repeated = batch.sequence_index > 0
        scores = np.full((len(batch), len(self.tasks)), np.nan, np.float32)
        looked_at = np.flatnonzero(~repeated | ~self._first.all())
        if looked_at.size:
            encoded = encode(self.bundle.schema, batch.take(looked_at))
            scores[looked_at] = calibrate(self.tasks, self._inference.scores(encoded))
        scores[repeated[:, None] & self._first] = np.nan
        return scores
