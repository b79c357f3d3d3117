"""Autoencoders side by side against one at a time, in plain loops."""

from math import ceil, exp, log, sqrt

import numpy as np

from trainer.baselines.autoencoders import Autoencoders

SIZES = (3, 1, 5, 4)
RATIO = 0.75


def logistic(x):
    return 1 / (1 + exp(-x))


class Plain:
    """One autoencoder, unit by unit."""

    def __init__(self, weight, unit_bias, input_bias):
        self.weight, self.unit_bias, self.input_bias = weight, unit_bias, input_bias

    def forward(self, x):
        inputs, units = range(len(self.input_bias)), range(len(self.unit_bias))
        hidden = [
            logistic(self.unit_bias[h] + sum(x[i] * self.weight[i][h] for i in inputs))
            for h in units
        ]
        rebuilt = [
            logistic(self.input_bias[i] + sum(hidden[h] * self.weight[i][h] for h in units))
            for i in inputs
        ]
        return hidden, rebuilt

    def error(self, x):
        _, rebuilt = self.forward(x)
        return sqrt(sum((a - b) ** 2 for a, b in zip(x, rebuilt, strict=True)) / len(x))

    def entropy(self, x):
        _, rebuilt = self.forward(x)
        return -sum(a * log(b) + (1 - a) * log(1 - b) for a, b in zip(x, rebuilt, strict=True))


def case(seed=3, batch=6):
    random = np.random.default_rng(seed)
    together = Autoencoders(SIZES, RATIO, seed)
    together.unit_bias += random.normal(size=together.unit_bias.shape)
    together.input_bias += random.normal(size=together.input_bias.shape)
    x = random.random((len(SIZES), batch, max(SIZES)))
    for k, size in enumerate(SIZES):
        x[k, :, size:] = 0
    alone = [plain_of(together, k) for k in range(len(SIZES))]
    return together, alone, x


def plain_of(together, k):
    size, units = SIZES[k], ceil(SIZES[k] * RATIO)
    return Plain(
        together.weight[k, :size, :units].tolist(),
        together.unit_bias[k, 0, :units].tolist(),
        together.input_bias[k, 0, :size].tolist(),
    )


def test_errors_are_those_of_each_alone():
    together, alone, x = case()
    expected = [
        [plain.error(row[:size].tolist()) for row in rows]
        for plain, rows, size in zip(alone, x, SIZES, strict=True)
    ]
    np.testing.assert_allclose(together.errors(x), expected, rtol=1e-12)


def test_a_step_goes_down_the_numerical_gradient_of_the_cross_entropy():
    together, alone, x = case(seed=5)
    rate, small = 0.1, 1e-6
    together.learn(x, rate)
    for k, (plain, size) in enumerate(zip(alone, SIZES, strict=True)):
        rows = [row[:size].tolist() for row in x[k]]
        after = plain_of(together, k)
        values = [*plain.weight, plain.unit_bias, plain.input_bias]
        moved = [*after.weight, after.unit_bias, after.input_bias]
        for vector, learnt in zip(values, moved, strict=True):
            for index, start in enumerate(list(vector)):
                losses = []
                for shift in (small, -small):
                    vector[index] = start + shift
                    losses.append(sum(plain.entropy(row) for row in rows))
                vector[index] = start
                gradient = (losses[0] - losses[1]) / (2 * small)
                assert abs(learnt[index] - (start - rate * gradient)) < 1e-7


def test_padding_changes_nothing_and_parameters_are_counted():
    together, _, x = case()
    together.learn(x, 0.1)
    error = together.errors(x)
    alone = Autoencoders(SIZES, RATIO, 3)
    assert alone.parameters == sum(n * h + n + h for n, h in ((3, 3), (1, 1), (5, 4), (4, 3)))
    for k, size in enumerate(SIZES):
        single = Autoencoders([size], RATIO, 0)
        units = ceil(size * RATIO)
        single.weight = together.weight[k : k + 1, :size, :units]
        single.unit_bias = together.unit_bias[k : k + 1, :, :units]
        single.input_bias = together.input_bias[k : k + 1, :, :size]
        np.testing.assert_allclose(single.errors(x[k : k + 1, :, :size])[0], error[k])


def test_weights_are_drawn_from_one_by_inputs_and_follow_the_seed():
    first, again, other = (Autoencoders([4, 10], RATIO, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.weight, again.weight)
    assert not np.array_equal(first.weight, other.weight)
    assert np.abs(first.weight[0]).max() <= 1 / 4
    assert np.abs(first.weight[1]).max() <= 1 / 10
    assert np.count_nonzero(first.weight[0]) == 4 * 3
    assert first.errors(np.full((2, 1, 10), 1e300)).shape == (2, 1)
