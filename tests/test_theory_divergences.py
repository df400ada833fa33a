"""Divergences of Gaussians, uniforms and samples against closed forms."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy import stats

from ganjax import theory

X = jnp.linspace(-12.0, 20.0, 4001)
close = partial(np.testing.assert_allclose, rtol=0, atol=2e-6)


def normal(mean=0.0, std=1.0):
    return stats.norm.logpdf(X, mean, std)


@pytest.mark.parametrize("mean, std", [(0.0, 1.0), (1.5, 1.0), (-1.0, 2.0), (2.0, 0.5)])
def test_kl_of_two_gaussians(mean, std):
    expected = -math.log(std) + (std**2 + mean**2) / 2 - 0.5
    close(theory.kl_divergence(normal(mean, std), normal(), X), expected, atol=1e-5)


def test_kl_is_infinite_where_mass_is_missing_but_not_the_other_way():
    wide, narrow = stats.uniform.logpdf(X, -4, 8), stats.uniform.logpdf(X, 0, 2)
    assert theory.kl_divergence(wide, narrow, X) == jnp.inf
    close(theory.kl_divergence(narrow, wide, X), math.log(4), atol=0.02)


@pytest.mark.parametrize("start", [0.0, 0.25, 0.5, 1.0, 3.0, 7.0])
def test_uniforms_jsd_saturates_and_wasserstein_does_not(start):
    x = jnp.linspace(-1.0, 9.0, 20001)
    p, q = stats.uniform.logpdf(x), stats.uniform.logpdf(x, start)
    # atol: the two jumps of the density, each half a grid step wide
    jsd = min(start, 1.0) * math.log(2)
    close(theory.js_divergence(p, q, x), jsd, atol=1e-3)
    cdfs = stats.uniform.cdf(x), stats.uniform.cdf(x, start)
    close(theory.wasserstein_1d(*cdfs, x), start, atol=1e-5)


def test_jsd_has_no_gradient_on_disjoint_supports_and_wasserstein_has():
    # Gaussians 30 standard deviations apart: disjoint for float32
    def jsd(mean):
        return theory.js_divergence(normal(-10.0, 0.2), normal(mean, 0.2), X)

    def w1(mean):
        q = stats.norm.cdf(X, mean, 0.2)
        return theory.wasserstein_1d(stats.norm.cdf(X, -10.0, 0.2), q, X)

    close(jax.value_and_grad(jsd)(5.0), (math.log(2), 0.0))
    close(jax.value_and_grad(w1)(5.0), (15.0, 1.0), atol=2e-5)


@pytest.mark.parametrize("mean", [0.0, 0.5, 1.0, 2.0, 4.0, 8.0])
def test_wasserstein_of_shifted_gaussians(mean):
    cdfs = theory.cdf(normal(), X), theory.cdf(normal(mean), X)
    close(theory.wasserstein_1d(*cdfs, X), mean, atol=1e-5)


@pytest.mark.parametrize("s1, s2", [(1.0, 2.0), (0.5, 0.1), (3.0, 1.0)])
def test_wasserstein_of_scaled_gaussians(s1, s2):
    x = jnp.linspace(-30.0, 30.0, 12001)
    distance = theory.wasserstein_1d(
        stats.norm.cdf(x, scale=s1), stats.norm.cdf(x, scale=s2), x
    )
    close(distance, 0.797885 * abs(s1 - s2), atol=4e-5)


@pytest.mark.parametrize("rate", [0.5, 1.0, 3.0])
def test_wasserstein_of_exponentials(rate):
    x = jnp.linspace(0.0, 50.0, 20001)
    distance = theory.wasserstein_1d(
        stats.expon.cdf(x), stats.expon.cdf(x, scale=1 / rate), x
    )
    close(distance, abs(1 - 1 / rate), atol=1e-5)


def test_wasserstein_of_a_point_and_a_gaussian():
    step = jnp.where(X < 0, 0.0, jnp.where(X > 0, 1.0, 0.5))
    close(theory.wasserstein_1d(step, stats.norm.cdf(X), X), 0.797885, atol=1e-4)


@pytest.mark.parametrize("distance", [0.01, 1.0, 5.0])
def test_parallel_lines(distance):
    # which line a point lies on tells all: JSD as of two masses on two points, which
    # the grid [0, 2] gives the trapezoid weights 1 and 1
    first, second = jnp.array([0.0, -jnp.inf]), jnp.array([-jnp.inf, 0.0])
    close(theory.js_divergence(first, second, jnp.array([0.0, 2.0])), math.log(2))
    heights = np.linspace(0, 1, 7)
    plane = np.hypot(distance, heights[:, None] - heights[None])
    cost, plan = theory.wasserstein_discrete(np.ones(7) / 7, np.ones(7) / 7, plane)
    close(cost, distance, atol=1e-9)
    close(plan, np.eye(7) / 7, atol=1e-9)


def test_wasserstein_of_samples():
    x, y = jnp.array([3.0, 0.0, 1.0]), jnp.array([5.0, 1.0, 3.0])
    close(theory.wasserstein_1d_samples(x, y), 5 / 3)  # sorted, |0-1| + |1-3| + |3-5|
    close(theory.wasserstein_1d_samples(y, x), 5 / 3)
    close(theory.wasserstein_1d_samples(x, x), 0.0)
    close(theory.wasserstein_1d_samples(x, x + 7), 7.0)
    close(theory.wasserstein_1d_samples(jnp.zeros(1), jnp.array([-1.0, 2.0])), 1.5)
    away = y + 0.5  # without ties, where the slope would be ambiguous
    close(jax.grad(theory.wasserstein_1d_samples)(x, away), -jnp.ones(3) / 3)


def test_wasserstein_of_many_samples_is_near_the_closed_form():
    x = jax.random.normal(jax.random.key(0), (20_000,))
    y = 2.0 * jax.random.normal(jax.random.key(1), (10_000,))
    close(theory.wasserstein_1d_samples(x, y), 0.797885, atol=0.03)


def test_wasserstein_of_samples_rejects_columns():
    with pytest.raises(ValueError, match=r"\(3, 1\)"):
        theory.wasserstein_1d_samples(jnp.zeros((3, 1)), jnp.zeros(3))
