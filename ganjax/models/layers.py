"""What the networks are made of.

`Conv` and `ConvTranspose` hold the parameters of `nn.Conv` and `nn.ConvTranspose` (same
names, shapes and meaning), so that either implementation reads the other's checkpoints.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from ganjax.models.conv import CONV, CONV_TRANSPOSE

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "leaky_relu": partial(nn.leaky_relu, negative_slope=0.2),
    "keras_leaky_relu": partial(nn.leaky_relu, negative_slope=0.3),  # its default
    "gelu": partial(nn.gelu, approximate=False),  # PyTorch's default is the exact one
}

# The last non-linearity of a generator and the pixel range it speaks of.
OUTPUTS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "tanh": jnp.tanh,
    "sigmoid": nn.sigmoid,
    "linear": lambda x: x,
}
RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "linear": (-1.0, 1.0)}

NORMS = ("none", "batch")


class Conv(nn.Module):
    """`nn.Conv(features, (k, k), (s, s), "SAME")`, by the named implementation."""

    IMPLEMENTATIONS = CONV

    features: int
    kernel: int
    stride: int = 1
    implementation: str = "matmul"
    use_bias: bool = True
    kernel_init: Callable[..., jax.Array] = nn.initializers.he_normal()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        y = self.IMPLEMENTATIONS[self.implementation](x, kernel, self.stride)
        if not self.use_bias:
            return y
        return y + self.param("bias", nn.initializers.zeros, (self.features,))


class ConvTranspose(Conv):
    """`nn.ConvTranspose(features, (k, k), (s, s), "SAME")`, likewise."""

    IMPLEMENTATIONS = CONV_TRANSPOSE


class Norm(nn.Module):
    """Batch normalisation over all devices, or nothing, by name.

    `momentum` is the share of the running statistics that survives a step: PyTorch's
    .1 is .9 here, Keras's .8 is .8.
    """

    kind: str = "none"
    momentum: float = 0.9
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        if self.kind == "none":
            return x
        return nn.BatchNorm(
            use_running_average=not train,
            momentum=self.momentum,
            axis_name=self.axis_name,
        )(x)


class WithLabel(nn.Module):
    """z [B, Z] -> [B, 2 Z]: its label's embedding beside it; z itself without classes.

    Source: arXiv:1411.1784, with a learnt embedding of z's own width.
    """

    num_classes: int = 0

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None) -> jax.Array:
        if not self.num_classes:
            return z
        embedding = nn.Embed(self.num_classes, z.shape[-1])(labels)
        return jnp.concatenate([z, embedding], axis=-1)


class Logit(nn.Module):
    """Features [B, F] -> logits [B]: what a discriminator ends with.

    `softmax` trains it as a classifier of two classes, real and generated: the log odds
    of their softmax is the difference of two outputs, so every loss goes on as before.
    With classes, ⟨embedding of the label, features⟩ is added: the projection of
    arXiv:1802.05637, equation 4.
    """

    num_classes: int = 0
    softmax: bool = False
    kernel_init: Callable[..., jax.Array] = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None) -> jax.Array:
        outputs = nn.Dense(1 + self.softmax, kernel_init=self.kernel_init)(x)
        logits = outputs[:, 0] - outputs[:, 1] if self.softmax else outputs[:, 0]
        if not self.num_classes:
            return logits
        return logits + jnp.sum(nn.Embed(self.num_classes, x.shape[-1])(labels) * x, -1)
