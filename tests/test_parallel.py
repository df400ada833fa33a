"""The choice of steps per call, and the division of batches over devices."""

import os
import platform
import subprocess
import sys

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


FAULTS = """
import resource, sys
import numpy as np
from ganjax.parallel import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.full(10_000_000, 1.0, np.float32)  # 40 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
keep_freed_memory()
np.full(10_000_000, 1.0, np.float32)
print(before, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="for glibc's malloc")
def test_freed_memory_is_kept_for_the_next_call():
    # Without huge pages, of which 40 MB need only 20.
    env = os.environ | {"NUMPY_MADVISE_HUGEPAGE": "0"}
    command = [sys.executable, "-c", FAULTS]
    out = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    before, after = map(int, out.stdout.split())
    assert before > 10 * 5_000
    assert after < before / 20
