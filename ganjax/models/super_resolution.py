"""A generator of SRGAN (arXiv:1609.04802) for small images."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from ganjax.models.layers import Conv
from ganjax.models.translation import ConvBlock, ResidualBlock
from ganjax.options import Depth, PositiveInt, given


class SuperResolution(nn.Module):
    """Images [B, h, w, C] and noise [B, h, w, Z] -> images [B, f h, f w, C].

    Residual blocks at the low resolution, then one transposed convolution for each
    doubling. The result is added to the input enlarged by bicubic interpolation, so
    that the network draws only what that lacks.
    """

    factor: int  # a power of 2
    features: PositiveInt = 32
    blocks: Depth = 4  # residual
    conv: str = given("matmul")

    @nn.compact
    def __call__(
        self, x: Float[Array, "B h w C"], z: Float[Array, "B h w Z"]
    ) -> Float[Array, "B H W C"]:
        block = partial(ConvBlock, self.features, norm="none", conv=self.conv)
        h = block(3)(jnp.concatenate([x, z], axis=-1))
        for _ in range(self.blocks):
            h = ResidualBlock(norm="none", conv=self.conv)(h)
        for _ in range(self.factor.bit_length() - 1):
            h = block(4, 2, transpose=True)(h)
        zeros = nn.initializers.zeros
        drawn = Conv(x.shape[-1], 3, 1, self.conv, kernel_init=zeros)(h)
        return enlarge(x, self.factor) + drawn


def enlarge(x: Float[Array, "B h w C"], factor: int) -> Float[Array, "B H W C"]:
    """Bicubic interpolation."""
    b, h, w, c = x.shape
    return jax.image.resize(x, (b, factor * h, factor * w, c), "cubic")
