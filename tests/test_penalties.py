"""Gradient penalties against discriminators whose gradients are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from ganjax.penalties import PENALTIES, r1_r2

KEY = jax.random.key(0)
REAL = jax.random.normal(jax.random.key(1), (5, 3, 2, 1))
FAKE = jax.random.normal(jax.random.key(2), (5, 3, 2, 1))
WEIGHTS = jax.random.normal(jax.random.key(3), (3, 2, 1))


def linear(x):
    return jnp.sum(x * WEIGHTS[None], axis=(1, 2, 3))


def quadratic(x):
    return jnp.sum(x**2, axis=(1, 2, 3))


def norm2(x):
    return np.sum(np.asarray(x) ** 2, axis=(1, 2, 3))


def interpolated(key):
    """wgan_gp's points, re-derived: |2x| − 1, squared."""
    t = np.asarray(jax.random.uniform(key, (5, 1, 1, 1)))
    x = t * np.asarray(REAL) + (1 - t) * np.asarray(FAKE)
    return (2 * np.sqrt(norm2(x)) - 1) ** 2


def perturbed(key):
    """dragan's points, re-derived."""
    noise_key, share_key = jax.random.split(key)
    noise = np.asarray(jax.random.uniform(noise_key, REAL.shape)) * np.std(REAL) / 2
    x = REAL + np.asarray(jax.random.uniform(share_key, (5, 1, 1, 1))) * noise
    return (2 * np.sqrt(norm2(x)) - 1) ** 2


# For D(x) = Σx² the gradient is 2x, hence ½‖∇D‖² = 2Σx².
QUADRATIC = {
    "r1": 2 * norm2(REAL),
    "r2": 2 * norm2(FAKE),
    "r1_r2": 2 * norm2(REAL) + 2 * norm2(FAKE),
    "wgan_gp": interpolated(jax.random.clone(KEY)),
    "dragan": perturbed(jax.random.clone(KEY)),
}
# For D(x) = Σwx it is w everywhere.
W2 = norm2(WEIGHTS[None])[0]
LINEAR = {
    "r1": W2 / 2,
    "r2": W2 / 2,
    "r1_r2": W2,
    "wgan_gp": (W2**0.5 - 1) ** 2,
    "dragan": (W2**0.5 - 1) ** 2,
}


def test_every_penalty_is_tested():
    assert set(PENALTIES) == set(QUADRATIC) == set(LINEAR)


@pytest.mark.parametrize("name", PENALTIES)
def test_values(name):
    value = PENALTIES[name](quadratic, REAL, FAKE, jax.random.clone(KEY))
    np.testing.assert_allclose(value, QUADRATIC[name], rtol=1e-5)
    value = PENALTIES[name](linear, REAL, FAKE, jax.random.clone(KEY))
    np.testing.assert_allclose(value, [LINEAR[name]] * 5, rtol=1e-5)


def test_gradient_with_respect_to_the_discriminator():
    """d/da of mean(R1 + R2) for D(x) = aΣx² is 4a·mean(‖x‖² + ‖G(z)‖²), by hand."""

    def objective(a):
        return jnp.mean(
            r1_r2(lambda x: a * quadratic(x), REAL, FAKE, jax.random.clone(KEY))
        )

    expected = 4 * 1.5 * (norm2(REAL) + norm2(FAKE)).mean()
    np.testing.assert_allclose(jax.grad(objective)(1.5), expected, rtol=1e-5)


@pytest.mark.parametrize("name", PENALTIES)
def test_gradients_against_finite_differences(name):
    """The second derivatives that train a penalised discriminator of two layers."""
    first = jax.random.normal(jax.random.key(4), (6, 8)) / 2
    second = jax.random.normal(jax.random.key(5), (8,)) / 2

    def objective(first, second):
        def d_fn(x):
            return jnp.tanh(x.reshape(len(x), -1) @ first) @ second

        return jnp.mean(PENALTIES[name](d_fn, REAL, FAKE, jax.random.clone(KEY)))

    check_grads(objective, (first, second), 1, ["rev"], rtol=2e-2, atol=2e-3)
