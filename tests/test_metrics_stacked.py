"""Modes of Stacked MNIST and their KL, by hand and for a perfect sampler."""

import numpy as np
import pytest

from ganjax.metrics.stacked import mode_counts, num_modes, uniform_kl

TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def modes_and_kl(labels):
    counts = mode_counts(labels)
    return num_modes(counts), uniform_kl(counts)


def perfect_sampler(num, digit_counts, draws=20, seed=0):
    """Mean and standard deviation of the KL of `num` triples of digits of the data."""
    p = np.asarray(digit_counts, np.float64)
    p = p / p.sum()
    triples = np.einsum("i,j,k->ijk", p, p, p).reshape(-1)
    rng = np.random.default_rng(seed)
    values = [uniform_kl(rng.multinomial(num, triples)) for _ in range(draws)]
    return float(np.mean(values)), float(np.std(values))


def test_modes_and_kl_of_few_samples():
    modes, kl = modes_and_kl([[0, 0, 0], [0, 0, 1], [9, 9, 9], [9, 9, 9]])
    assert modes == 3
    expected = 0.5 * np.log(250) + 0.5 * np.log(500)
    assert kl == pytest.approx(expected, rel=1e-12)
    digits = np.indices((10, 10, 10)).reshape(3, -1).T
    assert modes_and_kl(digits) == (1000, pytest.approx(0.0, abs=1e-12))
    assert mode_counts([[1, 2, 3]])[123] == 1


def test_labels_must_be_three_digits():
    with pytest.raises(ValueError, match=r"digits: expected 0\.\.9, got 0\.\.10"):
        mode_counts([[0, 0, 10]])
    with pytest.raises(ValueError, match=r"labels: expected \[N, 3\], got \[2, 1\]"):
        mode_counts([[1], [2]])


def test_kl_of_a_perfect_sampler():
    mean, deviation = perfect_sampler(26_000, TRAIN_COUNTS, draws=40)
    assert mean == pytest.approx(0.0236, abs=0.0006)
    assert deviation == pytest.approx(0.0010, abs=0.0004)
    mean, _ = perfect_sampler(10_000, TRAIN_COUNTS)
    assert mean == pytest.approx(0.0555, abs=0.002)
