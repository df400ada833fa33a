"""Minimal filtering: its identity, its multiplications, and where it is used."""

from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close

from ganjax.models import conv, patches, winograd
from ganjax.models.winograd import MATRICES, Size


@pytest.mark.parametrize("r", MATRICES)
def test_identity_is_exact(r):
    b, g, a = (np.array(matrix) for matrix in MATRICES[r])
    form = np.einsum("pi,pm,px->imx", a, g, b)
    i, m, x = np.indices(form.shape)
    assert np.array_equal(form, x == i + m)


# (k, s, I, O, H, W) -> multiplications for each one of the plain convolution, by hand.
PRODUCTS = {
    (4, 2, 16, 32, 16, 16): 9 / 16,
    (4, 2, 16, 32, 7, 7): 9 * 16 / (4 * 49),  # 4×4 tiles
    (3, 1, 64, 64, 8, 8): 16 / 36,
    (5, 2, 64, 128, 7, 7): 49 * 16 / (25 * 49),  # (4 + 3)² products a tile
    (3, 2, 8, 8, 4, 6): 25 / 36,  # (3 + 2)²
}


def multiplications(function: Any, *args: jax.Array) -> int:
    """Of all matrix products in a traced function."""
    equations = jax.make_jaxpr(function)(*args).jaxpr.eqns
    total = 0
    for equation in equations:
        if equation.primitive.name == "dot_general":
            ((contracted, _), _) = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            sizes = [left[axis] for axis in contracted]
            total += prod(equation.outvars[0].aval.shape) * prod(sizes)
    return total


@pytest.mark.parametrize("size", PRODUCTS)
def test_multiplications_are_as_few_as_said(size):
    k, s, i, o, h, w = size
    x, y = jnp.ones((2, s * h, s * w, i)), jnp.ones((2, h, w, o))
    kernel = jnp.ones((k, k, i, o))
    plain = k * k * i * o * h * w * 2
    expected = round(PRODUCTS[size] * plain)
    assert Size(*size).products() == pytest.approx(PRODUCTS[size], rel=1e-12)
    assert multiplications(lambda: winograd.conv(x, kernel, s)) == expected
    assert multiplications(lambda: winograd.conv_adjoint(y, kernel, s)) == expected
    assert multiplications(lambda: winograd.kernel_gradient(x, y, k, s)) == expected
    assert multiplications(lambda: patches.conv(x, kernel, s, False)) == plain


@pytest.mark.parametrize(
    "size,filtered",
    [
        ((4, 2, 1, 16, 14, 14), False),  # one channel
        ((4, 2, 16, 32, 7, 7), False),  # mnist.py: odd sizes waste products
        ((4, 2, 32, 64, 7, 7), False),  # mnist_best.py
        ((4, 2, 16, 32, 16, 16), True),
        ((4, 2, 64, 128, 7, 7), True),
        ((3, 1, 64, 64, 16, 16), True),
        ((5, 2, 64, 128, 7, 7), True),
        ((7, 1, 64, 64, 16, 16), False),  # seven taps: no matrices
        ((1, 1, 64, 64, 16, 16), False),
    ],
)
def test_layers_with_many_channels_are_filtered(size, filtered):
    k, s, i, o, h, w = size
    assert winograd.applies(Size(*size)) == filtered
    x, kernel = jnp.ones((1, s * h, s * w, i)), jnp.ones((k, k, i, o))
    plain = k * k * i * o * h * w
    run = conv.conv.fun  # type: ignore[attr-defined]
    traced = multiplications(lambda: run(x, kernel, s, fused=False))
    assert multiplications(lambda: run(x, kernel, s, fused=True)) == plain
    assert (traced < plain) == filtered


@pytest.mark.parametrize("k,s", [(4, 2), (5, 2), (3, 1)])
def test_error_in_bfloat16_is_that_of_its_rounding(k, s):
    x = jax.random.normal(jax.random.key(0), (2, 8 * s, 8 * s, 32))
    kernel = jax.random.normal(jax.random.key(1), (k, k, 32, 32))
    exact = conv.library_conv(x, kernel, s)
    rounded = [array.astype(jnp.bfloat16) for array in (x, kernel)]
    result = winograd.conv(*rounded, s)
    assert result.dtype == jnp.bfloat16
    scale = float(jnp.abs(exact).max())
    assert_close(result.astype(jnp.float32) / scale, exact / scale, rtol=0, atol=0.02)


def test_passes_over_memory_stay_separate_computations():
    x = jnp.ones((2, 4, 4, 3))

    def program(apart: bool) -> str:
        def double(x: jax.Array) -> jax.Array:
            return 2 * x

        def run(x: jax.Array) -> jax.Array:
            x = x + 1
            return (patches.separately(double, x) if apart else double(x)) + 3

        return jax.jit(run).lower(x).compile().as_text()

    assert " call(" in program(apart=True)
    assert " call(" not in program(apart=False)
