"""Priors against what each promises of its draws."""

import jax
import numpy as np
import pytest
from scipy import stats

from ganjax.priors import PRIORS

SHAPE = (20_000, 6)
# Each coordinate's distribution; on the sphere z²/6 is Beta(1/2, 5/2), for six of them.
SQUARES = {
    "normal": stats.chi2(1),
    "uniform": stats.beta(0.5, 1, scale=3),
    "sphere": stats.beta(0.5, 2.5, scale=6),
}


@pytest.fixture(params=PRIORS)
def prior(request):
    """A name, and draws by it, float64 for the arithmetic of the tests."""
    z = PRIORS[request.param](jax.random.key(0), SHAPE)
    assert z.dtype == np.float32
    return request.param, np.asarray(z, np.float64)


def test_coordinates_have_mean_zero_and_variance_one(prior):
    """To four standard errors; no coordinate follows another."""
    _, z = prior
    num = SHAPE[0]
    np.testing.assert_allclose(z.mean(0), 0, atol=4 / num**0.5)
    error = ((z**4).mean() - 1) ** 0.5 / num**0.5
    np.testing.assert_allclose((z**2).mean(0), 1, atol=4 * error)
    np.testing.assert_allclose(z.T @ z / num, np.eye(6), atol=4 * 1.5 / num**0.5)


def test_coordinates_are_distributed_as_they_should(prior):
    """Kolmogorov and Smirnov find the squares, and the signs, of the first."""
    name, z = prior
    assert stats.kstest(z[:, 0] ** 2, SQUARES[name].cdf).pvalue > 1e-3
    assert stats.binomtest(int((z[:, 0] > 0).sum()), SHAPE[0]).pvalue > 1e-3


def test_uniform_draws_reach_their_bounds_and_no_farther():
    z = np.asarray(PRIORS["uniform"](jax.random.key(1), SHAPE))
    assert np.abs(z).max() <= 3**0.5
    np.testing.assert_allclose([z.min(), z.max()], [-(3**0.5), 3**0.5], atol=1e-3)


@pytest.mark.parametrize("z_dim", [1, 2, 100])
def test_draws_on_the_sphere_have_the_norm_of_its_radius(z_dim):
    z = PRIORS["sphere"](jax.random.key(1), (50, z_dim))
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), z_dim**0.5, rtol=1e-5)
