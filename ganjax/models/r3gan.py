"""R3GAN (arXiv:2501.05441, section 3.4 and appendix) for images of any size.

Stages of residual blocks at each resolution, without norms, by bilinear resampling in
between. Details are those of the authors' code: biases are only before activations, and
the logit of a class is a product with its embedding, without a term for no class. The
networks of the paper for 32x32 pixels are `channels=(768,) * 4` and `blocks=2`, with
two blocks of a fifth width, 384, for 64x64. Its 4x4 bases have the size of the coarsest
feature map, 7x7 of 28x28 pixels. Its cardinality, 96 or 48 groups, is given by their
width, 16 at all resolutions.
"""

from functools import partial
from math import sqrt

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from ganjax.errors import UserError
from ganjax.models.layers import (
    ACTIVATIONS,
    OUTPUTS,
    Conv,
    Output,
    WithLabel,
    check_divisible,
    divide_image,
)
from ganjax.models.resampling import downsample, upsample
from ganjax.options import PositiveInt, Repeats, Widths, choice, given

Labels = Int[Array, " B"] | None
activate = ACTIVATIONS["leaky_relu"]
unit_gain = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
linear = partial(nn.Dense, use_bias=False, kernel_init=unit_gain)  # 1x1 on images
zeros = nn.initializers.zeros


class Block(nn.Module):
    """x + a bottleneck that is wider than x: 1x1, 3x3 in groups, 1x1 convolutions.

    The last starts at 0, and weights are scaled for `num_blocks` blocks, by fix-up
    initialization (arXiv:1901.09321): L^(-1/(2m - 2)) for m = 3 convolutions.
    """

    num_blocks: int
    expansion: int
    group_width: int
    conv: str

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        width = x.shape[-1] * self.expansion
        scale = 2 / (1 + 0.2**2) / sqrt(self.num_blocks)  # a gain, squared
        init = nn.initializers.variance_scaling(scale, "fan_in", "normal")
        groups = width // self.group_width
        middle = Conv(width, 3, 1, self.conv, kernel_init=init, groups=groups)
        y = activate(nn.Dense(width, kernel_init=init)(x))
        y = activate(middle(y))
        return x + linear(x.shape[-1], kernel_init=zeros)(y)


class Generator(nn.Module):
    """z [B, Z] -> images [B, H, W, C]; linear, as the paper's.

    Each of `channels` is one resolution, coarse to fine; the last is the images'.
    """

    image_shape: tuple[int, ...]
    channels: Widths = (64, 32, 16)
    blocks: Repeats = 1  # of each resolution
    expansion: Repeats = 2  # width within a block for each one of its channels
    group_width: PositiveInt = 16  # channels that a 3x3 convolution joins
    output: Output = choice(OUTPUTS, "linear")
    num_classes: int = given(0)
    conv: str = given("matmul")

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], train: bool = True, labels: Labels = None
    ) -> Float[Array, "B H W C"]:
        check_groups("generator", self.channels, self.expansion, self.group_width)
        factor = 2 ** (len(self.channels) - 1)
        meaning = "2 to the power of the number of generator.channels less 1"
        start = *divide_image(self.image_shape, factor, meaning), self.channels[0]
        if self.num_classes:
            init = nn.initializers.normal(1 / sqrt(self.num_classes))
            z = WithLabel(self.num_classes, init)(z, labels)
        basis = self.param("basis", nn.initializers.normal(1.0), start)
        x = basis[None] * linear(start[-1])(z)[:, None, None]
        num = self.blocks * len(self.channels)
        block = partial(Block, num, self.expansion, self.group_width, self.conv)
        for i, features in enumerate(self.channels):
            if x.shape[-1] != features:
                x = linear(features)(x)
            x = upsample(x) if i else x
            for _ in range(self.blocks):
                x = block()(x)
        return self.output.activation(linear(self.image_shape[-1])(x))


class Discriminator(nn.Module):
    """Images [B, H, W, C] -> logits [B].

    Each of `channels` is one resolution, fine to coarse; the first is the images'.
    """

    channels: Widths = (16, 32, 64)
    blocks: Repeats = 1  # of each resolution
    expansion: Repeats = 2  # width within a block for each one of its channels
    group_width: PositiveInt = 16  # channels that a 3x3 convolution joins
    num_classes: int = given(0)
    conv: str = given("matmul")

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool = True, labels: Labels = None
    ) -> Float[Array, " B"]:
        check_groups("discriminator", self.channels, self.expansion, self.group_width)
        check_divisible(self.channels, x.shape[1:], len(self.channels) - 1)
        num = self.blocks * len(self.channels)
        block = partial(Block, num, self.expansion, self.group_width, self.conv)
        x = linear(self.channels[0])(x)
        for i, features in enumerate(self.channels):
            x = downsample(x) if i else x
            if x.shape[-1] != features:
                x = linear(features)(x)
            for _ in range(self.blocks):
                x = block()(x)
        # A convolution of each channel by itself, with a kernel of the image's size.
        scale = 1 / sqrt(x.shape[1] * x.shape[2])
        basis = self.param("basis", nn.initializers.normal(scale), x.shape[1:])
        x = jnp.sum(basis[None] * x, (1, 2))
        if not self.num_classes:
            return linear(1)(x)[:, 0]
        width = x.shape[-1]
        init = nn.initializers.normal(1 / sqrt(self.num_classes * width))
        embedding = nn.Embed(self.num_classes, width, embedding_init=init)(labels)
        return jnp.sum(linear(width)(x) * embedding, -1)


def check_groups(
    network: str, channels: Widths, expansion: int, group_width: int
) -> None:
    """Checks that there are stages, and that groups divide the width of each block.

    Raises:
      UserError: they do not.
    """
    if not channels:
        raise UserError(f"config.{network}.channels=(): expected at least one width")
    for width in channels:
        if width * expansion % group_width:
            raise UserError(
                f"config.{network}.group_width={group_width}: expected a divisor of "
                f"{width * expansion}, which is expansion times one of channels"
            )
