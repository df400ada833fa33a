"""Fully connected networks: a plain pair, and the maxout discriminator of 2014."""

from collections.abc import Callable
from math import prod
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from ganjax.models.layers import ACTIVATIONS, OUTPUTS, Logit, Norm, Output, WithLabel
from ganjax.options import NonNegative, PositiveInt, Rate, Widths, choice, given

Activation = Callable[[jax.Array], jax.Array]
Labels = Int[Array, " B"] | None


def uniform_init(scale: float) -> Callable[..., jax.Array]:
    """U(−scale, scale); for scale 0 PyTorch's U(±1/√fan_in)."""
    if not scale:
        return nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")

    def init(
        key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32
    ) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -scale, scale)

    return init


class Generator(nn.Module):
    """z [B, Z] -> images [B, ...] of `image_shape`, in the range of `output`."""

    image_shape: tuple[int, ...]
    hidden: Widths = (128, 256, 512, 1024)
    norm: Literal["none", "batch"] = "batch"
    momentum: Rate = 0.9  # weight of the old running statistics in an update
    activation: Activation = choice(ACTIVATIONS, "gelu")
    output: Output = choice(OUTPUTS, "sigmoid")
    output_bias: float = 0.0  # initial value of the last bias
    init_scale: NonNegative = 0.0  # kernels from U(±this); 0: U(±1/√fan_in)
    num_classes: int = given(0)
    axis_name: str | None = given(None)

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], train: bool = True, labels: Labels = None
    ) -> Float[Array, "B ..."]:
        init = uniform_init(self.init_scale)
        if self.num_classes:
            z = WithLabel(self.num_classes)(z, labels)
        for features in self.hidden:
            # BatchNorm has a bias of its own and would cancel this one.
            z = nn.Dense(features, self.norm == "none", kernel_init=init)(z)
            if self.norm == "batch":
                z = Norm(self.momentum, axis_name=self.axis_name)(z, train)
            z = self.activation(z)
        bias_init = nn.initializers.constant(self.output_bias)
        last = nn.Dense(prod(self.image_shape), kernel_init=init, bias_init=bias_init)
        return self.output.activation(last(z)).reshape(-1, *self.image_shape)


class Discriminator(nn.Module):
    """Images [B, ...] -> logits [B]."""

    hidden: Widths = (512, 256, 128, 64, 32)
    norm: Literal["none", "batch"] = "none"
    momentum: Rate = 0.9
    activation: Activation = choice(ACTIVATIONS, "gelu")
    dropout: Rate = 0.0
    softmax: bool = False  # over two classes, real and generated
    init_scale: NonNegative = 0.0
    num_classes: int = given(0)
    axis_name: str | None = given(None)

    @nn.compact
    def __call__(
        self, x: Float[Array, "B ..."], train: bool = True, labels: Labels = None
    ) -> Float[Array, " B"]:
        init = uniform_init(self.init_scale)
        x = x.reshape(x.shape[0], -1)
        for features in self.hidden:
            x = nn.Dense(features, self.norm == "none", kernel_init=init)(x)
            if self.norm == "batch":
                x = Norm(self.momentum, axis_name=self.axis_name)(x, train)
            x = self.activation(x)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return Logit(self.num_classes, self.softmax, init)(x, labels)


class MaxoutDiscriminator(nn.Module):
    """Images [B, ...] -> logits [B]: the maximum of linear pieces (arXiv:1302.4389).

    The discriminator of arXiv:1406.2661 on MNIST, with the values of its code.
    """

    hidden: Widths = (240, 240)
    pieces: PositiveInt = 5
    input_dropout: Rate = 0.2
    dropout: Rate = 0.5
    softmax: bool = False
    init_scale: NonNegative = 0.005
    num_classes: int = given(0)
    axis_name: str | None = given(None)

    @nn.compact
    def __call__(
        self, x: Float[Array, "B ..."], train: bool = True, labels: Labels = None
    ) -> Float[Array, " B"]:
        init = uniform_init(self.init_scale)
        x = x.reshape(x.shape[0], -1)
        x = nn.Dropout(self.input_dropout, deterministic=not train)(x)
        for features in self.hidden:
            x = nn.Dense(features * self.pieces, kernel_init=init)(x)
            x = x.reshape(-1, features, self.pieces).max(-1)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return Logit(self.num_classes, self.softmax, init)(x, labels)
