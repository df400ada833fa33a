"""Kernel distance (KID, arXiv:1801.01401): unbiased, unlike FID."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]


def squared_mmd(feats_a: npt.ArrayLike, feats_b: npt.ArrayLike) -> float:
    """Unbiased MMD^2 of [N, D] and [M, D] for k(x, y) = (x.y / D + 1)^3; may be < 0.

    Products in float32, sums in float64: 1e-6 of the mean kernel at worst.
    """
    a, b = np.asarray(feats_a, np.float32), np.asarray(feats_b, np.float32)
    if a.ndim != 2 or a.shape[1:] != b.shape[1:] or min(len(a), len(b)) < 2:
        raise ValueError(f"need [N >= 2, D] twice, got {a.shape} and {b.shape}")
    return _within(a) + _within(b) - 2.0 * float(_kernel(a, b).mean(dtype=np.float64))


def kernel_distances(
    fake: npt.ArrayLike,
    real: npt.ArrayLike,
    subsets: int = 100,
    size: int = 1000,
    seed: int = 0,
) -> Array:
    """float64 [subsets]: MMD^2 of random subsets without repetition; KID is the mean.

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
    """The subset size used for sets of these sizes. Raises ValueError below 4."""
    size = min(size, num_fake // 2, num_real // 2)
    if size < 2:
        raise ValueError(f"KID needs 4 features a side, got {num_fake} and {num_real}")
    return size


def kernel_interval(
    distances: npt.ArrayLike, size: int, num: int
) -> tuple[float, float]:
    """95 % interval of KID over draws of both sets, the smaller of which has `num`.

    Subsampling (Politis and Romano 1994): the variance over subsets of `size` scaled to
    `num` by size / (num - size). The subsets overlap, so their standard deviation over
    10 = sqrt(100), printed as an error elsewhere, means nothing. Near the floor, where
    the variance falls faster than 1 / num, the interval is too wide.
    """
    values = np.asarray(distances, np.float64)
    error = float(values.std(ddof=1)) * np.sqrt(size / (num - size))
    return float(values.mean() - 1.96 * error), float(values.mean() + 1.96 * error)


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
