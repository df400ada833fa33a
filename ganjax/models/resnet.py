"""Residual pair of SNGAN (arXiv:1802.05957, appendix B.4) for 32x32, 64x64 and more.

Without a norm the second convolution of each block starts at 0, so that every block
starts as its shortcut: how R3GAN (arXiv:2501.05441, section 3.4) does without norms.
"""

from functools import partial
from math import prod
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from ganjax.errors import UserError
from ganjax.models.layers import (
    INITIALIZERS,
    OUTPUTS,
    Conv,
    Initializers,
    Logit,
    Norm,
    Output,
    WithLabel,
    check_image_shape,
    divide_image,
    run_layer,
)
from ganjax.options import Depth, Rate, Widths, choice, given

Labels = Int[Array, " B"] | None
zeros = nn.initializers.zeros


class UpBlock(nn.Module):
    """Shortcut + convolution, both at twice the resolution (figure 8 of SNGAN)."""

    features: int
    norm: Literal["none", "batch"]
    momentum: float
    kernel_init: nn.initializers.Initializer
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

        conv = partial(Conv, self.features, implementation=self.conv)
        last = zeros if self.norm == "none" else self.kernel_init
        y = conv(3, kernel_init=self.kernel_init)(double(finish(x)))
        y = conv(3, kernel_init=last)(finish(y))
        return double(conv(1, kernel_init=self.kernel_init)(x)) + y


class Generator(nn.Module):
    """z [B, Z] -> images [B, H, W, C] in the range of `output`.

    Each of `channels` is one resolution, coarse to fine; the last is the images'.
    """

    image_shape: tuple[int, ...]
    channels: Widths = (64, 64, 32, 32)
    norm: Literal["none", "batch"] = "batch"
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
        start, init = self.start_shape(), self.kernel_init.hidden
        if self.num_classes:
            z = WithLabel(self.num_classes)(z, labels)
        x = nn.Dense(prod(start), kernel_init=init)(z).reshape(-1, *start)
        block = partial(
            UpBlock,
            norm=self.norm,
            momentum=self.momentum,
            kernel_init=init,
            conv=self.conv,
            axis_name=self.axis_name,
        )
        for features in self.channels[1:]:
            x = block(features)(x, train)
        if self.norm == "batch":
            x = Norm(self.momentum, axis_name=self.axis_name)(x, train)
        last = Conv(self.image_shape[-1], 3, 1, self.conv, kernel_init=init)
        return self.output.activation(last(nn.relu(x)))

    def start_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the first feature map."""
        if not self.channels:
            raise UserError("config.generator.channels=(): expected at least one width")
        factor = 2 ** (len(self.channels) - 1)
        meaning = "2 to the power of the number of generator.channels less 1"
        return *divide_image(self.image_shape, factor, meaning), self.channels[0]


class DownBlock(nn.Module):
    """Shortcut + convolutions; `down` halves the resolution of both.

    The first block of a network has no activation before its first convolution.
    """

    features: int
    down: bool
    first: bool
    norm: Literal["none", "spectral"]
    kernel_init: nn.initializers.Initializer
    conv: str

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool
    ) -> Float[Array, "B h w features"]:
        def conv(kernel: int, init: nn.initializers.Initializer, x: Array) -> Array:
            layer = Conv(self.features, kernel, 1, self.conv, kernel_init=init)
            return run_layer(layer, self.norm, train, x)

        last = zeros if self.norm == "none" else self.kernel_init
        y = conv(3, self.kernel_init, x if self.first else nn.relu(x))
        y = conv(3, last, nn.relu(y))
        if self.down or x.shape[-1] != self.features:
            x = conv(1, self.kernel_init, x)
        return halve(x + y) if self.down else x + y


class Discriminator(nn.Module):
    """Images [B, H, W, C] -> logits [B].

    Each of `channels` halves the resolution, fine to coarse; `blocks` more keep it. The
    last feature map is summed over its pixels.
    """

    channels: Widths = (32, 64, 64)
    blocks: Depth = 1
    norm: Literal["none", "spectral"] = "spectral"
    kernel_init: Initializers = choice(INITIALIZERS, "he_normal")
    num_classes: int = given(0)
    conv: str = given("matmul")

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool = True, labels: Labels = None
    ) -> Float[Array, " B"]:
        check_image_shape(x.shape[1:])
        factor = 2 ** len(self.channels)
        if not self.channels or x.shape[1] % factor or x.shape[2] % factor:
            raise UserError(
                f"config.discriminator.channels={self.channels}: expected images of "
                f"{x.shape[1]}x{x.shape[2]} pixels to be divisible by {factor}"
            )
        init = self.kernel_init
        block = partial(
            DownBlock, norm=self.norm, kernel_init=init.hidden, conv=self.conv
        )
        for i, features in enumerate(self.channels):
            x = block(features, down=True, first=i == 0)(x, train)
        for _ in range(self.blocks):
            x = block(x.shape[-1], down=False, first=False)(x, train)
        x = jnp.sum(nn.relu(x), axis=(1, 2))
        logit = Logit(self.num_classes, kernel_init=init.logit)
        return run_layer(logit, self.norm, train, x, labels)


def double(x: Float[Array, "B H W C"]) -> Float[Array, "B 2*H 2*W C"]:
    """Every pixel as a square of four."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def halve(x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """The mean of every square of four pixels."""
    return nn.avg_pool(x, (2, 2), (2, 2))
