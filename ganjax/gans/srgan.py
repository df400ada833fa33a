"""SRGAN (arXiv:1609.04802): images at several times their resolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Key, PyTree

from ganjax.errors import UserError
from ganjax.gan import Batch, Gan, Keys, Metrics, Variables
from ganjax.gans.standard import make_network, resolve_conv
from ganjax.images import grid, shrink_pixels
from ganjax.losses import LOSSES, Loss, diagnostics, with_pixel_errors
from ganjax.models import DISCRIMINATORS
from ganjax.models.layers import check_image_shape
from ganjax.models.resampling import shrink
from ganjax.models.super_resolution import SuperResolution
from ganjax.networks import discriminate, discriminate_both
from ganjax.options import (
    NonNegative,
    PositiveInt,
    Size,
    build,
    choice,
    given,
)

if TYPE_CHECKING:
    from ganjax.data import Dataset
    from ganjax.metrics.types import Evaluation

Images = Float[Array, "B H W C"]
LowRes = Float[Array, "B h w C"]
OUTPUTS = 3  # for one input in a grid


@dataclass(frozen=True, kw_only=True)
class SrGan(Gan):
    """A batch is an array of images; the generator sees them shrunk by `factor`."""

    generator: SuperResolution
    discriminator: nn.Module  # of ganjax.models
    loss: Loss = choice(LOSSES, "relativistic")
    factor: PositiveInt = 4  # a power of 2
    z_channels: Size = 0  # of noise at the low resolution; 0: one output per input
    # Weights in G's loss: adversarial, mean |G(x) − y| and mean (G(x) − y)².
    adversarial: NonNegative = 0.05
    l1: NonNegative = 1.0
    l2: NonNegative = 0.0
    image_shape: tuple[int, ...] = given((28, 28, 1))

    NEEDS_DATA: ClassVar[bool] = True
    pixel_range: ClassVar[Any] = (-1.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        height, width, _ = self.image_shape
        if (
            self.factor & (self.factor - 1)
            or height % self.factor
            or width % self.factor
        ):
            raise UserError(
                f"config.factor={self.factor}: expected a power of 2 that divides "
                f"{height} and {width}, the size of the images"
            )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SrGan:
        shape = check_image_shape(config["data"]["image_shape"])
        shared = {"conv": resolve_conv("auto")}
        return cls.from_parts(
            config,
            generator=build(
                SuperResolution,
                config["generator"],
                "config.generator",
                factor=config["factor"],
                **shared,
            ),
            discriminator=make_network(
                DISCRIMINATORS, {**config, "num_classes": 0}, "discriminator", shared
            ),
            image_shape=shape,
        )

    def examples(self, dataset: Dataset) -> Batch:
        return dataset.train["images"]

    def init(self, key: Key[Array, ""]) -> tuple[Variables, Variables]:
        g_key, d_key = jax.random.split(key)
        images = jnp.zeros((2, *self.image_shape))
        low = shrink(images, self.factor)
        z = jnp.zeros((*low.shape[:3], self.z_channels))
        g = self.generator.init(g_key, low, z)
        return dict(g), dict(self.discriminator.init(d_key, images))

    def noise(self, key: Key[Array, ""], num: int) -> Float[Array, "num h w Z"]:
        """z, standard normal; without channels for a deterministic generator."""
        height, width, _ = self.image_shape
        size = height // self.factor, width // self.factor
        return jax.random.normal(key, (num, *size, self.z_channels))

    def enlarge(self, g: Variables, low: LowRes, z: Array) -> Images:
        """Images at the high resolution."""
        images: Any = self.generator.apply({"params": g["params"]}, low, z)
        return images

    def generate(
        self, g: Variables, batch: Images, keys: Keys
    ) -> tuple[Images, PyTree]:
        z = self.draw(self.noise, keys.z, len(batch))
        return self.enlarge(g, shrink(batch, self.factor), z), {}

    def d_loss(
        self, d: Variables, batch: Images, generated: Images, keys: Keys, step: Array
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        dropout = self.local_key(keys.dropout)

        network, pair = (self.discriminator, self.dtype, d), (batch, generated)
        logits, stats = discriminate_both(*network, pair, None, dropout)
        metrics = diagnostics(self.loss, *logits, self.pmean)
        loss = metrics["d_loss"] = jnp.mean(self.loss.d(*logits))

        def d_fn(images: Images) -> Array:
            return discriminate(*network, images, None, dropout)[0]

        penalty, values = self.penalize(d_fn, pair, keys, step)
        return loss + penalty, (stats, metrics | values)

    def g_loss(
        self, d: Variables, batch: Images, generated: Images, keys: Keys, step: Array
    ) -> tuple[Array, Metrics]:
        dropout = jax.random.split(self.local_key(keys.dropout))
        real, fake = (
            discriminate(self.discriminator, self.dtype, d, images, None, key)[0]
            for images, key in zip((batch, generated), dropout, strict=True)
        )
        weights = self.adversarial, self.l1, self.l2
        return with_pixel_errors(self.loss.g(real, fake), generated - batch, weights)

    # -- samples: given low-resolution images, enlarged --------------------------------

    def sample(
        self, g: Variables, key: Key[Array, ""], num: int, condition: Any = None
    ) -> Images:
        """`condition` are images at the low resolution, uint8 [num, h, w, C]."""
        return self.enlarge(g, self.normalize(condition), self.noise(key, num))

    def condition(
        self, num: int, grid: bool = False, dataset: Dataset | None = None
    ) -> np.ndarray:
        """The first test images, shrunk; in a grid each several times."""
        if dataset is None:
            raise ValueError("condition: expected images at the low resolution")
        images = dataset.test["images"]
        repeats = OUTPUTS if grid and self.z_channels else 1
        rows = np.arange(max(1, num // repeats)) % len(images)
        return np.repeat(shrink_pixels(images[rows], self.factor), repeats, axis=0)

    def check_condition(self, condition: Any, num: int) -> None:
        height, width, channels = self.image_shape
        expected = (num, height // self.factor, width // self.factor, channels)
        if np.shape(condition) != expected:
            raise ValueError(
                f"condition: expected images {expected}, got {np.shape(condition)}"
            )

    def image(self, samples: Any, condition: Any = None) -> np.ndarray:
        """Each input with square pixels, followed by its outputs."""
        if condition is None:
            return grid(np.asarray(samples))
        repeats = OUTPUTS if self.z_channels else 1
        low = np.asarray(condition)[::repeats].repeat(self.factor, 1)
        low = low.repeat(self.factor, 2)[:, None]
        outputs = np.asarray(samples).reshape(-1, repeats, *self.image_shape)
        tiles = np.concatenate([low, outputs], axis=1)
        return grid(tiles.reshape(-1, *self.image_shape), 2 * (1 + repeats))

    def arrays(self, samples: Any, condition: Any) -> dict[str, np.ndarray]:
        return {"images": samples, "inputs": condition}

    def evaluate(
        self, g: Variables, dataset: Dataset, num: int, seed: int
    ) -> Evaluation:
        """PSNR, SSIM and, of digits, FID, beside nearest and bicubic interpolation."""
        from ganjax.metrics.super_resolution import evaluate_super_resolution

        @jax.jit
        def enlarge(low: Array, key: Key[Array, ""]) -> Array:
            return self.export(self.sample(g, key, len(low), low))

        return evaluate_super_resolution(enlarge, dataset, self.factor, num, seed)
