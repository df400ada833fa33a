"""Squared distances against NumPy, and blocks of rows."""

import numpy as np

from ganjax.metrics.pairwise import blocks, squared_distances


def test_squared_distances_match_the_differences():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 3)), rng.normal(size=(4, 3))
    expected = ((a[:, None] - b[None]) ** 2).sum(-1)
    np.testing.assert_allclose(squared_distances(a, b), expected, rtol=1e-4, atol=1e-5)
    assert np.asarray(squared_distances(1e3 * a, 1e3 * a)).min() >= 0


def test_blocks_cover_all_rows_and_zeros_fill_the_last():
    rows = np.arange(1, 11).reshape(5, 2)
    first, second, third = blocks(rows, 2)
    assert (first[0], second[0], third[0]) == (0, 2, 4)
    np.testing.assert_array_equal(second[1], [[5, 6], [7, 8]])
    np.testing.assert_array_equal(third[1], [[9, 10], [0, 0]])
    ((_, whole),) = blocks(rows, 9)  # no padding beyond the rows there are
    np.testing.assert_array_equal(whole, rows)
