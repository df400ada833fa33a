"""Stacked MNIST: modes found of 1,000 and KL to uniform (arXiv:1611.02163).

Three random digits as red, green, blue; a classifier reads each channel. The protocol
draws 26,000 samples (arXiv:1712.04086).
"""

import numpy as np
import numpy.typing as npt

from ganjax.metrics.scores import class_histogram, histogram_kl

NUM_MODES = 1000


def mode_counts(labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Counts int64 [1000] of the digits [N, 3] read as one number; ValueError else."""
    digits = np.asarray(labels, np.int64)
    if digits.ndim != 2 or digits.shape[1] != 3 or len(digits) == 0:
        raise ValueError(f"need labels [N, 3], got {list(digits.shape)}")
    if digits.min() < 0 or digits.max() > 9:
        raise ValueError(f"digits outside 0..9: {digits.min()}..{digits.max()}")
    return class_histogram(digits @ np.asarray([100, 10, 1]), NUM_MODES)


def num_modes(counts: npt.ArrayLike) -> int:
    """Modes with one sample or more."""
    return int((np.asarray(counts) > 0).sum())


def uniform_kl(counts: npt.ArrayLike) -> float:
    """KL(generated || uniform) = sum p ln(1000 p), nats."""
    return histogram_kl(counts, np.ones(NUM_MODES))


def stacked_modes(labels: npt.ArrayLike) -> tuple[int, float]:
    """(modes found, KL to uniform in nats) of predicted digits [N, 3]."""
    counts = mode_counts(labels)
    return num_modes(counts), uniform_kl(counts)


def stacked_floor(
    num: int, digit_counts: npt.ArrayLike, draws: int = 20, seed: int = 0
) -> tuple[float, float]:
    """(mean, standard deviation) of the KL of a perfect sampler of `num` images.

    `digit_counts` [10] are the data's: MNIST's digits are not equally frequent. With
    them .0236 +- .0010 at 26,000: a KL well under the floor is a bug, not a record.
    """
    p = np.asarray(digit_counts, np.float64)
    p = p / p.sum()
    triples = np.einsum("i,j,k->ijk", p, p, p).reshape(-1)
    rng = np.random.default_rng(seed)
    values = [uniform_kl(rng.multinomial(num, triples)) for _ in range(draws)]
    return float(np.mean(values)), float(np.std(values))
