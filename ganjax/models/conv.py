"""Strided convolutions as matrix products: the mathematics of Flax's, made for CPUs.

On the CPU back end of XLA a strided convolution, and above all its derivatives, run far
below the speed of the matrix unit, and inside a loop they fall back to a naive kernel.
GPUs and TPUs have convolution units: "library" is for them.

A convolution is linear in the image and in the kernel; with a weight on every pixel of
its result it is a form linear in three arrays,

    T(x, k, y) = sum over b, i, j, m, n of  y[b, i, j] k[m, n] x[b, s i + m, s j + n],

and everything here is the derivative of T by one of them: `conv` by y, the transposed
convolution by x, `kernel_gradient` by k. The derivatives of each are the other two, so
three functions serve every derivative of every order. They are defined for reverse mode
alone: for `jax.jvp` of a network choose "library".
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


Pair = tuple[jax.Array, jax.Array]
Block = tuple[int, int, int, int]  # row and column of blocks, rows and columns of taps


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


def _patches(x: jax.Array, k: int, s: int) -> jax.Array:
    """[B, sH, sW, I] -> [B·H·W, k·k·I]: what a kernel sees, block by block."""
    b, h, w, i = x.shape
    x = jnp.pad(x, ((0, 0), _edge(k, s), _edge(k, s), (0, 0)))
    x = x.reshape(b, x.shape[1] // s, s, x.shape[2] // s, s, i).swapaxes(2, 3)
    h, w = h // s, w // s
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


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv(x: jax.Array, kernel: jax.Array, s: int) -> jax.Array:
    """∂T/∂y: [B, sH, sW, I], [k, k, I, O] -> [B, H, W, O]; k is at least s."""
    b, h, w, _ = x.shape
    k, _, _, o = kernel.shape
    return (_patches(x, k, s) @ _matrix(kernel, s)).reshape(b, h // s, w // s, o)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv_adjoint(y: jax.Array, kernel: jax.Array, s: int) -> jax.Array:
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


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def kernel_gradient(x: jax.Array, y: jax.Array, k: int, s: int) -> jax.Array:
    """∂T/∂k: [B, sH, sW, I], [B, H, W, O] -> [k, k, I, O]."""
    i, o = x.shape[-1], y.shape[-1]
    # Without the barrier XLA multiplies by a transposed matrix, which takes up to twice
    # as long as a product after a transposition.
    matrix = lax.optimization_barrier(_patches(x, k, s).T) @ y.reshape(-1, o)
    blocks = [
        part.reshape(rows, columns, i, o)
        for part, (_, _, rows, columns) in _split(matrix, k, s, axis=0)
    ]
    r = -(-k // s)  # blocks on a side
    rows = [jnp.concatenate(blocks[m * r : m * r + r], axis=1) for m in range(r)]
    return jnp.concatenate(rows)


def _forward(function: Callable[..., jax.Array]) -> Callable[..., Any]:
    """All three are bilinear: their derivatives need both arguments, and no more."""
    return lambda a, b, *sizes: (function(a, b, *sizes), (a, b))


def _conv_vjp(s: int, saved: Pair, y: jax.Array) -> Pair:
    x, kernel = saved
    return conv_adjoint(y, kernel, s), kernel_gradient(x, y, len(kernel), s)


def _adjoint_vjp(s: int, saved: Pair, x: jax.Array) -> Pair:
    y, kernel = saved
    return conv(x, kernel, s), kernel_gradient(x, y, len(kernel), s)


def _kernel_vjp(k: int, s: int, saved: Pair, kernel: jax.Array) -> Pair:
    x, y = saved
    return conv_adjoint(y, kernel, s), conv(x, kernel, s)


conv.defvjp(_forward(conv), _conv_vjp)
conv_adjoint.defvjp(_forward(conv_adjoint), _adjoint_vjp)
kernel_gradient.defvjp(_forward(kernel_gradient), _kernel_vjp)


def same_conv(x: jax.Array, kernel: jax.Array, s: int) -> jax.Array:
    """[B, H, W, I], [k, k, I, O] -> [B, ⌈H/s⌉, ⌈W/s⌉, O]: an image of any size."""
    k = len(kernel)

    def fill(size: int) -> tuple[int, int]:
        """Zeros up to a multiple of s, where SAME would have them."""
        short = -size % s
        low = (k - s + short) // 2 - (k - s) // 2
        return low, short - low

    _, height, width, _ = x.shape
    if height % s or width % s:  # padding by nothing would be traced in each derivative
        x = jnp.pad(x, ((0, 0), fill(height), fill(width), (0, 0)))
    return conv(x, kernel, s)


def conv_transpose(x: jax.Array, kernel: jax.Array, s: int) -> jax.Array:
    """[B, H, W, I], [k, k, I, O] -> [B, sH, sW, O], not flipped: as Flax has it."""
    return conv_adjoint(x, kernel[::-1, ::-1].swapaxes(2, 3), s)


def library_conv(x: jax.Array, kernel: jax.Array, s: int) -> jax.Array:
    """What `nn.Conv(padding="SAME")` calls."""
    return lax.conv_general_dilated(
        x, kernel, (s, s), "SAME", dimension_numbers=DIMENSIONS
    )


def library_conv_transpose(x: jax.Array, kernel: jax.Array, s: int) -> jax.Array:
    """What `nn.ConvTranspose(padding="SAME")` calls."""
    return lax.conv_transpose(x, kernel, (s, s), "SAME", dimension_numbers=DIMENSIONS)


ConvFn = Callable[[jax.Array, jax.Array, int], jax.Array]
CONV: dict[str, ConvFn] = {"matmul": same_conv, "library": library_conv}
CONV_TRANSPOSE: dict[str, ConvFn] = {
    "matmul": conv_transpose,
    "library": library_conv_transpose,
}
