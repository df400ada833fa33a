"""Convolutional pair after DCGAN (arXiv:1511.06434) and InfoGAN (arXiv:1606.03657).

Each entry of `channels` is one resolution. The generator starts at
`image / stride^len(channels)` pixels and grows; the discriminator is its mirror image.
"""

from math import prod

import jax
from flax import linen as nn

from ganjax.errors import UserError
from ganjax.models.layers import (
    ACTIVATIONS,
    OUTPUTS,
    Conv,
    ConvTranspose,
    Logit,
    Norm,
    WithLabel,
)


def check_sizes(
    player: str, channels: tuple[int, ...], kernel: int, stride: int
) -> None:
    """What either network needs: maps, and kernels that leave no gaps."""
    if not channels or kernel < stride:
        raise UserError(
            f"config.{player}: channels = {channels} must not be empty, kernel = "
            f"{kernel} not be smaller than stride = {stride}"
        )


class Generator(nn.Module):
    """float32 [B, z_dim] -> float32 [B, H, W, C] in the range of `output`."""

    image_shape: tuple[int, int, int]
    channels: tuple[int, ...] = (64, 32)
    hidden: tuple[int, ...] = (256,)  # dense layers before the first feature map
    kernel: int = 4
    stride: int = 2
    norm: str = "batch"
    momentum: float = 0.9
    activation: str = "leaky_relu"
    output: str = "tanh"
    output_kernel: int = 0  # of the last layer; 0: as the others
    num_classes: int = 0  # 0: unconditional
    conv: str = "matmul"
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, z: jax.Array, train: bool = True, labels: jax.Array | None = None
    ) -> jax.Array:
        kernel = min(self.kernel, self.output_kernel or self.kernel)
        check_sizes("generator", self.channels, kernel, self.stride)
        height, width, colours = self.image_shape
        shrink = self.stride ** len(self.channels)
        if height % shrink or width % shrink:
            raise UserError(
                f"{height}x{width} images can't shrink {len(self.channels)} times by "
                f"{self.stride}: change config.data.image_shape or generator.channels"
            )
        start = (height // shrink, width // shrink, self.channels[0])

        bias = self.norm == "none"  # a norm has its own, and would cancel this one

        def finish(x: jax.Array) -> jax.Array:
            x = Norm(self.norm, self.momentum, self.axis_name)(x, train)
            return ACTIVATIONS[self.activation](x)

        def dense(features: int) -> nn.Dense:
            return nn.Dense(features, bias, kernel_init=nn.initializers.he_normal())

        def grow(features: int, kernel: int, use_bias: bool) -> ConvTranspose:
            return ConvTranspose(features, kernel, self.stride, self.conv, use_bias)

        z = WithLabel(self.num_classes)(z, labels)
        for features in self.hidden:
            z = finish(dense(features)(z))
        x = finish(dense(prod(start))(z).reshape(-1, *start))
        for features in self.channels[1:]:
            x = finish(grow(features, self.kernel, bias)(x))
        last = grow(colours, self.output_kernel or self.kernel, use_bias=True)
        return OUTPUTS[self.output](last(x))


class Discriminator(nn.Module):
    """float32 [B, H, W, C] -> logits float32 [B]."""

    NORMS = ("none", "batch", "spectral")

    channels: tuple[int, ...] = (32, 64)
    hidden: tuple[int, ...] = (256,)  # dense layers after the last feature map
    kernel: int = 4
    stride: int = 2
    norm: str = "none"  # "batch", or "spectral": arXiv:1802.05957
    momentum: float = 0.9
    activation: str = "leaky_relu"
    dropout: float = 0.0
    softmax: bool = False  # over two classes, real and generated
    num_classes: int = 0  # 0: unconditional
    conv: str = "matmul"
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool = True, labels: jax.Array | None = None
    ) -> jax.Array:
        check_sizes("discriminator", self.channels, self.kernel, self.stride)

        def apply(layer: nn.Module, *inputs: jax.Array | None) -> jax.Array:
            if self.norm != "spectral":
                return layer(*inputs)
            norm = nn.SpectralNorm(layer, dtype=x.dtype)  # else it makes float32 of all
            return norm(*inputs, update_stats=train)

        def finish(x: jax.Array, norm: bool) -> jax.Array:
            kind = "batch" if norm else "none"
            x = Norm(kind, self.momentum, self.axis_name)(x, train)
            x = ACTIVATIONS[self.activation](x)
            return nn.Dropout(self.dropout, deterministic=not train)(x)

        for i, features in enumerate(self.channels):
            norm = self.norm == "batch" and i > 0  # arXiv:1511.06434, section 3
            conv = Conv(features, self.kernel, self.stride, self.conv, not norm)
            x = finish(apply(conv, x), norm)
        x = x.reshape(x.shape[0], -1)
        for features in self.hidden:
            norm = self.norm == "batch"
            init = nn.initializers.he_normal()
            dense = nn.Dense(features, use_bias=not norm, kernel_init=init)
            x = finish(apply(dense, x), norm)
        return apply(Logit(self.num_classes, self.softmax), x, labels)
