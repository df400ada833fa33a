"""D*, V(D, G), C(G) and the density of G(z) against closed forms and autodiff."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy import stats

from ganjax import theory
from ganjax.losses import LOSSES

pytestmark = pytest.mark.slow

X = jnp.linspace(-12.0, 20.0, 4001)
close = partial(np.testing.assert_allclose, rtol=0, atol=2e-6)


def normal(mean=0.0, std=1.0):
    return stats.norm.logpdf(X, mean, std)


GAUSSIANS = [  # μ, JSD and C(G) of N(0, 1) against N(μ, 1)
    (0.0, 0.0, -1.386294),
    (0.5, 0.030311, -1.325672),
    (1.0, 0.111421, -1.163451),
    (2.0, 0.336831, -0.712633),
    (4.0, 0.632720, -0.120854),
    (8.0, 0.693054, -0.000187),
]


@pytest.mark.parametrize("mean", [0.5, 2.0, 8.0])
def test_optimal_discriminator_of_two_gaussians(mean):
    logits = theory.optimal_discriminator_logit(normal(), normal(mean))
    close(logits, mean**2 / 2 - mean * X, atol=1e-4)  # values up to 300 in float32
    discriminator = theory.optimal_discriminator(normal(), normal(mean))
    ratio = jnp.exp(normal()) / (jnp.exp(normal()) + jnp.exp(normal(mean)))
    inside = (X > -8) & (X < 8 + mean)  # farther out the ratio is 0/0 in float32
    close(discriminator[inside], ratio[inside], atol=1e-5)
    close(discriminator[jnp.argmin(jnp.abs(X - mean / 2))], 0.5, atol=1e-2)


def test_equal_densities_leave_one_half():
    close(theory.optimal_discriminator(normal(), normal()), 0.5)


@pytest.mark.parametrize("mean, jsd, criterion", GAUSSIANS)
def test_criterion_of_two_gaussians(mean, jsd, criterion):
    close(theory.js_divergence(normal(), normal(mean), X), jsd)
    close(theory.js_divergence(normal(mean), normal(), X), jsd)
    close(theory.generator_criterion(normal(), normal(mean), X), criterion)
    logits = theory.optimal_discriminator_logit(normal(), normal(mean))
    close(theory.value_function(logits, normal(), normal(mean), X), criterion)


@pytest.mark.parametrize("shift", [-1.0, -0.1, 0.1, 1.0])
def test_every_other_discriminator_has_a_lower_value(shift):
    best = theory.optimal_discriminator_logit(normal(), normal(2.0))
    value = theory.value_function(best + shift, normal(), normal(2.0), X)
    assert value < -0.712633 - 1e-4
    zero = theory.value_function(0 * best, normal(), normal(2.0), X)
    close(zero, -math.log(4))


def test_value_function_is_stationary_at_the_optimum():
    best = theory.optimal_discriminator_logit(normal(), normal(2.0))
    gradient = jax.grad(theory.value_function)(best, normal(), normal(2.0), X)
    close(gradient, 0.0, atol=1e-7)


def test_generator_slopes_when_d_wins():
    losses = {
        "minimax": lambda logit: jax.nn.log_sigmoid(-logit),
        "non_saturating": lambda logit: -jax.nn.log_sigmoid(logit),
    }
    assert losses.keys() == theory.GENERATOR_SLOPES.keys()
    for name, slope in theory.GENERATOR_SLOPES.items():
        for logit in jnp.array([-10.0, -1.0, 0.0, 3.0]):
            close(slope(logit), -jax.grad(losses[name])(logit), atol=1e-6)
    at = jnp.array(-10.0)
    close(theory.GENERATOR_SLOPES["minimax"](at), 4.54e-5, atol=5e-9)
    close(theory.GENERATOR_SLOPES["non_saturating"](at), 0.99995, atol=5e-6)


# --- the change of variables --------------------------------------------------------


def test_density_of_an_exponential_and_of_a_falling_line():
    x = jnp.linspace(0.1, 10.0, 50)
    log_normal = theory.pushforward_log_density(
        stats.norm.logpdf(jnp.log(x)), jnp.exp, jnp.log(x)
    )
    by_hand = -((jnp.log(x)) ** 2) / 2 - jnp.log(x) - math.log(2 * math.pi) / 2
    close(log_normal, by_hand, atol=1e-5)
    line = theory.pushforward_log_density(normal(), lambda z: 1.0 - 2.0 * z, X)
    close(line, stats.norm.logpdf(1.0 - 2.0 * X, 1.0, 2.0), atol=1e-4)


GENERATORS = {  # G, its inverse, and a grid of x that covers p_g
    "line": (lambda z: 1.5 - 0.75 * z, lambda x: (1.5 - x) / 0.75, (-7.0, 10.0)),
    "sinh": (jnp.sinh, jnp.arcsinh, (-300.0, 300.0)),
    "softplus": (jax.nn.softplus, lambda x: x + jnp.log(-jnp.expm1(-x)), (1e-4, 9.0)),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_expectations_over_z_and_over_p_g_agree(name):
    """E_z log(1 - D(G(z))) = E_{p_g} log(1 - D(x)), each by its own quadrature."""
    generator, inverse, (low, high) = GENERATORS[name]

    def log_one_minus_d(x):
        return jax.nn.log_sigmoid(-(0.3 + jnp.sin(x)))

    z = jnp.linspace(-8.0, 8.0, 4001)
    over_z = theory.expectation(stats.norm.logpdf(z), log_one_minus_d(generator(z)), z)
    x = jnp.linspace(low, high, 200_001)
    preimage = inverse(x)
    log_p_g = theory.pushforward_log_density(
        stats.norm.logpdf(preimage), generator, preimage
    )
    close(theory.expectation(log_p_g, jnp.ones_like(x), x), 1.0, atol=1e-5)
    close(theory.expectation(log_p_g, log_one_minus_d(x), x), over_z, atol=1e-5)


# --- the likelihood of the labels ---------------------------------------------------


def test_cross_entropy_is_the_negative_log_likelihood_of_the_labels():
    """L_D is -log P(Y = y | x) of a Bernoulli model with P(Y = 1 | x) = D(x)."""
    real, fake = jax.random.normal(jax.random.key(0), (2, 64))

    def log_likelihood(logits):
        labels = jnp.repeat(jnp.array([1, 0]), 64)
        return jnp.sum(stats.bernoulli.logpmf(labels, jax.nn.sigmoid(logits)))

    def loss(logits):
        return jnp.sum(LOSSES["minimax"].d(logits[:64], logits[64:]))

    logits = jnp.concatenate([real, fake])
    value, gradient = jax.value_and_grad(loss)(logits)
    likelihood, likelihood_gradient = jax.value_and_grad(log_likelihood)(logits)
    close(value, -likelihood, atol=1e-4)  # a sum of 128 terms
    close(gradient, -likelihood_gradient, atol=1e-6)


@pytest.mark.parametrize("mean", [0.5, 2.0])
def test_the_most_likely_logistic_regression_is_the_optimal_discriminator(mean):
    """Newton's method on E[-log P(Y | x)] finds logit D*(x) = mean²/2 - mean x."""

    def loss(weights):
        logits = weights[0] + weights[1] * X
        losses = (
            LOSSES["minimax"].real(logits, logits),
            LOSSES["minimax"].fake(logits, logits),
        )
        log_densities = normal(), normal(mean)
        return sum(
            theory.expectation(log_p, each, X)
            for log_p, each in zip(log_densities, losses, strict=True)
        )

    weights = jnp.zeros(2)
    for _ in range(10):
        gradient, hessian = jax.grad(loss)(weights), jax.hessian(loss)(weights)
        weights -= jnp.linalg.solve(hessian, gradient)
    close(weights, jnp.array([mean**2 / 2, -mean]), atol=1e-4)
