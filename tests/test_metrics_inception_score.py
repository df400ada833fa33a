"""Inception score against closed forms."""

import numpy as np
import pytest

from ganjax.metrics.inception_score import classifier_score


def test_score_of_certain_and_of_uniform_predictions():
    certain = np.tile(50.0 * np.eye(10), (20, 1))
    np.testing.assert_allclose(classifier_score(certain, 2), 5.0, rtol=1e-9)
    np.testing.assert_allclose(classifier_score(certain, 1), 10.0, rtol=1e-9)
    np.testing.assert_allclose(classifier_score(0 * certain), 1.0, rtol=1e-9)


def test_score_is_the_exponential_of_the_mean_kl():
    p = np.array([[0.9, 0.1], [0.3, 0.7]])
    kl = (p * np.log(p / [0.6, 0.4])).sum(1).mean()
    got = classifier_score(np.log(p) + 7.0, 1)
    np.testing.assert_allclose(got, np.exp(kl), rtol=1e-12)


def test_fewer_samples_than_splits_are_refused():
    with pytest.raises(
        ValueError, match=r"expected \[N >= 10, classes\], got \(9, 3\)"
    ):
        classifier_score(np.zeros((9, 3)))
