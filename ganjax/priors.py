"""Distributions of z: `f(key, shape) -> float32 array`, one draw per row."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ganjax.options import PositiveInt, choice

PriorFn = Callable[[jax.Array, tuple[int, int]], jax.Array]


def normal(key: jax.Array, shape: tuple[int, int]) -> Float[Array, "B Z"]:
    """z ~ N(0, I)."""
    return jax.random.normal(key, shape)


def uniform(key: jax.Array, shape: tuple[int, int]) -> Float[Array, "B Z"]:
    """z ~ U[−√3, √3], of unit variance, as in the code of arXiv:1406.2661."""
    return jax.random.uniform(key, shape, minval=-(3**0.5), maxval=3**0.5)


def sphere(key: jax.Array, shape: tuple[int, int]) -> Float[Array, "B Z"]:
    """Uniform on the sphere of radius √z_dim: each coordinate has variance 1."""
    z = jax.random.normal(key, shape)
    return z * (shape[-1] ** 0.5 / jnp.linalg.norm(z, axis=-1, keepdims=True))


PRIORS: dict[str, PriorFn] = {"normal": normal, "uniform": uniform, "sphere": sphere}


@dataclass(frozen=True)
class Prior:
    """The distribution of the generator's input."""

    distribution: PriorFn = choice(PRIORS, "normal")
    z_dim: PositiveInt = 32

    def sample(self, key: jax.Array, num: int) -> Float[Array, "num z_dim"]:
        """z, float32 [num, z_dim]."""
        return self.distribution(key, (num, self.z_dim))
