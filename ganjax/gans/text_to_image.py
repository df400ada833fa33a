"""Images from sentences: GAN-CLS of arXiv:1605.05396."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from ganjax.data import captions
from ganjax.gan import Gan, Keys, Metrics, Variables
from ganjax.gans.standard import make_network, resolve_conv
from ganjax.images import grid
from ganjax.losses import LOSSES, Loss, diagnostics, with_pixel_errors
from ganjax.models import GENERATORS
from ganjax.models.layers import check_image_shape
from ganjax.models.text import TextDiscriminator, TextEncoder, TextGenerator
from ganjax.networks import apply_in
from ganjax.options import NonNegative, build, choice, given
from ganjax.priors import Prior

if TYPE_CHECKING:
    from ganjax.data import Dataset
    from ganjax.metrics.types import Evaluation

Images = Float[Array, "B H W C"]
Tokens = Int[Array, "B L"]


class Captioned(NamedTuple):
    """Images, and several sentences for each."""

    images: Any  # [B, H, W, C]
    tokens: Any  # int [B, K, L]


class Generated(NamedTuple):
    """Images [B, H, W, C], and the sentences [B, L] that they were made for."""

    images: Any
    tokens: Any


@dataclass(frozen=True, kw_only=True)
class TextToImage(Gan):
    """A batch is `Captioned(images, tokens)`."""

    generator: TextGenerator
    discriminator: TextDiscriminator
    loss: Loss = choice(LOSSES, "relativistic")
    prior: Prior = Prior()
    # Weights in G's loss: adversarial, mean |G(z, t) − x| and mean (G(z, t) − x)².
    adversarial: NonNegative = 1.0
    l1: NonNegative = 0.0
    l2: NonNegative = 0.0
    image_shape: tuple[int, ...] = given((28, 28, 3))

    pixel_range: ClassVar[Any] = (-1.0, 1.0)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TextToImage:
        shape = check_image_shape(config["data"]["image_shape"])
        shared = {"conv": resolve_conv("auto"), "image_shape": shape}
        words = {"num_words": len(captions.VOCABULARY)}
        encoder = build(TextEncoder, config["encoder"], "config.encoder", **words)
        network = make_network(
            GENERATORS, {**config, "num_classes": 0}, "generator", shared
        )
        return cls.from_parts(
            config,
            generator=TextGenerator(encoder, network),
            discriminator=build(
                TextDiscriminator,
                config["discriminator"],
                "config.discriminator",
                encoder=encoder,
                conv=shared["conv"],
            ),
            image_shape=shape,
        )

    def examples(self, dataset: Dataset) -> Captioned:
        return Captioned(dataset.train["images"], dataset.train["tokens"])

    def init(self, key: Key[Array, ""]) -> tuple[Variables, Variables]:
        g_key, d_key = jax.random.split(key)
        z, tokens = jnp.zeros((1, self.prior.z_dim)), jnp.ones((1, 2), jnp.int32)
        g = self.generator.init(g_key, z, tokens)
        image = jnp.zeros((1, *self.image_shape))
        return dict(g), dict(self.discriminator.init(d_key, image, tokens))

    def generate(
        self, g: Variables, batch: Captioned, keys: Keys
    ) -> tuple[Generated, PyTree]:
        num, wordings = batch.tokens.shape[:2]
        z = self.draw(self.prior.sample, keys.z, num)

        def randint(key: Key[Array, ""], n: int) -> Array:
            return jax.random.randint(key, (n,), 0, wordings)

        chosen = self.draw(randint, keys.labels, num)
        tokens = batch.tokens[jnp.arange(num), chosen]
        images = apply_in(self.generator, self.dtype, g["params"], z, tokens)
        return Generated(images, tokens), {}

    def discriminate(self, d: Variables, images: Images, tokens: Tokens) -> Array:
        """Logits [B] that an image is real and that its sentence describes it."""
        return apply_in(self.discriminator, self.dtype, d["params"], images, tokens)

    def d_loss(
        self,
        d: Variables,
        batch: Captioned,
        generated: Generated,
        keys: Keys,
        step: Array,
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        real_images, tokens = batch.images, generated.tokens
        # Real images with the sentence of the next image count as generated, too:
        # Algorithm 1 of the paper.
        wrong_tokens = self.next_rows(tokens)
        images = jnp.concatenate([real_images, generated.images, real_images])
        sentences = jnp.concatenate([tokens, tokens, wrong_tokens])
        logits = self.discriminate(d, images, sentences)
        real, fake, wrong = jnp.split(logits, 3)
        metrics = diagnostics(self.loss, real, fake, self.pmean)
        mismatched = diagnostics(self.loss, real, wrong, self.pmean)
        metrics["d_wrong_caption"] = mismatched["d_fake"]
        per_sample = (self.loss.d(real, fake) + self.loss.d(real, wrong)) / 2
        loss = metrics["d_loss"] = jnp.mean(per_sample)

        def d_fn(x: Images) -> Array:
            repeats = len(x) // len(tokens)
            return self.discriminate(d, x, jnp.tile(tokens, (repeats, 1)))

        pair = (real_images, generated.images)
        penalty, values = self.penalize(d_fn, pair, keys, step)
        return loss + penalty, ({}, metrics | values)

    def g_loss(
        self,
        d: Variables,
        batch: Captioned,
        generated: Generated,
        keys: Keys,
        step: Array,
    ) -> tuple[Array, Metrics]:
        real = self.discriminate(d, batch.images, generated.tokens)
        fake = self.discriminate(d, generated.images, generated.tokens)
        error = generated.images - batch.images
        weights = self.adversarial, self.l1, self.l2
        return with_pixel_errors(self.loss.g(real, fake), error, weights)

    def next_rows(self, x: Array) -> Array:
        """The row after each, in the batch of all devices; after the last the first."""
        everyone = jnp.roll(self.gather(x), -1, axis=0)
        return self.local_rows(everyone, len(x))

    # -- samples: images of sentences --------------------------------------------------

    def sample(
        self, g: Variables, key: Key[Array, ""], num: int, condition: Any = None
    ) -> Images:
        """`condition` are sentences, int32 [num, L]."""
        z = self.prior.sample(key, num)
        images: Any = self.generator.apply({"params": g["params"]}, z, condition)
        return images

    def interpolate(
        self,
        g: Variables,
        z: Float[Array, "B Z"],
        first: Int[Array, "1 L"],
        last: Int[Array, "1 L"],
    ) -> Images:
        """B images from one sentence [1, L] to another, along a line between codes."""
        params = {"params": g["params"]}
        codes: Any = self.generator.apply(
            params, jnp.concatenate([first, last]), method="encode"
        )
        t = jnp.linspace(0.0, 1.0, len(z))[:, None]
        code = (1 - t) * codes[:1] + t * codes[1:]
        images: Any = self.generator.apply(params, z, code, method="from_code")
        return images

    def condition(
        self, num: int, grid: bool = False, dataset: Dataset | None = None
    ) -> np.ndarray:
        """Sentences with every attribute; in a grid a row for each digit."""
        columns = max(1, num // 10)
        i = np.arange(10 * columns if grid else num)
        digit = i // columns if grid else i % 10
        rest = i % columns if grid else i // 10
        color, rest = rest % 5, rest // 5 + rest
        return captions.encode(
            [
                captions.WORDINGS[0](
                    captions.DIGITS[d],
                    tuple(captions.COLORS)[c],
                    ("thin", "thick")[t % 2],
                    ("slanted", "upright", "leaning")[t % 3],
                )
                for d, c, t in zip(digit, color, rest, strict=True)
            ]
        )

    def parse_condition(self, caption: str, num: int) -> np.ndarray:
        return captions.encode([caption] * num)

    def check_condition(self, condition: Any, num: int) -> None:
        if np.ndim(condition) != 2 or len(condition) != num:
            raise ValueError(
                f"condition: expected sentences int [{num}, L], got "
                f"{list(np.shape(condition))}"
            )

    def image(self, samples: Any, condition: Any = None) -> np.ndarray:
        """A grid; of samples in the order of `condition(grid=True)` a row per digit."""
        if isinstance(samples, Captioned):
            return grid(samples.images)
        columns = len(samples) // 10 if len(samples) % 10 == 0 else None
        return grid(np.asarray(samples), columns)

    def arrays(self, samples: Any, condition: Any) -> dict[str, np.ndarray]:
        words = np.array(captions.VOCABULARY)
        texts = [" ".join(filter(None, words[row])) for row in condition]
        return {"images": samples, "captions": np.array(texts)}

    def evaluate(
        self, g: Variables, dataset: Dataset, num: int, seed: int
    ) -> Evaluation:
        """Fractions of samples that show each attribute of their sentence."""
        from ganjax.metrics.captions import evaluate_captions

        @jax.jit
        def draw(tokens: Array, key: Key[Array, ""]) -> Array:
            return self.export(self.sample(g, key, len(tokens), tokens))

        return evaluate_captions(draw, dataset, num, seed)
