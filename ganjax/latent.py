"""Points, paths, projections and directions in the space of a generator's z.

For GANs from noise to images, `ganjax.gans.Standard`. Classes of a class-conditional
GAN are points, too: the generator sees a label's embedding, and a mixture of classes
is the weighted mean of embeddings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt8

from ganjax.errors import UserError
from ganjax.gan import Variables
from ganjax.gans.standard import Standard
from ganjax.models.stylegan import MAPPING_RATE
from ganjax.sampling import BLOCK

Path = Callable[[jax.Array, jax.Array, float], jax.Array]


class Points(NamedTuple):
    """What N images are made of."""

    z: Float[Array, "N Z"]
    classes: Float[np.ndarray, "N K"] | None = None  # weights; None: unconditional


# -- points and images -----------------------------------------------------------------


def draw(gan: Standard, key: Key[Array, ""], num: int) -> Float[Array, "num Z"]:
    """The z of the images that `ganjax.sample` returns for this key and number."""
    block = min(num, BLOCK)
    keys = [jax.random.fold_in(key, i) for i in range(-(-num // block))]
    z = jnp.concatenate([gan.prior.sample(k, block) for k in keys])[:num]
    return gan.sample_scale * z


def one_hot(gan: Standard, labels: Int[np.ndarray, " N"] | None) -> Any:
    """Labels as weights float32 [N, K]; None for an unconditional GAN."""
    if labels is None:
        return None
    return np.eye(gan.num_classes, dtype=np.float32)[labels]


@partial(jax.jit, static_argnames="gan")
def decode(
    gan: Standard, g: Variables, z: Float[Array, "N Z"], labels: Array | None = None
) -> UInt8[Array, "N ..."]:
    """Images of z."""
    return gan.export(gan.decode(g, z, labels))


def decode_points(gan: Standard, g: Variables, points: Points) -> np.ndarray:
    """Images uint8 [N, H, W, C] of points, whose classes may be mixtures."""
    if points.classes is None:
        return np.asarray(decode(gan, g, points.z))
    mixed, variables = mix_classes(gan, g, points.classes)
    return np.asarray(decode(mixed, variables, points.z, jnp.arange(len(points.z))))


def mix_classes(
    gan: Standard, g: Variables, weights: Float[np.ndarray, "N K"]
) -> tuple[Standard, Variables]:
    """A generator of N classes, each a mixture of the K classes of this one.

    Class n is the embedding ∑ weights[n, k] embedding[k]; nothing else differs.

    Raises:
      UserError: the generator does not have one embedding of its labels.
    """

    found = []

    def mix(path: Any, x: Array) -> Array:
        if path[-1].key != "embedding":
            return x
        found.append(path)
        # By NumPy: accelerators round the factors of products.
        return jnp.asarray(weights @ np.asarray(x))

    params = jax.tree_util.tree_map_with_path(mix, g["params"])
    if len(found) != 1:
        raise UserError(
            "config.generator: expected one label embedding, whose values can be mixed"
        )
    num = len(weights)
    generator = gan.generator.clone(num_classes=num)
    mixed = dataclasses.replace(gan, generator=generator, num_classes=num)
    return mixed, {**g, "params": params}


# -- paths -----------------------------------------------------------------------------


def lerp(a: Float[Array, "N Z"], b: Float[Array, "N Z"], t: float) -> jax.Array:
    """From a to b along a line: shorter than both in the middle."""
    return (1 - t) * a + t * b


def slerp(a: Float[Array, "N Z"], b: Float[Array, "N Z"], t: float) -> jax.Array:
    """From a to b along a great circle, while the norm goes from one to the other.

    Samples of a Gaussian have nearly equal norms, so that all of the path is as likely
    as its ends (arXiv:1609.04468). Exactly a at t = 0 and b at t = 1.
    """
    norm_a, norm_b = (jnp.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))
    dot = jnp.sum(a * b, -1, keepdims=True)
    angle = jnp.arccos(jnp.clip(dot / (norm_a * norm_b), -1.0, 1.0))
    sine, norm = jnp.sin(angle), (1 - t) * norm_a + t * norm_b
    left = norm / norm_a * jnp.sin((1 - t) * angle) / sine
    right = norm / norm_b * jnp.sin(t * angle) / sine
    # Parallel vectors have no great circle, or infinitely many; 0 has no direction.
    return jnp.where(sine > 1e-4, left * a + right * b, lerp(a, b, t))


PATHS: dict[str, Path] = {"slerp": slerp, "lerp": lerp}


def interpolate(
    gan: Standard,
    g: Variables,
    ends: tuple[Points, Points],
    steps: int,
    path: Path = slerp,
) -> np.ndarray:
    """Images between two points, uint8 [steps, N, H, W, C].

    The first are those of the first point; those of the second would come next. Classes
    are mixed in proportion.
    """
    a, b = ends
    frames = []
    for i in range(steps):
        t = i / steps
        classes = None
        if a.classes is not None and b.classes is not None:
            classes = np.float32(1 - t) * a.classes + np.float32(t) * b.classes
        frames.append(decode_points(gan, g, Points(path(a.z, b.z, t), classes)))
    return np.stack(frames)


def walk(
    gan: Standard, g: Variables, points: Points, steps: int, path: Path = slerp
) -> np.ndarray:
    """Images on the way from each point to the next, uint8 [N, steps + 1, H, W, C].

    The last point is followed by the first. Rows start and end with the images of their
    points.
    """
    following = jax.tree.map(lambda x: np.roll(x, -1, axis=0), points)
    frames = interpolate(gan, g, (points, following), steps, path).swapaxes(0, 1)
    return np.concatenate([frames, np.roll(frames[:, :1], -1, axis=0)], axis=1)


def morph(
    gan: Standard,
    g: Variables,
    z: Float[Array, "N Z"],
    labels: Int[np.ndarray, " L"],
    steps: int,
) -> np.ndarray:
    """Images of each z on the way from each class to the next, [L, steps + 1, N, ...].

    The last class is followed by the first. z stays the same.
    """

    def at(label: int) -> Points:
        return Points(z, one_hot(gan, np.full(len(z), label)))

    pairs = zip(labels, np.roll(labels, -1), strict=True)
    legs = np.stack([interpolate(gan, g, (at(a), at(b)), steps) for a, b in pairs])
    return np.concatenate([legs, np.roll(legs[:, :1], -1, axis=0)], axis=1)


# -- directions ------------------------------------------------------------------------


class Directions(NamedTuple):
    """Directions in which z changes the generator's first layer most."""

    vectors: np.ndarray  # float32 [Z, Z]: orthonormal rows, the strongest first
    strengths: np.ndarray  # float32 [Z]: change of the layer's output per unit


def directions(gan: Standard, g: Variables) -> Directions:
    """Singular vectors of the first dense layer (SeFa, arXiv:2007.06600).

    The sign of each is such that its largest number is positive.

    Raises:
      UserError: the generator has no dense layer that z is the input of.
    """
    z_dim = gan.prior.z_dim
    params, nothing = g["params"], {"kernel": np.zeros((0, 0))}
    mapping = params.get("mapping", {})  # of StyleGAN2
    first = params.get("Dense_0") or mapping.get("EqualDense_0") or nothing
    kernel = np.asarray(first["kernel"])
    if len(kernel) != z_dim * (1 + bool(gan.num_classes)):
        raise UserError("config.generator: expected a dense layer of z as its first")
    if mapping:
        kernel = kernel * (MAPPING_RATE / len(kernel) ** 0.5)  # as the layer has it
    kernel = kernel[:z_dim]  # the other rows are for the embedding of the label
    wide = kernel.shape[1] >= z_dim  # the factor of its columns can be left out
    vectors, strengths, _ = np.linalg.svd(kernel, full_matrices=not wide)
    vectors, missing = vectors.T, z_dim - len(strengths)
    largest = np.abs(vectors).argmax(1)
    signs = np.sign(vectors[np.arange(z_dim), largest])
    return Directions(vectors * signs[:, None], np.pad(strengths, (0, missing)))
