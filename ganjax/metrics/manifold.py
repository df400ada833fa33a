"""Precision and recall (arXiv:1904.06991), density and coverage (arXiv:2002.09797).

All four from three passes over squared distances: real-real and fake-fake for the
radii, real-fake for the counts. Blocks of rows against all columns, so that 10k x 10k
holds 40 MB at a time.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Manifold(NamedTuple):
    """The summands: each metric is the mean of its array."""

    precision: Array  # bool [fakes]: within the radius of some real
    recall: Array  # bool [reals]: within the radius of some fake
    density: Array  # float64 [fakes]: how many reals' balls hold it, over k
    coverage: Array  # bool [reals]: its ball holds some fake


def manifold_scores(
    real: npt.ArrayLike,
    fake: npt.ArrayLike,
    k_precision: int = 3,
    k_density: int = 5,
    block: int = 1000,
) -> Manifold:
    """Of features [N, D] and [M, D].

    A radius is the distance to the k-th neighbour in the own set, without itself.
    Precision and recall count `distance <= radius` with `k_precision`, density and
    coverage `distance < radius` with `k_density`. Precision, recall and coverage lie in
    [0, 1]; density is near 1 for equal distributions and may be above it. One outlier
    among the reals has a ball that holds much: noise got a precision of .3 on digits,
    but a coverage of .003.
    Raises ValueError where a set has no k-th neighbour.
    """
    reals, fakes = np.asarray(real, np.float32), np.asarray(fake, np.float32)
    k = max(k_precision, k_density)
    if reals.ndim != 2 or fakes.ndim != 2 or reals.shape[1] != fakes.shape[1]:
        raise ValueError(f"need [N, D] and [M, D], got {reals.shape} and {fakes.shape}")
    if min(len(reals), len(fakes)) <= k:
        raise ValueError(f"need {k + 1} features a side: {len(reals)}, {len(fakes)}")
    centre = reals.mean(0)  # float32 distances lose least around 0
    reals, fakes = reals - centre, fakes - centre
    radii_real = neighbour_distances(reals, k, block)
    small, large = radii_real[:, k_precision - 1], radii_real[:, k_density - 1]
    radii_fake = neighbour_distances(fakes, k_precision, block)[:, -1]
    columns, limits = jnp.asarray(fakes), jnp.asarray(radii_fake)
    hit, balls = np.zeros(len(fakes), np.bool_), np.zeros(len(fakes), np.int64)
    found = []
    for first, rows in blocks(reals, block):
        own = np.stack([small[first : first + block], large[first : first + block]])
        short = len(rows) - own.shape[1]
        radii = np.pad(own, ((0, 0), (0, short)), constant_values=-1.0)  # no ball
        near, inside, of_reals = _cross_pass(rows, columns, radii, limits)
        hit |= np.asarray(near)
        balls += np.asarray(inside)
        found.append(np.asarray(of_reals))
    recall, coverage = np.concatenate(found, axis=1)[:, : len(reals)]
    return Manifold(hit, recall, balls / k_density, coverage)


def expected_coverage(num_real: int, num_fake: int, k: int = 5) -> float:
    """Coverage of a perfect sampler: 1 - prod_{i=1..k} (N - i) / (M + N - i)."""
    i = np.arange(1, k + 1)
    return float(1.0 - np.prod((num_real - i) / (num_fake + num_real - i)))


def squared_distances(a: jax.Array, b: jax.Array) -> jax.Array:
    """float32 [N, M] >= 0 of [N, D] and [M, D], by |a|^2 + |b|^2 - 2 a.b."""
    product = jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)  # no TF32, bf16
    return jnp.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2.0 * product, 0.0)


def neighbour_distances(features: Array, k: int, block: int = 1000) -> Array:
    """float32 [N, k]: ascending squared distances to the nearest others."""
    columns = jnp.asarray(features)
    parts = [_own_pass(x, columns, i, k) for i, x in blocks(features, block)]
    return np.concatenate([np.asarray(part) for part in parts])[: len(features)]


def blocks(rows: Array, size: int) -> Iterator[tuple[int, Array]]:
    """(first row, `size` rows), the last padded with zeros: one shape to compile."""
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        border = [(0, min(size, len(rows)) - len(part))] + [(0, 0)] * (rows.ndim - 1)
        yield first, np.pad(part, border)


@partial(jax.jit, static_argnames="k")
def _own_pass(rows: jax.Array, columns: jax.Array, first: int, k: int) -> jax.Array:
    own = jnp.arange(len(columns)) == first + jnp.arange(len(rows))[:, None]
    distances = jnp.where(own, jnp.inf, squared_distances(rows, columns))
    return -jax.lax.top_k(-distances, k)[0]


@jax.jit
def _cross_pass(
    reals: jax.Array, fakes: jax.Array, radii: jax.Array, limits: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Of a block of reals with radii [2, rows].

    Returns precision bool [fakes]; how many of these balls hold a fake, int32 [fakes];
    recall and coverage bool [2, rows].
    """
    distances = squared_distances(reals, fakes)
    small, large = radii[0][:, None], radii[1][:, None]
    inside = distances < large
    found = jnp.stack([(distances <= limits).any(1), inside.any(1)])
    return (distances <= small).any(0), inside.sum(0), found
