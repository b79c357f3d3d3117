import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from feature_rows import random_rows

from sensor.errors import BundleError, HostError
from sensor.model.bundle import Bundle
from sensor.model.encoding import encode
from sensor.model.inference import BATCH, Inference, calibrate

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundle(random_bundle) -> Bundle:
    return Bundle.read(random_bundle)


def load(bundle: Bundle, **options) -> Inference:
    names = [task.name for task in bundle.tasks]
    return Inference(bundle.model, bundle.schema, names, str(bundle.path), **options)


@pytest.fixture(scope="module")
def rows(bundle):
    return random_rows(bundle.schema.n, 400, seed=21)


@pytest.fixture(scope="module")
def scores(bundle, rows):
    return load(bundle).scores(encode(bundle.schema, rows))


def test_scores_differ_between_rows_and_tasks(scores):
    assert scores.shape == (400, 3)
    assert scores.dtype == np.float32
    assert ((scores > 0) & (scores < 1)).all()
    assert (scores.std(axis=0) > 0.01).all()
    assert np.unique(scores[:, 0]).size > 300


@pytest.mark.parametrize("plain_kernels", [False, True])
@pytest.mark.parametrize("size", [1, 3, BATCH - 1, BATCH, 2 * BATCH + 1, 100])
def test_scores_are_identical_for_every_batch_size(bundle, rows, size, plain_kernels):
    inference = load(bundle, plain_kernels=plain_kernels)
    whole = inference.scores(encode(bundle.schema, rows))
    parts = [
        inference.scores(encode(bundle.schema, rows.take(slice(start, start + size))))
        for start in range(0, len(rows), size)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_scores_do_not_depend_on_order_and_company(bundle, rows, scores):
    inference = load(bundle)
    generator = np.random.default_rng(5)
    for _ in range(20):
        chosen = generator.integers(0, len(rows), generator.integers(1, 90))
        got = inference.scores(encode(bundle.schema, rows.take(chosen)))
        np.testing.assert_array_equal(got, scores[chosen])


def test_all_lengths_of_a_row_give_the_same_score(bundle, rows, scores):
    """The file's signatures are one network: left padding is exact."""
    short = np.flatnonzero(rows.length <= 4)
    assert short.size > 50
    encoded = encode(bundle.schema, rows.take(short))
    for lengths in ((8, 16), (16,)):
        schema = replace(bundle.schema, lengths=lengths)
        names = [task.name for task in bundle.tasks]
        longer = Inference(bundle.model, schema, names, "longer").scores(encoded)
        np.testing.assert_allclose(longer, scores[short], rtol=0, atol=1e-6)


def test_a_row_goes_through_the_shortest_signature_that_holds_it(bundle, rows, scores):
    inference = load(bundle)
    for length, longer in ((4, (8, 16)), (8, (16,))):
        inference._runners = {k: v for k, v in inference._runners.items() if k not in longer}
        fitting = np.flatnonzero(rows.length <= length)
        assert (rows.length[fitting] == length).any()
        got = inference.scores(encode(bundle.schema, rows.take(fitting)))
        np.testing.assert_array_equal(got, scores[fitting])
        inference = load(bundle)


def test_identical_rows_are_computed_once(bundle, rows, scores):
    inference = load(bundle)
    repeated = np.tile(np.arange(10), 50)
    got = inference.scores(encode(bundle.schema, rows.take(repeated)))
    np.testing.assert_array_equal(got, scores[repeated])
    assert (inference.rows, inference.unique) == (500, 10)


def test_more_rows_than_are_expanded_at_a_time(bundle):
    many = random_rows(bundle.schema.n, 3_000, seed=22)
    inference = load(bundle)
    whole = inference.scores(encode(bundle.schema, many))
    for r in (0, 1_500, 2_999):
        alone = inference.scores(encode(bundle.schema, many.take(slice(r, r + 1))))
        np.testing.assert_array_equal(alone[0], whole[r])


def test_no_rows(bundle, rows):
    assert load(bundle).scores(encode(bundle.schema, rows.take(slice(0)))).shape == (0, 3)


def test_columns_are_in_the_order_of_the_tasks_asked_for(bundle, rows, scores):
    names = [task.name for task in bundle.tasks]
    reverse = Inference(bundle.model, bundle.schema, names[::-1], "reverse")
    got = reverse.scores(encode(bundle.schema, rows))
    np.testing.assert_array_equal(got, scores[:, ::-1])


def test_the_runtimes_own_notes_stay_off_standard_error(bundle):
    """In a process of its own: a runtime says most things once."""
    program = (
        "import pathlib, sys\n"
        "from sensor.model.bundle import Bundle\n"
        "from sensor.model.inference import Inference\n"
        "bundle = Bundle.read(pathlib.Path(sys.argv[1]))\n"
        "names = [task.name for task in bundle.tasks]\n"
        "Inference(bundle.model, bundle.schema, names, 'x')\n"
        "sys.stderr.write('ours')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, bundle.path], cwd=ROOT, capture_output=True, check=True
    )
    assert done.stderr == b"ours"


def test_what_the_runtime_refuses_when_called(bundle, rows):
    other = replace(bundle.schema, fields=bundle.schema.fields[:-1])
    with pytest.raises(BundleError, match="can't run the model"):
        load(bundle).scores(encode(other, rows))


@pytest.mark.parametrize(
    ("length", "count", "calls"),
    [
        (16, 4 * BATCH, [2 * BATCH] * 2),
        (16, 2 * BATCH + 1, [2 * BATCH] * 2),
        (16, 2, [2 * BATCH]),
        (3, 2 * BATCH, [BATCH] * 2),
        (3, 2, [BATCH]),
        (3, 1, [1]),
    ],
)
def test_calls_have_one_size_for_each_signature(bundle, length, count, calls):
    inference, sizes = load(bundle), []
    for key, runner in inference._runners.items():

        def counted(_runner=runner, **inputs):
            sizes.append(len(inputs["x"]))
            return _runner(**inputs)

        inference._runners[key] = counted
    rows = random_rows(16, count, seed=23)
    rows.length[:], rows.direction[:] = length, 1
    rows.ip_length[:, 0] = 20 + 20 * np.arange(count)
    rows.ip_length[:, 1] = 20 + np.arange(count)
    inference.scores(encode(bundle.schema, rows))
    assert inference.unique == count
    assert sizes == (calls if inference._alone or count > 1 else [BATCH])


@pytest.mark.parametrize("plain_kernels", [False, True])
def test_a_call_of_one_row_is_made_only_if_it_changes_no_bit(bundle, rows, plain_kernels):
    """What is tried with numbers at the start holds for rows."""
    inference = load(bundle, plain_kernels=plain_kernels)
    encoded = encode(bundle.schema, rows)
    exact = True
    for length in bundle.schema.lengths:
        held = np.flatnonzero(encoded.length <= length)
        size = inference._sizes[length]
        x, c = encoded.expand(held[: held.size // size * size], length)
        for start in range(0, len(x), size):
            part = slice(start, start + size)
            together = inference._call(length, x[part], c[part])
            alone = [
                inference._call(length, x[r : r + 1], c[r : r + 1])
                for r in range(start, start + size)
            ]
            exact &= np.array_equal(together, np.concatenate(alone))
    assert inference._alone == exact


def test_a_model_that_the_runtime_refuses(bundle):
    with pytest.raises(BundleError, match=r"broken: .* can't run the model") as caught:
        Inference(bundle.model[:-20_000], bundle.schema, ["syn_dos"], "broken")
    assert "\n" not in str(caught.value)


def test_no_runtime(bundle, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(HostError, match="pip install ai-edge-litert, or on Python"):
        load(bundle)


def test_calibration_by_hand(bundle):
    tasks = [replace(bundle.tasks[0], calibration=pair) for pair in ((1, 0), (2, 0), (1, 1.0))]
    raw = np.array([[0.5, 0.8, 0.5], [0.25, 0.5, 0.0], [1.0, 1.0, 1.0]], np.float32)
    got = calibrate(tasks, raw)
    # (0.8/0.2)² = 16 to 1; e to 1.
    assert got[0] == pytest.approx([0.5, 16 / 17, np.e / (1 + np.e)], abs=1e-6)
    assert got[1] == pytest.approx([0.25, 0.5, 0], abs=1e-6)
    assert got[2] == pytest.approx([1, 1, 1], abs=1e-6)
    assert np.isfinite(got).all()
