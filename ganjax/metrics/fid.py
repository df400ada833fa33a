"""Frechet distance between two sets of features (FID, arXiv:1706.08500 equation 6)."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ganjax.metrics.types import Estimate, FeatureSet, RealData

Array = npt.NDArray[np.float64]

T_19 = 2.093  # 97.5% quantile of Student's t for the default 20 groups


def fid(fake: FeatureSet, real: RealData) -> dict[str, Estimate]:
    """FID to the test images, named after its features unless they are the digits'.

    Numbers on other features look alike and can't be compared: metrics.jsonl and
    TensorBoard have room for nothing but the name.
    """
    protocol = "FID, covariance over n-1; ci: jackknife, 20 groups of fakes"
    protocol += real.against
    estimate = _estimate(fake, real.compared, protocol, real.features)
    return {f"fid{real.suffix}": estimate}


def fid_train(fake: FeatureSet, real: RealData) -> dict[str, Estimate]:
    """FID to the training images: 50k to 60k, as most papers report it."""
    protocol = "FID to train, covariance over n-1; ci: jackknife, 20 groups"
    return {"fid_train": _estimate(fake, real.train, protocol, real.features)}


def _estimate(
    fake: FeatureSet, real: FeatureSet, protocol: str, features: str
) -> Estimate:
    value = frechet_distance(fake.features, real.features)
    low, high = frechet_interval(fake.features, real.features)
    return Estimate(value, low, high, len(fake), len(real), protocol, features)


class Moments(NamedTuple):
    """Mean [D] and covariance [D, D] over n - 1, float64."""

    mean: Array
    cov: Array


def moments(features: npt.ArrayLike) -> Moments:
    """Moments of features [N, D]. Raises ValueError for N < 2 or non-finite values."""
    x = np.asarray(features, np.float64)
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"features: expected [N >= 2, D], got {list(x.shape)}")
    if not np.isfinite(x).all():
        raise ValueError("features: expected finite values")
    mean = x.mean(0)
    centered = x - mean
    return Moments(mean, centered.T @ centered / (len(x) - 1))


def frechet_distance(fake: npt.ArrayLike, real: npt.ArrayLike) -> float:
    """|m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)) of [N, D] and [M, D]; symmetric.

    Biased upwards by O(1/N + 1/M): compare only at equal N and M, and with the distance
    between real images and real images.
    """
    a, b = moments(fake), moments(real)
    return max(_distance(a, b, _root(b.cov)), 0.0)


def frechet_interval(
    fake: npt.ArrayLike, real: npt.ArrayLike, groups: int = 20, seed: int = 0
) -> tuple[float, float]:
    """95% interval of the expected FID at this N, over draws of the N fake images.

    Delete-a-group jackknife: the fakes are split into random groups, the distance
    without each group is computed from the moments minus the group's, and the interval
    is the value ± t standard errors (Student, 19 degrees of freedom). The real features
    are held fixed, as they are when two generators are compared.

    A percentile bootstrap would be wrong: a resample repeats images, which adds the
    O(1/N) bias of FID a second time, so the interval may exclude the value itself. The
    bias of the value is not removed. Close to the reference, where FID is quadratic in
    the errors, the interval is up to sqrt(2) too wide.
    """
    x = np.asarray(fake, np.float64)
    whole, reference = moments(x), moments(real)
    root = _root(reference.cov)
    groups = min(groups, len(x) // 2)
    if groups < 2:
        raise ValueError(f"fake: expected 4 rows or more, got {len(x)}")
    order = np.random.default_rng(seed).permutation(len(x))
    centered = x[order] - whole.mean
    scatter = whole.cov * (len(x) - 1)
    distances = []
    for group in np.array_split(centered, groups):
        rest = len(x) - len(group)
        offset = -group.sum(0) / rest  # mean of the rest, relative to that of all
        cov = scatter - group.T @ group - rest * np.outer(offset, offset)
        left = Moments(whole.mean + offset, cov / (rest - 1))
        distances.append(_distance(left, reference, root))
    spread = T_19 * float(np.sqrt((groups - 1) * np.var(distances)))
    value = max(_distance(whole, reference, root), 0.0)
    return max(value - spread, 0.0), value + spread


def _root(cov: Array) -> Array:
    """The symmetric square root of a positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(cov)
    scaled: Array = vectors * np.sqrt(np.maximum(values, 0.0))
    root: Array = scaled @ vectors.T
    return root


def _distance(a: Moments, b: Moments, root_b: Array) -> float:
    """S_a S_b has the eigenvalues of R S_a R, R = S_b^(1/2): symmetric, so real."""
    product = root_b @ a.cov @ root_b
    values = np.linalg.eigvalsh((product + product.T) / 2)
    trace_root = np.sqrt(np.maximum(values, 0.0)).sum()
    gap = a.mean - b.mean
    return float(gap @ gap + np.trace(a.cov) + np.trace(b.cov) - 2 * trace_root)
