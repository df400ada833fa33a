"""Index arithmetic of batches."""

import numpy as np

from ganjax.data.batches import batch_indices, permutation


def test_each_example_occurs_once_per_epoch():
    n, size = 7, 10  # batches of 4 straddle epochs of 10
    seen = np.concatenate(
        [batch_indices(3, step, (1, 1, 4), size).ravel() for step in range(5 * n)]
    )
    for epoch in seen[: 14 * size].reshape(-1, size):
        assert sorted(epoch) == list(range(size))
    assert (seen[:size] != seen[size : 2 * size]).any()


def test_indices_depend_on_seed_and_step_only():
    together = batch_indices(0, 5, (6, 2, 8), 100)
    apart = [batch_indices(0, step, (1, 2, 8), 100)[0] for step in range(5, 11)]
    np.testing.assert_array_equal(together, apart)
    assert (batch_indices(1, 5, (6, 2, 8), 100) != together).any()


def test_indices_are_rows_of_the_permutations_in_order():
    """Steps 2 to 4 with k = 2 and B = 3 see numbers 12 to 29 of epochs of 8."""
    order = np.concatenate([permutation(5, epoch, 8) for epoch in range(4)])
    indices = batch_indices(5, 2, (3, 2, 3), 8)
    np.testing.assert_array_equal(indices, order[12:30].reshape(3, 2, 3))
    assert indices.dtype == np.int32


def test_a_batch_may_be_larger_than_the_data_set():
    indices = batch_indices(0, 0, (1, 1, 25), 10)[0, 0]
    for epoch in (indices[:10], indices[10:20]):
        assert sorted(epoch) == list(range(10))
    assert len(set(indices[20:])) == 5
