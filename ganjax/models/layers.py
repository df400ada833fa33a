"""What the networks are made of.

Convolutions as matrix products: the same mathematics as Flax's, written for CPUs.

On the CPU back end of XLA a strided convolution, and above all its derivatives, run far
below the speed of the matrix unit, and inside a loop they fall back to a naive kernel.
Cut into patches, forward pass and every derivative are matrix products, slices and
sums. `Conv` and `ConvTranspose` hold the parameters of `nn.Conv` and `nn.ConvTranspose`
(same names, shapes and meaning), so that either implementation reads the other's
checkpoints. GPUs and TPUs have convolution units: use "library" there.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

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
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def space_to_depth(x: jax.Array, s: int) -> jax.Array:
    """[B, H, W, C] -> [B, H/s, W/s, s·s·C], pixels of an s×s block side by side."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // s, s, w // s, s, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h // s, w // s, s * s * c)


def depth_to_space(x: jax.Array, s: int) -> jax.Array:
    """The inverse of `space_to_depth`."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, s, s, c // (s * s)).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h * s, w * s, c // (s * s))


def _blocked(kernel: jax.Array, s: int) -> jax.Array:
    """Kernel [k, k, I, O], k ≥ s, as [r, r, s·s, I, O]: r×r blocks of s×s taps.

    A kernel side that the stride does not divide is first padded with zero taps.
    """
    k, _, i, o = kernel.shape
    r = -(-k // s)
    kernel = jnp.pad(kernel, ((0, r * s - k), (0, r * s - k), (0, 0), (0, 0)))
    kernel = kernel.reshape(r, s, r, s, i, o).transpose(0, 2, 1, 3, 4, 5)
    return kernel.reshape(r, r, s * s, i, o)


def matmul_conv(x: jax.Array, kernel: jax.Array, s: int) -> jax.Array:
    """SAME convolution with stride s: [B, H, W, I], [k, k, I, O] -> [B, H/s, W/s, O].

    s must divide H and W and not exceed k.
    """
    b, h, w, _ = x.shape
    k, o = kernel.shape[0], kernel.shape[3]
    blocks = _blocked(kernel, s)
    r = blocks.shape[0]
    low = (k - s) // 2
    high = (r - 1) * s - low
    x = jnp.pad(x, ((0, 0), (low, high), (low, high), (0, 0)))
    x = space_to_depth(x, s)
    h, w = h // s, w // s
    shifts = [x[:, i : i + h, j : j + w] for i in range(r) for j in range(r)]
    patches = jnp.concatenate(shifts, axis=-1) if r > 1 else shifts[0]
    y = patches.reshape(b * h * w, -1) @ blocks.reshape(-1, o)
    return y.reshape(b, h, w, o)


def matmul_conv_transpose(x: jax.Array, kernel: jax.Array, s: int) -> jax.Array:
    """SAME transposed convolution, stride s: [B, H, W, I] -> [B, sH, sW, O].

    One matrix product gives every pixel's patch of the output; overlapping patches add.
    """
    b, h, w, i = x.shape
    k, o = kernel.shape[0], kernel.shape[3]
    blocks = _blocked(kernel[::-1, ::-1], s)  # nn.ConvTranspose does not flip
    r = blocks.shape[0]
    y = x.reshape(b * h * w, i) @ blocks.transpose(3, 0, 1, 2, 4).reshape(i, -1)
    y = y.reshape(b, h, w, r, r, s * s * o)
    total = jnp.zeros((b, h + r - 1, w + r - 1, s * s * o), y.dtype)
    for m in range(r):
        for n in range(r):
            edges = ((0, 0), (m, r - 1 - m), (n, r - 1 - n), (0, 0))
            total += jnp.pad(y[:, :, :, m, n], edges)
    low = (k - s) // 2
    image = depth_to_space(total, s)
    return image[:, low : low + s * h, low : low + s * w]


def library_conv(x: jax.Array, kernel: jax.Array, s: int) -> jax.Array:
    """What `nn.Conv(padding="SAME")` calls."""
    return lax.conv_general_dilated(
        x, kernel, (s, s), "SAME", dimension_numbers=DIMENSIONS
    )


def library_conv_transpose(x: jax.Array, kernel: jax.Array, s: int) -> jax.Array:
    """What `nn.ConvTranspose(padding="SAME")` calls."""
    return lax.conv_transpose(x, kernel, (s, s), "SAME", dimension_numbers=DIMENSIONS)


ConvFn = Callable[[jax.Array, jax.Array, int], jax.Array]
CONV: dict[str, ConvFn] = {"matmul": matmul_conv, "library": library_conv}
CONV_TRANSPOSE: dict[str, ConvFn] = {
    "matmul": matmul_conv_transpose,
    "library": library_conv_transpose,
}


class Conv(nn.Module):
    """`nn.Conv(features, (k, k), (s, s), "SAME")`, by the named implementation."""

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
        y = CONV[self.implementation](x, kernel, self.stride)
        if not self.use_bias:
            return y
        return y + self.param("bias", nn.initializers.zeros, (self.features,))


class ConvTranspose(nn.Module):
    """`nn.ConvTranspose(features, (k, k), (s, s), "SAME")`, likewise."""

    features: int
    kernel: int
    stride: int = 2
    implementation: str = "matmul"
    use_bias: bool = True
    kernel_init: Callable[..., jax.Array] = nn.initializers.he_normal()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        y = CONV_TRANSPOSE[self.implementation](x, kernel, self.stride)
        if not self.use_bias:
            return y
        return y + self.param("bias", nn.initializers.zeros, (self.features,))


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
        # Outside a pmap there is no axis to average over, and initialisation is.
        axis = None if self.is_initializing() else self.axis_name
        return nn.BatchNorm(
            use_running_average=not train, momentum=self.momentum, axis_name=axis
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
