"""The GAN from noise, and optionally a class label, to images (arXiv:1406.2661)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int, Key, PyTree

from ganjax.augment import Augment, bind
from ganjax.errors import UserError, choose, show
from ganjax.gan import Gan, Keys, Metrics, Variables
from ganjax.images import PixelRange, grid
from ganjax.losses import (
    LOSSES,
    Loss,
    diagnostics,
    flip_labels,
    with_label_smoothing,
    with_weights,
)
from ganjax.models import DISCRIMINATORS, GENERATORS
from ganjax.networks import apply_train, discriminate, discriminate_both
from ganjax.optim import Number, value_at
from ganjax.options import (
    Fraction,
    NonNegative,
    Size,
    build,
    choice,
)
from ganjax.priors import Prior

if TYPE_CHECKING:
    from ganjax.data import Dataset

Images = Float[Array, "B ..."]
Labels = Int[Array, " B"]


class Batch(NamedTuple):
    """What a class-conditional GAN trains on; others train on an array of images."""

    images: Any  # [B, H, W, C]
    labels: Any  # int [B]


@dataclass(frozen=True, kw_only=True)
class Standard(Gan):
    """Images from noise; class-conditional if `num_classes` is positive.

    The networks are Flax modules as ganjax/models/__init__.py describes them. Data may
    have any shape that both networks take: [B, 2] for points in the plane.
    """

    generator: nn.Module
    discriminator: nn.Module
    loss: Loss = choice(LOSSES, "relativistic")
    d_weights: tuple[NonNegative, NonNegative] = (1.0, 1.0)  # of D's real, fake terms
    label_smoothing: Fraction = 0.0  # the target of real images is 1 minus this
    label_flip: Fraction = 0.0  # fraction of (real, fake) pairs that D sees swapped
    # Standard deviation of Gaussian noise on all that D sees (arXiv:1610.04490), on
    # the scale of the generator's range.
    instance_noise: Number = 0.0
    augment: Augment = Augment()  # of all images that D sees
    # Weights of mean |G(z) − x| and mean (G(z) − x)², unpaired, in G's loss.
    l1: NonNegative = 0.0
    l2: NonNegative = 0.0
    prior: Prior = Prior()
    num_classes: Size = 0  # 0: unconditional
    # z of samples, relative to training: below 1 more fidelity and less diversity,
    # above 1 the reverse (arXiv:1809.11096, section 3.1).
    sample_scale: NonNegative = 1.0
    # Convolutions as matrix products, made for CPUs or for GPUs ("patches"), or XLA's
    # own: the same function.
    conv: Literal["auto", "matmul", "patches", "library"] = "auto"

    RESUMABLE: ClassVar = frozenset({"sample_scale", "conv"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.augment.check(tuple(self.generator.image_shape))
        if not self.penalties:
            return
        if self.d_optimizer.clip_weights:
            raise UserError(
                f"config.d_optimizer.clip_weights={self.d_optimizer.clip_weights}: "
                "expected 0 with config.penalties, since both bound the critic's slope"
            )
        if getattr(self.discriminator, "norm", "none") == "batch":
            raise UserError(
                "config.discriminator.norm='batch': expected 'none' or 'spectral' with "
                "config.penalties, since BatchNorm makes per-sample gradients undefined"
            )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Standard:
        shared = {
            "image_shape": tuple(config["data"]["image_shape"]),
            "num_classes": config["num_classes"],
            "conv": resolve_conv(config["conv"]),
        }
        return cls.from_parts(
            config,
            generator=make_network(GENERATORS, config, "generator", shared),
            discriminator=make_network(DISCRIMINATORS, config, "discriminator", shared),
        )

    @property
    def pixel_range(self) -> PixelRange:
        """The range of the generator's output; [-1, 1] for networks that have none."""
        output = getattr(self.generator, "output", None)
        return getattr(output, "range", (-1.0, 1.0))

    def examples(self, dataset: Dataset) -> Any:
        images = dataset.train["images"]
        if not self.num_classes:
            return images
        labels, name = dataset.train["labels"], dataset.identity.name
        if labels.ndim > 1:
            raise UserError(
                f"config.num_classes={self.num_classes}: expected 0, since {name} has "
                f"{labels.shape[1]} labels per image"
            )
        if labels.max() + 1 != self.num_classes:
            raise UserError(
                f"config.num_classes={self.num_classes}: expected {labels.max() + 1}, "
                f"the number of classes of {name}"
            )
        return Batch(images, labels)

    def init(self, key: Key[Array, ""]) -> tuple[Variables, Variables]:
        g_key, d_key = jax.random.split(key)
        # Two samples: batch statistics of one would be degenerate.
        z = jnp.zeros((2, self.prior.z_dim))
        images = jnp.zeros((2, *self.generator.image_shape))
        labels = jnp.zeros(2, jnp.int32) if self.num_classes else None
        g = self.generator.init(g_key, z, labels=labels)
        d = self.discriminator.init(d_key, images, labels=labels)
        return dict(g), self.augment.add_state(dict(d))

    def generate(self, g: Variables, batch: Any, keys: Keys) -> tuple[Images, PyTree]:
        images, labels = self.unpack(batch)
        z = self.draw(self.prior.sample, keys.z, len(images))
        rngs = {"noise": keys.noise}
        return apply_train(self.generator, self.dtype, g, z, labels, rngs)

    def d_loss(
        self, d: Variables, batch: Any, generated: Images, keys: Keys, step: Array
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        images, labels = self.unpack(batch)
        pair = self.add_instance_noise(keys.noise, (images, generated), step)
        d, transform = bind(self, d, keys.noise, len(images))
        dropout = self.local_key(keys.dropout)
        network = self.discriminator, self.dtype, d
        seen = transform.both(pair)
        logits, stats = discriminate_both(*network, seen, labels, dropout)
        metrics = diagnostics(self.loss, *logits, self.pmean)
        state, found = transform.adapt(logits)

        loss_fn = with_label_smoothing(self.loss, self.label_smoothing)
        loss_fn = with_weights(loss_fn, *self.d_weights)
        logits = self.flip_some_labels(keys.labels, logits)
        loss = metrics["d_loss"] = jnp.mean(loss_fn.d(*logits))

        def d_fn(x: Images) -> Array:
            return discriminate(*network, transform(x), labels, dropout)[0]

        penalty, values = self.penalize(d_fn, pair, keys, step)
        return loss + penalty, (stats | state, metrics | values | found)

    def g_loss(
        self, d: Variables, batch: Any, generated: Images, keys: Keys, step: Array
    ) -> tuple[Array, Metrics]:
        images, labels = self.unpack(batch)
        pair = self.add_instance_noise(keys.noise, (images, generated), step)
        d, transform = bind(self, d, keys.noise, len(images))
        seen = transform(pair[0]), transform(pair[1], first=len(images))
        dropout = jax.random.split(self.local_key(keys.dropout))
        # Two passes: D(real) needs no gradient, and is dropped where no loss uses it.
        real_logits, fake_logits = (
            discriminate(self.discriminator, self.dtype, d, x, labels, key)[0]
            for x, key in zip(seen, dropout, strict=True)
        )
        loss = jnp.mean(self.loss.g(real_logits, fake_logits))
        metrics = {"g_loss": loss}
        # Unpaired, so their minimizers are the median and the mean of each pixel,
        # whatever z is.
        if self.l1:
            metrics["l1"] = jnp.mean(jnp.abs(generated - images))
            loss += self.l1 * metrics["l1"]
        if self.l2:
            metrics["l2"] = jnp.mean((generated - images) ** 2)
            loss += self.l2 * metrics["l2"]
        return loss, metrics

    def sample(
        self,
        g: Variables,
        key: Key[Array, ""],
        num: int,
        condition: Labels | None = None,
    ) -> Images:
        z = self.sample_scale * self.prior.sample(key, num)
        return self.decode(g, z, condition)

    def decode(
        self, g: Variables, z: Float[Array, "B Z"], labels: Labels | None = None
    ) -> Images:
        """Images of z outside of training."""
        images: Any = self.generator.apply(g, z, train=False, labels=labels)
        return images

    def condition(
        self, num: int, grid: bool = False, dataset: Dataset | None = None
    ) -> np.ndarray | None:
        """Labels int32 [num]: balanced, or in the order of classes for a grid."""
        if not self.num_classes:
            return None
        if not grid:
            return balanced_labels(self.num_classes, num)
        columns = max(1, num // self.num_classes)
        return np.repeat(np.arange(self.num_classes, dtype=np.int32), columns)

    def parse_labels(self, labels: Sequence[str]) -> np.ndarray:
        if not self.num_classes:
            super().parse_labels(labels)
        if not labels:
            raise UserError("--labels=: expected one class or more")
        known = {str(label): label for label in range(self.num_classes)}
        for label in labels:
            if label not in known:
                raise UserError(
                    f"--labels={','.join(labels)}: expected integers from 0 to "
                    f"{self.num_classes - 1}, got {show(label)}"
                )
        return np.array([known[label] for label in labels], np.int32)

    def check_condition(self, condition: Any, num: int) -> None:
        if condition is None:
            return
        if not self.num_classes or np.shape(condition) != (num,):
            raise ValueError(
                f"condition: expected labels [{num}] of {self.num_classes} classes, "
                f"got {list(np.shape(condition))}"
            )
        if not 0 <= np.min(condition) <= np.max(condition) < self.num_classes:
            raise ValueError(f"condition: expected labels in [0, {self.num_classes})")

    def arrays(self, samples: Any, condition: Any) -> dict[str, np.ndarray]:
        labels = {} if condition is None else {"labels": condition}
        return {"images": samples} | labels

    def image(self, samples: Any, condition: np.ndarray | None = None) -> np.ndarray:
        """A grid; of samples in the order of their classes with a row for each."""
        if isinstance(samples, Batch):
            samples = samples.images
        if samples.ndim != 4:
            raise UserError(
                f"config.data.image_shape={samples.shape[1:]}: expected (height, "
                "width, channels); for other data call ganjax.train_step"
            )
        if samples.dtype != np.uint8:
            samples = np.asarray(self.export(samples))
        if condition is None:
            return grid(samples)
        classes = np.unique(condition)
        columns = len(samples) // len(classes)
        in_rows = np.array_equal(np.repeat(classes, columns), condition)
        return grid(samples, columns if in_rows else None)

    def summary(self) -> str:
        """Both networks, layer by layer, with shapes and parameter counts."""
        labels = jnp.zeros(1, jnp.int32) if self.num_classes else None
        inputs = {
            self.generator: jnp.zeros((1, self.prior.z_dim)),
            self.discriminator: jnp.zeros((1, *self.generator.image_shape)),
        }
        width = {"width": 110}
        return "\n".join(
            module.tabulate(jax.random.key(0), x, labels=labels, console_kwargs=width)
            for module, x in inputs.items()
        )

    def unpack(self, batch: Any) -> tuple[Images, Labels | None]:
        """Images and labels of a batch.

        Raises:
          ValueError: labels are missing or unexpected, or images of another shape.
          UserError: the batch has no whole number of the discriminator's groups.
        """
        images, labels = batch if isinstance(batch, Batch) else (batch, None)
        if (labels is None) == bool(self.num_classes):
            expected = "Batch(images, labels)" if labels is None else "images alone"
            raise ValueError(
                f"batch: expected {expected}, since num_classes={self.num_classes}"
            )
        shape = tuple(self.generator.image_shape)
        if images.shape[1:] != shape:
            raise ValueError(
                f"batch: expected images [B, {', '.join(map(str, shape))}], got "
                f"{list(images.shape)}"
            )
        group = getattr(self.discriminator, "group", 1)
        if len(images) % group:
            raise UserError(
                f"config.discriminator.group={group}: expected a divisor of the batch "
                f"of each device, {len(images)}"
            )
        return images, labels

    def draw_pair(
        self, sampler: Callable[[Any, int], Array], key: Key[Array, ""], num: int
    ) -> tuple[Array, Array]:
        """Independent draws for `num` real and `num` generated images."""
        real_key, fake_key = jax.random.split(key)
        return self.draw(sampler, real_key, num), self.draw(sampler, fake_key, num)

    def add_instance_noise(
        self, key: Key[Array, ""], pair: tuple[Images, Images], step: Array
    ) -> tuple[Images, Images]:
        """Gaussian noise of the same scale on real and generated images."""
        if self.instance_noise == 0:
            return pair
        sigma, shape = value_at(self.instance_noise, step), pair[0].shape[1:]

        def normal(key: Key[Array, ""], n: int) -> Array:
            return jax.random.normal(key, (n, *shape))

        noise = self.draw_pair(normal, key, len(pair[0]))
        return pair[0] + sigma * noise[0], pair[1] + sigma * noise[1]

    def flip_some_labels(
        self, key: Key[Array, ""], logits: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        """Logits with a random fraction `label_flip` of the pairs swapped."""
        if not self.label_flip:
            return logits

        def bernoulli(key: Key[Array, ""], n: int) -> Array:
            return jax.random.bernoulli(key, self.label_flip, (n,))

        return flip_labels(*logits, self.draw(bernoulli, key, len(logits[0])))


def resolve_conv(conv: str) -> str:
    """The implementation for "auto": TPUs have units for convolutions; on CPUs and GPUs
    the derivatives of XLA's are slow, above all of images with one channel."""
    if conv != "auto":
        return conv
    by_backend = {"cpu": "matmul", "gpu": "patches"}
    return by_backend.get(jax.default_backend(), "library")


def require_standard(gan: Gan, what: str) -> Standard:
    """The GAN, for tools that need one that makes images from noise.

    Raises:
      UserError: another kind of GAN.
    """
    if not isinstance(gan, Standard):
        kind = type(gan).__name__
        raise UserError(
            f"{what}: expected a run with config.gan='standard', got {kind}"
        )
    return gan


def make_network(
    table: Mapping[str, type[nn.Module]],
    config: Mapping[str, Any],
    where: str,
    shared: Mapping[str, Any],
) -> nn.Module:
    """The Flax module that a group of the config describes.

    `shared` are fields that both networks get from the rest of the config, as far as
    they have them.
    """
    options = dict(config[where])
    name = options.pop("name", "")
    cls = choose(table, name, f"config.{where}.name")
    known = {field.name for field in fields(cls)}
    if config["num_classes"] and "num_classes" not in known:
        raise UserError(
            f"config.num_classes={config['num_classes']}: expected 0, since "
            f"config.{where}.name={name!r} takes no labels"
        )
    extra = {k: v for k, v in shared.items() if k in known}
    return build(cls, options, f"config.{where}", **extra)


def balanced_labels(num_classes: int, num: int) -> np.ndarray:
    """Classes in a fixed random order, int32 [num], equally many of each.

    So is every prefix whose length is a multiple of `num_classes`.
    """
    rounds = np.tile(np.arange(num_classes), (-(-num // num_classes), 1))
    mixed = np.random.default_rng(0).permuted(rounds, axis=1)
    return mixed.astype(np.int32).ravel()[:num]
