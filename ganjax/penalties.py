"""Discriminator penalties: `f(d_fn, real, fake, key) -> [B]`, per sample.

`d_fn` maps images [B, ...] to logits [B]; `real` and `fake` are float32 in the
generator's range; `key` is for the penalties that interpolate. The discriminator's loss
adds the mean of the result, times the configured weight.

Each per-sample gradient is one `jax.vjp` with unit cotangents. That is right only where
a sample's logit depends on that sample alone, so a penalized discriminator can't have
BatchNorm (`Standard` refuses it). Where it depends on a group of samples, as in
models/stylegan_discriminator.py, the gradient is that of the sum of the group's logits.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ganjax.errors import choose
from ganjax.optim import Number, Schedule
from ganjax.options import convert

Images = Float[Array, "B ..."]
PerSample = Float[Array, " B"]

DiscriminatorFn = Callable[[jax.Array], jax.Array]
PenaltyFn = Callable[[DiscriminatorFn, jax.Array, jax.Array, jax.Array], jax.Array]


def squared_gradient_norm(d_fn: DiscriminatorFn, images: Images) -> PerSample:
    """‖∇D(x)‖² for each image, over all pixels together: [B, …] -> [B]."""
    logits, vjp = jax.vjp(d_fn, images)
    (gradient,) = vjp(jnp.ones_like(logits))
    return jnp.sum(gradient**2, axis=range(1, gradient.ndim))


def r1(
    d_fn: DiscriminatorFn, real: Images, fake: Images, key: Key[Array, ""]
) -> PerSample:
    """½ ‖∇D(x)‖² on real data, arXiv:1801.04406, equation 9."""
    return squared_gradient_norm(d_fn, real) / 2


def r2(
    d_fn: DiscriminatorFn, real: Images, fake: Images, key: Key[Array, ""]
) -> PerSample:
    """½ ‖∇D(G(z))‖² on generated data, arXiv:1801.04406, equation 10."""
    return squared_gradient_norm(d_fn, fake) / 2


def r1_r2(
    d_fn: DiscriminatorFn, real: Images, fake: Images, key: Key[Array, ""]
) -> PerSample:
    """R1 + R2 (arXiv:2501.05441) from one vjp: larger matrix products, fewer of them.

    The gradient is taken on real and fake stacked, the same batch whose logits the loss
    needs, so that the compiler shares the forward pass.
    """
    both = squared_gradient_norm(d_fn, jnp.concatenate([real, fake]))
    return (both[: len(real)] + both[len(real) :]) / 2


def unit_gradient_norm(d_fn: DiscriminatorFn, images: Images) -> PerSample:
    """(‖∇D(x)‖ − 1)² for each image; the norm is over all pixels together."""
    # The root has no derivative at zero, where a newly initialized D may be.
    return (jnp.sqrt(squared_gradient_norm(d_fn, images) + 1e-12) - 1) ** 2


def wgan_gp(
    d_fn: DiscriminatorFn, real: Images, fake: Images, key: Key[Array, ""]
) -> PerSample:
    """(‖∇D(x̂)‖ − 1)², x̂ between real and fake: arXiv:1704.00028, equation 3."""
    t = jax.random.uniform(key, (len(real),) + (1,) * (real.ndim - 1))
    return unit_gradient_norm(d_fn, t * real + (1 - t) * fake)


def dragan(
    d_fn: DiscriminatorFn, real: Images, fake: Images, key: Key[Array, ""]
) -> PerSample:
    """(‖∇D(x̂)‖ − 1)², x̂ around real data only: arXiv:1705.07215, section 2.3.

    The neighborhood is that of the authors' code: uniform noise of up to half the
    batch's standard deviation, times a uniform number per sample.
    """
    noise_key, scale_key = jax.random.split(key)
    noise = jax.random.uniform(noise_key, real.shape) * jnp.std(real) / 2
    scale = jax.random.uniform(scale_key, (len(real),) + (1,) * (real.ndim - 1))
    return unit_gradient_norm(d_fn, real + scale * noise)


PENALTIES: dict[str, PenaltyFn] = {
    "dragan": dragan,
    "r1": r1,
    "r1_r2": r1_r2,
    "r2": r2,
    "wgan_gp": wgan_gp,
}


class Penalty(NamedTuple):
    """A penalty with its weight in the discriminator's loss."""

    name: str  # of its metric
    fn: PenaltyFn
    weight: float | Schedule


def make_penalties(weights: Mapping[str, Any]) -> tuple[Penalty, ...]:
    """The penalties of positive weight, in alphabetical order."""
    penalties = [
        Penalty(
            name,
            choose(PENALTIES, name, "config.penalties"),
            convert(weight, Number, f"config.penalties.{name}"),
        )
        for name, weight in weights.items()
    ]
    return tuple(sorted((p for p in penalties if p.weight), key=lambda p: p.name))
