"""Layers that the networks share.

`Conv` and `ConvTranspose` hold the parameters of `nn.Conv` and `nn.ConvTranspose` (same
names, shapes and meaning), so that either implementation reads the other's checkpoints.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from ganjax.errors import UserError
from ganjax.models.conv import CONV, CONV_TRANSPOSE

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "leaky_relu": partial(nn.leaky_relu, negative_slope=0.2),
    "keras_leaky_relu": partial(nn.leaky_relu, negative_slope=0.3),  # its default
    "gelu": partial(nn.gelu, approximate=False),  # as PyTorch's default
    "tanh": jnp.tanh,
    "linear": lambda x: x,
}
Initializer = Callable[..., jax.Array]


class Initializers(NamedTuple):
    """How a network's kernels start."""

    hidden: Initializer
    linear: Initializer  # of layers without an activation before them, and of logits


INITIALIZERS = {
    "he_normal": Initializers(
        nn.initializers.he_normal(), nn.initializers.lecun_normal()
    ),
    "glorot_uniform": Initializers(  # Keras's default
        nn.initializers.glorot_uniform(), nn.initializers.glorot_uniform()
    ),
}


class Output(NamedTuple):
    """The last activation of a generator and the range of its images."""

    activation: Callable[[jax.Array], jax.Array]
    range: tuple[float, float]


OUTPUTS: dict[str, Output] = {
    "tanh": Output(jnp.tanh, (-1.0, 1.0)),
    "sigmoid": Output(nn.sigmoid, (0.0, 1.0)),
    "linear": Output(lambda x: x, (-1.0, 1.0)),
}


def check_image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The shape of an image, or a UserError if it is not that of one."""
    if len(shape) != 3:
        raise UserError(
            f"config.data.image_shape={shape}: expected height, width and channels"
        )
    height, width, channels = shape
    return height, width, channels


def divide_image(shape: tuple[int, ...], factor: int, meaning: str) -> tuple[int, int]:
    """Height and width of an image divided by a factor.

    Raises:
      UserError: it does not divide them; `meaning` says where it comes from.
    """
    height, width, _ = check_image_shape(shape)
    if height % factor or width % factor:
        raise UserError(
            f"config.data.image_shape={shape}: expected height and width divisible by "
            f"{factor}, {meaning}"
        )
    return height // factor, width // factor


def check_divisible(
    channels: tuple[int, ...], shape: tuple[int, ...], halvings: int
) -> None:
    """Checks that a discriminator with these `channels` can halve images [H, W, C].

    Raises:
      UserError: there are no channels, or an odd number of pixels would be halved.
    """
    height, width, _ = check_image_shape(shape)
    factor = 2 ** max(halvings, 0)
    if not channels or height % factor or width % factor:
        raise UserError(
            f"config.discriminator.channels={channels}: expected images of "
            f"{height}x{width} pixels to be divisible by {factor}"
        )


class Conv(nn.Module):
    """`nn.Conv(features, (k, k), (s, s), "SAME", feature_group_count=groups)`.

    By the named implementation; both numbers of channels are divisible by `groups`.
    """

    IMPLEMENTATIONS = CONV

    features: int
    kernel: int
    stride: int = 1
    implementation: str = "matmul"
    use_bias: bool = True
    kernel_init: Callable[..., jax.Array] = nn.initializers.he_normal()
    groups: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w features"]:
        inputs = x.shape[-1] // self.groups
        shape = (self.kernel, self.kernel, inputs, self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        y = self.IMPLEMENTATIONS[self.implementation](x, kernel, self.stride)
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return y + bias.reshape(1, 1, 1, -1)


class ConvTranspose(Conv):
    """`nn.ConvTranspose(features, (k, k), (s, s), "SAME")`; groups must be 1."""

    IMPLEMENTATIONS = CONV_TRANSPOSE


class Norm(nn.Module):
    """Batch normalization over all devices.

    `momentum` is the weight of the old running statistics in an update: PyTorch's 0.1
    is 0.9 here, Keras's 0.8 is 0.8.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5  # added to the variance
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "..."], train: bool) -> Float[Array, "..."]:
        return nn.BatchNorm(
            use_running_average=not train,
            momentum=self.momentum,
            epsilon=self.epsilon,
            axis_name=self.axis_name,
        )(x)


def run_layer(
    layer: nn.Module, norm: str, train: bool, x: jax.Array, *labels: jax.Array | None
) -> jax.Array:
    """A layer; for norm "spectral" its kernels have a spectral norm of 1.

    Source: arXiv:1802.05957.
    """
    if norm != "spectral":
        return layer(x, *labels)
    normalized = nn.SpectralNorm(layer, dtype=x.dtype)  # else float32 throughout
    return normalized(x, *labels, update_stats=train)


# The names of the modules below are part of the paths that seed initial parameters:
# renaming one changes every result that depends on a seed.


class WithLabel(nn.Module):
    """z joined with a learned embedding of its label, of z's own width.

    Source: arXiv:1411.1784.
    """

    num_classes: int
    embedding_init: Callable[..., jax.Array] = nn.linear.default_embed_init

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], labels: Int[Array, " B"] | None
    ) -> Float[Array, "B 2*Z"]:
        embed = nn.Embed(
            self.num_classes, z.shape[-1], embedding_init=self.embedding_init
        )
        embedding = embed(labels)
        return jnp.concatenate([z, embedding], axis=-1)


class Logit(nn.Module):
    """The last layer of a discriminator: features [B, F] -> logits [B].

    With `softmax` the discriminator is a classifier of two classes, real and generated;
    the log odds of the softmax are the difference of its two outputs, so that every
    loss applies. With classes, ⟨embedding of the label, features⟩ is added: the
    projection of arXiv:1802.05637, equation 4.
    """

    num_classes: int = 0
    softmax: bool = False
    kernel_init: Callable[..., jax.Array] = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(
        self, x: Float[Array, "B F"], labels: Int[Array, " B"] | None
    ) -> Float[Array, " B"]:
        outputs = nn.Dense(1 + self.softmax, kernel_init=self.kernel_init)(x)
        logits = outputs[:, 0] - outputs[:, 1] if self.softmax else outputs[:, 0]
        if not self.num_classes:
            return logits
        return logits + jnp.sum(nn.Embed(self.num_classes, x.shape[-1])(labels) * x, -1)
