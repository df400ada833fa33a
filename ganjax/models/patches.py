"""Convolutions as products with a matrix of patches, for any kernel.

The image is padded and cut into blocks of s×s pixels. A kernel of k×k taps is made of
blocks, too, and each of its blocks meets a shifted copy of the image's: the copies side
by side are the matrix of patches, k·k·I wide. Functions and shapes are those of
ganjax/models/conv.py. `fused` leaves it to XLA to fuse copies, as on GPUs.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

Block = tuple[int, int, int, int]  # row and column of blocks, rows and columns of taps


def separately(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)`, which XLA compiles as a computation of its own.

    Fused into a reshape or a pad, a copy of a slice computes every index by divisions,
    and takes three to ten times as long. `inlineable` is an attribute of XLA's calls.
    """
    with set_xla_metadata(inlineable="false"):
        return jax.jit(function)(*args)


def _blocks(k: int, s: int) -> list[Block]:
    """A kernel as s×s blocks of taps; those at its end are smaller.

    >>> _blocks(3, 2)
    [(0, 0, 2, 2), (0, 1, 2, 1), (1, 0, 1, 2), (1, 1, 1, 1)]
    """
    sides = list(enumerate(min(s, k - start) for start in range(0, k, s)))
    return [(m, n, rows, columns) for m, rows in sides for n, columns in sides]


def _edge(k: int, s: int) -> tuple[int, int]:
    """Zeros on either side of an image: as SAME has them, and up to whole blocks."""
    low = (k - s) // 2
    return low, -k % s + k - s - low


def _split(x: jax.Array, k: int, s: int, axis: int) -> list[tuple[jax.Array, Block]]:
    """An axis of k·k·I cut into the blocks of taps."""
    blocks = _blocks(k, s)
    taps = np.cumsum([rows * columns for _, _, rows, columns in blocks])
    parts = jnp.split(x, taps[:-1] * (x.shape[axis] // k**2), axis)
    return list(zip(parts, blocks, strict=True))


def _patches(x: jax.Array, k: int, s: int, fused: bool) -> jax.Array:
    """[B, sH, sW, I] -> [B·H·W, k·k·I]: what a kernel sees, block by block."""
    b, height, width, i = x.shape
    h, w, r = height // s, width // s, -(-k // s)

    def cut(x: jax.Array) -> jax.Array:
        """[B, rows of blocks, columns of blocks, s, s·I]."""
        x = jnp.pad(x, ((0, 0), _edge(k, s), _edge(k, s), (0, 0)))
        return x.reshape(b, h + r - 1, s, w + r - 1, s * i).swapaxes(2, 3)

    def stack(x: jax.Array) -> jax.Array:
        """[B, H, W, r, r, s·s·I]."""
        rows = [[x[:, m : m + h, n : n + w] for n in range(r)] for m in range(r)]
        return jnp.stack([jnp.stack(row, axis=3) for row in rows], axis=3)

    if k % s == 0 and i > 1 and not fused:
        blocks = separately(cut, x).reshape(b, h + r - 1, w + r - 1, -1)
        return separately(stack, blocks).reshape(b * h * w, -1)
    x = cut(x).reshape(b, h + r - 1, w + r - 1, s, s, i)
    seen = [
        x[:, m : m + h, n : n + w, :rows, :columns].reshape(b * h * w, -1)
        for m, n, rows, columns in _blocks(k, s)
    ]
    return jnp.concatenate(seen, axis=-1)


def _matrix(kernel: jax.Array, s: int) -> jax.Array:
    """[k, k, I, O] -> [k·k·I, O] in the order of patches."""
    k, _, _, o = kernel.shape
    places = [(m * s, n * s) for m, n, _, _ in _blocks(k, s)]
    return jnp.concatenate(
        [kernel[m : m + s, n : n + s].reshape(-1, o) for m, n in places]
    )


def conv(x: jax.Array, kernel: jax.Array, s: int, fused: bool) -> jax.Array:
    """∂T/∂y: [B, sH, sW, I], [k, k, I, O] -> [B, H, W, O]; k is at least s."""
    b, h, w, _ = x.shape
    k, _, _, o = kernel.shape
    return (_patches(x, k, s, fused) @ _matrix(kernel, s)).reshape(b, h // s, w // s, o)


def conv_adjoint(y: jax.Array, kernel: jax.Array, s: int, fused: bool) -> jax.Array:
    """∂T/∂x: [B, H, W, O], [k, k, I, O] -> [B, sH, sW, I]; k is at least s.

    One product gives what every block of taps adds to the image, a block further each.
    """
    b, h, w, o = y.shape
    k, _, i, _ = kernel.shape
    matrix = y.reshape(-1, o) @ _matrix(kernel, s).T
    image: Any = 0.0
    low, high = _edge(k, s)
    more = (low + high) // s  # blocks
    for part, (m, n, rows, columns) in _split(matrix, k, s, axis=1):
        shift = (m, more - m), (n, more - n)
        rest = (0, s - rows), (0, s - columns)
        part = part.reshape(b, h, w, rows, columns, i)
        image += jnp.pad(part, ((0, 0), *shift, *rest, (0, 0)))
    image = image.swapaxes(2, 3).reshape(b, s * (h + more), s * (w + more), i)
    return image[:, low : low + s * h, low : low + s * w]


def kernel_gradient(
    x: jax.Array, y: jax.Array, k: int, s: int, fused: bool
) -> jax.Array:
    """∂T/∂k: [B, sH, sW, I], [B, H, W, O] -> [k, k, I, O]."""
    i, o = x.shape[-1], y.shape[-1]
    transposed = _patches(x, k, s, fused).T
    if not fused:
        # Else XLA multiplies by a transposed matrix, which takes up to twice as long on
        # CPUs as a product after a transposition.
        transposed = lax.optimization_barrier(transposed)
    matrix = transposed @ y.reshape(-1, o)
    blocks = [
        part.reshape(rows, columns, i, o)
        for part, (_, _, rows, columns) in _split(matrix, k, s, axis=0)
    ]
    r = -(-k // s)  # blocks on a side
    rows = [jnp.concatenate(blocks[m * r : m * r + r], axis=1) for m in range(r)]
    return jnp.concatenate(rows)
