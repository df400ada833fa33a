"""Frechet distance against scipy, closed forms and the spread over draws."""

import numpy as np
import pytest
import scipy.linalg

from ganjax.metrics.fid import frechet_distance, frechet_interval


def correlated(seed, n, d, shift=0.0):
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(seed + 100).normal(size=(d, d)) / np.sqrt(d)
    return (rng.normal(size=(n, d)) @ mix + shift).astype(np.float32)


def test_frechet_distance_matches_scipy():
    a, b = correlated(0, 500, 32), correlated(1, 400, 32, 0.3)
    x, y = a.astype(np.float64), b.astype(np.float64)
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    gap = x.mean(0) - y.mean(0)
    root = scipy.linalg.sqrtm(cov_x @ cov_y).real
    expected = gap @ gap + np.trace(cov_x + cov_y - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [300, 20])  # 20 < D: singular covariances
def test_frechet_distance_of_a_scaled_set(n):
    """S2 = 4 S1: Tr(S1 + 4 S1 - 4 S1) = Tr(S1), and the means differ by m + 1."""
    a = correlated(2, n, 32).astype(np.float64)
    expected = np.trace(np.cov(a, rowvar=False)) + ((a.mean(0) + 1) ** 2).sum()
    assert frechet_distance(a, 2 * a + 1) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-5)


def test_frechet_interval_is_as_wide_as_the_spread_over_draws():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(2000, 4))
    values, errors = [], []
    for _ in range(150):
        fake = 1.3 * rng.normal(size=(400, 4)) + 0.4
        low, high = frechet_interval(fake, reference)
        value = frechet_distance(fake, reference)
        assert (low + high) / 2 == pytest.approx(value, rel=1e-9)
        values.append(value)
        errors.append((high - low) / 2 / 2.093)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.2)


def test_unusable_features_are_refused():
    good = correlated(3, 10, 4)
    for bad in (good[:1], good[:, 0], np.where(good > 0, np.nan, good)):
        with pytest.raises(ValueError, match="features: expected"):
            frechet_distance(bad, good)
    with pytest.raises(ValueError, match="expected 4 rows or more, got 3"):
        frechet_interval(good[:3], good)
