"""Does the generator copy? Nearest training images of samples, in pixels.

A generator of fresh images is as far from the training set as held-out images are.
Closer means copies, or blur: smooth images are near everything, so look at the pairs.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from ganjax.metrics.manifold import blocks, squared_distances

Array = npt.NDArray[Any]


class Neighbours(NamedTuple):
    """Per query, nearest first."""

    indices: Array  # int64 [N, k] into the references
    distances: Array  # float64 [N, k], L2 with pixels in [0, 1]


class Memorisation(NamedTuple):
    """Nearest-training-image distances of two sets, and two summaries."""

    fake: Array  # float64 [N]
    heldout: Array  # float64 [M]
    ratio: float  # of medians, fake over held-out: 1 fresh, 0 copies
    closer: float  # P(fake < held-out) + P(equal) / 2: .5 fresh, 1 copies


def nearest_neighbours(
    queries: npt.ArrayLike, references: npt.ArrayLike, k: int = 1, block: int = 250
) -> Neighbours:
    """Of uint8 images [N, ...] among uint8 images [M, ...] by L2 over pixels.

    Candidates by float32 products, the distances from the difference itself: a copy has
    distance 0 exactly. Raises ValueError on dtype, shape or k > M.
    """
    x, y = _rows(queries), _rows(references)
    if x.shape[1] != y.shape[1] or not 1 <= k <= len(y):
        raise ValueError(f"queries {x.shape}, references {y.shape}, k {k} do not fit")
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
    return Neighbours(indices, distances)


def memorisation_test(
    fake: npt.ArrayLike, train: npt.ArrayLike, heldout: npt.ArrayLike
) -> Memorisation:
    """Distances to `train` of `fake` and of `heldout` (not in it), uint8 [N, ...]."""
    fake, heldout = np.asarray(fake), np.asarray(heldout)
    both = nearest_neighbours(np.concatenate([fake, heldout]), train)
    near, base = np.split(both.distances[:, 0], [len(fake)])
    ordered = np.sort(base)
    above = len(base) - np.searchsorted(ordered, near, side="right")
    equal = len(base) - np.searchsorted(ordered, near, side="left") - above
    closer = float((above + equal / 2).mean() / len(base))
    median = float(np.median(base))
    ratio = float(np.median(near)) / median if median > 0 else float("nan")
    return Memorisation(near, base, ratio, closer)


@partial(jax.jit, static_argnames="k")
def _nearest(rows: jax.Array, columns: jax.Array, k: int) -> jax.Array:
    distances = squared_distances(rows, columns)
    if k == 1:
        return distances.argmin(1)[:, None]
    return jax.lax.top_k(-distances, k)[1]


def _rows(images: npt.ArrayLike) -> Array:
    images = np.asarray(images)
    if images.dtype != np.uint8 or len(images) == 0:
        raise ValueError(f"need uint8 images, got {images.dtype} {images.shape}")
    return images.reshape(len(images), -1)
