"""Matrix-product convolutions against Flax's: values, gradients, penalty gradients."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from helpers import assert_close

from ganjax.models import winograd
from ganjax.models.layers import Conv, ConvTranspose

pytestmark = pytest.mark.slow

PAIRS = {"conv": (Conv, nn.Conv), "transpose": (ConvTranspose, nn.ConvTranspose)}
SHAPES = [(4, 2), (5, 2), (3, 1), (3, 2), (8, 4), (2, 2), (5, 3)]


# The gradients of a convolution test its adjoint, the transposed convolution, too.
CASES = list(itertools.product(PAIRS, SHAPES, ["patches", "library"]))
CASES += [("conv", shape, "winograd") for shape in [(4, 2), (5, 2), (3, 1)]]
CASES += [("transpose", (4, 2), "winograd")]
# "matmul" without filtering: passes over memory of their own, where s divides k.
CASES += [(which, shape, "separate") for which in PAIRS for shape in [(4, 2), (5, 2)]]


@pytest.mark.parametrize("which,shape,implementation", CASES)
def test_same_as_flax(which, shape, implementation, monkeypatch):
    kernel, stride = shape
    ours, flax = PAIRS[which]
    if implementation in ("winograd", "separate"):
        filtering = implementation == "winograd"
        monkeypatch.setattr(winograd, "applies", lambda size: filtering)
        implementation = "matmul"
    ours = ours(5, kernel, stride, implementation)
    flax = flax(5, (kernel, kernel), (stride, stride), "SAME")
    x = jax.random.normal(jax.random.key(0), (2, 4, 11, 3))  # strides need not divide
    params = flax.init(jax.random.key(1), x)

    def penalised(module, params, x):
        """Forward, both gradients, and gradients of penalties on either gradient."""

        def scalar(params, x):
            y = jnp.tanh(module.apply(params, x))
            return jnp.sum(y * jnp.cos(jnp.arange(y.size).reshape(y.shape)))

        def penalty(params, x):
            gradients = jax.grad(scalar, argnums=(0, 1))(params, x)
            return sum(jnp.sum(g**2) for g in jax.tree.leaves(gradients))

        return (
            module.apply(params, x),
            jax.grad(scalar, argnums=(0, 1))(params, x),
            jax.grad(penalty, argnums=(0, 1))(params, x),
        )

    # One program each: hundreds of single operations take longer to compile.
    expected, actual = (
        jax.jit(partial(penalised, module))(params, x) for module in (flax, ours)
    )
    assert_close(actual, expected, rtol=1e-4, atol=1e-4)
