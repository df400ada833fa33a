"""A GAN from outside the package: numbers from N(1.5, 0.75²), as floats [N, 1].

It is written against the interface in ganjax/gan.py alone, and this file is its config:

python -m ganjax.main --config tests/gaussian_gan.py
python -m ganjax.main --config tests/gaussian_gan.py --mode=sample --workdir=DIR
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.nn import softplus
from ml_collections import ConfigDict

from ganjax.configs import default
from ganjax.data import SOURCES, DataOptions, make_arrays_dataset
from ganjax.gan import Gan
from ganjax.gans import GANS
from ganjax.optim import make_optimizer
from ganjax.options import NonNegative, build, given, option_names, options
from ganjax.penalties import r1
from ganjax.train import Run

MEAN, STD = 1.5, 0.75


class Network(nn.Module):
    """Numbers [B, 1] -> [B, 1]: both players are one."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.tanh(nn.Dense(16)(x)))


@dataclass(frozen=True, kw_only=True)
class GaussianGan(Gan):
    gamma: NonNegative = 1.0  # weight of R1
    network: nn.Module = given(Network())

    pixel_range = (0.0, 1.0)  # the data have no pixels

    @classmethod
    def from_config(cls, config):
        players = {k: make_optimizer(config[k], f"config.{k}") for k in OPTIMIZERS}
        values = {k: config[k] for k in option_names(cls)}
        return build(cls, values, **players)

    def examples(self, dataset):
        return dataset.train["numbers"]

    def init(self, key):
        g_key, d_key = jax.random.split(key)
        x = jnp.zeros((2, 1))
        return self.network.init(g_key, x), self.network.init(d_key, x)

    def generate(self, g, batch, keys):
        z = self.draw(lambda key, n: jax.random.normal(key, (n, 1)), keys.z, len(batch))
        return self.network.apply({"params": g["params"]}, z), {}

    def d_loss(self, d, batch, generated, keys, step):
        def d_fn(x):
            return self.network.apply({"params": d["params"]}, x)[:, 0]

        penalty = jnp.mean(r1(d_fn, batch, generated, keys.penalty))
        real, fake = d_fn(batch), d_fn(generated)
        loss = jnp.mean(softplus(-real) + softplus(fake))
        return loss + self.gamma * penalty, ({}, {"d_loss": loss, "r1": penalty})

    def g_loss(self, d, batch, generated, keys, step):
        logits = self.network.apply({"params": d["params"]}, generated)
        loss = jnp.mean(softplus(-logits))
        return loss, {"g_loss": loss}

    def sample(self, g, key, num, condition=None):
        return self.network.apply(
            {"params": g["params"]}, jax.random.normal(key, (num, 1))
        )

    def export(self, generated):
        return generated

    def image(self, samples, condition=None):
        """A histogram of 32 bins over mean ± 4 standard deviations."""
        edges = np.linspace(MEAN - 4 * STD, MEAN + 4 * STD, 33)
        counts, _ = np.histogram(samples, edges)
        heights = 32 * counts / max(counts.max(), 1)
        bars = np.arange(32)[::-1, None] < heights
        return (255 * bars[..., None]).astype(np.uint8)


def numbers(options: DataOptions):
    """10,000 numbers for training and 1,000 for testing."""
    draws = np.random.default_rng(0).normal(MEAN, STD, (11_000, 1)).astype(np.float32)
    train, test = {"numbers": draws[:10_000]}, {"numbers": draws[10_000:]}
    return make_arrays_dataset(train, test, name="numbers", source="NumPy")


GANS["gaussian"] = GaussianGan
SOURCES["numbers"] = numbers
OPTIMIZERS = ("g_optimizer", "d_optimizer")


def get_config() -> ConfigDict:
    c = ConfigDict(options(Run, num_steps=2000, batch_size=256, log_every=100))
    c.gan = "gaussian"
    c.update(options(GaussianGan))
    c.ema.half_life = 100_000.0
    c.data = ConfigDict(options(DataOptions, name="numbers", image_shape=(1,)))
    for player in OPTIMIZERS:
        c[player] = default.optimizer("adam", learning_rate=2e-3, b1=0.5)
    return c
