"""Convolutional pair after DCGAN (arXiv:1511.06434) and InfoGAN (arXiv:1606.03657).

Each entry of `channels` is one resolution. The generator starts at
`image / stride^len(channels)` pixels and grows; the discriminator mirrors it.
"""

from collections.abc import Callable
from math import prod
from typing import Annotated, Literal

import jax
from flax import linen as nn
from jaxtyping import Array, Float, Int

from ganjax.errors import UserError
from ganjax.models.layers import (
    ACTIVATIONS,
    INITIALIZERS,
    OUTPUTS,
    Conv,
    ConvTranspose,
    Initializers,
    Logit,
    Norm,
    Output,
    WithLabel,
    check_image_shape,
    divide_image,
    run_layer,
)
from ganjax.options import KernelSize, NonNegative, Range, Rate, Widths, choice, given

Activation = Callable[[jax.Array], jax.Array]
Labels = Int[Array, " B"] | None


def check_sizes(
    network: str, channels: Widths, kernels: dict[str, int], stride: int
) -> None:
    """Checks what either network needs: feature maps, and kernels without gaps."""
    if not channels:
        raise UserError(f"config.{network}.channels=(): expected at least one width")
    for name, kernel in kernels.items():
        if kernel < stride:
            raise UserError(
                f"config.{network}.{name}={kernel}: expected at least stride={stride}"
            )


class Generator(nn.Module):
    """z [B, Z] -> images [B, H, W, C] in the range of `output`."""

    image_shape: tuple[int, ...]
    channels: Widths = (32, 16)  # one feature map per resolution, coarse to fine
    hidden: Widths = (128,)  # dense layers before the first feature map
    kernel: KernelSize = 4  # side of the kernels
    stride: KernelSize = 2  # growth per feature map
    norm: Literal["none", "batch"] = "batch"
    momentum: Rate = 0.9  # weight of the old running statistics in an update
    epsilon: NonNegative = 1e-5  # added to the variance by BatchNorm
    activation: Activation = choice(ACTIVATIONS, "leaky_relu")
    dense_activation: Activation = choice(ACTIVATIONS, "linear")  # before the norm
    kernel_init: Initializers = choice(INITIALIZERS, "he_normal")
    output: Output = choice(OUTPUTS, "tanh")
    # Side of the last kernel; 0: as the others.
    output_kernel: Annotated[int, Range(0, 32)] = 0
    num_classes: int = given(0)
    conv: str = given("matmul")
    axis_name: str | None = given(None)

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], train: bool = True, labels: Labels = None
    ) -> Float[Array, "B H W C"]:
        start, channels = self.start_shape(), self.image_shape[-1]
        if self.num_classes:
            z = WithLabel(self.num_classes)(z, labels)
        for features in self.hidden:
            z = self.finish(self.dense(features, z), train)
        x = self.dense(prod(start), z).reshape(-1, *start)
        x = self.finish(x, train)
        for features in self.channels[1:]:
            bias = self.norm == "none"
            x = self.finish(self.grow(features, self.kernel, bias)(x), train)
        kernel = self.output_kernel or self.kernel
        return self.output.activation(self.grow(channels, kernel, bias=True)(x))

    def dense(self, features: int, z: Array) -> Array:
        """A dense layer, which has a bias unless BatchNorm would cancel it."""
        bias = self.norm == "none" or self.dense_activation != ACTIVATIONS["linear"]
        init = self.kernel_init.hidden
        dense = nn.Dense(features, use_bias=bias, kernel_init=init)
        return self.dense_activation(dense(z))

    def grow(self, features: int, kernel: int, bias: bool) -> ConvTranspose:
        """A transposed convolution that multiplies the resolution by the stride."""
        conv, init = self.conv, self.kernel_init.hidden
        return ConvTranspose(features, kernel, self.stride, conv, bias, init)

    def finish(self, x: Array, train: bool) -> Array:
        """Normalization and activation."""
        if self.norm == "batch":
            x = Norm(self.momentum, self.epsilon, self.axis_name)(x, train)
        return self.activation(x)

    def start_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the first feature map."""
        kernels = {"kernel": self.kernel}
        if self.output_kernel:
            kernels["output_kernel"] = self.output_kernel
        check_sizes("generator", self.channels, kernels, self.stride)
        factor = self.stride ** len(self.channels)
        meaning = "which is generator.stride to the power of the number of "
        meaning += "generator.channels"
        return *divide_image(self.image_shape, factor, meaning), self.channels[0]


class Discriminator(nn.Module):
    """Images [B, H, W, C] -> logits [B]."""

    channels: Widths = (16, 32)  # one feature map per resolution, fine to coarse
    hidden: Widths = (128,)  # dense layers after the last feature map
    kernel: KernelSize = 4
    stride: KernelSize = 2
    norm: Literal["none", "batch", "spectral"] = "none"  # spectral: arXiv:1802.05957
    momentum: Rate = 0.9
    activation: Activation = choice(ACTIVATIONS, "leaky_relu")
    kernel_init: Initializers = choice(INITIALIZERS, "he_normal")
    dropout: Rate = 0.0
    softmax: bool = False  # over two classes, real and generated
    num_classes: int = given(0)
    conv: str = given("matmul")
    axis_name: str | None = given(None)

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool = True, labels: Labels = None
    ) -> Float[Array, " B"]:
        check_image_shape(x.shape[1:])
        check_sizes(
            "discriminator", self.channels, {"kernel": self.kernel}, self.stride
        )
        init = self.kernel_init.hidden
        for i, features in enumerate(self.channels):
            norm = self.norm == "batch" and i > 0  # arXiv:1511.06434, section 3
            conv = Conv(features, self.kernel, self.stride, self.conv, not norm, init)
            x = self.finish(run_layer(conv, self.norm, train, x), train, norm)
        x = x.reshape(x.shape[0], -1)
        for features in self.hidden:
            norm = self.norm == "batch"
            dense = nn.Dense(features, not norm, kernel_init=init)
            x = self.finish(run_layer(dense, self.norm, train, x), train, norm)
        logit = Logit(self.num_classes, self.softmax, self.kernel_init.linear)
        return run_layer(logit, self.norm, train, x, labels)

    def finish(self, x: Array, train: bool, norm: bool) -> Array:
        """Normalization, activation and dropout."""
        if norm:
            x = Norm(self.momentum, axis_name=self.axis_name)(x, train)
        x = self.activation(x)
        return nn.Dropout(self.dropout, deterministic=not train)(x)
