"""Kernel distance against a double loop, and its spread over draws."""

import numpy as np
import pytest

from ganjax.metrics.kid import kernel_distances, kernel_interval, squared_mmd


def correlated(seed, n, d, shift=0.0):
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(seed + 100).normal(size=(d, d)) / np.sqrt(d)
    return (rng.normal(size=(n, d)) @ mix + shift).astype(np.float32)


def test_kernel_distance_matches_a_double_loop():
    a, b = correlated(3, 12, 5), correlated(4, 9, 5, 0.5)

    def mean(x, y, skip):
        terms = [
            (float(np.dot(p, q)) / 5 + 1) ** 3
            for i, p in enumerate(x.astype(np.float64))
            for j, q in enumerate(y.astype(np.float64))
            if not (skip and i == j)
        ]
        return float(np.mean(terms))

    expected = mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)
    assert squared_mmd(a, b) == pytest.approx(expected, rel=1e-5)


def test_kernel_distance_is_unbiased():
    rng = np.random.default_rng(1)
    null = [squared_mmd(*rng.normal(size=(2, 100, 6))) for _ in range(300)]
    assert abs(np.mean(null)) < 4 * np.std(null) / np.sqrt(300)


def test_kernel_interval_is_as_wide_as_the_spread_over_draws():
    rng = np.random.default_rng(1)
    values, errors = [], []
    for _ in range(100):
        fake, reference = rng.normal(size=(400, 6)) + 0.6, rng.normal(size=(400, 6))
        distances = kernel_distances(fake, reference, subsets=60, size=40)
        low, high = kernel_interval(distances, 40, 400)
        values.append(distances.mean())
        errors.append((high - low) / 2 / 1.96)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.3)
