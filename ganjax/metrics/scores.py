"""Scores of a classifier's outputs: IS, class histogram and its KL, label accuracy."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def classifier_score(logits: npt.ArrayLike, splits: int = 10) -> Array:
    """float64 [splits]: exp(mean KL(p(y|x) || p(y))) (IS, arXiv:1606.03498 section 4).

    The mean over splits is the score, in 1..classes. Split i holds logits[i::splits],
    so that samples in the order of their labels are balanced too.
    Raises ValueError for fewer samples than splits.
    """
    x = np.asarray(logits, np.float64)
    if x.ndim != 2 or len(x) < splits:
        raise ValueError(f"need logits [N >= {splits}, classes], got {list(x.shape)}")
    x = x - x.max(1, keepdims=True)
    log_p = x - np.log(np.exp(x).sum(1, keepdims=True))
    scores = []
    for i in range(splits):
        part = log_p[i::splits]
        p = np.exp(part)
        marginal = p.mean(0)
        log_marginal = np.log(np.where(marginal > 0, marginal, 1.0))
        scores.append(np.exp((p * (part - log_marginal)).sum(1).mean()))
    return np.asarray(scores)


def class_histogram(labels: npt.ArrayLike, num_classes: int = 10) -> Counts:
    """Counts int64 [num_classes] of labels in 0..num_classes-1; ValueError outside."""
    flat = np.asarray(labels, np.int64).reshape(-1)
    if len(flat) and (flat.min() < 0 or flat.max() >= num_classes):
        raise ValueError(
            f"labels {flat.min()}..{flat.max()} outside 0..{num_classes - 1}"
        )
    return np.bincount(flat, minlength=num_classes).astype(np.int64)


def histogram_kl(counts: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """KL(counts || reference) >= 0 in nats, both [classes] and normalised here.

    Infinite where a class is generated that the reference lacks. A perfect sampler of N
    labels gets about (classes - 1) / 2N, not 0.
    """
    p, q = np.asarray(counts, np.float64), np.asarray(reference, np.float64)
    if p.shape != q.shape or p.sum() <= 0 or q.sum() <= 0:
        raise ValueError(
            f"need two histograms that are not empty: {p.shape}, {q.shape}"
        )
    p, q = p / p.sum(), q / q.sum()
    seen = p > 0
    if (q[seen] == 0).any():
        return float("inf")
    return max(float((p[seen] * np.log(p[seen] / q[seen])).sum()), 0.0)


def count_interval(
    counts: npt.ArrayLike, statistic: Callable[[Counts], float]
) -> tuple[float, float]:
    """95 % interval of a statistic of a histogram over draws of its samples.

    The jackknife in closed form: leaving out one sample of class c gives the same value
    for all counts[c] of them. Not corrected for bias, and cut off at 0.
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
    return max(value - 1.96 * error, 0.0), value + 1.96 * error


def label_accuracy(predicted: npt.ArrayLike, intended: npt.ArrayLike) -> float:
    """Fraction in [0, 1] of samples [N] classified as the label they were made for."""
    predicted, intended = np.asarray(predicted), np.asarray(intended)
    if predicted.shape != intended.shape or predicted.size == 0:
        raise ValueError(f"labels differ: {predicted.shape} and {intended.shape}")
    return float((predicted == intended).mean())
