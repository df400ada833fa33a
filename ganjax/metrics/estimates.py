"""Estimates of means and of fractions over independent samples."""

import numpy as np
import numpy.typing as npt

from ganjax.metrics.intervals import fraction_interval, normal_interval
from ganjax.metrics.types import PIXELS, Estimate


def mean_estimate(
    values: npt.NDArray[np.floating],
    protocol: str,
    n_real: int = 0,
    low: float = -np.inf,
) -> Estimate:
    """The mean of a score over images, [N]; `low` is the least value it can have."""
    value, error = float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)
    interval = normal_interval(value, error, low=low)
    return Estimate(value, *interval, len(values), n_real, protocol, PIXELS)


def fraction_estimate(
    hits: npt.NDArray[np.bool_], protocol: str, features: str
) -> Estimate:
    """The fraction of hits, bool [N]; NaN of none."""
    n, count = len(hits), int(hits.sum())
    if not n:
        return Estimate(float("nan"), 0.0, 1.0, 0, 0, protocol, features)
    interval = fraction_interval(count, n)
    return Estimate(count / n, *interval, n, 0, protocol, features)
