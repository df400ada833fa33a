"""Convolutions with fewer multiplications: minimal filtering, F(2×2, r×r).

In one dimension two outputs of a kernel of r taps need r + 1 products instead of 2 r:
with the matrices B, G and A of `MATRICES`

    sum over i, m of  y[i] k[m] x[i + m]  =  sum over p of  (A y)[p] (G k)[p] (B x)[p],

for r = 2: (x0 - x1) k0 y0 + x1 (k0 + k1) (y0 + y1) + (x2 - x1) k1 y1. In two dimensions
the matrices apply to rows, then to columns. The sum over channels turns every product
of numbers into one of matrices, V[p] of the image with U[p] of the kernel, and since
the sum is linear in x, k and y, so are V, U and W of the outputs, and

    conv: Wᵀ(V(x) U(k))   adjoint: Vᵀ(W(y) U(k)ᵀ)   kernel: Uᵀ(V(x)ᵀ W(y))

A convolution of stride s is one of stride 1 over blocks of s×s pixels with s·s·I
channels, s·r taps on a side. Of 5 taps and stride 2 the even pixels of a block meet 3,
the odd ones 2: such groups of pixels are separate convolutions, and are added.

Sources: Winograd, Arithmetic Complexity of Computations (1980); arXiv:1509.09308.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ganjax.models.patches import separately

Matrices = list[jax.Array]
Coefficients = Sequence[Sequence[int | float]]
Side = tuple[int, slice]
# r -> B [p, r + 1], G [p, r], A [p, 2]
MATRICES: dict[int, tuple[Coefficients, Coefficients, Coefficients]] = {
    1: ([[1, 0], [0, 1]], [[1], [1]], [[1, 0], [0, 1]]),
    2: (
        [[1, -1, 0], [0, 1, 0], [0, -1, 1]],
        [[1, 0], [1, 1], [0, 1]],
        [[1, 0], [1, 1], [0, 1]],
    ),
    3: (
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
        [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]],
        [[1, 0], [1, 1], [1, -1], [0, -1]],
    ),
}


class Size(NamedTuple):
    """Taps on a side, stride, channels in and out, height and width of the output."""

    k: int
    s: int
    i: int
    o: int
    h: int
    w: int

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles of 2×2 outputs."""
        return -(-self.h // 2), -(-self.w // 2)

    @property
    def taps(self) -> int:
        """Blocks that the kernel meets on a side."""
        return -(-self.k // self.s)

    @property
    def sides(self) -> list[Side]:
        """Taps r, and the rows (or columns) of a block that meet as many."""
        full = self.k % self.s or self.s
        ends = [(self.taps, slice(0, full))]
        return ends + [(self.k // self.s, slice(full, self.s))] * (full < self.s)

    @property
    def groups(self) -> list[tuple[Side, Side]]:
        """The groups of pixels of a block, by rows and columns."""
        return list(itertools.product(self.sides, self.sides))

    def products(self) -> float:
        """Multiplications for each one of the plain convolution."""
        th, tw = self.tiles
        p = sum((r + 1) * (part.stop - part.start) for r, part in self.sides)
        return p**2 * th * tw / (self.k**2 * self.h * self.w)


def applies(size: Size) -> bool:
    """Whether minimal filtering is faster than patches.

    What the transforms cost must be less than what they save in the products with the
    other operand, whose width this weighs. The constant is measured: 24 is between a
    layer that is slower (7×7 outputs, 32 to 64 channels, 4×4 taps of stride 2) and one
    that is faster (16×16 outputs, 16 to 32 channels).
    """
    if not 1 < size.taps <= 3:
        return False
    width, products = min(size.s**2 * size.i, size.o), size.products()
    return width * (1 - products) > 24 * products


def conv(x: jax.Array, kernel: jax.Array, s: int) -> jax.Array:
    """[B, sH, sW, I], [k, k, I, O] -> [B, H, W, O]."""
    b, h, w, i = x.shape
    size = Size(len(kernel), s, i, kernel.shape[-1], h // s, w // s)
    pairs = zip(_image(x, size), _kernel(kernel, size), strict=True)
    shape = b, size.h, size.w, size.o
    return _transpose(_output, size, shape, [v @ u for v, u in pairs])


def conv_adjoint(y: jax.Array, kernel: jax.Array, s: int) -> jax.Array:
    """[B, H, W, O], [k, k, I, O] -> [B, sH, sW, I]."""
    b, h, w, o = y.shape
    size = Size(len(kernel), s, kernel.shape[2], o, h, w)
    pairs = zip(_output(y, size), _kernel(kernel, size), strict=True)
    shape = b, s * h, s * w, size.i
    return _transpose(_image, size, shape, [v @ u.T for v, u in pairs])


def kernel_gradient(x: jax.Array, y: jax.Array, k: int, s: int) -> jax.Array:
    """[B, sH, sW, I], [B, H, W, O] -> [k, k, I, O]."""
    _, h, w, o = y.shape
    size = Size(k, s, x.shape[-1], o, h, w)
    pairs = zip(_image(x, size), _output(y, size), strict=True)
    # The barrier for the same reason as in patches.py.
    products = [lax.optimization_barrier(v.T) @ u for v, u in pairs]
    return _transpose(_kernel, size, (k, k, size.i, o), products)


def _transpose(
    function: Callable[[jax.Array, Size], Matrices],
    size: Size,
    shape: tuple[int, ...],
    products: Matrices,
) -> jax.Array:
    """The transpose of one of the three linear maps, applied to its results."""
    argument = jax.ShapeDtypeStruct(shape, products[0].dtype)
    return jax.linear_transpose(lambda x: function(x, size), argument)(products)[0]


def _combine(parts: Sequence[jax.Array], matrix: Coefficients) -> Matrices:
    """A linear combination of the parts for each row of the matrix."""

    def total(row: Sequence[int | float]) -> jax.Array:
        (first, *rest) = [(c, x) for c, x in zip(row, parts, strict=True) if c]
        result = first[1] if first[0] == 1 else first[0] * first[1]
        for c, x in rest:
            result = result + x if c == 1 else result - x if c == -1 else result + c * x
        return result

    return [total(row) for row in matrix]


def _combine_2d(
    parts: Iterable[Sequence[jax.Array]], rows: Coefficients, columns: Coefficients
) -> Matrices:
    """Combinations of parts [rows][columns] by rows and columns: all products p."""
    lines = [_combine(line, columns) for line in parts]
    by_column = [_combine(column, rows) for column in zip(*lines, strict=True)]
    return [x for line in zip(*by_column, strict=True) for x in line]


def _image(x: jax.Array, size: Size) -> Matrices:
    """V: [B, sH, sW, I] -> matrices [tiles, channels of the group]."""
    k, s, i, _, h, w = size
    b, (th, tw) = len(x), size.tiles
    more = size.taps // 2  # pairs of blocks after the last tile

    def cut(x: jax.Array) -> Matrices:
        """[B, blocks, blocks, rows of the group, columns and channels of it]."""
        low = (k - s) // 2
        edges = [
            (low, 2 * s * (t + more) - s * n - low, 0) for t, n in ((th, h), (tw, w))
        ]
        x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *edges, (0, 0, 0)))
        x = x.reshape(b, 2 * (th + more), s, 2 * (tw + more), s * i)
        return [
            x[:, :, a, :, c.start * i : c.stop * i].swapaxes(2, 3)
            for (_, a), (_, c) in size.groups
        ]

    def transform(groups: Matrices) -> Matrices:
        results = []
        for x, ((r, _), (q, _)) in zip(groups, size.groups, strict=True):
            x = x.reshape(b, th + more, 2, tw + more, 2, -1)
            parts = [
                [
                    x[:, m // 2 : m // 2 + th, m % 2, n // 2 : n // 2 + tw, n % 2]
                    for n in range(q + 1)
                ]
                for m in range(r + 1)
            ]
            results += _combine_2d(parts, MATRICES[r][0], MATRICES[q][0])
        return results

    groups = [x.reshape(*x.shape[:3], -1) for x in separately(cut, x)]
    return [v.reshape(-1, v.shape[-1]) for v in separately(transform, groups)]


def _kernel(kernel: jax.Array, size: Size) -> Matrices:
    """U: [k, k, I, O] -> matrices [channels of the group, O]."""
    s, results = size.s, []

    def tap(m: int, n: int, a: slice, c: slice) -> jax.Array:
        """The weights of a group's pixels in one block."""
        rows = slice(s * m + a.start, s * m + a.stop)
        columns = slice(s * n + c.start, s * n + c.stop)
        return kernel[rows, columns].reshape(-1, size.o)

    for (r, a), (q, c) in size.groups:
        parts = [[tap(m, n, a, c) for n in range(q)] for m in range(r)]
        results += _combine_2d(parts, MATRICES[r][1], MATRICES[q][1])
    return results


def _output(y: jax.Array, size: Size) -> Matrices:
    """W: [B, H, W, O] -> matrices [tiles, O]."""
    th, tw = size.tiles

    def transform(y: jax.Array) -> Matrices:
        odd = (0, size.h % 2, 0), (0, size.w % 2, 0)
        y = lax.pad(y, jnp.zeros((), y.dtype), ((0, 0, 0), *odd, (0, 0, 0)))
        y = y.reshape(-1, th, 2, tw, 2, size.o)
        parts = [[y[:, :, m, :, n] for n in range(2)] for m in range(2)]
        results = []
        for (r, _), (q, _) in size.groups:
            results += _combine_2d(parts, MATRICES[r][2], MATRICES[q][2])
        return results

    return [v.reshape(-1, size.o) for v in separately(transform, y)]
