"""Networks from images to images, and a discriminator of patches.

The generator is that of CycleGAN (arXiv:1703.10593, appendix 7.2) and StarGAN
(arXiv:1711.09020, table 4); the discriminator is PatchGAN (arXiv:1611.07004, section
3.2.2). Both are scaled to 28x28 pixels: fewer features and one halving of the
resolution.
"""

from functools import partial
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from ganjax.errors import UserError
from ganjax.models.layers import Conv, ConvTranspose
from ganjax.options import Depth, KernelSize, PositiveInt, Repeats, Widths, given


class ConvBlock(nn.Module):
    """Convolution, instance norm (arXiv:1607.08022) and activation.

    A stride of 2 halves the resolution; with `transpose` it doubles it.
    """

    features: int
    kernel: int
    stride: int = 1
    transpose: bool = False
    norm: Literal["none", "instance"] = "instance"
    activation: Literal["none", "relu", "leaky_relu"] = "relu"
    conv: str = "matmul"

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w features"]:
        layer = ConvTranspose if self.transpose else Conv
        bias = self.norm == "none"  # instance norm has a bias of its own
        x = layer(self.features, self.kernel, self.stride, self.conv, bias)(x)
        if self.norm == "instance":
            x = nn.InstanceNorm()(x)
        if self.activation == "leaky_relu":
            return nn.leaky_relu(x, negative_slope=0.2)
        return nn.relu(x) if self.activation == "relu" else x


class ResidualBlock(nn.Module):
    """x + f(x), f being two 3x3 convolutions (arXiv:1512.03385) of x's own width."""

    norm: Literal["none", "instance"] = "instance"
    conv: str = "matmul"

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        block = partial(ConvBlock, x.shape[-1], 3, norm=self.norm, conv=self.conv)
        y = block()(x)
        return x + block(activation="none")(y)


class EncoderDecoder(nn.Module):
    """Images [B, H, W, C] -> images [B, H, W, out_channels] in [-1, 1].

    Halves the resolution, applies residual blocks and doubles it again.
    """

    out_channels: int
    kernel: KernelSize = 3  # of the first and of the last layer
    features: PositiveInt = 24  # at the full resolution; twice as many at each halving
    halvings: Depth = 1
    blocks: Repeats = 3  # residual, at the lowest resolution
    # Of the first layer. Instance norm subtracts what a constant channel of the input
    # adds, so with it labels only act through the border.
    first_norm: Literal["none", "instance"] = "instance"
    conv: str = given("matmul")

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"]
    ) -> Float[Array, "B H W {self.out_channels}"]:
        factor = 2**self.halvings
        if x.shape[1] % factor or x.shape[2] % factor:
            raise UserError(
                f"config.generator.halvings={self.halvings}: expected images of "
                f"{x.shape[1]}x{x.shape[2]} pixels to be divisible by {factor}"
            )
        block = partial(ConvBlock, conv=self.conv)
        x = block(self.features, self.kernel, norm=self.first_norm)(x)
        for i in range(1, self.halvings + 1):
            x = block(self.features * 2**i, 4, 2)(x)
        for _ in range(self.blocks):
            x = ResidualBlock(conv=self.conv)(x)
        for i in reversed(range(self.halvings)):
            x = block(self.features * 2**i, 4, 2, transpose=True)(x)
        return jnp.tanh(Conv(self.out_channels, self.kernel, 1, self.conv)(x))


class PatchDiscriminator(nn.Module):
    """Images [B, H, W, C] -> a logit for each patch [B, h, w], and class logits [B, K].

    The classifier is another layer on the same features, over the whole image
    (arXiv:1711.09020, table 5); K is 0 without one.
    """

    channels: Widths = (32, 64)  # each halves the resolution
    norm: Literal["none", "instance"] = "instance"  # but in the first layer
    num_classes: int = given(0)
    conv: str = given("matmul")

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"]
    ) -> tuple[Float[Array, "B h w"], Float[Array, "B K"]]:
        block = partial(ConvBlock, activation="leaky_relu", conv=self.conv)
        for i, features in enumerate(self.channels):
            x = block(features, 4, 2, norm=self.norm if i else "none")(x)
        logits = Conv(1, 3, 1, self.conv)(x)[..., 0]
        flat = x.reshape(len(x), -1)
        classes = nn.Dense(self.num_classes)(flat) if self.num_classes else flat[:, :0]
        return logits, classes
