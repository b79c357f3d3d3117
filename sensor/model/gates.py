"""Which experts a network's gates consulted for a row, read from the deployed file itself.

In a mixture of experts each task has a gate: a softmax, whose outputs are the weights with which
the experts' states enter the task's tower. The file has no names for it that one could rely on, but
its graph says all: going backwards from a task's output, the first SOFTMAX met is its gate. The
runtime is asked to keep that tensor, and the row is run once more.
"""

from bisect import bisect_left
from collections import deque

import numpy as np
from numpy.typing import NDArray

from sensor.errors import BundleError
from sensor.flows.sequences import SequenceBatch
from sensor.model.bundle import Bundle
from sensor.model.encoding import encode, named
from sensor.model.inference import installed_runtime, quietly
from sensor.model.tflite_file import Graph, graph_of


class Gates:
    """The gates of a bundle's network, ready to be asked. Not for several threads at once."""

    def __init__(self, bundle: Bundle) -> None:
        """Loads the network once more, with portable kernels that keep all tensors.

        Args:
            bundle: that was read and, where it is untrusted, proved.

        Raises:
            HostError: no TFLite runtime is installed.
            BundleError: the runtime refuses the model, or its graphs can't be read.
        """
        module, _ = installed_runtime()
        self._schema, self._where = bundle.schema, bundle.path
        try:
            self._graphs = {
                length: graph_of(bundle.model, f"n{length}") for length in bundle.schema.lengths
            }
            with quietly():
                self._interpreter = module.Interpreter(
                    model_content=bundle.model,
                    num_threads=1,
                    # Accelerated kernels fuse steps, and the tensors between these are gone.
                    experimental_op_resolver_type=(
                        module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
                    ),
                    experimental_preserve_all_tensors=True,
                )
        except (RuntimeError, ValueError) as error:
            raise self._refusal(error) from None

    def weights(self, rows: SequenceBatch, task: str) -> NDArray[np.float32] | None:
        """Weights ``(b, experts)`` of the experts for each row; they add up to 1.

        The experts are those of the task's group, in the order of the file.

        Args:
            rows: b rows, at least one.
            task: an output of the network.

        Returns:
            None where the task has no gate, as its network has one expert.

        Raises:
            BundleError: the runtime can't run the model.
        """
        encoded = encode(self._schema, rows)
        weights = []
        for row in range(len(encoded)):
            lengths = self._schema.lengths
            length = lengths[bisect_left(lengths, int(encoded.length[row]))]
            graph = self._graphs[length]
            gate = gate_of(graph, task)
            if gate is None:
                return None
            x, c = encoded.take(np.array([row])).expand(length=length)
            try:
                self._interpreter.get_signature_runner(f"n{length}")(**named(x, c))
                weights.append(self._interpreter.get_tensor(gate, graph.number)[0])
            except (RuntimeError, ValueError) as error:
                raise self._refusal(error) from None
        return np.stack(weights).astype(np.float32)

    def _refusal(self, error: Exception) -> BundleError:
        reason = str(error).strip().splitlines() or ["no reason given"]
        return BundleError(
            f"{self._where}: its gates can't be read ({reason[0]}); export the model again with "
            "this version of multa"
        )


def gate_of(graph: Graph, task: str) -> int | None:
    """Number of the tensor that holds a task's gate weights, or None.

    It is the output of the SOFTMAX that is fewest steps before the task's output. What another
    task's score feeds into this one is not followed: its gate is another.
    """
    made_by = {tensor: step for step in graph.steps for tensor in step.outputs}
    others = {tensor for name, tensor in graph.outputs.items() if name != task}
    waiting, seen = deque([graph.outputs[task]]), set(others)
    while waiting:
        tensor = waiting.popleft()
        step = made_by.get(tensor)
        if tensor in seen or step is None:
            continue
        seen.add(tensor)
        if step.operator == "SOFTMAX":
            return tensor
        waiting.extend(step.inputs)
    return None
