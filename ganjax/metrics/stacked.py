"""Stacked MNIST: modes found of 1,000 and KL to uniform (arXiv:1611.02163).

Three random digits are the red, green and blue channel of an image; the classifier
reads each channel. The protocol draws 26,000 samples (arXiv:1712.04086).
"""

import numpy as np
import numpy.typing as npt

from ganjax.metrics.class_kl import class_histogram, histogram_kl
from ganjax.metrics.intervals import Counts, count_interval
from ganjax.metrics.types import Estimate, FeatureSet, RealData

NUM_MODES = 1000
PROTOCOLS = {
    "modes": "modes of 1000 with a sample; ci: jackknife, fakes",
    "modes_kl": "KL(predicted modes || uniform), nats; ci: jackknife, fakes",
}


def modes(fake: FeatureSet, real: RealData) -> dict[str, Estimate]:
    """Number of modes, and the KL of their histogram to the uniform distribution."""
    n, counts = len(fake), mode_counts(fake.channel_logits.argmax(-1))
    estimates = {}
    for name, statistic in (("modes", num_modes), ("modes_kl", uniform_kl)):
        value, (low, high) = statistic(counts), count_interval(counts, statistic)
        protocol = PROTOCOLS[name]
        estimates[name] = Estimate(value, low, high, n, 0, protocol, real.features)
    return estimates


def mode_counts(labels: npt.ArrayLike) -> Counts:
    """Counts int64 [1000] of the digits [N, 3] read as one number; ValueError else."""
    digits = np.asarray(labels, np.int64)
    if digits.ndim != 2 or digits.shape[1] != 3 or len(digits) == 0:
        raise ValueError(f"labels: expected [N, 3], got {list(digits.shape)}")
    if digits.min() < 0 or digits.max() > 9:
        raise ValueError(f"digits: expected 0..9, got {digits.min()}..{digits.max()}")
    return class_histogram(digits @ np.asarray([100, 10, 1]), NUM_MODES)


def num_modes(counts: npt.ArrayLike) -> float:
    """Number of modes with one sample or more."""
    return float((np.asarray(counts) > 0).sum())


def uniform_kl(counts: npt.ArrayLike) -> float:
    """KL(generated || uniform) = sum p ln(1000 p), nats.

    A perfect sampler of 26,000 images gets 0.0236 ± 0.0010 (MNIST's digits are not
    equally frequent): a value clearly below that is a bug.
    """
    return histogram_kl(counts, np.ones(NUM_MODES))
