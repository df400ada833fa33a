"""Kernel distance between two sets of features (KID, arXiv:1801.01401): unbiased."""

import numpy as np
import numpy.typing as npt

from ganjax.metrics.intervals import normal_interval
from ganjax.metrics.types import Estimate, FeatureSet, RealData

Array = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]

SUBSETS = 100


def kid(fake: FeatureSet, real: RealData) -> dict[str, Estimate]:
    """KID to the test images, named as in fid.py."""
    n, m = len(fake), len(real.compared)
    size = subset_size(n, m)
    distances = kernel_distances(fake.features, real.compared.features)
    low, high = kernel_interval(distances, size, min(n, m))
    protocol = f"KID, {SUBSETS} subsets of {size}; ci: subsampling, fakes and reals"
    protocol += real.against
    value = float(distances.mean())
    estimate = Estimate(value, low, high, n, m, protocol, real.features)
    return {f"kid{real.suffix}": estimate}


def squared_mmd(fake: npt.ArrayLike, real: npt.ArrayLike) -> float:
    """Unbiased MMD^2 of [N, D] and [M, D] for k(x, y) = (x.y / D + 1)^3; may be < 0.

    Products in float32, sums in float64: errors below 1e-6 of the mean kernel.
    """
    a, b = np.asarray(fake, np.float32), np.asarray(real, np.float32)
    if a.ndim != 2 or a.shape[1:] != b.shape[1:] or min(len(a), len(b)) < 2:
        raise ValueError(f"features: expected [N >= 2, D], got {a.shape}, {b.shape}")
    return _within(a) + _within(b) - 2.0 * float(_kernel(a, b).mean(dtype=np.float64))


def kernel_distances(
    fake: npt.ArrayLike,
    real: npt.ArrayLike,
    subsets: int = SUBSETS,
    size: int = 1000,
    seed: int = 0,
) -> Array:
    """float64 [subsets]: MMD^2 of random subsets without replacement; KID is the mean.

    `size` is lowered to half the smaller set, which `kernel_interval` needs.
    """
    a, b = np.asarray(fake), np.asarray(real)
    size = subset_size(len(a), len(b), size)
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        rows_a = rng.choice(len(a), size, replace=False, shuffle=False)
        rows_b = rng.choice(len(b), size, replace=False, shuffle=False)
        values.append(squared_mmd(a[rows_a], b[rows_b]))
    return np.asarray(values)


def subset_size(num_fake: int, num_real: int, size: int = 1000) -> int:
    """The subset size for sets of these sizes."""
    return min(size, num_fake // 2, num_real // 2)


def kernel_interval(
    distances: npt.ArrayLike, size: int, num: int
) -> tuple[float, float]:
    """95% interval of KID over draws of both sets, the smaller of which has `num`.

    Subsampling (Politis and Romano 1994): the variance over subsets of `size` scaled to
    `num` by size / (num - size). The subsets overlap, so their standard deviation over
    10 = sqrt(100), often reported as an error, is not one. Close to the reference,
    where the variance falls faster than 1 / num, the interval is too wide.
    """
    values = np.asarray(distances, np.float64)
    error = float(values.std(ddof=1)) * np.sqrt(size / (num - size))
    low, high = normal_interval(values.mean(), error)
    return float(low), float(high)


def _kernel(a: Features, b: Features) -> Features:
    base = a @ b.T
    base /= a.shape[1]
    base += 1.0
    cubed: Features = base * base
    cubed *= base
    return cubed


def _within(a: Features) -> float:
    """Mean of k over pairs i != j."""
    gram = _kernel(a, a)
    total = gram.sum(dtype=np.float64) - np.trace(gram, dtype=np.float64)
    return float(total / (len(a) * (len(a) - 1)))
