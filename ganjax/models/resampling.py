"""Images at other resolutions.

`upsample` and `downsample` filter with [1, 3, 3, 1] in both axes, the bilinear
resampling of StyleGAN (arXiv:1812.04948, section 2) and R3GAN (arXiv:2501.05441,
section 3.4). Beyond the edges pixels are 0. They are sums of shifted images: XLA's
convolutions with fixed filters are far slower on CPUs.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def upsample(x: Float[Array, "B H W C"]) -> Float[Array, "B 2*H 2*W C"]:
    """Every pixel becomes two in each axis: 3/4 of it and 1/4 of the nearest other."""
    for axis in (1, 2):
        before, after = shift(x, axis, 1), shift(x, axis, -1)
        pairs = jnp.stack([3 * x + before, 3 * x + after], axis + 1) / 4
        shape = list(x.shape)
        shape[axis] *= 2
        x = pairs.reshape(shape)
    return x


def downsample(x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """Two pixels become one in each axis, with weights 1, 3, 3, 1 of 8."""
    for axis in (1, 2):
        shape = list(x.shape)
        shape[axis : axis + 1] = [shape[axis] // 2, 2]
        even, odd = (
            lax.index_in_dim(x.reshape(shape), i, axis + 1, keepdims=False)
            for i in (0, 1)
        )
        x = (3 * (even + odd) + shift(odd, axis, 1) + shift(even, axis, -1)) / 8
    return x


def shift(x: Array, axis: int, by: int) -> Array:
    """The array moved along an axis by 1 or -1; zeros move in."""
    edges = [(0, 0, 0)] * x.ndim
    edges[axis] = (by, -by, 0)  # a negative edge cuts
    return lax.pad(x, jnp.zeros((), x.dtype), edges)


def shrink(x: Float[Array, "B H W C"], factor: int) -> Float[Array, "B h w C"]:
    """The mean of every square of factor × factor pixels.

    Not `nn.avg_pool`, which XLA computes one number at a time on CPUs.
    """
    b, h, w, c = x.shape
    blocks = x.reshape(b, h // factor, factor, w // factor, factor, c)
    return jnp.mean(blocks, axis=(2, 4))
