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
from jax import lax

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


# s×s of [B, H, W, C]: plane i, j has pixel i, j of every s×s block of an image.
Planes = list[list[jax.Array]]


def _split(x: jax.Array, s: int) -> Planes:
    """[B, sH, sW, C] to its planes."""
    b, h, w, c = x.shape
    rows = jnp.split(x.reshape(b, h // s, s, w // s, s * c), s, axis=2)
    return [jnp.split(row[:, :, 0], s, axis=-1) for row in rows]


def _join(planes: Planes) -> jax.Array:
    """The inverse of `_split`."""
    image = jnp.stack([jnp.stack(row, axis=3) for row in planes], axis=2)
    b, h, s, w, _, c = image.shape
    return image.reshape(b, h * s, w * s, c)


def _look(planes: Planes, m: int, n: int, h: int, w: int) -> jax.Array:
    """[B, h, w, C]: every s-th pixel of the image from pixel (m, n) on."""
    s = len(planes)
    return planes[m % s][n % s][:, m // s : m // s + h, n // s : n // s + w]


def _patches(x: jax.Array, k: int, s: int) -> jax.Array:
    """[B, sH, sW, I] -> [B·H·W, k·k·I]: what the taps of a kernel see, side by side."""
    b, h, w, i = x.shape
    low = (k - s) // 2  # that SAME adds before; after, as much as fills whole blocks
    high = -k % s + k - s - low
    planes = _split(jnp.pad(x, ((0, 0), (low, high), (low, high), (0, 0))), s)
    size = h // s, w // s
    seen = [_look(planes, m, n, *size) for m in range(k) for n in range(k)]
    return jnp.concatenate(seen, axis=-1).reshape(-1, k * k * i)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv(x: jax.Array, kernel: jax.Array, s: int) -> jax.Array:
    """∂T/∂y: [B, sH, sW, I], [k, k, I, O] -> [B, H, W, O]; k is at least s."""
    b, h, w, _ = x.shape
    k, _, _, o = kernel.shape
    return (_patches(x, k, s) @ kernel.reshape(-1, o)).reshape(b, h // s, w // s, o)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv_adjoint(y: jax.Array, kernel: jax.Array, s: int) -> jax.Array:
    """∂T/∂x: [B, H, W, O], [k, k, I, O] -> [B, sH, sW, I]; k is at least s.

    One product gives what every tap adds to the image. A tap meets one pixel of each
    s×s block, so it adds to one plane.
    """
    b, h, w, o = y.shape
    k, _, i, _ = kernel.shape
    product = y.reshape(-1, o) @ kernel.transpose(3, 0, 1, 2).reshape(o, -1)
    taps = iter(jnp.split(product.reshape(b, h, w, k * k * i), k * k, axis=-1))
    planes: list[list[Any]] = [[0.0] * s for _ in range(s)]
    more = -(-k // s) - 1  # blocks that a kernel meets, but for the first
    for m in range(k):
        for n in range(k):
            down, right = (m // s, more - m // s), (n // s, more - n // s)
            shifted = jnp.pad(next(taps), ((0, 0), down, right, (0, 0)))
            planes[m % s][n % s] += shifted
    low = (k - s) // 2
    inside = range(low, low + s)
    return _join([[_look(planes, m, n, h, w) for n in inside] for m in inside])


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def kernel_gradient(x: jax.Array, y: jax.Array, k: int, s: int) -> jax.Array:
    """∂T/∂k: [B, sH, sW, I], [B, H, W, O] -> [k, k, I, O]."""
    i, o = x.shape[-1], y.shape[-1]
    # Without the barrier XLA multiplies by a transposed matrix, which takes twice as
    # long as a product after a transposition.
    patches = lax.optimization_barrier(_patches(x, k, s).T)
    return (patches @ y.reshape(-1, o)).reshape(k, k, i, o)


def _forward(function: Callable[..., jax.Array]) -> Callable[..., Any]:
    """All three are bilinear: their derivatives need both arguments, and no more."""
    return lambda a, b, *sizes: (function(a, b, *sizes), (a, b))


def _conv_vjp(s: int, saved: tuple, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    return conv_adjoint(y, kernel, s), kernel_gradient(x, y, len(kernel), s)


def _adjoint_vjp(s: int, saved: tuple, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    y, kernel = saved
    return conv(x, kernel, s), kernel_gradient(x, y, len(kernel), s)


def _kernel_vjp(k: int, s: int, saved: tuple, kernel: jax.Array) -> tuple:
    x, y = saved
    return conv_adjoint(y, kernel, s), conv(x, kernel, s)


conv.defvjp(_forward(conv), _conv_vjp)
conv_adjoint.defvjp(_forward(conv_adjoint), _adjoint_vjp)
kernel_gradient.defvjp(_forward(kernel_gradient), _kernel_vjp)


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
CONV: dict[str, ConvFn] = {"matmul": conv, "library": library_conv}
CONV_TRANSPOSE: dict[str, ConvFn] = {
    "matmul": conv_transpose,
    "library": library_conv_transpose,
}
