"""The generator of StyleGAN2 (arXiv:1912.04958), scaled to 28 to 64 pixels.

A mapping network turns z into w. Every convolution of the synthesis network, which
starts from a learned constant, is modulated by a w and followed by noise of a learned
strength. Each resolution adds its own image to that of the one before (figure 7).

In training noise is random, and with a probability of `style_mixing` an image has two w
(arXiv:1812.04948, section 3.1). In samples noise is constant, so that an image is a
function of z alone; the paper's FID is of samples with random noise.

The norm of z is the truncation ψ of arXiv:1812.04948, appendix B: for ψ = ‖z‖ / √Z

    w = w̄ + ψ (f(z / ψ) − w̄),

where w̄ is the mean of f. In training ψ is 1. Draws from the prior "sphere" have
ψ = 1, too, and `config.sample_scale` and `--scale` are the ψ of samples; with another
prior each sample has a ψ of its own.

Path length regularization (section 3.2) is left out: it is a penalty on the generator,
of which the paper finds that it smooths the space of w more than it improves images.
Nor is regularization lazy (section 3.1): penalties are in every update.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int

from ganjax import axis
from ganjax.errors import UserError
from ganjax.models.equalized import EqualDense, lrelu
from ganjax.models.layers import OUTPUTS, Output, divide_image
from ganjax.models.modulated import StyledConv, ToImage
from ganjax.models.resampling import upsample
from ganjax.options import Fraction, PositiveInt, Repeats, Widths, choice, given

Labels = Int[Array, " B"] | None
MAPPING_RATE = 0.01  # of the mapping network, relative to the learning rate
MOMENTUM = 0.995  # of w̄ in an update, as in the authors' code


def rms(x: Float[Array, "B F"]) -> Float[Array, "B 1"]:
    """The root of the mean square of each row."""
    return jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-8)


class Mapping(nn.Module):
    """z of root mean square 1, and labels, to w."""

    features: int
    layers: int
    num_classes: int

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], labels: Labels
    ) -> Float[Array, "B features"]:
        x = z
        if self.num_classes:
            init = nn.initializers.normal(1.0)
            code = nn.Embed(self.num_classes, z.shape[-1], embedding_init=init)(labels)
            x = jnp.concatenate([z, code / rms(code)], axis=-1)
        for _ in range(self.layers):
            x = lrelu(EqualDense(self.features, rate=MAPPING_RATE)(x))
        return x


class Synthesis(nn.Module):
    """One w for each layer, and noise for each convolution, to images.

    Convolutions take them in order; layer 2r + 1 serves the image of resolution r and
    the first convolution of r + 1, as in the authors' code.
    """

    start: tuple[int, int]  # height and width of the constant
    image_channels: int
    channels: Widths
    conv: str

    @nn.compact
    def __call__(
        self, w: Sequence[Float[Array, "B D"]], noise: Sequence[Float[Array, "..."]]
    ) -> Float[Array, "B H W C"]:
        normal = nn.initializers.normal(1.0)
        x = self.param("constant", normal, (1, *self.start, self.channels[0]))
        layer = StyledConv(self.channels[0], up=False, conv=self.conv)
        x = layer(x, w[0], noise[0])
        image = ToImage(self.image_channels, self.conv)(x, w[1])
        for r, features in enumerate(self.channels[1:], start=1):
            for i, up in ((2 * r - 1, True), (2 * r, False)):
                x = StyledConv(features, up, self.conv)(x, w[i], noise[i])
            new = ToImage(self.image_channels, self.conv)(x, w[2 * r + 1])
            image = upsample(image) + new
        return image


class Randomness(NamedTuple):
    """One key for each use in training."""

    noise: jax.Array
    z: jax.Array
    mixed: jax.Array
    crossover: jax.Array


class Generator(nn.Module):
    """z [B, Z] -> images [B, H, W, C] about the range of `output`.

    Each of `channels` is one resolution, coarse to fine; the last is the images'.
    """

    image_shape: tuple[int, ...]
    channels: Widths = (32, 16, 8)
    w_dim: PositiveInt = 64
    # For CIFAR-10 arXiv:2006.06676 has 2 and no mixing of styles, the paper 8 and 0.9.
    mapping_layers: Repeats = 2
    style_mixing: Fraction = 0.9  # probability of two w for an image in training
    output: Output = choice(OUTPUTS, "linear")
    num_classes: int = given(0)
    conv: str = given("matmul")
    axis_name: str | None = given(None)

    def setup(self) -> None:
        if not self.channels:
            raise UserError("config.generator.channels=(): expected at least one width")
        factor = 2 ** (len(self.channels) - 1)
        meaning = "2 to the power of the number of generator.channels less 1"
        self.start = divide_image(self.image_shape, factor, meaning)
        self.mapping = Mapping(self.w_dim, self.mapping_layers, self.num_classes)
        image_channels = self.image_shape[-1]
        self.synthesis = Synthesis(self.start, image_channels, self.channels, self.conv)
        self.w_mean = self.variable("batch_stats", "w_mean", jnp.zeros, (self.w_dim,))

    @property
    def num_layers(self) -> int:
        """Layers with a style of their own: two of each resolution."""
        return 2 * len(self.channels)

    def __call__(
        self, z: Float[Array, "B Z"], train: bool = True, labels: Labels = None
    ) -> Float[Array, "B H W C"]:
        if not train or self.is_initializing():
            w = self.styles(z, labels)
            return self.images([w] * self.num_layers, self.constant_noise())
        keys = Randomness(*jax.random.split(self.make_rng("noise"), 4))
        z = z / rms(z)
        w = self.styles(z, labels, update_mean=True)
        return self.images(self.mix(keys, w, z, labels), self.random_noise(keys, z))

    def styles(
        self, z: Float[Array, "B Z"], labels: Labels = None, update_mean: bool = False
    ) -> Float[Array, "B D"]:
        """The w of z and of labels."""
        scale = rms(z)
        w = self.mapping(z / scale, labels)
        mean = self.w_mean.value
        if update_mean:
            new = jnp.mean(w, axis=0, dtype=mean.dtype)
            self.w_mean.value = MOMENTUM * mean + (1 - MOMENTUM) * new
        center = mean.astype(w.dtype).reshape(1, -1)
        return center + scale * (w - center)

    def synthesize(
        self, w: Float[Array, "B {self.num_layers} D"]
    ) -> Float[Array, "B H W C"]:
        """Images of a w for each layer, outside of training."""
        layers = [w[:, i] for i in range(self.num_layers)]
        return self.images(layers, self.constant_noise())

    def images(self, w: Sequence[Array], noise: Sequence[Array]) -> Array:
        """Images of a w [B, D] for each layer, and noise for each convolution."""
        dtype = w[0].dtype
        return self.output.activation(
            self.synthesis(w, [x.astype(dtype) for x in noise])
        )

    def mix(
        self, keys: Randomness, w: Array, z: Array, labels: Labels
    ) -> list[jax.Array]:
        """A w for each layer: for some samples, from a random one on, another one."""
        if not self.style_mixing:
            return [w] * self.num_layers

        def normal(key: jax.Array, n: int) -> jax.Array:
            return jax.random.normal(key, (n, z.shape[-1]), z.dtype)

        def is_mixed(key: jax.Array, n: int) -> jax.Array:
            return jax.random.bernoulli(key, self.style_mixing, (n, 1))

        def layer(key: jax.Array, n: int) -> jax.Array:
            return jax.random.randint(key, (n, 1), 1, self.num_layers)

        rows = len(z), self.axis_name
        direction = axis.draw(normal, keys.z, *rows)
        other = self.styles(direction / rms(direction), labels)
        first = axis.draw(layer, keys.crossover, *rows)
        mixed = axis.draw(is_mixed, keys.mixed, *rows)
        return [
            jnp.where(mixed & (i >= first), other, w) for i in range(self.num_layers)
        ]

    def noise_sizes(self) -> list[tuple[int, int]]:
        """Height and width of the output of each convolution."""
        height, width = self.start
        scales = [2 ** ((i + 1) // 2) for i in range(self.num_layers - 1)]
        return [(s * height, s * width) for s in scales]

    def constant_noise(self) -> list[jax.Array]:
        """The noise of samples, float32 [1, H, W, 1]: the same for all generators."""
        random = np.random.RandomState(0)  # its numbers never change, by its contract
        return [
            jnp.asarray(random.standard_normal((1, *size, 1)), jnp.float32)
            for size in self.noise_sizes()
        ]

    def random_noise(self, keys: Randomness, z: Array) -> list[jax.Array]:
        """The noise of training, float32 [B, H, W, 1], drawn for the global batch."""

        def draw(key: jax.Array, size: tuple[int, int]) -> jax.Array:
            def normal(key: jax.Array, n: int) -> jax.Array:
                return jax.random.normal(key, (n, *size, 1))

            return axis.draw(normal, key, len(z), self.axis_name)

        sizes = self.noise_sizes()
        each = jax.random.split(keys.noise, len(sizes))
        return [draw(key, size) for key, size in zip(each, sizes, strict=True)]
