"""Metrics: pure functions of arrays, one file each, against real floors."""

from ganjax.metrics.classifier import (
    Recipe,
    features_and_logits,
    fingerprint,
    load_classifier,
    train_classifier,
)
from ganjax.metrics.evaluate import compare, evaluate, table
from ganjax.metrics.frechet import frechet_distance, frechet_interval
from ganjax.metrics.kernel import kernel_distances, kernel_interval, squared_mmd
from ganjax.metrics.manifold import expected_coverage, manifold_scores
from ganjax.metrics.memorisation import memorisation_test, nearest_neighbours
from ganjax.metrics.parzen import log_likelihoods, parzen_log_likelihood
from ganjax.metrics.scores import (
    class_histogram,
    classifier_score,
    count_interval,
    histogram_kl,
    label_accuracy,
)
from ganjax.metrics.stacked import stacked_floor, stacked_modes

__all__ = [
    "Recipe",
    "class_histogram",
    "classifier_score",
    "compare",
    "count_interval",
    "evaluate",
    "expected_coverage",
    "features_and_logits",
    "fingerprint",
    "frechet_distance",
    "frechet_interval",
    "histogram_kl",
    "kernel_distances",
    "kernel_interval",
    "label_accuracy",
    "load_classifier",
    "log_likelihoods",
    "manifold_scores",
    "memorisation_test",
    "nearest_neighbours",
    "parzen_log_likelihood",
    "squared_mmd",
    "stacked_floor",
    "stacked_modes",
    "table",
    "train_classifier",
]
