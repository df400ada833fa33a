"""Class histograms, their KL and label accuracy, by hand."""

import numpy as np
import pytest

from ganjax.metrics.class_kl import (
    class_histogram,
    class_kl,
    histogram_kl,
    label_accuracy,
)
from ganjax.metrics.types import FeatureSet, RealData


def digits(predicted, labels=None):
    """A feature set with these predictions."""
    n = len(predicted)
    logits = np.eye(10, dtype=np.float32)[predicted][:, None]
    images, features = np.zeros((n, 28, 28, 1), np.uint8), np.zeros((n, 2), np.float32)
    return FeatureSet(images, features, logits, labels)


def test_histogram_kl():
    counts = class_histogram([0, 0, 0, 1], 3)
    assert counts.tolist() == [3, 1, 0]
    expected = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.25)
    assert histogram_kl(counts, [2, 1, 1]) == pytest.approx(expected, rel=1e-12)
    assert histogram_kl(counts, [1, 0, 1]) == np.inf
    with pytest.raises(ValueError, match=r"labels: expected 0\.\.2, got 0\.\.3"):
        class_histogram([0, 3], 3)


def test_label_accuracy():
    assert label_accuracy([1, 2, 3, 4], [1, 2, 0, 4]) == 0.75


def test_class_kl_is_relative_to_the_labels_of_the_data():
    fake = digits(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]))
    train, test = (
        digits(np.array([2, 2])),
        digits(np.array([0, 1, 1]), np.array([0, 1, 0])),
    )
    labeled = class_kl(fake, RealData(train, test, "name"))  # of labels 0, 1, 0
    expected = 0.75 * np.log(0.75 * 3 / 2) + 0.25 * np.log(0.25 * 3)
    assert labeled["class_kl"].value == pytest.approx(expected, rel=1e-12)
    assert (labeled["class_kl"].n_fake, labeled["class_kl"].n_real) == (4, 3)
    accuracy = labeled["label_accuracy"]
    assert accuracy.value == 0.75
    error = 1.96 * np.sqrt(0.75 * 0.25 / 4)
    assert accuracy.low == pytest.approx(0.75 - error, rel=1e-12)
    assert accuracy.high == 1.0  # 0.75 + error is beyond
    unlabeled = RealData(train, digits(np.array([0, 1, 1])), "name")  # predicted
    without = class_kl(digits(np.array([0, 0, 0, 1])), unlabeled)
    expected = 0.75 * np.log(0.75 * 3) + 0.25 * np.log(0.25 * 3 / 2)
    assert without["class_kl"].value == pytest.approx(expected, rel=1e-12)
    assert set(without) == {"class_kl"}
