"""Precision, recall, density and coverage against prdc and by hand."""

import numpy as np
import pytest
from prdc import compute_prdc

from ganjax.metrics.prdc import prdc_terms


def expected_coverage(num_real, num_fake, k=5):
    """Coverage of a perfect sampler: 1 - prod_{i=1..k} (N - i) / (M + N - i)."""
    i = np.arange(1, k + 1)
    return float(1.0 - np.prod((num_real - i) / (num_fake + num_real - i)))


@pytest.mark.parametrize("block", [1000, 64])
def test_terms_match_prdc(block):
    rng = np.random.default_rng(2)
    real = rng.normal(size=(500, 16)) + 3.0
    fake = 0.9 * rng.normal(size=(430, 16)) + 3.2
    got = prdc_terms(fake, real, block=block)
    three, five = (compute_prdc(real, fake, nearest_k=k) for k in (3, 5))
    assert 0.2 < three["precision"] < 0.95 and 0.2 < three["recall"] < 0.95
    assert got.precision.mean() == pytest.approx(three["precision"], abs=1e-9)
    assert got.recall.mean() == pytest.approx(three["recall"], abs=1e-9)
    assert got.density.mean() == pytest.approx(five["density"], abs=1e-9)
    assert got.coverage.mean() == pytest.approx(five["coverage"], abs=1e-9)


def test_points_at_the_radius():
    """The first neighbor of each integer is at 1: inside for `<=`, outside for `<`."""
    real, fake = np.arange(10.0)[:, None], np.array([[10.0], [10.5], [30.0], [4.0]])
    got = prdc_terms(fake, real, k_precision=1, k_density=1)
    assert got.precision.tolist() == [True, False, False, True]
    assert got.density.tolist() == [0.0, 0.0, 0.0, 1.0]
    assert got.coverage.tolist() == [False] * 4 + [True] + [False] * 5
    # Radii of the fakes: 0.5, 0.5, 19.5, 6; the real 0 is at 4 <= 6 of the last.
    assert got.recall.tolist() == [True] * 10


def test_equal_sets_and_equal_distributions():
    rng = np.random.default_rng(3)
    real, fake = rng.normal(size=(2, 2000, 8))
    same = prdc_terms(real, real)
    assert same.density.mean() == pytest.approx(1.0, abs=1e-12)
    assert same.precision.all() and same.recall.all() and same.coverage.all()
    assert expected_coverage(10_000, 10_000) == pytest.approx(0.96877, abs=5e-6)
    got = prdc_terms(fake, real)
    expected = expected_coverage(2000, 2000)
    assert got.coverage.mean() == pytest.approx(expected, abs=0.015)
    assert got.density.mean() == pytest.approx(1.0, abs=0.06)


def test_sets_without_a_fifth_neighbor_are_refused():
    with pytest.raises(ValueError, match=r"expected > 5 rows, got \(5, 2\), \(9, 2\)"):
        prdc_terms(np.zeros((5, 2)), np.zeros((9, 2)))
