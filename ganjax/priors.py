"""Priors p(z): `f(key, shape) -> float32 array`, one draw per row."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

PriorFn = Callable[[jax.Array, tuple[int, int]], jax.Array]


def normal(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """z ~ N(0, I)."""
    return jax.random.normal(key, shape)


def uniform(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """z ~ U[−√3, √3], of unit variance, as in the code of arXiv:1406.2661."""
    return jax.random.uniform(key, shape, minval=-(3**0.5), maxval=3**0.5)


def sphere(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Uniform on the sphere of radius √z_dim, so that coordinates have variance 1."""
    z = jax.random.normal(key, shape)
    return z * (shape[-1] ** 0.5 / jnp.linalg.norm(z, axis=-1, keepdims=True))


PRIORS: dict[str, PriorFn] = {"normal": normal, "uniform": uniform, "sphere": sphere}
