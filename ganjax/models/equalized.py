"""Layers with an equalized learning rate, and the low-pass filter of StyleGAN2.

Parameters start as N(0, 1) and are divided by the square root of their fan-in in each
call, so that Adam, whose steps do not depend on the size of gradients, changes all
layers equally fast relative to their scale (arXiv:1710.10196, section 4.1).
"""

from math import prod

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from ganjax.models.conv import CONV

FILTER = np.array([1, 3, 3, 1], np.float32) / 8  # arXiv:1912.04958, appendix B


def lrelu(x: jax.Array) -> jax.Array:
    """LeakyReLU of slope 0.2 times √2, which keeps the variance about the same."""
    return nn.leaky_relu(x, negative_slope=0.2) * 2**0.5


def scaled_kernel(module: nn.Module, shape: tuple[int, ...]) -> jax.Array:
    """The parameter `kernel` [..., I, O] of a module divided by √fan-in."""
    kernel = module.param("kernel", nn.initializers.normal(1.0), shape)
    return kernel / prod(shape[:-1]) ** 0.5


def smooth(kernel: Float[Array, "k k I O"]) -> Float[Array, "K K I O"]:
    """A kernel convolved with the filter on both sides; K = k + 3.

    A convolution of the result is one of `kernel` and a low-pass filter, in one pass.
    """
    k = len(kernel)
    shifted = np.zeros((k + len(FILTER) - 1, k), np.float32)
    for i in range(k):
        shifted[i : i + len(FILTER), i] = FILTER
    matrix = jnp.asarray(shifted, kernel.dtype)
    return jnp.einsum("mk,nl,klio->mnio", matrix, matrix, kernel)


class EqualDense(nn.Module):
    """x @ kernel + bias; `rate` multiplies the learning rate of both."""

    features: int
    bias: float = 0.0  # at the start
    rate: float = 1.0

    @nn.compact
    def __call__(self, x: Float[Array, "B F"]) -> Float[Array, "B features"]:
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1 / self.rate), shape)
        start = nn.initializers.constant(self.bias / self.rate)
        bias = self.param("bias", start, (self.features,))
        kernel = kernel * (self.rate / x.shape[-1] ** 0.5)
        return x @ kernel + self.rate * bias.reshape(1, -1)


class EqualConv(nn.Module):
    """A convolution; with `down` it is filtered and has a stride of 2."""

    features: int
    kernel: int
    down: bool = False
    use_bias: bool = True
    conv: str = "matmul"

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w features"]:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = scaled_kernel(self, shape)
        if self.down:
            y = CONV[self.conv](x, smooth(kernel), 2)
        else:
            y = CONV[self.conv](x, kernel, 1)
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return y + bias.reshape(1, 1, 1, -1)
