"""Parzen log-likelihood against a double loop."""

import numpy as np
import pytest
import scipy.special

from ganjax.metrics.parzen import log_likelihoods, parzen_log_likelihood


def test_parzen_matches_a_double_loop():
    rng = np.random.default_rng(4)
    centers = rng.integers(0, 256, (30, 4, 4, 1), np.uint8)
    points = rng.integers(0, 256, (7, 4, 4, 1), np.uint8)
    mu, x = (a.reshape(len(a), -1) / 255.0 for a in (centers, points))

    def direct(sigma):
        values = []
        for row in x:
            terms = [-((row - m) ** 2).sum() / (2 * sigma**2) for m in mu]
            mean = scipy.special.logsumexp(terms) - np.log(30)
            values.append(mean - 16 * np.log(sigma * np.sqrt(2 * np.pi)))
        return values

    sigmas = [0.1, 0.4, 1.0]
    got = log_likelihoods(centers, points, sigmas, block=3)
    np.testing.assert_allclose(got, [direct(s) for s in sigmas], rtol=1e-4)
    floats = log_likelihoods(mu, x, sigmas)
    np.testing.assert_allclose(floats, got, rtol=1e-4)
    result = parzen_log_likelihood(centers, points, points[:5])
    grid = np.logspace(-1, 0, 10)
    best = grid[np.argmax([np.mean(direct(s)) for s in grid])]
    assert result.sigma == pytest.approx(best, rel=1e-9)
    assert result.value == pytest.approx(np.mean(direct(best)[:5]), rel=1e-4)
    error = np.std(direct(best)[:5]) / np.sqrt(5)
    assert result.standard_error == pytest.approx(error, rel=1e-3)
    with pytest.raises(ValueError, match=r"pixels: expected \[0, 1\]"):
        log_likelihoods(mu - 1.0, x, sigmas)
