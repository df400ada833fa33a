"""Fully connected pairs: the maxout networks of 2014, and a plain pair of today."""

from collections.abc import Callable
from math import prod

import jax
import jax.numpy as jnp
from flax import linen as nn

from ganjax.models.layers import ACTIVATIONS, OUTPUTS, Logit, Norm, WithLabel


def symmetric(scale: float) -> Callable[..., jax.Array]:
    """U(−scale, scale); scale 0 stands for PyTorch's U(±1/√fan_in)."""
    if not scale:
        return nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")

    def init(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -scale, scale)

    return init


class Generator(nn.Module):
    """float32 [B, z_dim] -> float32 [B, H, W, C] in the range of `output`."""

    image_shape: tuple[int, int, int]
    hidden: tuple[int, ...] = (128, 256, 512, 1024)
    norm: str = "batch"
    momentum: float = 0.9
    activation: str = "gelu"
    output: str = "sigmoid"
    output_bias: float = 0.0  # where the last bias starts
    init_scale: float = 0.0
    num_classes: int = 0  # 0: unconditional
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, z: jax.Array, train: bool = True, labels: jax.Array | None = None
    ) -> jax.Array:
        init = symmetric(self.init_scale)
        z = WithLabel(self.num_classes)(z, labels)
        for features in self.hidden:
            bias = self.norm == "none"  # a norm has its own, and would cancel this one
            z = nn.Dense(features, use_bias=bias, kernel_init=init)(z)
            z = Norm(self.norm, self.momentum, self.axis_name)(z, train)
            z = ACTIVATIONS[self.activation](z)
        start = nn.initializers.constant(self.output_bias)
        last = nn.Dense(prod(self.image_shape), kernel_init=init, bias_init=start)
        return OUTPUTS[self.output](last(z)).reshape(-1, *self.image_shape)


class Discriminator(nn.Module):
    """float32 [B, H, W, C] -> logits float32 [B]."""

    hidden: tuple[int, ...] = (512, 256, 128, 64, 32)
    norm: str = "none"
    momentum: float = 0.9
    activation: str = "gelu"
    dropout: float = 0.0
    softmax: bool = False  # over two classes, real and generated
    init_scale: float = 0.0
    num_classes: int = 0  # 0: unconditional
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool = True, labels: jax.Array | None = None
    ) -> jax.Array:
        init = symmetric(self.init_scale)
        x = x.reshape(x.shape[0], -1)
        for features in self.hidden:
            bias = self.norm == "none"
            x = nn.Dense(features, use_bias=bias, kernel_init=init)(x)
            x = Norm(self.norm, self.momentum, self.axis_name)(x, train)
            x = ACTIVATIONS[self.activation](x)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return Logit(self.num_classes, self.softmax, init)(x, labels)


class MaxoutDiscriminator(nn.Module):
    """float32 [B, H, W, C] -> logits [B]: the maximum of linear pieces (1302.4389).

    The discriminator of arXiv:1406.2661 on MNIST, with the figures of its code.
    """

    hidden: tuple[int, ...] = (240, 240)
    pieces: int = 5
    input_dropout: float = 0.2
    dropout: float = 0.5
    softmax: bool = False
    init_scale: float = 0.005
    num_classes: int = 0
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool = True, labels: jax.Array | None = None
    ) -> jax.Array:
        init = symmetric(self.init_scale)
        x = x.reshape(x.shape[0], -1)
        x = nn.Dropout(self.input_dropout, deterministic=not train)(x)
        for features in self.hidden:
            x = nn.Dense(features * self.pieces, kernel_init=init)(x)
            x = x.reshape(-1, features, self.pieces).max(-1)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return Logit(self.num_classes, self.softmax, init)(x, labels)
