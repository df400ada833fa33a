"""Precision and recall (arXiv:1904.06991), density and coverage (arXiv:2002.09797).

All four from three passes over squared distances: real-real and fake-fake for the
radii, real-fake for the counts.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from ganjax.metrics.intervals import normal_interval
from ganjax.metrics.pairwise import blocks, squared_distances
from ganjax.metrics.types import Estimate, FeatureSet, RealData

Array = npt.NDArray[Any]

PROTOCOLS = {
    "precision": "k=3, <=; ci: fakes as independent",
    "recall": "k=3, <=; ci: reals as independent",
    "density": "k=5, <; ci: fakes as independent",
    "coverage": "k=5, <; ci: reals as independent",
}


class Terms(NamedTuple):
    """The summands: each metric is the mean of its array."""

    precision: Array  # bool [fakes]: within the radius of some real
    recall: Array  # bool [reals]: within the radius of some fake
    density: Array  # float64 [fakes]: number of reals within whose radius it lies, / k
    coverage: Array  # bool [reals]: some fake lies within its radius


def prdc(fake: FeatureSet, real: RealData) -> dict[str, Estimate]:
    """Precision, recall, density and coverage with the test images as reals."""
    n, m, estimates = len(fake), len(real.compared), {}
    found = prdc_terms(fake.features, real.compared.features)
    for name, terms in found._asdict().items():
        value, error = float(terms.mean()), float(terms.std() / np.sqrt(len(terms)))
        largest = np.inf if name == "density" else 1.0
        low, high = normal_interval(value, error, low=0.0, high=largest)
        protocol = PROTOCOLS[name] + real.against
        estimates[name] = Estimate(value, low, high, n, m, protocol, real.features)
    return estimates


def prdc_terms(
    fake: npt.ArrayLike,
    real: npt.ArrayLike,
    k_precision: int = 3,
    k_density: int = 5,
    block: int = 1000,
) -> Terms:
    """Summands of the four metrics, of features [N, D] and [M, D].

    A radius is the distance to the k-th nearest neighbor in the own set, without the
    point itself. Precision and recall count `distance <= radius` with `k_precision`,
    density and coverage `distance < radius` with `k_density`. Precision, recall and
    coverage lie in [0, 1]; density is near 1 for equal distributions and may exceed 1.
    The coverage of a perfect sampler is 1 - prod_{i=1..k} (M - i) / (N + M - i): 0.969
    at 10,000 each. A single outlier among the reals has a large radius: noise got a
    precision of 0.3 on digits, but a coverage of 0.003.

    Raises ValueError where a set has no k-th neighbor.
    """
    fakes, reals = np.asarray(fake, np.float32), np.asarray(real, np.float32)
    k = max(k_precision, k_density)
    if min(len(reals), len(fakes)) <= k:
        raise ValueError(
            f"features: expected > {k} rows, got {fakes.shape}, {reals.shape}"
        )
    center = reals.mean(0)  # float32 distances are most precise around 0
    reals, fakes = reals - center, fakes - center
    radii_real = neighbor_distances(reals, k, block)
    small, large = radii_real[:, k_precision - 1], radii_real[:, k_density - 1]
    radii_fake = neighbor_distances(fakes, k_precision, block)[:, -1]
    columns, limits = jnp.asarray(fakes), jnp.asarray(radii_fake)
    hit, balls = np.zeros(len(fakes), np.bool_), np.zeros(len(fakes), np.int64)
    found = []
    for first, rows in blocks(reals, block):
        own = np.stack([small[first : first + block], large[first : first + block]])
        short = len(rows) - own.shape[1]
        radii = np.pad(own, ((0, 0), (0, short)), constant_values=-1.0)  # of padding
        near, inside, of_reals = _cross_pass(rows, columns, radii, limits)
        hit |= np.asarray(near)
        balls += np.asarray(inside)
        found.append(np.asarray(of_reals))
    recall, coverage = np.concatenate(found, axis=1)[:, : len(reals)]
    return Terms(hit, recall, balls / k_density, coverage)


def neighbor_distances(features: Array, k: int, block: int = 1000) -> Array:
    """float32 [N, k]: ascending squared distances to the nearest other rows."""
    columns = jnp.asarray(features)
    parts = [_own_pass(x, columns, i, k) for i, x in blocks(features, block)]
    return np.concatenate([np.asarray(part) for part in parts])[: len(features)]


@partial(jax.jit, static_argnames="k")
def _own_pass(rows: jax.Array, columns: jax.Array, first: int, k: int) -> jax.Array:
    own = jnp.arange(len(columns))[None] == first + jnp.arange(len(rows))[:, None]
    distances = jnp.where(own, jnp.inf, squared_distances(rows, columns))
    return -jax.lax.top_k(-distances, k)[0]


@jax.jit
def _cross_pass(
    reals: jax.Array, fakes: jax.Array, radii: jax.Array, limits: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The counts of one block of reals with radii [2, rows].

    Returns precision bool [fakes]; the number of these reals within whose radius each
    fake lies, int32 [fakes]; recall and coverage bool [2, rows].
    """
    distances = squared_distances(reals, fakes)
    small, large = radii[0][:, None], radii[1][:, None]
    inside = distances < large
    found = jnp.stack([(distances <= limits[None]).any(1), inside.any(1)])
    return (distances <= small).any(0), inside.sum(0), found
