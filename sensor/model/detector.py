"""A bundle as a detector of the pipeline: rows in, calibrated scores out."""

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import SequenceBatch
from sensor.hops import hop
from sensor.model.bundle import Bundle
from sensor.model.encoding import Encoded, encode, row_bytes
from sensor.model.inference import Inference, calibrate
from sensor.model.seen import SeenSequences

_FEW = 64
"""Rows of one packet that are not worth steps of their own, which cost as much."""


class BundleDetector:
    """Scores rows with a bundle's network (`sensor.pipeline.Detector`).

    Attributes:
        name, version, model_sha256: of the bundle.
        fingerprint: of its features.
        tasks: binary ones, in the order of the score columns.
        annotations: categorical ones, whose classes follow in the columns of `look`.
        bundle: where it comes from.
        scored: rows that at least one task looked at.
        remembered: how many of them equalled one of an earlier batch, whose score was still known.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Loads the model; `sensor.model.verification.verify` comes first where it is untrusted.

        Raises:
            HostError: no TFLite runtime is installed.
            BundleError: the runtime refuses the model.
        """
        self.bundle = bundle
        self.name, self.version = bundle.name, bundle.version
        self.model_sha256 = bundle.model_sha256
        self.fingerprint = bundle.schema.fingerprint()
        self.tasks, self.annotations = bundle.tasks, bundle.annotations
        self._inference = Inference(bundle.model, bundle.schema, bundle.outputs, str(bundle.path))
        self.scored = self.remembered = 0
        classes = [len(each.classes) for each in self.annotations]
        self._least = np.repeat([each.least_packets for each in self.annotations], classes)
        first = [task.policy == "first" for task in self.tasks]
        self._first = np.array(first + [True] * sum(classes))
        # Rows that are shorter than all that is annotated are nobody's, without binary tasks.
        self._nobodys = 0 if self.tasks else int(self._least.min())
        # Rows are encoded by the room that they need. Those of one packet are what floods are made
        # of; those beyond the shortest signature hardly ever repeat, and are not looked up.
        shortest = bundle.schema.lengths[0]
        self._widths = sorted({1, shortest, bundle.schema.n})
        self._seen = {
            width: SeenSequences(row_bytes(bundle.schema, width) // 8, self._first.size)
            for width in (1, shortest)
        }

    @property
    def runtime(self) -> str:
        """Name and version of the TFLite runtime."""
        return self._inference.runtime

    @property
    def computed(self) -> int:
        """How many rows had to be computed; of identical ones in a batch one counts."""
        return self._inference.unique

    def score(self, batch: SequenceBatch) -> NDArray[np.float32]:
        """Calibrated scores ``(b, tasks)`` of the binary tasks, as `look` gives them."""
        return self.look(batch)[:, : len(self.tasks)]

    @hop("inference")
    def look(self, batch: SequenceBatch) -> NDArray[np.float32]:
        """Calibrated scores and probabilities, the same however rows are batched.

        Returns:
            ``(b, columns)``: one column for a binary task, then one for each class of a categorical
            one. NaN means that the row does not count for the task: one with policy ``first``
            looks at a flow's first sequence only, an annotation at `least_packets` at least. NaN
            is never at or above a threshold.
        """
        repeated = batch.sequence_index > 0
        some = bool(repeated.any())
        scores = np.full((len(batch), self._first.size), np.nan, np.float32)
        width = np.searchsorted(self._widths, batch.length)
        if np.count_nonzero(width == 0) < _FEW and len(self._widths) > 1:
            width[width == 0] = 1
        if some and self._first.all():
            width[repeated] = len(self._widths)  # nobody looks at these
        if self._nobodys:
            width[batch.length < self._nobodys] = len(self._widths)
        for i, steps in enumerate(self._widths):
            rows = np.flatnonzero(width == i)
            if rows.size:
                chosen = slice(None) if rows.size == len(batch) else rows  # no copies of a flood
                scores[chosen] = self._scores(encode(self.bundle.schema, batch, chosen, steps))
                self.scored += rows.size
        if some:
            scores[repeated[:, None] & self._first] = np.nan
        if self._least.size:
            short = batch.length[:, None] < self._least
            scores[:, len(self.tasks) :][short] = np.nan
        return scores

    def _scores(self, encoded: Encoded) -> NDArray[np.float32]:
        """Calibrated scores of rows of one width, those that were not seen before computed."""
        if encoded.steps not in self._seen:
            return self._computed(encoded)
        seen, words, hashed = self._seen[encoded.steps], encoded.words, encoded.hashed()
        scores, known = seen.find(words, hashed)
        new = np.flatnonzero(~known)
        self.remembered += len(encoded) - new.size
        if new.size:
            scores[new] = self._computed(encoded.take(new))
            seen.remember(words[new], hashed[new], scores[new])
        return scores

    def _computed(self, encoded: Encoded) -> NDArray[np.float32]:
        scores = self._inference.scores(encoded)
        tasks = slice(len(self.tasks))
        scores[:, tasks] = calibrate(self.tasks, scores[:, tasks])
        return scores
