"""Projection of images into the space of z: which z generates an image most closely.

A problem of least squares, solved by the method of Levenberg and Marquardt, which needs
tens of steps where Adam needs thousands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Key, UInt8

from ganjax.gan import Variables
from ganjax.gans.standard import Standard
from ganjax.images import normalize
from ganjax.latent import decode
from ganjax.sampling import BLOCK, blocks

AT_ONCE = 8  # starts whose derivatives are in memory together
IMAGES = 64  # that are projected in one call


@dataclass(frozen=True)
class Search:
    """How z is searched for, and how likely it has to be."""

    pool: int = 2000  # random z, of which the nearest to an image are its starts
    starts: int = 4  # for each image
    steps: int = 30
    # Standard deviation of Gaussian noise on pixels, in gray levels of 255, that the
    # image is assumed to have. With less, z of images that the generator can't make
    # is far outside of the prior.
    noise: float = 10.0


class Projection(NamedTuple):
    """The z that were found for N images, and the way there."""

    z: Any  # float32 [N, Z]
    labels: Any  # int32 [N]; None: unconditional
    rms: Any  # float32 [N]: difference to the image, in gray levels of 255
    path: Any  # float32 [N, steps + 1, Z]: z from the start to the end


def project(
    gan: Standard,
    g: Variables,
    images: UInt8[np.ndarray, "N ..."],
    key: Key[Array, ""],
    labels: np.ndarray | None = None,
    search: Search = Search(),  # noqa: B008
) -> Projection:
    """The z that minimizes ‖G(z) − x‖² / noise² + ‖z‖² for each image x.

    That is the most probable z of an image with Gaussian noise, under a Gaussian prior;
    of the local minima that are reached from several starts, the best.

    Args:
      gan: from `make_gan`.
      g: variables of its generator.
      images: of the GAN's shape.
      key: typed PRNG key [] of the random z.
      labels: the images' classes, int [N]. Default: of a class-conditional GAN those of
        the starts, so that they are searched for, too.
      search: how to search.
    """
    pool = np.asarray(gan.prior.sample(key, search.pool))
    classes = gan.condition(search.pool)
    generated = decode_blocks(gan, g, pool, classes)
    found = []
    for rows in blocks(len(images), IMAGES):
        distances = squared_distances(images[rows], generated)
        if labels is not None and classes is not None:
            distances[labels[rows][:, None] != classes] = np.inf
        nearest = np.argsort(distances, axis=1)[:, : search.starts]
        part = None if classes is None else jnp.asarray(classes[nearest])
        block, starts = jnp.asarray(images[rows]), jnp.asarray(pool[nearest])
        found.append(minimize(gan, g, block, (starts, part), search))
    parts = jax.device_get(found)
    return jax.tree.map(lambda *x: np.concatenate(x)[: len(images)], *parts)


def decode_blocks(
    gan: Standard, g: Variables, z: np.ndarray, labels: np.ndarray | None
) -> np.ndarray:
    """Images uint8 [N, ...] of many z [N, Z], some at a time."""
    parts = []
    for rows in blocks(len(z), BLOCK):
        part = None if labels is None else jnp.asarray(labels[rows])
        parts.append(np.asarray(decode(gan, g, jnp.asarray(z[rows]), part)))
    return np.concatenate(parts)[: len(z)]


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """‖a − b‖² of images uint8 [N, ...] and [M, ...], float32 [N, M]."""
    x, y = (i.reshape(len(i), -1).astype(np.float32) for i in (a, b))
    return (x**2).sum(1)[:, None] - 2 * x @ y.T + (y**2).sum(1)


@partial(jax.jit, static_argnames=("gan", "search"))
def minimize(
    gan: Standard,
    g: Variables,
    images: UInt8[Array, "N ..."],
    starts: tuple[Float[Array, "N S Z"], Array | None],
    search: Search,
) -> Projection:
    """The best minimum for each image from S starts, which are z and labels [N, S]."""
    z, labels = starts
    num, per_image = z.shape[:2]
    low, high = gan.pixel_range
    levels = 255 / (high - low)
    targets = normalize(images, gan.pixel_range).reshape(num, -1)

    def descend(start: tuple[Array, ...]) -> tuple[Array, Array, Array]:
        z, target, *label = start

        def residuals(z: Float[Array, " Z"]) -> Float[Array, " P"]:
            one = None if not label else label[0][None]
            return (gan.decode(g, z[None], one).reshape(-1) - target) * levels

        path = levenberg_marquardt(residuals, z, search.noise**2, search.steps)
        squares = jnp.sum(residuals(path[-1]) ** 2)
        value = squares / search.noise**2 + jnp.sum(path[-1] ** 2)
        return path, value, jnp.sqrt(squares / target.size)

    flat = [z.reshape(-1, z.shape[-1]), jnp.repeat(targets, per_image, axis=0)]
    if labels is not None:
        flat.append(labels.reshape(-1))
    results = lax.map(descend, tuple(flat), batch_size=AT_ONCE)
    path, value, rms = (x.reshape(num, per_image, *x.shape[1:]) for x in results)
    best = jnp.arange(num), value.argmin(1)
    chosen = None if labels is None else labels[best]
    return Projection(path[best][:, -1], chosen, rms[best], path[best])


def levenberg_marquardt(
    residuals: Any, z: Float[Array, " Z"], weight: float, steps: int
) -> Float[Array, "steps+1 Z"]:
    """The path to a local minimum of ‖residuals(z)‖² + weight ‖z‖².

    The damping falls after a step that lowers the sum and rises after one that would
    not, which is not done.
    """

    def value(z: Array) -> Array:
        return jnp.sum(residuals(z) ** 2) + weight * jnp.sum(z**2)

    def jacobian(z: Array) -> tuple[Array, Array]:
        """Residuals [P] and their derivatives [Z, P].

        By reverse mode alone, which is all that matrix products of convolutions have:
        the transpose of the transpose.
        """
        r, transpose = jax.vjp(residuals, z)
        _, forward = jax.vjp(lambda y: transpose(y)[0], jnp.zeros_like(r))
        return r, jax.vmap(lambda v: forward(v)[0])(jnp.eye(len(z)))

    def step(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Array]:
        z, damping = carry
        r, derivatives = jacobian(z)
        matrix = jnp.dot(derivatives, derivatives.T, precision="highest") + (
            weight + damping
        ) * jnp.eye(len(z))
        gradient = derivatives @ r + weight * z
        new = z - jnp.linalg.solve(matrix, gradient)
        better = value(new) < value(z)
        z = jnp.where(better, new, z)
        return (z, jnp.where(better, damping / 3, damping * 4)), z

    r, derivatives = jacobian(z)
    damping = jnp.sum(derivatives**2) / len(z) / 10  # of the order of the matrix
    _, path = lax.scan(step, (z, damping), length=steps)
    return jnp.concatenate([z[None], path])
