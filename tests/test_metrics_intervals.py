"""Intervals against the definitions."""

import numpy as np
import pytest

from ganjax.metrics.class_kl import class_histogram, histogram_kl
from ganjax.metrics.intervals import count_interval, normal_interval


def test_normal_interval_is_clipped_to_the_range():
    assert normal_interval(2.0, 0.5) == pytest.approx((1.02, 2.98), rel=1e-12)
    assert normal_interval(0.5, 0.5, low=0.0, high=1.0) == (0.0, 1.0)


def test_count_interval_is_the_jackknife():
    labels = np.array([0] * 30 + [1] * 15 + [2] * 5)

    def kl(x):
        return histogram_kl(class_histogram(x, 3), np.ones(3))

    without = [kl(np.delete(labels, i)) for i in range(50)]
    error = np.sqrt(49 * np.var(without))
    low, high = count_interval(
        np.bincount(labels), lambda c: histogram_kl(c, np.ones(3))
    )
    assert (low + high) / 2 == pytest.approx(kl(labels), rel=1e-9)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=1e-9)
