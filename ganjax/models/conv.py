"""Strided convolutions as matrix products: the mathematics of Flax's.

XLA's own, and above all their derivatives, run far below the speed of the matrix unit:
on CPUs, where they fall back to a naive kernel inside a loop, and on GPUs where an
image has one channel or a gradient is differentiated. TPUs have units for convolutions:
"library" is for them.

A convolution is linear in the image and in the kernel; with a weight on every pixel of
its result it is a form linear in three arrays,

    T(x, k, y) = sum over b, i, j, m, n of  y[b, i, j] k[m, n] x[b, s i + m, s j + n],

and everything here is the derivative of T by one of them: `conv` by y, the transposed
convolution by x, `kernel_gradient` by k. The derivatives of each are the other two, so
three functions serve every derivative of every order. They are defined for reverse mode
alone: for `jax.jvp` of a network choose "library".

"patches" leaves to XLA what to fuse, as GPUs need it; patches.py has the products.
"matmul" is for CPUs: copies in passes of their own, and winograd.py, which needs fewer
multiplications, where `winograd.applies` to the sizes.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ganjax.models import patches, winograd
from ganjax.models.winograd import Size

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
Pair = tuple[jax.Array, jax.Array]


def _method(name: str, size: Size, fused: bool) -> Callable[..., jax.Array]:
    """The function of that name for convolutions of this size."""
    if not fused and winograd.applies(size):
        return getattr(winograd, name)
    return partial(getattr(patches, name), fused=fused)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv(x: jax.Array, kernel: jax.Array, s: int, fused: bool) -> jax.Array:
    """∂T/∂y: [B, sH, sW, I], [k, k, I, O] -> [B, H, W, O]; k is at least s."""
    _, h, w, i = x.shape
    size = Size(len(kernel), s, i, kernel.shape[-1], h // s, w // s)
    return _method("conv", size, fused)(x, kernel, s)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv_adjoint(y: jax.Array, kernel: jax.Array, s: int, fused: bool) -> jax.Array:
    """∂T/∂x: [B, H, W, O], [k, k, I, O] -> [B, sH, sW, I]; k is at least s."""
    _, h, w, o = y.shape
    size = Size(len(kernel), s, kernel.shape[2], o, h, w)
    return _method("conv_adjoint", size, fused)(y, kernel, s)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def kernel_gradient(
    x: jax.Array, y: jax.Array, k: int, s: int, fused: bool
) -> jax.Array:
    """∂T/∂k: [B, sH, sW, I], [B, H, W, O] -> [k, k, I, O]."""
    _, h, w, o = y.shape
    size = Size(k, s, x.shape[-1], o, h, w)
    return _method("kernel_gradient", size, fused)(x, y, k, s)


def _forward(function: Callable[..., jax.Array]) -> Callable[..., Any]:
    """All three are bilinear: their derivatives need both arguments, and no more."""
    return lambda a, b, *static: (function(a, b, *static), (a, b))


def _conv_vjp(s: int, fused: bool, saved: Pair, y: jax.Array) -> Pair:
    x, kernel = saved
    k = len(kernel)
    return conv_adjoint(y, kernel, s, fused), kernel_gradient(x, y, k, s, fused)


def _adjoint_vjp(s: int, fused: bool, saved: Pair, x: jax.Array) -> Pair:
    y, kernel = saved
    return conv(x, kernel, s, fused), kernel_gradient(x, y, len(kernel), s, fused)


def _kernel_vjp(k: int, s: int, fused: bool, saved: Pair, kernel: jax.Array) -> Pair:
    x, y = saved
    return conv_adjoint(y, kernel, s, fused), conv(x, kernel, s, fused)


conv.defvjp(_forward(conv), _conv_vjp)
conv_adjoint.defvjp(_forward(conv_adjoint), _adjoint_vjp)
kernel_gradient.defvjp(_forward(kernel_gradient), _kernel_vjp)


def groups(x: jax.Array, kernel: jax.Array) -> int:
    """Into how many groups a kernel [k, k, I/g, O] divides channels [B, H, W, I]."""
    return x.shape[-1] // kernel.shape[2]


def same_conv(x: jax.Array, kernel: jax.Array, s: int, fused: bool) -> jax.Array:
    """[B, H, W, I], [k, k, I/g, O] -> [B, ⌈H/s⌉, ⌈W/s⌉, O]: an image of any size.

    In g groups each I/g channels make O/g others, by matrix products for each group. On
    CPUs XLA's own take 20 times as long and more, and one product with a block-diagonal
    kernel is faster up to 4 groups only.
    """
    if (g := groups(x, kernel)) > 1:
        parts = (
            x.reshape(*x.shape[:-1], g, -1),
            kernel.reshape(*kernel.shape[:-1], g, -1),
        )
        function = jax.vmap(partial(same_conv, s=s, fused=fused), (-2, -2), -2)
        y = function(*parts)
        return y.reshape(*y.shape[:-2], -1)
    k = len(kernel)
    if k == s == 1:
        return x @ kernel[0, 0]

    def fill(size: int) -> tuple[int, int]:
        """Zeros up to a multiple of s, where SAME would have them."""
        short = -size % s
        low = (k - s + short) // 2 - (k - s) // 2
        return low, short - low

    _, height, width, _ = x.shape
    if height % s or width % s:  # padding by nothing would be traced in each derivative
        x = jnp.pad(x, ((0, 0), fill(height), fill(width), (0, 0)))
    return conv(x, kernel, s, fused)


def conv_transpose(x: jax.Array, kernel: jax.Array, s: int, fused: bool) -> jax.Array:
    """[B, H, W, I], [k, k, I, O] -> [B, sH, sW, O], not flipped: as Flax has it."""
    return conv_adjoint(x, kernel[::-1, ::-1].swapaxes(2, 3), s, fused)


def library_conv(x: jax.Array, kernel: jax.Array, s: int) -> jax.Array:
    """What `nn.Conv(padding="SAME")` calls."""
    return lax.conv_general_dilated(
        x,
        kernel,
        (s, s),
        "SAME",
        dimension_numbers=DIMENSIONS,
        feature_group_count=groups(x, kernel),
    )


def library_conv_transpose(x: jax.Array, kernel: jax.Array, s: int) -> jax.Array:
    """What `nn.ConvTranspose(padding="SAME")` calls."""
    return lax.conv_transpose(x, kernel, (s, s), "SAME", dimension_numbers=DIMENSIONS)


ConvFn = Callable[[jax.Array, jax.Array, int], jax.Array]
CONV: dict[str, ConvFn] = {
    "matmul": partial(same_conv, fused=False),
    "patches": partial(same_conv, fused=True),
    "library": library_conv,
}
CONV_TRANSPOSE: dict[str, ConvFn] = {
    "matmul": partial(conv_transpose, fused=False),
    "patches": partial(conv_transpose, fused=True),
    "library": library_conv_transpose,
}
