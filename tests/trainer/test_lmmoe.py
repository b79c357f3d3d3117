import numpy as np
import pytest
from feature_rows import random_rows

from sensor.errors import ConfigurationError
from sensor.model.encoding import encode
from sensor.model.schema import FeatureSchema

keras = pytest.importorskip("keras", reason="needs the extra `trainer`")

from trainer.models.lmmoe import build, extended  # noqa: E402

SCHEMA = FeatureSchema()
TASKS = ["syn_dos", "ssdp_flood", "ssl_renegotiation"]


@pytest.fixture(scope="module")
def inputs():
    x, c = encode(SCHEMA, random_rows(16, 40, seed=41)).expand()
    return {"x": x, "c": c}


def seeded(**sizes) -> "keras.Model":
    keras.utils.set_random_seed(3)
    return build(SCHEMA, TASKS, **{"experts": 2, "units": 5, **sizes})


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def plain_lmmoe(model, x, c, length) -> dict[str, list[np.ndarray]]:
    """Scores and gates of one row in numpy, over its packets alone: no padding anywhere."""

    def weights(name):
        return [w.astype(np.float64) for w in model.get_layer(name).get_weights()]

    states = []
    for expert in sorted(layer.name for layer in model.layers if "expert_" in layer.name):
        kernel, recurrent = weights(expert)
        h = cell = np.zeros(len(recurrent))
        peak = total = h
        for packet in x[len(x) - length :]:
            i, f, g, o = np.split(packet @ kernel + h @ recurrent, 4)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(cell)
            peak, total = np.maximum(peak, h), total + h
        pooled = any(layer.name.startswith("pooled_") for layer in model.layers)
        states.append(np.concatenate([peak, total / len(x)]) if pooled else h)
    results = {}
    for task in TASKS:
        gate = np.ones(1)
        if len(states) > 1:
            kernel, bias = weights(f"gate_{task}")
            seen = c if len(kernel) == len(c) else np.concatenate([*states, c])
            logits = seen @ kernel + bias
            gate = np.exp(logits) / np.exp(logits).sum()
        hidden = np.concatenate([sum(g * h for g, h in zip(gate, states, strict=True)), c])
        i = 0
        while f"tower_{task}_{i}" in {layer.name for layer in model.layers}:
            kernel, bias = weights(f"tower_{task}_{i}")
            hidden = np.maximum(hidden @ kernel + bias, 0)
            i += 1
        kernel, bias = weights(task)
        results[task] = [sigmoid(hidden @ kernel + bias), gate]
    return results


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"experts": 1},
        {"experts": 3, "tower_units": ()},
        {"tower_units": (6, 4)},
        {"gates": "context"},
        {"pooling": "peak_mean"},
    ],
)
def test_scores_and_gates_equal_the_plain_form_without_padding(inputs, sizes):
    model = seeded(**sizes)
    outputs = model.predict(inputs, verbose=0)
    gates = {task: np.ones((40, 1)) for task in TASKS}
    if sizes.get("experts") != 1:
        layers = {task: model.get_layer(f"gate_{task}").output for task in TASKS}
        gates = keras.Model(model.input, layers).predict(inputs, verbose=0)
    valid = SCHEMA.channels.index("valid")
    for r in range(len(inputs["x"])):
        x, c = inputs["x"][r].astype(np.float64), inputs["c"][r].astype(np.float64)
        expected = plain_lmmoe(model, x, c, int(x[:, valid].sum()))
        for task, (score, gate) in expected.items():
            np.testing.assert_allclose(outputs[task][r], score, atol=2e-6)
            np.testing.assert_allclose(gates[task][r], gate, atol=2e-6)


def test_outputs_are_named_scores(inputs):
    outputs = seeded()(inputs)
    assert list(outputs) == TASKS
    for score in outputs.values():
        assert score.shape == (40, 1)
        assert score.dtype == "float32"


def test_the_number_of_weights_is_that_of_the_formula():
    # Experts: (13 + 16)·4·16 each. A task: gate (2·16 + 6 + 1)·2, tower (16 + 6 + 1)·8, output 9.
    model = seeded(experts=2, units=16)
    assert model.count_params() == 2 * 29 * 64 + 3 * (39 * 2 + 23 * 8 + 9) == 4_525


def test_a_categorical_task_has_a_softmax_and_binary_ones_stay_as_they_are(inputs):
    """Against the dense layer's own weights; 17 further weights for each further class."""
    classes = {"ssdp_flood": 5}
    model = seeded(units=16, tower_units=(16,), classes=classes)
    outputs = model(inputs)
    assert [outputs[task].shape[1] for task in TASKS] == [1, 5, 1]
    hidden = keras.Model(model.input, model.get_layer("tower_ssdp_flood_0").output)(inputs)
    kernel, bias = model.get_layer("ssdp_flood").get_weights()
    raised = np.exp(np.asarray(hidden) @ kernel + bias)
    expected = raised / raised.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(outputs["ssdp_flood"]), expected, atol=2e-6)
    plain = seeded(units=16, tower_units=(16,))
    assert model.count_params() - plain.count_params() == 4 * 17
    larger = extended(plain, SCHEMA, [*TASKS, "kind"], 2, 16, (16,), classes={"kind": 3})
    np.testing.assert_array_equal(larger(inputs)["syn_dos"], plain(inputs)["syn_dos"])


def test_gates_that_see_the_context_alone_have_its_weights_alone():
    model = seeded(gates="context")
    assert model.get_layer("gate_syn_dos").get_weights()[0].shape == (len(SCHEMA.context), 2)


def test_the_valid_channel_starts_as_keras_own_bias():
    for e in range(2):
        kernel, _ = seeded().get_layer(f"expert_{e}").get_weights()
        assert kernel[SCHEMA.channels.index("valid")].tolist() == [0] * 5 + [1] * 5 + [0] * 10


def test_experts_start_apart_and_a_seed_repeats():
    first, second = seeded(), seeded()
    kernels = [first.get_layer(f"expert_{e}").get_weights()[1] for e in range(2)]
    assert not np.allclose(*kernels)
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_saved_model_loads_in_safe_mode(inputs, tmp_path):
    model = seeded()
    path = str(tmp_path / "model.keras")
    model.save(path)
    again = keras.saving.load_model(path, safe_mode=True)
    for task, scores in again.predict(inputs, verbose=0).items():
        np.testing.assert_array_equal(scores, model.predict(inputs, verbose=0)[task])


def test_every_weight_learns(inputs):
    """One step moves every variable: no part of the network is cut off from the tasks."""
    model = seeded()
    before = model.get_weights()
    model.compile(optimizer="sgd", loss=dict.fromkeys(TASKS, "binary_crossentropy"))
    truth = {task: np.arange(40).reshape(40, 1) % 2 for task in TASKS}
    model.fit(inputs, truth, epochs=1, batch_size=40, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        assert not np.array_equal(old, new)


@pytest.mark.parametrize("names", [["c"], ["a", "gate_a"], ["a", "a"], ["states"]])
def test_a_task_named_like_a_layer_is_refused(names):
    with pytest.raises(ConfigurationError, match="a task can't be named"):
        build(SCHEMA, names, experts=2, units=4)


@pytest.mark.parametrize(
    ("schema", "gates", "words"),
    [
        (FeatureSchema(fields=("ip_length", "direction")), "states", "lacks the field `valid`"),
        (FeatureSchema(context=()), "context", "lacks a context field"),
    ],
)
def test_a_schema_that_the_network_can_not_read_is_refused(schema, gates, words):
    with pytest.raises(ConfigurationError, match=words):
        build(schema, TASKS, experts=2, units=4, gates=gates)


@pytest.mark.parametrize("experts", [1, 2])
def test_without_context_it_is_the_network_of_a_context_that_is_0(inputs, experts):
    """With the same weights, less the rows of kernels that would read the context."""
    with_context = seeded(experts=experts)
    without = build(FeatureSchema(context=()), TASKS, experts=experts, units=5)
    assert [entry.name for entry in without.inputs] == ["x"]
    for layer in without.layers:
        wanted = [weights.shape for weights in layer.get_weights()]
        values = with_context.get_layer(layer.name).get_weights() if wanted else []
        layer.set_weights([v[: s[0]] for v, s in zip(values, wanted, strict=True)])
    expected = with_context({"x": inputs["x"], "c": np.zeros_like(inputs["c"])})
    found = without({"x": inputs["x"]})
    for task in TASKS:
        np.testing.assert_allclose(found[task], expected[task], atol=1e-6)
