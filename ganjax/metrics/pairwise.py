"""Squared distances between the rows of two matrices, in blocks of rows.

With blocks of 1,000 rows, 10,000 x 10,000 distances need 40 MB at a time.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np


def squared_distances(a: jax.Array, b: jax.Array) -> jax.Array:
    """float32 [N, M] >= 0 of [N, D] and [M, D], as |a|^2 + |b|^2 - 2 a.b."""
    product = jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)  # no TF32, bf16
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :]
    return jnp.maximum(squares - 2.0 * product, 0.0)


def blocks(rows: np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (first row, `size` rows); zeros pad the last: one shape to compile."""
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        border = [(0, min(size, len(rows)) - len(part))] + [(0, 0)] * (rows.ndim - 1)
        yield first, np.pad(part, border)
