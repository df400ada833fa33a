"""Fully connected pair: the networks of 2014, in today's spelling."""

from math import prod

import jax
from flax import linen as nn

from ganjax.models.layers import ACTIVATIONS, OUTPUTS, Norm


class Generator(nn.Module):
    """float32 [B, z_dim] -> float32 [B, H, W, C] in the range of `output`."""

    image_shape: tuple[int, int, int]
    hidden: tuple[int, ...] = (128, 256, 512, 1024)
    norm: str = "batch"
    momentum: float = 0.9
    activation: str = "gelu"
    output: str = "sigmoid"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, train: bool = True) -> jax.Array:
        for features in self.hidden:
            z = nn.Dense(features, use_bias=self.norm == "none")(z)
            z = Norm(self.norm, self.momentum, self.axis_name)(z, train)
            z = ACTIVATIONS[self.activation](z)
        x = OUTPUTS[self.output](nn.Dense(prod(self.image_shape))(z))
        return x.reshape(-1, *self.image_shape)


class Discriminator(nn.Module):
    """float32 [B, H, W, C] -> logits float32 [B]."""

    hidden: tuple[int, ...] = (512, 256, 128, 64, 32)
    norm: str = "none"
    momentum: float = 0.9
    activation: str = "gelu"
    dropout: float = 0.0
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = True) -> jax.Array:
        x = x.reshape(x.shape[0], -1)
        for features in self.hidden:
            x = nn.Dense(features, use_bias=self.norm == "none")(x)
            x = Norm(self.norm, self.momentum, self.axis_name)(x, train)
            x = ACTIVATIONS[self.activation](x)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(1)(x)[:, 0]
