"""A variational autoencoder (arXiv:1312.6114) made of the networks of configs/mnist.py.

The decoder is the GAN's generator and the encoder is its discriminator up to the last
layer. Each pixel is a Bernoulli variable whose probability is the intensity of the
image: the evidence lower bound is the one of randomly binarized digits, for which
arXiv:1509.00519 and many others report nats. The decoder's probabilities, taken as
intensities, are the generated images.

Bernoulli variables say nothing about 8-bit pixels. `fit_pixel_table` measures how often
each of the 256 values occurs where the decoder gives a certain probability; with these
frequencies as P(pixel | z), the same posterior gives a lower bound for 8-bit images.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ganjax.images import denormalize, normalize
from ganjax.models.dcgan import Generator
from ganjax.models.layers import ACTIVATIONS, OUTPUTS, Conv

Params = Any
BINS = 64  # of the decoder's probabilities, by their logits
LOGIT_RANGE = (-8.0, 8.0)  # of the bins; logits outside are in the first or the last
activation = ACTIVATIONS["leaky_relu"]


class Posterior(NamedTuple):
    """q(z|x), a Gaussian with a diagonal covariance; float32 [B, Z] each."""

    mean: jax.Array
    log_variance: jax.Array


# --- mathematics --------------------------------------------------------------------


def kl_to_prior(q: Posterior) -> jax.Array:
    """KL(q || N(0, I)) in nats, float32 [B]: arXiv:1312.6114, appendix B."""
    terms = jnp.exp(q.log_variance) + q.mean**2 - 1 - q.log_variance
    return 0.5 * jnp.sum(terms, -1)


def draw(q: Posterior, noise: jax.Array) -> jax.Array:
    """z ~ q(z|x) from standard normal noise, float32 [B, Z] each."""
    return q.mean + jnp.exp(q.log_variance / 2) * noise


def elbo(log_likelihood: jax.Array, q: Posterior) -> jax.Array:
    """Evidence lower bound in nats, float32 [B], from log p(x|z) [B] at z ~ q(z|x)."""
    return log_likelihood - kl_to_prior(q)


def bernoulli_log_likelihood(x: jax.Array, logits: jax.Array) -> jax.Array:
    """Expected log p(b|z) of pixels b ~ Bernoulli(x), float32 [B], for x in [0, 1].

    Since q depends on x and not on b, the bound holds for every b, and so for the mean.
    """
    return jnp.sum(x * logits - nn.softplus(logits), tuple(range(1, x.ndim)))


def logit_bins(logits: jax.Array) -> jax.Array:
    """The bin of each logit, int32 of the same shape."""
    low, high = LOGIT_RANGE
    place = (logits - low) / (high - low) * BINS
    return jnp.clip(jnp.floor(place), 0, BINS - 1).astype(jnp.int32)


def fit_pixel_table(images: jax.Array, logits: jax.Array) -> jax.Array:
    """log P(pixel value | bin of the logit), float32 [BINS, 256].

    From uint8 images and the logits of their reconstructions, of equal shape. One
    pseudo-count is spread over the values of a bin, so that none is impossible.
    """
    cells = logit_bins(logits).ravel() * 256 + images.ravel().astype(jnp.int32)
    counts = jnp.bincount(cells, length=BINS * 256).reshape(BINS, 256) + 1 / 256
    return jnp.log(counts / counts.sum(1, keepdims=True))


def table_log_likelihood(
    table: jax.Array, images: jax.Array, logits: jax.Array
) -> jax.Array:
    """log P(images | z) of uint8 images by the table, float32 [B]."""
    values = table[logit_bins(logits), images.astype(jnp.int32)]
    return jnp.sum(values, tuple(range(1, images.ndim)))


# --- the model ----------------------------------------------------------------------


class Encoder(nn.Module):
    """Images [B, 28, 28, 1] in [-1, 1] -> q(z|x)."""

    z_dim: int
    conv: str = "matmul"

    @nn.compact
    def __call__(self, x: jax.Array) -> Posterior:
        for channels in (16, 32):
            x = activation(Conv(channels, 4, 2, self.conv)(x))
        x = activation(nn.Dense(128)(x.reshape(len(x), -1)))
        return Posterior(*jnp.split(nn.Dense(2 * self.z_dim)(x), 2, -1))


@dataclass(frozen=True)
class Vae:
    """Functions of parameters; images are uint8 [B, 28, 28, 1]."""

    z_dim: int = 32
    conv: str = "matmul"

    @property
    def encoder(self) -> Encoder:
        return Encoder(self.z_dim, self.conv)

    @property
    def decoder(self) -> Generator:
        """z [B, Z] -> logits [B, 28, 28, 1]."""
        linear = OUTPUTS["linear"]
        return Generator((28, 28, 1), norm="none", output=linear, conv=self.conv)

    def init(self, key: jax.Array) -> Params:
        keys = jax.random.split(key)
        return {
            "encoder": self.encoder.init(keys[0], jnp.zeros((1, 28, 28, 1))),
            "decoder": self.decoder.init(keys[1], jnp.zeros((1, self.z_dim))),
        }

    def encode(self, params: Params, images: jax.Array) -> Posterior:
        """q(z|x)."""
        q: Any = self.encoder.apply(params["encoder"], normalize(images, (-1.0, 1.0)))
        return q

    def decode(self, params: Params, z: jax.Array) -> jax.Array:
        """Logits [B, 28, 28, 1] of the pixels' probabilities."""
        logits: Any = self.decoder.apply(params["decoder"], z)
        return logits

    def autoencode(
        self, params: Params, images: jax.Array, key: jax.Array
    ) -> tuple[Posterior, jax.Array]:
        """q(z|x), and logits at one z drawn from it."""
        q = self.encode(params, images)
        z = draw(q, jax.random.normal(key, q.mean.shape))
        return q, self.decode(params, z)

    def loss(self, params: Params, images: jax.Array, key: jax.Array) -> jax.Array:
        """Minus the lower bound of binarized digits, nats per image, float32 []."""
        q, logits = self.autoencode(params, images, key)
        x = normalize(images, (0.0, 1.0))
        return -jnp.mean(elbo(bernoulli_log_likelihood(x, logits), q))

    def sample(self, params: Params, key: jax.Array, num: int) -> jax.Array:
        """uint8 [num, 28, 28, 1] from z ~ N(0, I)."""
        z = jax.random.normal(key, (num, self.z_dim))
        return denormalize(nn.sigmoid(self.decode(params, z)), (0.0, 1.0))

    def reconstruct(self, params: Params, images: jax.Array) -> jax.Array:
        """uint8 [B, 28, 28, 1] at the mean of q(z|x)."""
        logits = self.decode(params, self.encode(params, images).mean)
        return denormalize(nn.sigmoid(logits), (0.0, 1.0))

    def pixel_elbo(
        self, params: Params, table: jax.Array, images: jax.Array, key: jax.Array
    ) -> jax.Array:
        """The lower bound of 8-bit images in nats, float32 [B]."""
        q, logits = self.autoencode(params, images, key)
        return elbo(table_log_likelihood(table, images, logits), q)
