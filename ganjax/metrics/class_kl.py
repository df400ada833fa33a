"""Predicted classes: KL of their histogram to the data's, and label accuracy."""

import numpy as np
import numpy.typing as npt

from ganjax.metrics.intervals import Counts, count_interval, normal_interval
from ganjax.metrics.types import Estimate, FeatureSet, RealData


def class_kl(fake: FeatureSet, real: RealData) -> dict[str, Estimate]:
    """KL of the classes; of labeled images also the accuracy of their labels."""
    n, predicted, data = len(fake), fake.digit_logits.argmax(1), class_counts(real)
    counts = class_histogram(predicted)
    value = histogram_kl(counts, data)
    low, high = count_interval(counts, lambda c: histogram_kl(c, data))
    protocol = "KL(predicted classes || the data's), nats; ci: jackknife, fakes"
    m, features = int(data.sum()), real.features
    estimates = {"class_kl": Estimate(value, low, high, n, m, protocol, features)}
    if fake.labels is not None:
        value = label_accuracy(predicted, fake.labels)
        error = float(np.sqrt(value * (1 - value) / n))
        low, high = normal_interval(value, error, low=0.0, high=1.0)
        protocol = "predicted digit = intended; ci: fakes as independent"
        accuracy = Estimate(value, low, high, n, 0, protocol, features)
        estimates["label_accuracy"] = accuracy
    return estimates


def class_counts(real: RealData) -> Counts:
    """Class counts of the data, int64 [10]: of labels, else predicted for the test."""
    for labels in (real.train.labels, real.test.labels):
        if labels is not None:
            return class_histogram(labels)
    return class_histogram(real.test.digit_logits.argmax(1))


def class_histogram(labels: npt.ArrayLike, num_classes: int = 10) -> Counts:
    """Counts int64 [num_classes] of labels in 0..num_classes-1; ValueError outside."""
    flat = np.asarray(labels, np.int64).reshape(-1)
    if len(flat) and (flat.min() < 0 or flat.max() >= num_classes):
        raise ValueError(
            f"labels: expected 0..{num_classes - 1}, got {flat.min()}..{flat.max()}"
        )
    return np.bincount(flat, minlength=num_classes).astype(np.int64)


def histogram_kl(counts: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """KL(counts || reference) >= 0 in nats; both [classes], normalized here.

    Infinite where a class is generated that the reference lacks. The expectation for a
    perfect sampler of N labels is about (classes - 1) / 2N, not 0.
    """
    p, q = np.asarray(counts, np.float64), np.asarray(reference, np.float64)
    if p.shape != q.shape or p.sum() <= 0 or q.sum() <= 0:
        raise ValueError(f"counts: expected two histograms, got {p.shape}, {q.shape}")
    p, q = p / p.sum(), q / q.sum()
    seen = p > 0
    if (q[seen] == 0).any():
        return float("inf")
    return max(float((p[seen] * np.log(p[seen] / q[seen])).sum()), 0.0)


def label_accuracy(predicted: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Fraction in [0, 1] of samples [N] classified as the label they were made for."""
    a, b = np.asarray(predicted), np.asarray(labels)
    if a.shape != b.shape or a.size == 0:
        raise ValueError(f"labels: expected {list(a.shape)}, got {list(b.shape)}")
    return float((a == b).mean())
