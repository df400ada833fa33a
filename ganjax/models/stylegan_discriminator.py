"""The discriminator of StyleGAN2 (arXiv:1912.04958, figure 7 and appendix B).

Residual blocks without a norm, then the standard deviation within groups of samples as
one more feature (arXiv:1710.10196, section 3), a convolution and two dense layers.
"""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from ganjax.models.equalized import EqualConv, EqualDense, lrelu
from ganjax.models.layers import check_divisible
from ganjax.models.resampling import downsample
from ganjax.options import Repeats, Widths, given


class DownBlock(nn.Module):
    """(shortcut + two convolutions) / √2, at half the resolution."""

    features: int
    conv: str

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w features"]:
        y = lrelu(EqualConv(x.shape[-1], 3, conv=self.conv)(x))
        y = lrelu(EqualConv(self.features, 3, down=True, conv=self.conv)(y))
        shortcut = EqualConv(self.features, 1, use_bias=False, conv=self.conv)
        return (shortcut(downsample(x)) + y) * 0.5**0.5


def group_deviation(
    x: Float[Array, "B H W C"], group: int
) -> Float[Array, "B H W C+1"]:
    """x and one more feature: how much the samples of a group differ.

    It is the standard deviation over `group` consecutive samples, averaged over pixels
    and features; the last B modulo `group` samples are not allowed.
    """
    b, h, w, _ = x.shape
    groups = x.reshape(b // group, group, -1)
    deviation = jnp.sqrt(jnp.var(groups, axis=1) + 1e-8).mean(axis=-1)
    feature = jnp.broadcast_to(
        jnp.repeat(deviation, group).reshape(b, 1, 1, 1), (b, h, w, 1)
    )
    return jnp.concatenate([x, feature], axis=-1)


class Discriminator(nn.Module):
    """Images [B, H, W, C] -> logits [B].

    Each of `channels` is one resolution, fine to coarse; the first is the images'. A
    logit depends on the others of its group, which are consecutive samples of a batch,
    all real or all generated and on the same device: results do not depend on the
    number of devices. What penalties bound is then the gradient of the sum of a group's
    logits, as in the authors' code. With classes there is a product with the embedding
    of the class beside the logit (arXiv:1802.05637), not in place of it.
    """

    channels: Widths = (8, 16, 32)
    # Samples of which the standard deviation is a feature; 1: there is no such feature.
    # It must divide the batch of each device.
    group: Repeats = 4
    num_classes: int = given(0)
    conv: str = given("matmul")

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B H W C"],
        train: bool = True,
        labels: Int[Array, " B"] | None = None,
    ) -> Float[Array, " B"]:
        check_divisible(self.channels, x.shape[1:], len(self.channels) - 1)
        x = lrelu(EqualConv(self.channels[0], 1, conv=self.conv)(x))
        for features in self.channels[1:]:
            x = DownBlock(features, self.conv)(x)
        if self.group > 1:
            # Initialization has two samples, and the summary of the network one.
            size = 1 if self.is_initializing() else self.group
            x = group_deviation(x, size)
        features = self.channels[-1]
        x = lrelu(EqualConv(features, 3, conv=self.conv)(x))
        x = lrelu(EqualDense(features)(x.reshape(len(x), -1)))
        logits = EqualDense(1)(x)[:, 0]
        if not self.num_classes:
            return logits
        init = nn.initializers.normal(1.0)
        code = nn.Embed(self.num_classes, features, embedding_init=init)(labels)
        return logits + jnp.sum(code * x, axis=-1) / features**0.5
