"""Residual pair of SNGAN (arXiv:1802.05957, appendix B.4) for images of any size.

The networks of the paper's tables 4 and 5 are options alone:

    32x32   G channels=(256, 256, 256, 256)
            D channels=(128, 128), blocks=(128, 128)
    48x48   G channels=(512, 256, 128, 64)
            D channels=(64, 128, 256, 512), blocks=(1024,)

Widths within a block, which the paper leaves open, are those of its code. Kernels start
normal here, not Glorot uniform, but with the gains of that code: √2 in blocks, 1 in
shortcuts and dense layers. D's last layer has a bias at 32x32, too. Without a norm the
second convolution of each block starts at 0, so that every block starts as its
shortcut: how R3GAN (arXiv:2501.05441, section 3.4) does without norms.

With `attention`, and with `spectral` in G, these are the networks of SAGAN
(arXiv:1805.08318), but for class-conditional BatchNorm and the widths within D's
blocks.
"""

from functools import partial
from math import prod
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from ganjax.errors import UserError
from ganjax.models.attention import SelfAttention, check_attention
from ganjax.models.layers import (
    INITIALIZERS,
    OUTPUTS,
    Conv,
    Initializers,
    Logit,
    Norm,
    Output,
    WithLabel,
    check_divisible,
    divide_image,
    run_layer,
)
from ganjax.models.resampling import shrink
from ganjax.options import Rate, Size, Widths, choice, given

Labels = Int[Array, " B"] | None
zeros = nn.initializers.zeros


class UpBlock(nn.Module):
    """Shortcut + convolution, both at twice the resolution (figure 8 of SNGAN)."""

    features: int
    norm: Literal["none", "batch"]
    spectral: bool
    momentum: float
    kernel_init: Initializers
    conv: str
    axis_name: str | None

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool
    ) -> Float[Array, "B 2*H 2*W features"]:
        def finish(x: Array) -> Array:
            if self.norm == "batch":
                x = Norm(self.momentum, axis_name=self.axis_name)(x, train)
            return nn.relu(x)

        def conv(kernel: int, init: nn.initializers.Initializer, x: Array) -> Array:
            layer = Conv(self.features, kernel, 1, self.conv, kernel_init=init)
            return run_layer(layer, spectral, train, x)

        spectral = "spectral" if self.spectral else "none"
        plain = self.norm == "none" and not self.spectral
        init = self.kernel_init
        y = conv(3, init.hidden, double(finish(x)))
        y = conv(3, zeros if plain else init.hidden, finish(y))
        return double(conv(1, init.linear, x)) + y


class Generator(nn.Module):
    """z [B, Z] -> images [B, H, W, C] in the range of `output`.

    Each of `channels` is one resolution, coarse to fine; the last is the images'.
    """

    image_shape: tuple[int, ...]
    channels: Widths = (64, 64, 32, 32)
    norm: Literal["none", "batch"] = "batch"
    spectral: bool = False  # spectral norm of 1 (arXiv:1805.08318, section 4.1)
    attention: Size = 0  # height of the feature map with self-attention; 0: none
    momentum: Rate = 0.9  # weight of the old running statistics in an update
    kernel_init: Initializers = choice(INITIALIZERS, "he_normal")
    output: Output = choice(OUTPUTS, "tanh")
    num_classes: int = given(0)
    conv: str = given("matmul")
    axis_name: str | None = given(None)

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], train: bool = True, labels: Labels = None
    ) -> Float[Array, "B H W C"]:
        start, init = self.start_shape(), self.kernel_init
        if self.num_classes:
            z = WithLabel(self.num_classes)(z, labels)
        spectral = "spectral" if self.spectral else "none"
        dense = nn.Dense(prod(start), kernel_init=init.linear)
        x = run_layer(dense, spectral, train, z).reshape(-1, *start)
        block = partial(
            UpBlock,
            norm=self.norm,
            spectral=self.spectral,
            momentum=self.momentum,
            kernel_init=init,
            conv=self.conv,
            axis_name=self.axis_name,
        )
        for i, features in enumerate(self.channels):
            x = block(features)(x, train) if i else x
            if x.shape[1] == self.attention:
                x = SelfAttention(spectral, init.linear)(x, train)
        if self.norm == "batch":
            x = Norm(self.momentum, axis_name=self.axis_name)(x, train)
        features = self.image_shape[-1]
        last = Conv(features, 3, 1, self.conv, kernel_init=init.hidden)
        return self.output.activation(run_layer(last, spectral, train, nn.relu(x)))

    def start_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the first feature map."""
        if not self.channels:
            raise UserError("config.generator.channels=(): expected at least one width")
        factor = 2 ** (len(self.channels) - 1)
        meaning = "2 to the power of the number of generator.channels less 1"
        height, width = divide_image(self.image_shape, factor, meaning)
        widths = {height * 2**i: width for i, width in enumerate(self.channels)}
        check_attention("generator", self.attention, widths)
        return height, width, self.channels[0]


class DownBlock(nn.Module):
    """Shortcut + convolutions; `down` halves the resolution of both.

    The first block of a network has no activation before its first convolution, which
    has the width of its output; in the others it has that of its input.
    """

    features: int
    down: bool
    first: bool
    norm: Literal["none", "spectral"]
    kernel_init: Initializers
    conv: str

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool
    ) -> Float[Array, "B h w features"]:
        def conv(
            kernel: int, init: nn.initializers.Initializer, x: Array, o: int
        ) -> Array:
            layer = Conv(o, kernel, 1, self.conv, kernel_init=init)
            return run_layer(layer, self.norm, train, x)

        inputs, features = x.shape[-1], self.features
        init = self.kernel_init
        last = zeros if self.norm == "none" else init.hidden
        y = x if self.first else nn.relu(x)
        y = conv(3, init.hidden, y, features if self.first else inputs)
        y = conv(3, last, nn.relu(y), features)
        if self.down:  # a 1x1 convolution of means is the mean of 1x1 convolutions
            x, y = shrink(x, 2), shrink(y, 2)
        if self.down or inputs != features:
            x = conv(1, init.linear, x, features)
        return x + y


class Discriminator(nn.Module):
    """Images [B, H, W, C] -> logits [B].

    Each of `channels` halves the resolution, fine to coarse; the `blocks` after them
    keep it. The last feature map is summed over its pixels, without a norm averaged.
    """

    channels: Widths = (32, 64, 64)
    blocks: Widths = (64,)  # widths of the blocks that keep the resolution
    norm: Literal["none", "spectral"] = "spectral"
    attention: Size = 0  # height of the feature map with self-attention; 0: none
    kernel_init: Initializers = choice(INITIALIZERS, "he_normal")
    num_classes: int = given(0)
    conv: str = given("matmul")

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool = True, labels: Labels = None
    ) -> Float[Array, " B"]:
        check_divisible(self.channels, x.shape[1:], len(self.channels))
        halves = {x.shape[1] // 2**i: n for i, n in enumerate(self.channels, start=1)}
        check_attention("discriminator", self.attention, halves)
        init = self.kernel_init
        block = partial(DownBlock, norm=self.norm, kernel_init=init, conv=self.conv)
        for i, features in enumerate(self.channels):
            x = block(features, down=True, first=i == 0)(x, train)
            if x.shape[1] == self.attention:
                x = SelfAttention(self.norm, init.linear)(x, train)
        for features in self.blocks:
            x = block(features, down=False, first=False)(x, train)
        # The sum of so many pixels makes logits at which G has no gradient, unless
        # spectral norm bounds it.
        pool = jnp.mean if self.norm == "none" else jnp.sum
        x = pool(nn.relu(x), axis=(1, 2))
        logit = Logit(self.num_classes, kernel_init=init.linear)
        return run_layer(logit, self.norm, train, x, labels)


def double(x: Float[Array, "B H W C"]) -> Float[Array, "B 2*H 2*W C"]:
    """Every pixel as a square of four."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
