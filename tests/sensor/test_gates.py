"""Gate weights of the shipped network, multiplied out by hand from the file's own constants.

That they are those of the Keras network is proved in `tests/trainer/test_conversion.py`.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sensor.errors import BundleError
from sensor.model.bundle import Bundle
from sensor.model.encoding import encode
from sensor.model.gates import Gates, gate_of
from sensor.model.inference import calibrate
from sensor.model.tflite_file import Graph, Step, graph_of

MODELS = Path(__file__).parents[2] / "models"
flatbuffer = pytest.importorskip("ai_edge_litert.schema_py_generated")
interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert")


@pytest.fixture(scope="module")
def bundle():
    return Bundle.read(MODELS / "iot-gateway")


class ByHand:
    """A signature's graph as TensorFlow's own schema reads it, and the tensors of one run."""

    def __init__(self, bundle, length, row):
        model = flatbuffer.ModelT.InitFromPackedBuf(bundle.model, 0)
        (signature,) = [s for s in model.signatureDefs if s.signatureKey == f"n{length}".encode()]
        self.buffers, self.number = model.buffers, signature.subgraphIndex
        self.graph = model.subgraphs[self.number]
        self.codes = [max(c.deprecatedBuiltinCode, c.builtinCode) for c in model.operatorCodes]
        self.outputs = {each.name.decode(): each.tensorIndex for each in signature.outputs}
        self.made_by = {tensor: op for op in self.graph.operators for tensor in op.outputs}
        self.run = interpreter.Interpreter(
            model_content=bundle.model,
            experimental_op_resolver_type=(
                interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            ),
            experimental_preserve_all_tensors=True,
        )
        x, c = encode(bundle.schema, bundle.golden.rows.take(slice(row, row + 1))).expand(
            length=length
        )
        self.run.get_signature_runner(f"n{length}")(x=x, c=c)

    def code(self, operator):
        return self.codes[operator.opcodeIndex]

    def constant(self, tensor):
        """Values of a stored tensor; half of them are float16, behind a DEQUANTIZE."""
        if tensor in self.made_by:
            assert self.code(self.made_by[tensor]) == flatbuffer.BuiltinOperator.DEQUANTIZE
            (tensor,) = self.made_by[tensor].inputs
        stored = self.graph.tensors[tensor]
        kind = {0: np.float32, 1: np.float16}[stored.type]
        values = np.frombuffer(bytes(self.buffers[stored.buffer].data), kind)
        return values.reshape(stored.shape).astype(np.float64)

    def gate(self, task):
        """The softmax over the dense layer whose result the task's mix of experts is scaled by."""
        tensor = self.outputs[task]
        names = flatbuffer.BuiltinOperator
        while self.code(operator := self.made_by[tensor]) != names.SOFTMAX:
            # The data comes first (of MUL, the gate's part), but behind the axis of SPLIT.
            tensor = operator.inputs[int(self.code(operator) == names.SPLIT)]
        (logits,) = self.made_by[tensor].inputs
        seen, kernel, bias = self.made_by[logits].inputs
        values = self.run.get_tensor(int(seen), self.number)[0].astype(np.float64)
        result = self.constant(kernel) @ values + self.constant(bias)
        powers = np.exp(result - result.max())
        return powers / powers.sum()


@pytest.mark.parametrize(("length", "row"), [(4, 14), (8, 29), (16, 47)])
def test_weights_are_the_softmax_of_the_gates_dense_layer(bundle, length, row):
    assert length // 2 < bundle.golden.rows.length[row] + (length == 4) <= length
    rows, gates = bundle.golden.rows.take(slice(row, row + 1)), Gates(bundle)
    hand = ByHand(bundle, length, row)
    found = {task.name: gates.weights(rows, task.name)[0] for task in bundle.tasks}
    for task, weights in found.items():
        np.testing.assert_allclose(weights, hand.gate(task), rtol=0, atol=1e-5)
        assert weights.shape == (4,)
    distinct = {tuple(np.round(weights, 4)) for weights in found.values()}
    assert len(distinct) == len(bundle.tasks)  # every task has a gate of its own


def test_rows_of_a_batch_have_the_weights_that_they_have_alone(bundle):
    rows, gates = bundle.golden.rows, Gates(bundle)
    together = gates.weights(rows.take(slice(5, 50, 9)), "scan")
    alone = [gates.weights(rows.take(slice(i, i + 1)), "scan")[0] for i in range(5, 50, 9)]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-6)


def test_a_gate_decides_what_its_task_sees(bundle):
    """The kept tensors belong to the very run: its outputs are the golden scores."""
    rows = bundle.golden.rows.take(slice(47, 48))
    hand = ByHand(bundle, 16, 47)
    for place, task in enumerate(bundle.tasks):
        raw = hand.run.get_tensor(hand.outputs[task.name], hand.number)
        assert abs(float(raw[0, 0]) - bundle.golden.scores[47, place]) < 1e-3
    assert len(rows) == 1
    assert calibrate(bundle.tasks, bundle.golden.scores).shape == (64, 6)


def step(operator, inputs, output):
    return Step(operator, tuple(inputs), (output,))


def test_a_task_without_a_gate_has_none_and_the_gate_of_a_task_that_feeds_it_is_not_its_own():
    fed = (
        step("SOFTMAX", [1], 2),
        step("MUL", [2, 3], 4),
        step("LOGISTIC", [4], 5),  # the output `giver`
        step("CONCATENATION", [5, 0], 6),
        step("LOGISTIC", [6], 7),  # the output `taker`, which has one expert
        step("SOFTMAX", [8], 9),
        step("ADD", [9, 4], 10),
        step("ADD", [10, -1], 11),
        step("LOGISTIC", [11], 12),
    )
    graph = Graph(0, fed, {"giver": 5, "taker": 7, "near": 12})
    assert gate_of(graph, "giver") == 2
    assert gate_of(graph, "taker") is None
    assert gate_of(graph, "near") == 9


def test_a_file_that_the_runtime_refuses_is_one_line(bundle):
    with pytest.raises(BundleError, match="gates can't be read"):
        Gates(replace(bundle, model=bundle.model[:5_000]))
    with pytest.raises(ValueError, match="no signature n5"):
        graph_of(bundle.model, "n5")
