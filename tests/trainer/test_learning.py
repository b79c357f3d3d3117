"""What a network learns from, and from what it does not."""

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs the extra `trainer`")

from trainer.traffic.learning import Learner, Share, _Stream, steps_of  # noqa: E402

HEADS = ("size", "kind")


@pytest.fixture(scope="module")
def learner():
    keras.utils.set_random_seed(1)
    x = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(16, activation="relu")(x)
    heads = {head: keras.layers.Dense(2, activation="softmax", name=head)(hidden) for head in HEADS}
    return Learner(keras.Model({"x": x}, heads), dict.fromkeys(HEADS, 1.0))


@pytest.fixture(scope="module")
def begun(learner):
    return learner.model.get_weights()


X = np.random.default_rng(2).normal(size=(400, 4)).astype(np.float32)
LABELS = np.stack([X[:, 0] > 0, X[:, 1] > 0], axis=1).astype(np.int32)


def teach(learner, labels, shares, steps=150, seed=3):
    learner.teach({"x": X}, labels, shares, steps, 0.02, seed)
    scores = learner.scores({"x": X})
    return {head: scores[head].argmax(axis=1) for head in HEADS}


def test_each_head_learns_from_its_share(learner, begun):
    learner.begin(begun, dict.fromkeys(HEADS, 1.0))
    rows = np.arange(200)
    told = teach(learner, LABELS, [Share(HEADS[:1], rows, 32), Share(HEADS[1:], rows[:50], 16)])
    for column, head in enumerate(HEADS):
        assert (told[head][200:] == LABELS[200:, column]).mean() > 0.9


def test_unknown_labels_teach_nothing(learner, begun):
    """Whatever stands in other rows, and the head without labels keeps its own weights."""
    learner.begin(begun, dict.fromkeys(HEADS, 1.0))
    masked = LABELS.copy()
    masked[:, 1] = -1
    kernel = learner.model.get_layer("kind").get_weights()[0]
    told = teach(learner, masked, [Share(HEADS, np.arange(200), 32)])
    np.testing.assert_array_equal(learner.model.get_layer("kind").get_weights()[0], kernel)
    assert (told["size"][200:] == LABELS[200:, 0]).mean() > 0.9


def test_a_head_of_weight_0_learns_nothing(learner, begun):
    learner.begin(begun, {"size": 1.0, "kind": 0.0})
    kernel = learner.model.get_layer("kind").get_weights()[0]
    teach(learner, LABELS, [Share(HEADS, np.arange(200), 32)], steps=20)
    np.testing.assert_array_equal(learner.model.get_layer("kind").get_weights()[0], kernel)


def test_what_is_altered_is_what_is_learnt(learner, begun):
    """Shown with the first input's sign turned round, a flow teaches the opposite."""
    learner.begin(begun, dict.fromkeys(HEADS, 1.0))
    turned = [np.float32([-1, 1, 1, 1])]
    shares = [Share(HEADS, np.arange(200), 32)]
    learner.teach({"x": X}, LABELS, shares, 150, 0.02, 3, lambda x, _: x * turned[0])
    told = learner.scores({"x": X})["size"].argmax(axis=1)
    assert (told[200:] != LABELS[200:, 0]).mean() > 0.9


def test_what_was_learnt_before_leaves_no_trace(learner, begun):
    """Neither in the weights nor in the optimizer's moments."""
    found = []
    for _ in range(2):
        learner.begin(begun, dict.fromkeys(HEADS, 1.0))
        teach(learner, LABELS, [Share(HEADS, np.arange(100), 32)], steps=10)
        found.append(learner.model.get_weights())
    for first, second in zip(*found, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_every_flow_comes_once_a_turn():
    stream = _Stream(Share(HEADS, np.arange(10), 4), np.random.default_rng(4))
    drawn = np.concatenate([stream.next() for _ in range(10)])
    assert sorted(drawn[:10]) == sorted(drawn[10:20]) == list(range(10))
    assert drawn[:10].tolist() != drawn[10:20].tolist()
    assert np.bincount(drawn).tolist() == [4] * 10


def test_steps_are_turns_over_the_rows_but_not_too_few():
    assert steps_of(2_000, 64, 20) == 640
    assert steps_of(10, 32, 20) == 300
