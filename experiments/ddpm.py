"""A DDPM of 28x28 images with a U-Net (arXiv:1505.04597) sized for a CPU."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from experiments.diffusion import (
    RANGE,
    Predict,
    Sampler,
    Schedule,
    bound_terms,
    cosine_schedule,
    generate,
    prior_kl,
    squared_errors,
)
from ganjax.images import denormalize, normalize
from ganjax.models.layers import Conv, ConvTranspose

Params = Any


def time_features(t: jax.Array, num: int = 32) -> jax.Array:
    """Sines and cosines of t in [0, 1], float32 [B] -> [B, num]."""
    frequencies = jnp.geomspace(1.0, 1000.0, num // 2)
    angles = t[:, None] * frequencies[None]
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


class UNet(nn.Module):
    """x_t [B, 28, 28, 1] and t / T [B] -> [B, 28, 28, 1].

    Two strided convolutions down, as in the GAN's discriminator, residual blocks and a
    dense layer on the 7x7 feature map, two up, as in its generator, and a connection
    across at 14x14. Time scales and shifts each feature map.
    """

    channels: tuple[int, int] = (16, 32)
    blocks: int = 2
    hidden: int = 128
    conv: str = "matmul"

    @nn.compact
    def __call__(self, x: jax.Array, t: jax.Array) -> jax.Array:
        zeros = nn.initializers.zeros
        fine, coarse = self.channels
        time = nn.silu(nn.Dense(self.hidden)(time_features(t)))

        def modulate(h: jax.Array) -> jax.Array:
            both = nn.Dense(2 * h.shape[-1], kernel_init=zeros)(time)
            scale, shift = jnp.split(both[:, None, None], 2, -1)
            return nn.silu(h * (1 + scale) + shift)

        across = modulate(Conv(fine, 4, 2, self.conv)(x))
        h = modulate(Conv(coarse, 4, 2, self.conv)(across))
        for _ in range(self.blocks):
            inner = modulate(Conv(coarse, 3, 1, self.conv)(h))
            h += Conv(coarse, 3, 1, self.conv, kernel_init=zeros)(inner)
        inner = nn.Dense(self.hidden)(h.reshape(len(h), -1))
        inner = nn.silu(inner + nn.Dense(self.hidden)(time))
        h += nn.Dense(h[0].size, kernel_init=zeros)(inner).reshape(h.shape)
        h = modulate(ConvTranspose(fine, 4, 2, self.conv)(nn.silu(h)))
        h = jnp.concatenate([h, across], -1)
        return ConvTranspose(1, 4, 2, self.conv, kernel_init=zeros)(h)


@dataclass(frozen=True)
class Ddpm:
    """Functions of parameters; images are uint8 [B, 28, 28, 1]."""

    num_steps: int = 1000
    network: UNet = UNet()

    @property
    def schedule(self) -> Schedule:
        return cosine_schedule(self.num_steps)

    def init(self, key: jax.Array) -> Params:
        return self.network.init(key, jnp.zeros((1, 28, 28, 1)), jnp.zeros(1))

    def predictor(self, params: Params, clip: bool = True) -> Predict:
        """ε from x_t and t; with `clip` such that x_0 is in [-1, 1].

        The network's output is v = signal ε - noise x_0 (arXiv:2202.00512), of which ε
        is a function: a network that gives 0 then predicts ε as noise x_t, the best
        linear prediction for data of unit variance.
        """

        def predict(xt: jax.Array, t: jax.Array) -> jax.Array:
            v: Any = self.network.apply(params, xt, t / self.num_steps)
            signal, noise = self.schedule.at(t, xt)
            if not clip:
                return noise * xt + signal * v
            x0 = jnp.clip(signal * xt - noise * v, *RANGE)
            return (xt - signal * x0) / noise

        return predict

    def loss(self, params: Params, images: jax.Array, key: jax.Array) -> jax.Array:
        """The squared error of ε at random times, float32 []."""
        t_key, key = jax.random.split(key)
        x0 = normalize(images, RANGE)
        t = self.random_times(t_key, len(x0))
        eps = jax.random.normal(key, x0.shape)
        predict = self.predictor(params, clip=False)
        return jnp.mean(squared_errors(predict, self.schedule, x0, t, eps))

    def random_times(self, key: jax.Array, num: int) -> jax.Array:
        """int32 [num] in 1..T, each uniform, and one in each num-th of the range.

        That makes the loss vary less than independent times: arXiv:2107.00630.
        """
        u = (jnp.arange(num) + jax.random.uniform(key, (num,))) / num
        return 1 + jnp.floor(u * self.num_steps).astype(jnp.int32)

    def sample(
        self, params: Params, sampler: Sampler, key: jax.Array, num: int
    ) -> jax.Array:
        """uint8 [num, 28, 28, 1]."""
        start, key = jax.random.split(key)
        xT = jax.random.normal(start, (num, 28, 28, 1))
        x0 = generate(self.predictor(params), self.schedule, sampler, xT, key)
        return denormalize(x0, RANGE)

    def bound(
        self, params: Params, images: jax.Array, t: jax.Array, key: jax.Array
    ) -> jax.Array:
        """An unbiased estimate of the bound per image for uniform t, float32 [B]."""
        eps = jax.random.normal(key, images.shape)
        predict, schedule = self.predictor(params), self.schedule
        terms = bound_terms(predict, schedule, images, t, eps)
        return self.num_steps * terms + prior_kl(schedule, images)
