"""Modulated convolutions of StyleGAN2 (arXiv:1912.04958, section 2.2)."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from ganjax.models.conv import CONV, CONV_TRANSPOSE
from ganjax.models.equalized import EqualDense, lrelu, scaled_kernel, smooth


def modulated_conv(
    x: Float[Array, "#B H W I"],
    kernel: Float[Array, "k k I O"],
    style: Float[Array, "B I"],
    up: bool,
    conv: str,
) -> Float[Array, "B h w O"]:
    """A convolution whose kernel is scaled for each sample, and scaled back.

    Sample b has the kernel s[b, i] k[m, n, i, o] / √(∑ over m, n, i of (s k)²):
    equations 1 and 3. Scaling the input by s and the output by the root is the same,
    and lets all samples share a kernel. With `up` the resolution is doubled, and the
    low-pass filter applied.
    """
    squares = jnp.sum(kernel * kernel, axis=(0, 1))
    deviation = jnp.sqrt((style * style) @ squares + 1e-8)
    x = x * style[:, None, None]
    if up:  # 4: of the pixels that are convolved one of four is not 0
        y = CONV_TRANSPOSE[conv](x, 4 * smooth(kernel), 2)
    else:
        y = CONV[conv](x, kernel, 1)
    return y / deviation[:, None, None]


class StyledConv(nn.Module):
    """A 3x3 modulated convolution, noise, bias and activation."""

    features: int
    up: bool
    conv: str

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "#B H W I"],
        w: Float[Array, "B D"],
        noise: Float[Array, "#B h w 1"],
    ) -> Float[Array, "B h w features"]:
        style = EqualDense(x.shape[-1], bias=1.0)(w)
        kernel = scaled_kernel(self, (3, 3, x.shape[-1], self.features))
        y = modulated_conv(x, kernel, style, self.up, self.conv)
        strength = self.param("noise_strength", nn.initializers.zeros, ())
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return lrelu(y + strength * noise + bias.reshape(1, 1, 1, -1))


class ToImage(nn.Module):
    """A modulated 1x1 convolution to the channels of an image, not demodulated."""

    channels: int
    conv: str

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W I"], w: Float[Array, "B D"]
    ) -> Float[Array, "B H W channels"]:
        style = EqualDense(x.shape[-1], bias=1.0)(w)
        kernel = scaled_kernel(self, (1, 1, x.shape[-1], self.channels))
        y = CONV[self.conv](x * style[:, None, None], kernel, 1)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        return y + bias.reshape(1, 1, 1, -1)
