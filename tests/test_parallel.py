"""The choice of steps per call, and the division of batches over devices."""

import jax
import numpy as np
import pytest
from helpers import small_config

import ganjax
from ganjax import parallel


@pytest.mark.parametrize("conv,steps", [("matmul", 10), ("library", 1)])
def test_library_convolutions_are_not_looped_over_on_a_cpu(conv, steps):
    gan = ganjax.make_gan(small_config(conv=conv))
    assert parallel.steps_per_call(gan) == steps


def test_devices_get_consecutive_parts_of_each_batch():
    indices = np.arange(2 * 3 * 4).reshape(2, 3, 4)  # steps, updates, batch
    parts = parallel.shard_indices(indices, chunk=5)
    assert parts.shape == (2, 5, 3, 2)
    np.testing.assert_array_equal(parts[0, :2], indices[..., :2])
    np.testing.assert_array_equal(parts[1, :2], indices[..., 2:])
    assert (parts[:, 2:] == 0).all()  # padding


def test_each_process_has_its_columns_of_a_batch(monkeypatch):
    indices = np.arange(2 * 3 * 12).reshape(2, 3, 12)
    np.testing.assert_array_equal(parallel.local_columns(indices), indices)
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    for process, columns in enumerate((slice(0, 4), slice(4, 8), slice(8, 12))):
        monkeypatch.setattr(jax, "process_index", lambda process=process: process)
        expected = indices[:, :, columns]
        np.testing.assert_array_equal(parallel.local_columns(indices), expected)


def test_batch_must_divide_evenly():
    parallel.check_batch_size(8)
    with pytest.raises(
        ganjax.UserError, match="batch_size=7: expected a multiple of th"
    ):
        parallel.check_batch_size(7)
