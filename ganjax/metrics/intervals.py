"""95% intervals that several metrics share."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


def normal_interval(
    value: float, error: float, low: float = -np.inf, high: float = np.inf
) -> tuple[float, float]:
    """`value` ± 1.96 standard errors, clipped to the metric's range."""
    return max(value - 1.96 * error, low), min(value + 1.96 * error, high)


def count_interval(
    counts: npt.ArrayLike, statistic: Callable[[Counts], float]
) -> tuple[float, float]:
    """Interval of a non-negative statistic of a histogram over draws of its samples.

    The jackknife in closed form: leaving out one sample of class c gives the same value
    for all counts[c] of them. Not corrected for bias.
    """
    counts = np.asarray(counts, np.int64)
    value, total = statistic(counts), int(counts.sum())
    classes = np.flatnonzero(counts)
    if not np.isfinite(value) or total < 2:
        return value, value
    without = []
    for c in classes:
        fewer = counts.copy()
        fewer[c] -= 1
        without.append(statistic(fewer))
    weights = counts[classes] / total
    spread = np.asarray(without) - np.dot(weights, without)
    error = float(np.sqrt((total - 1) * np.dot(weights, spread**2)))
    return normal_interval(value, error, low=0.0)


def fraction_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson's interval of a fraction of n independent trials.

    Unlike the normal interval it has a length where all trials succeed.
    """
    z = 1.96
    p, shrink = successes / n, 1 + z**2 / n
    center = (p + z**2 / (2 * n)) / shrink
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / shrink
    return float(max(center - half, 0.0)), float(min(center + half, 1.0))
