"""StarGAN (arXiv:1711.09020): one generator between any two of K domains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from ganjax.gan import Gan, Keys, Metrics, Variables
from ganjax.gans.standard import Batch, balanced_labels, resolve_conv
from ganjax.images import grid
from ganjax.losses import LOSSES, Loss, diagnostics
from ganjax.models.layers import check_image_shape
from ganjax.models.translation import EncoderDecoder, PatchDiscriminator
from ganjax.networks import apply_in
from ganjax.options import NonNegative, PositiveInt, build, choice, given

if TYPE_CHECKING:
    from ganjax.data import Dataset
    from ganjax.metrics.types import Evaluation

Images = Float[Array, "B H W C"]
Labels = Int[Array, " B"]


class Generated(NamedTuple):
    """What the generator makes of a batch."""

    fakes: Any  # the images in the target domains [B, H, W, C]
    targets: Any  # int32 [B]
    cycles: Any  # the fakes in the domains of the images again [B, H, W, C]


@dataclass(frozen=True, kw_only=True)
class StarGan(Gan):
    """A batch is `Batch(images, labels)`, the labels being domains."""

    generator: EncoderDecoder
    discriminator: PatchDiscriminator  # with a classifier of domains
    loss: Loss = choice(LOSSES, "wgan")
    num_domains: PositiveInt = 9
    classification: NonNegative = 1.0  # weight of −log P(domain | image)
    reconstruction: NonNegative = 10.0  # weight of mean |G(G(x, target), own) − x|
    image_shape: tuple[int, ...] = given((28, 28, 3))

    NEEDS_DATA: ClassVar[bool] = True
    pixel_range: ClassVar[Any] = (-1.0, 1.0)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> StarGan:
        shape = check_image_shape(config["data"]["image_shape"])
        given = {"conv": resolve_conv("auto")}
        return cls.from_parts(
            config,
            generator=build(
                EncoderDecoder,
                config["generator"],
                "config.generator",
                out_channels=shape[-1],
                **given,
            ),
            discriminator=build(
                PatchDiscriminator,
                config["discriminator"],
                "config.discriminator",
                num_classes=config["num_domains"],
                **given,
            ),
            image_shape=shape,
        )

    def examples(self, dataset: Dataset) -> Batch:
        return Batch(dataset.train["images"], dataset.train["labels"])

    def init(self, key: Key[Array, ""]) -> tuple[Variables, Variables]:
        g_key, d_key = jax.random.split(key)
        image = jnp.zeros((1, *self.image_shape))
        with_domain = self.add_domain(image, jnp.zeros(1, jnp.int32))
        g = self.generator.init(g_key, with_domain)
        return dict(g), dict(self.discriminator.init(d_key, image))

    def add_domain(self, images: Images, domains: Labels) -> Float[Array, "B H W c"]:
        """Images with a constant channel for each domain: 1 for the one asked for."""
        one_hot = jax.nn.one_hot(domains, self.num_domains)[:, None, None]
        shape = (*images.shape[:3], self.num_domains)
        return jnp.concatenate([images, jnp.broadcast_to(one_hot, shape)], axis=-1)

    def translate(self, g: Variables, images: Images, domains: Labels) -> Images:
        """Images in other domains."""
        inputs = self.add_domain(images, domains)
        return apply_in(self.generator, self.dtype, g["params"], inputs)

    def generate(
        self, g: Variables, batch: Batch, keys: Keys
    ) -> tuple[Generated, PyTree]:
        images, labels = batch

        def randint(key: Key[Array, ""], n: int) -> Array:
            return jax.random.randint(key, (n,), 0, self.num_domains)

        targets = self.draw(randint, keys.labels, len(images))
        fakes = self.translate(g, images, targets)
        return Generated(fakes, targets, self.translate(g, fakes, labels)), {}

    def discriminate(self, d: Variables, images: Images) -> tuple[Array, Array]:
        """The mean logit of an image's patches [B], and logits of domains [B, K]."""
        outputs = apply_in(self.discriminator, self.dtype, d["params"], images)
        return jnp.mean(outputs[0], axis=(1, 2)), outputs[1]

    def d_loss(
        self, d: Variables, batch: Batch, generated: Generated, keys: Keys, step: Array
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        real, domains = self.discriminate(d, batch.images)
        fake, _ = self.discriminate(d, generated.fakes)
        metrics = diagnostics(self.loss, real, fake, self.pmean)
        adversarial = metrics["d_loss"] = jnp.mean(self.loss.d(real, fake))
        classified = metrics["d_domain"] = cross_entropy(domains, batch.labels)
        loss = adversarial + self.classification * classified

        def d_fn(images: Images) -> Array:
            return self.discriminate(d, images)[0]

        pair = (batch.images, generated.fakes)
        penalty, values = self.penalize(d_fn, pair, keys, step)
        return loss + penalty, ({}, metrics | values)

    def g_loss(
        self, d: Variables, batch: Batch, generated: Generated, keys: Keys, step: Array
    ) -> tuple[Array, Metrics]:
        real, _ = self.discriminate(d, batch.images)
        fake, domains = self.discriminate(d, generated.fakes)
        adversarial = jnp.mean(self.loss.g(real, fake))
        classified = cross_entropy(domains, generated.targets)
        reconstruction = jnp.mean(jnp.abs(generated.cycles - batch.images))
        loss = adversarial + self.classification * classified
        metrics = {"g_loss": adversarial, "g_domain": classified}
        metrics["reconstruction"] = reconstruction
        return loss + self.reconstruction * reconstruction, metrics

    # -- samples: given images in the domains asked for --------------------------------

    def sample(
        self, g: Variables, key: Key[Array, ""], num: int, condition: Any = None
    ) -> Images:
        """`condition` is `Batch(images, domains)`, arrays [num, ...]."""
        images, domains = self.normalize(condition)
        return self.translate(g, images, domains)

    def condition(
        self, num: int, grid: bool = False, dataset: Dataset | None = None
    ) -> Batch:
        """Test images and balanced domains; in a grid every domain of a few images."""
        if dataset is None:
            raise ValueError("condition: expected Batch(images, domains) to translate")
        images = dataset.test["images"]
        if not grid:
            domains = balanced_labels(self.num_domains, num)
            return Batch(images[np.arange(num) % len(images)], domains)
        rows = max(1, num // self.num_domains)
        labels = np.arange(self.num_domains, dtype=np.int32)
        first = np.repeat(images[:rows], self.num_domains, axis=0)
        return Batch(first, np.tile(labels, rows))

    def check_condition(self, condition: Any, num: int) -> None:
        shapes = tuple(np.shape(x) for x in condition)
        expected = (num, *self.image_shape), (num,)
        if shapes != expected:
            raise ValueError(f"condition: expected arrays {expected}, got {shapes}")

    def image(self, samples: Any, condition: Any = None) -> np.ndarray:
        """A row for each image: itself, then in every domain. Examples: a grid."""
        if condition is None:
            return grid(samples.images)
        if len(samples) % self.num_domains:  # not one row for each image
            tiles = np.stack([condition.images, samples], axis=1)
            return grid(tiles.reshape(-1, *self.image_shape), 8)
        shape = (-1, self.num_domains, *self.image_shape)
        given = np.asarray(condition.images).reshape(shape)[:, :1]
        tiles = np.concatenate([given, np.asarray(samples).reshape(shape)], axis=1)
        return grid(tiles.reshape(-1, *self.image_shape), 1 + self.num_domains)

    def arrays(self, samples: Any, condition: Any) -> dict[str, np.ndarray]:
        return {
            "images": samples,
            "domains": condition.labels,
            "inputs": condition.images,
        }

    def evaluate(
        self, g: Variables, dataset: Dataset, num: int, seed: int
    ) -> Evaluation:
        """Fractions of images that reach their domain and that keep their digit."""
        from ganjax.metrics.domains import evaluate_domains

        @jax.jit
        def translate(images: Array, domains: Array) -> Any:
            condition = Batch(images, domains)
            return self.export(self.sample(g, jax.random.key(0), 0, condition))

        return evaluate_domains(translate, dataset, num, seed)


def cross_entropy(logits: Float[Array, "B K"], labels: Labels) -> Array:
    """Mean −log P(label), []."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return jnp.mean(losses)
