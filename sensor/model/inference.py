"""Runs a model on encoded rows with the TFLite runtime that is installed.

``ai-edge-litert`` where there is one, else ``tflite-runtime`` 2.14; builtin operators only, one
thread. Identical rows are computed once. A row goes through the shortest signature that holds it.
"""

import importlib.util
import os
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.errors import BundleError, HostError
from sensor.model.encoding import Encoded, named
from sensor.model.schema import FeatureSchema, TaskSpec

BATCH = 32
"""Rows of a call of a short signature; the longest, through which most long rows go, takes twice as
many. Short calls are filled up, but for that of a row alone. One number means that a graph is laid
out once, which takes as long as 30 rows, and that a score can't depend on how many rows came with
it. A multiple of 16 keeps every element in the vector path of the elementwise kernels, whose scalar
path for the rest differs in the last bit (seen with tflite-runtime). Twice as many cost 10 to 20 %
less a row, which the rows that fill up the last call eat where few are waiting."""

_RUNTIMES = (
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
)


class Inference:
    """A loaded model. Not for several threads at once.

    Attributes:
        runtime: name and version of the runtime.
        rows, unique: rows scored so far, and how many of them had to be computed.
    """

    def __init__(
        self,
        model: bytes,
        schema: FeatureSchema,
        outputs: Sequence[str],
        where: str,
        *,
        plain_kernels: bool = False,
    ) -> None:
        """Loads a model and lays out its graphs.

        Args:
            model: content of a TFLite file that `sensor.model.bundle` has checked.
            schema: says the lengths of its signatures.
            outputs: their names, in the order of the score columns.
            where: names the model in errors.
            plain_kernels: use the runtime's portable kernels instead of its accelerated ones.
                They are what tflite-runtime 2.14 runs for quantized models, so the trainer sees
                with them what that runtime will answer.

        Raises:
            HostError: no runtime is installed.
            BundleError: the runtime refuses the model.
        """
        self.rows = self.unique = 0
        self._schema, self._outputs, self._where = schema, tuple(outputs), where
        self._sizes = {length: BATCH * (1 + (length == schema.n)) for length in schema.lengths}
        module, self.runtime = installed_runtime()
        kernels = module.OpResolverType
        resolver = kernels.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain_kernels else kernels.AUTO
        try:
            with quietly():
                self._interpreter = module.Interpreter(
                    model_content=model, num_threads=1, experimental_op_resolver_type=resolver
                )
                self._runners = {
                    length: self._interpreter.get_signature_runner(f"n{length}")
                    for length in schema.lengths
                }
                for length in schema.lengths:
                    size = self._sizes[length]
                    x = np.zeros((size, length, len(schema.channels)), np.float32)
                    c = np.zeros((size, len(schema.context)), np.float32)
                    self._width = self._call(length, x, c).shape[1]
                self._alone = all(map(self._is_exact_alone, schema.lengths))
        except (RuntimeError, ValueError) as error:
            raise self._refusal(error) from None

    def scores(self, encoded: Encoded) -> NDArray[np.float32]:
        """Raw scores of the rows, whatever their order and company.

        Returns:
            ``(b, columns)``: one column for a binary task, one for each class of a categorical.
        """
        if len(encoded) == 1 and self._alone:
            self.rows, self.unique = self.rows + 1, self.unique + 1
            lengths = self._schema.lengths
            length = lengths[bisect_left(lengths, int(encoded.length[0]))]
            return self._call(length, *encoded.expand(length=length))
        first, inverse = encoded.unique_rows()
        distinct = encoded.take(first)
        self.rows += len(encoded)
        self.unique += len(distinct)
        scores = np.empty((len(distinct), self._width), np.float32)
        signature = np.searchsorted(self._schema.lengths, distinct.length)
        for i, length in enumerate(self._schema.lengths):
            rows = np.flatnonzero(signature == i)
            if rows.size:
                scores[rows] = self._run(length, distinct, rows)
        return scores[inverse]

    def _run(self, length: int, encoded: Encoded, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Scores of rows through one signature."""
        size = self._sizes[length]
        filled = np.concatenate([rows, rows[:1].repeat(-rows.size % size)])
        calls = [
            self._call(length, *encoded.expand(filled[start : start + size], length))
            for start in range(0, rows.size, size)
        ]
        return np.concatenate(calls)[: rows.size]

    def _is_exact_alone(self, length: int) -> bool:
        """Whether a row has the same score, to the last bit, in a call of its own.

        Tried with a batch of numbers: where kernels have a scalar path for what fills no vector,
        each row tells.
        """
        channels, context = len(self._schema.channels), len(self._schema.context)
        size, row = self._sizes[length], length * channels + context
        numbers = np.arange(size * row, dtype=np.float32).reshape(size, row)
        values = np.modf(numbers * np.float32(0.618034))[0]  # spread evenly over 0 to 1
        x = np.ascontiguousarray(values[:, context:]).reshape(size, length, channels)
        c = np.ascontiguousarray(values[:, :context])
        together = self._call(length, x, c)
        alone = [self._call(length, x[r : r + 1], c[r : r + 1]) for r in range(size)]
        self._call(length, x, c)
        return np.array_equal(together, np.concatenate(alone))

    def _call(
        self, length: int, x: NDArray[np.float32], c: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        try:
            answers = self._runners[length](**named(x, c))
        except (RuntimeError, ValueError) as error:
            raise self._refusal(error) from None
        # By name: a converter returns outputs in an order of its own.
        columns: list[NDArray[np.float32]] = [answers[name] for name in self._outputs]
        return np.concatenate(columns, axis=1)

    def _refusal(self, error: Exception) -> BundleError:
        reason = str(error).strip().splitlines() or ["no reason given"]
        return BundleError(
            f"{self._where}: {self.runtime} can't run the model ({reason[0]}); "
            "export it again with this version of multa"
        )


def calibrate(tasks: Sequence[TaskSpec], raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Calibrated scores: the sigmoid of slope · logit(raw) + offset (Platt scaling).

    Args:
        tasks: whose `calibration` is used.
        raw: ``(b, tasks)`` raw scores.
    """
    slope, offset = np.array([task.calibration for task in tasks], np.float64).reshape(-1, 2).T
    # float32 sigmoids reach 0 and 1, whose logits do not exist.
    bounded = np.clip(raw.astype(np.float64), 1e-7, 1 - 1e-7)
    logit = np.log(bounded) - np.log1p(-bounded)
    scores: NDArray[np.float32] = (1 / (1 + np.exp(-(slope * logit + offset)))).astype(np.float32)
    return scores


def installed_runtime() -> tuple[Any, str]:
    """Module of the installed runtime, with its name and version.

    Raises:
        HostError: there is none, or it can't be imported.
    """
    for name, package in _RUNTIMES:
        if importlib.util.find_spec(name.partition(".")[0]) is None:
            continue
        try:
            # The packages' own word: importlib.metadata would cost 3.6 MB of memory.
            version = importlib.import_module(name.partition(".")[0]).__version__
            return importlib.import_module(name), f"{package} {version}"
        except (ImportError, AttributeError) as error:
            # tflite-runtime 2.14 beside numpy 2 fails with either.
            reason = str(error).splitlines()[0]
            raise HostError(
                f"{package} is installed but can't be imported ({reason}); install it again, "
                "tflite-runtime together with 'numpy<2'"
            ) from None
    raise HostError(
        "no TFLite runtime is installed; pip install ai-edge-litert, or on Python 3.11 or older "
        "tflite-runtime 'numpy<2'"
    )


@contextmanager
def quietly() -> Iterator[None]:
    """Keeps the runtime's own notes, written by C++ to descriptor 2, off the user's terminal."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
