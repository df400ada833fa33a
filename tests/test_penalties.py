"""Gradient penalties against discriminators whose gradients are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ganjax.penalties import PENALTIES, r1_r2

KEY = jax.random.key(0)
REAL = jax.random.normal(jax.random.key(1), (5, 3, 2, 1))
FAKE = jax.random.normal(jax.random.key(2), (5, 3, 2, 1))
WEIGHTS = jax.random.normal(jax.random.key(3), (3, 2, 1))


def linear(x):
    return jnp.sum(x * WEIGHTS, axis=(1, 2, 3))


def quadratic(x):
    return jnp.sum(x**2, axis=(1, 2, 3))


def norm2(x):
    return np.sum(np.asarray(x) ** 2, axis=(1, 2, 3))


# For D(x) = Σx² the gradient is 2x, hence ½‖∇D‖² = 2Σx².
QUADRATIC = {
    "r1": 2 * norm2(REAL),
    "r2": 2 * norm2(FAKE),
    "r1_r2": 2 * norm2(REAL) + 2 * norm2(FAKE),
}
LINEAR = {"r1": 0.5, "r2": 0.5, "r1_r2": 1.0}


def test_every_penalty_has_its_numbers_here():
    assert set(PENALTIES) == set(QUADRATIC) == set(LINEAR)


@pytest.mark.parametrize("name", PENALTIES)
def test_values(name):
    value = PENALTIES[name](quadratic, REAL, FAKE, KEY)
    np.testing.assert_allclose(value, QUADRATIC[name], rtol=1e-5)
    value = PENALTIES[name](linear, REAL, FAKE, KEY)
    np.testing.assert_allclose(
        value, [LINEAR[name] * norm2(WEIGHTS[None])[0]] * 5, rtol=1e-5
    )


def test_gradient_with_respect_to_the_discriminator():
    """d/da of mean(R1 + R2) for D(x) = aΣx² is 4a·(mean norm²)·2, by hand."""

    def objective(a):
        return jnp.mean(r1_r2(lambda x: a * quadratic(x), REAL, FAKE, KEY))

    expected = 4 * 1.5 * (norm2(REAL) + norm2(FAKE)).mean()
    np.testing.assert_allclose(jax.grad(objective)(1.5), expected, rtol=1e-5)
