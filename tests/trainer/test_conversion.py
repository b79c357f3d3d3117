"""The converted network against Keras; each conversion is a real one in a process of its own."""

from types import SimpleNamespace

import numpy as np
import pytest
from feature_rows import random_rows

from sensor.model.encoding import encode, named
from sensor.model.gates import Gates
from sensor.model.inference import installed_runtime
from sensor.model.schema import FeatureSchema
from sensor.model.tflite_file import TFLiteFile

keras = pytest.importorskip("keras", reason="needs the extra `trainer`")
flatbuffer = pytest.importorskip("ai_edge_litert.schema_py_generated")

from trainer.export import convert, converted_scores, keras_scores  # noqa: E402
from trainer.models.lmmoe import build  # noqa: E402
from trainer.models.wiring import SHARED, Wiring  # noqa: E402

SCHEMA = FeatureSchema()
TASKS = ["syn_dos", "dns"]


def network(schema, **sizes):
    keras.utils.set_random_seed(5)
    model = build(schema, TASKS, **sizes)
    model.set_weights([2 * weights for weights in model.get_weights()])
    return model


CASES = {
    "shared matrix, float16": ({"experts": 2, "units": 12}, "float16", 2e-3, 1),
    "shared matrix, int8": ({"experts": 2, "units": 12}, "int8", 0.1, 1),
    "a matrix an expert": (
        {"experts": 4, "units": 32, "tower_units": (6, 5)},
        "float16",
        2e-3,
        4,
    ),
    "gates that see the context": (
        {"experts": 2, "units": 12, "gates": "context"},
        "float16",
        2e-3,
        1,
    ),
    "experts of their own, and a score that feeds a task before it": (
        {
            "experts": 2,
            "units": 12,
            "wiring": Wiring((("syn_dos",), ("dns",)), (("dns", "syn_dos"),)),
        },
        "float16",
        2e-3,
        1,
    ),
    "without context": (
        {"experts": 2, "units": 12, "context": ()},
        "float16",
        2e-3,
        1,
    ),
    "states that are pooled": (
        {"experts": 2, "units": 12, "pooling": "peak_mean"},
        "float16",
        2e-3,
        1,
    ),
    "states that are pooled, a matrix an expert": (
        {"experts": 3, "units": 20, "pooling": "peak_mean"},
        "float16",
        2e-3,
        3,
    ),
    "one expert without towers": (
        {"experts": 1, "units": 6, "tower_units": ()},
        "float16",
        2e-3,
        1,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_converted_network_is_kerass(case):
    sizes, quantization, tolerance, matrices = CASES[case]
    sizes = dict(sizes)
    schema = FeatureSchema(lengths=(3, 9), context=sizes.pop("context", SCHEMA.context))
    model = network(schema, **sizes)
    tflite = convert(model, schema, quantization, sizes.get("wiring", SHARED))
    parsed = TFLiteFile.parse(tflite)
    assert parsed.foreign == ()
    assert set(parsed.signatures) == {"n3", "n9"}
    buffers = flatbuffer.ModelT.InitFromPackedBuf(tflite, 0).buffers
    # Both signatures share the weights: no matrix is there twice.
    large = [bytes(b.data) for b in buffers if b.data is not None and len(b.data) > 400]
    assert len(large) == len(set(large)) >= matrices
    encoded = encode(schema, random_rows(9, 300, seed=51))
    expected = keras_scores(model, encoded, TASKS)
    assert (expected.std(axis=0) > 10 * tolerance / 3).all() or quantization == "int8"
    for plain_kernels in (False, True):
        found = converted_scores(tflite, encoded, TASKS, plain_kernels=plain_kernels)
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
    if quantization == "float16":
        assert_gates_are_kerass(tflite, model, schema)


def assert_gates_are_kerass(tflite, model, schema):
    """What the sensor reads of the converted network is what Keras' gates say."""
    rows = random_rows(9, 40, seed=51)
    gates = Gates(SimpleNamespace(schema=schema, model=tflite, path="here"))
    layers = {layer.name: layer.output for layer in model.layers if layer.name.startswith("gate_")}
    layers.pop("gate_input", None)
    if not any(f"gate_{task}" in layers for task in TASKS):
        assert [gates.weights(rows, task) for task in TASKS] == [None, None]
        return
    x, c = encode(schema, rows).expand()
    expected = keras.Model(model.input, layers)(named(x, c))
    for task in TASKS:
        wanted = np.asarray(expected[f"gate_{task}"])
        assert wanted.std(axis=0).max() > 0.02
        np.testing.assert_allclose(gates.weights(rows, task), wanted, rtol=0, atol=2e-3)


def test_a_categorical_task_is_converted_with_its_softmax():
    schema = FeatureSchema(lengths=(8, 20), fields=("interarrival", "signed_length", "valid"))
    model = network(schema, experts=2, units=8, classes={"dns": 5})
    tflite = convert(model, schema)
    assert TFLiteFile.parse(tflite).foreign == ()
    encoded = encode(schema, random_rows(20, 100, seed=52))
    x, c = encoded.expand()
    expected = np.asarray(model({"x": x, "c": c})["dns"])
    module, _ = installed_runtime()
    runner = module.Interpreter(model_content=tflite).get_signature_runner("n20")
    scores = runner(x=x, c=c)["dns"]
    assert scores.shape == (100, 5)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(scores, expected, atol=2e-3)
    assert expected.std(axis=0).min() > 2e-3
