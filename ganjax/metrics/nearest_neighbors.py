"""Memorization test: nearest training images of generated images, in pixels.

Held-out images are as far from the training set as new images from a perfect generator.
Smaller distances mean copies or blur: smooth images are close to everything, so look at
the pairs.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from ganjax.metrics.intervals import normal_interval
from ganjax.metrics.pairwise import blocks, squared_distances
from ganjax.metrics.types import PIXELS, Estimate, FeatureSet, RealData

Array = npt.NDArray[Any]

NUM_IMAGES = 1000  # of each kind
NEIGHBORS = 5  # the metric needs one, the figure shows all
PROTOCOL = "median distance to train, fake / test (< 1 copies); ci: bootstrap, fakes"


class Neighbors(NamedTuple):
    """Per query, nearest first."""

    indices: Array  # int64 [N, k] into the references
    distances: Array  # float64 [N, k], L2 with pixels in [0, 1]


class Memorization(NamedTuple):
    """Nearest training images of generated and of held-out images."""

    images: Array  # uint8 [N, ...]: the generated ones
    fake: Neighbors
    heldout: Neighbors
    ratio: float  # of median distances, fake over held-out: 1 for new images, 0 copies


def nearest_neighbors(fake: FeatureSet, real: RealData) -> dict[str, Estimate]:
    """The ratio of `memorization_test`, with even test images as held-out images.

    The estimate's details are the `Memorization`.
    """
    images, heldout = _spread(fake.images), _spread(real.test.images[::2])
    result = memorization_test(images, real.train.images, heldout, NEIGHBORS)
    distances = result.fake.distances[:, 0]
    rng = np.random.default_rng(0)
    draws = rng.choice(distances, (500, len(distances)))
    scale = np.median(result.heldout.distances[:, 0])
    error = float(np.median(draws, 1).std() / scale)
    low, high = normal_interval(result.ratio, error, low=0.0)
    n, m = len(images), len(real.train)
    estimate = Estimate(result.ratio, low, high, n, m, PROTOCOL, PIXELS, result)
    return {"memorization": estimate}


def memorization_test(
    fake: npt.ArrayLike, train: npt.ArrayLike, heldout: npt.ArrayLike, k: int = 1
) -> Memorization:
    """Nearest of `train` to `fake` and to `heldout` (not in it), uint8 [N, ...]."""
    fake, heldout = np.asarray(fake), np.asarray(heldout)
    found = find_neighbors(np.concatenate([fake, heldout]), train, k)
    near, base = (
        Neighbors(found.indices[rows], found.distances[rows])
        for rows in (slice(len(fake)), slice(len(fake), None))
    )
    median = float(np.median(base.distances[:, 0]))
    ratio = float(np.median(near.distances[:, 0])) / median if median else float("nan")
    return Memorization(fake, near, base, ratio)


def find_neighbors(
    queries: npt.ArrayLike, references: npt.ArrayLike, k: int = 1, block: int = 250
) -> Neighbors:
    """Nearest of uint8 images [M, ...] to uint8 images [N, ...] by L2 over pixels.

    Candidates from float32 products, distances from the differences: that of a copy is
    exactly 0. Raises ValueError on another type.
    """
    x, y = _rows(queries), _rows(references)
    scaled = y.astype(np.float32) / 255.0
    origin = scaled.mean(0)
    columns = jnp.asarray(scaled - origin)
    found = [
        _nearest(rows.astype(np.float32) / 255.0 - origin, columns, k)
        for _, rows in blocks(x, block)
    ]
    indices = np.concatenate([np.asarray(i, np.int64) for i in found])[: len(x)]
    distances = np.empty(indices.shape)
    for rank in range(k):
        gap = x.astype(np.int32) - y[indices[:, rank]]
        distances[:, rank] = np.sqrt((gap**2).sum(1)) / 255.0
    return Neighbors(indices, distances)


@partial(jax.jit, static_argnames="k")
def _nearest(rows: jax.Array, columns: jax.Array, k: int) -> jax.Array:
    distances = squared_distances(rows, columns)
    if k == 1:
        return distances.argmin(1)[:, None]
    return jax.lax.top_k(-distances, k)[1]


def _rows(images: npt.ArrayLike) -> Array:
    images = np.asarray(images)
    if images.dtype != np.uint8 or len(images) == 0:
        raise ValueError(
            f"images: expected uint8 [N >= 1, ...], got {images.dtype} {images.shape}"
        )
    return images.reshape(len(images), -1)


def _spread(images: Array) -> Array:
    """At most `NUM_IMAGES` at equal spacing: the set may be sorted by label."""
    num = min(NUM_IMAGES, len(images))
    return images[np.linspace(0, len(images) - 1, num).astype(np.int64)]
