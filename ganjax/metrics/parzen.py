"""Parzen-window log-likelihood as in arXiv:1406.2661 (goodfeli/adversarial).

For comparison with that paper's table only. The estimate ranks models wrongly
(arXiv:1511.01844): k-means centroids score higher than the training set.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from ganjax.metrics.intervals import normal_interval
from ganjax.metrics.pairwise import blocks, squared_distances
from ganjax.metrics.types import PIXELS, Estimate, FeatureSet, RealData

Array = npt.NDArray[np.float64]

SIGMAS = np.logspace(-1.0, 0.0, 10)  # the protocol's grid
NUM_VALIDATION = 1000
PROTOCOL = "Parzen, nats, sigma of 10 on 1000 held-out; ci: test images"


class Parzen(NamedTuple):
    """Mean in nats; the error is the standard error over test images, not seeds."""

    value: float
    standard_error: float
    sigma: float


def parzen(fake: FeatureSet, real: RealData) -> dict[str, Estimate]:
    """Log-likelihood of the test images under kernels around the generated images."""
    validation = real.train.images[real.validation_start :]
    result = parzen_log_likelihood(fake.images, validation, real.test.images)
    low, high = normal_interval(result.value, result.standard_error)
    n, m = len(fake), len(real.test)
    return {"parzen_ll": Estimate(result.value, low, high, n, m, PROTOCOL, PIXELS)}


def parzen_log_likelihood(
    centers: npt.ArrayLike, validation: npt.ArrayLike, test: npt.ArrayLike
) -> Parzen:
    """Log-likelihood of `test` under kernels at `centers` (10,000 samples, no noise).

    Images uint8 or float in [0, 1], [N, ...] with the same trailing shape. Sigma is the
    element of `SIGMAS` with the best mean on the first 1,000 of `validation`, which is
    train[50000:60000] in the protocol; of equals, the smaller.
    """
    heldout = np.asarray(validation)[:NUM_VALIDATION]
    means = log_likelihoods(centers, heldout, SIGMAS).mean(1)
    sigma = SIGMAS[int(np.argmax(means))]
    values = log_likelihoods(centers, test, [sigma])[0]
    error = values.std() / np.sqrt(len(values))
    return Parzen(float(values.mean()), float(error), float(sigma))


def log_likelihoods(
    centers: npt.ArrayLike,
    points: npt.ArrayLike,
    sigmas: npt.ArrayLike,
    block: int = 500,
) -> Array:
    """float64 [len(sigmas), points] in nats:

    log mean_i exp(-|x - center_i|^2 / 2 sigma^2) - D log(sigma sqrt(2 pi)).
    """
    means, x = _unit_rows(centers), _unit_rows(points)
    sigma = np.asarray(sigmas, np.float64)
    origin = means.mean(0)  # float32 distances are most precise around 0
    columns, scales = jnp.asarray(means - origin), jnp.asarray(1 / (2 * sigma**2))
    parts = [_log_sum(rows, columns, scales) for _, rows in blocks(x - origin, block)]
    sums = np.concatenate([np.asarray(p, np.float64) for p in parts], 1)[:, : len(x)]
    normalizer = x.shape[1] * np.log(sigma * np.sqrt(2 * np.pi)) + np.log(len(means))
    values: Array = sums - normalizer[:, None]
    return values


@jax.jit
def _log_sum(rows: jax.Array, columns: jax.Array, scales: jax.Array) -> jax.Array:
    """log sum_i exp(-scale |x - c_i|^2), float32 [scales, rows]."""
    exponents = -squared_distances(rows, columns)
    largest = exponents.max(1, keepdims=True)  # the same center for every scale

    def one(scale: jax.Array) -> jax.Array:
        total = jnp.exp(scale * (exponents - largest)).sum(1)
        return jnp.log(total) + scale * largest[:, 0]

    return jax.lax.map(one, scales)


def _unit_rows(images: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Flattened images with pixels in [0, 1]."""
    raw = np.asarray(images)
    divisor = np.float32(255.0 if raw.dtype == np.uint8 else 1.0)
    x: npt.NDArray[np.float32] = raw.reshape(len(raw), -1).astype(np.float32) / divisor
    if x.size and not (x.min() >= 0.0 and x.max() <= 1.0):
        raise ValueError(f"pixels: expected [0, 1], got {x.min()}..{x.max()}")
    return x
