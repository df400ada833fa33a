"""CycleGAN (arXiv:1703.10593): images of one domain as the other has them, unpaired.

Two generators, from a to b and from b to a, are one player, and two discriminators are
the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from ganjax.gan import Gan, Keys, Metrics, Variables
from ganjax.gans.standard import resolve_conv
from ganjax.images import grid, save_png
from ganjax.losses import LOSSES, Loss, diagnostics
from ganjax.models.layers import check_image_shape
from ganjax.models.translation import EncoderDecoder, PatchDiscriminator
from ganjax.networks import apply_in
from ganjax.options import NonNegative, Size, build, choice, given

if TYPE_CHECKING:
    from ganjax.data import Dataset
    from ganjax.metrics.types import Evaluation

Images = Float[Array, "B H W C"]


class Pair(NamedTuple):
    """Something of domain a, and something of domain b."""

    a: Any
    b: Any


class Generated(NamedTuple):
    """Images [B, H, W, C] that the generators make from a batch of both domains."""

    fakes: Pair  # of a from b, of b from a
    cycles: Pair  # there and back again
    same: Pair  # from images that are in the domain already


@dataclass(frozen=True, kw_only=True)
class CycleGan(Gan):
    """A batch is `Pair(a, b)` of unrelated images of one shape."""

    generator: EncoderDecoder  # the architecture of both
    discriminator: PatchDiscriminator
    loss: Loss = choice(LOSSES, "lsgan")
    cycle: NonNegative = 10.0  # weight of mean |G_ba(G_ab(a)) − a|, and for b
    identity: NonNegative = 5.0  # weight of mean |G_ab(b) − b|, and for a
    # D sees generated images of earlier steps, too: half of each batch is exchanged
    # with a history of so many images (arXiv:1612.07828, section 2.3); 0: none.
    history: Size = 50
    paired_test: bool = False  # row i of both test sets is the same in both domains
    image_shape: tuple[int, ...] = given((28, 28, 1))

    NEEDS_DATA: ClassVar[bool] = True
    pixel_range: ClassVar[Any] = (-1.0, 1.0)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> CycleGan:
        shape = check_image_shape(config["data"]["image_shape"])
        conv = resolve_conv("auto")
        return cls.from_parts(
            config,
            generator=build(
                EncoderDecoder,
                config["generator"],
                "config.generator",
                out_channels=shape[-1],
                conv=conv,
            ),
            discriminator=build(
                PatchDiscriminator,
                config["discriminator"],
                "config.discriminator",
                conv=conv,
            ),
            image_shape=shape,
        )

    def examples(self, dataset: Dataset) -> Pair:
        return Pair(dataset.train["a"], dataset.train["b"])

    def init(self, key: Key[Array, ""]) -> tuple[Variables, Variables]:
        keys = jax.random.split(key, 4)
        image = jnp.zeros((1, *self.image_shape))
        ab, ba = (self.generator.init(k, image)["params"] for k in keys[:2])
        a, b = (self.discriminator.init(k, image)["params"] for k in keys[2:])
        d: Variables = {"params": {"a": a, "b": b}}
        if self.history:
            # Two arrays: donating one buffer twice is an error.
            a, b = (jnp.zeros((self.history, *self.image_shape)) for _ in "ab")
            d["batch_stats"] = {"history": Pair(a, b), "seen": jnp.zeros(())}
        return {"params": {"ab": ab, "ba": ba}}, d

    def translate(self, g: Variables, direction: str, images: Images) -> Images:
        """Images of the other domain; direction is "ab" or "ba"."""
        return apply_in(self.generator, self.dtype, g["params"][direction], images)

    def generate(
        self, g: Variables, batch: Pair, keys: Keys
    ) -> tuple[Generated, PyTree]:
        a, b = batch
        fakes = Pair(self.translate(g, "ba", b), self.translate(g, "ab", a))
        cycles = Pair(
            self.translate(g, "ba", fakes.b), self.translate(g, "ab", fakes.a)
        )
        same = Pair(self.translate(g, "ba", a), self.translate(g, "ab", b))
        return Generated(fakes, cycles, same), {}

    def discriminate(self, d: Variables, domain: str, images: Images) -> Array:
        """Logits of all patches of all images, float32 [patches · B]."""
        params = d["params"][domain]
        return apply_in(self.discriminator, self.dtype, params, images)[0].reshape(-1)

    def d_loss(
        self, d: Variables, batch: Pair, generated: Generated, keys: Keys, step: Array
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        fakes, stats = self.exchange(d["batch_stats"], generated.fakes, keys.noise)
        losses, metrics = [], []
        for domain in ("a", "b"):
            real, fake = (
                self.discriminate(d, domain, getattr(images, domain))
                for images in (batch, fakes)
            )
            losses.append(jnp.mean(self.loss.d(real, fake)))
            metrics.append(diagnostics(self.loss, real, fake, self.pmean))
        loss = (losses[0] + losses[1]) / 2  # slows D down: section 4 of the paper
        mean = jax.tree.map(lambda a, b: (a + b) / 2, *metrics)
        return loss, (stats, mean | {"d_loss": loss})

    def g_loss(
        self, d: Variables, batch: Pair, generated: Generated, keys: Keys, step: Array
    ) -> tuple[Array, Metrics]:
        loss = jnp.zeros(())
        for domain in ("a", "b"):
            real, fake = (
                self.discriminate(d, domain, getattr(images, domain))
                for images in (batch, generated.fakes)
            )
            loss += jnp.mean(self.loss.g(real, fake))
        cycle = distance(generated.cycles, batch)
        identity = distance(generated.same, batch)
        metrics = {"g_loss": loss, "cycle": cycle, "identity": identity}
        return loss + self.cycle * cycle + self.identity * identity, metrics

    def exchange(
        self, stats: PyTree, fakes: Pair, key: Key[Array, ""]
    ) -> tuple[Pair, PyTree]:
        """Half of the generated images replaced by earlier ones, whose place they take.

        Until the history has no place for another batch, images are only added to it.
        It holds the images of all devices, so that it is the same on each.
        """
        if not self.history:
            return fakes, {}
        num = len(fakes.a)
        everyone = self.gather(fakes)
        batch = len(everyone.a)
        if batch > self.history:
            raise ValueError(
                f"history={self.history}: expected at least the batch size, {batch}"
            )
        seen, (slot_key, key) = stats["seen"], jax.random.split(key)
        # The next empty places or, if they are too few, random ones among the others.
        order = jax.random.permutation(slot_key, self.history)
        order = order[jnp.argsort(order >= seen, stable=True)]
        slots = jnp.where(
            seen + batch <= self.history,
            seen.astype(jnp.int32) + jnp.arange(batch),
            order[:batch],
        )
        full = seen + batch > self.history
        earlier = full & jax.random.bernoulli(key, 0.5, (batch,))
        take = earlier[:, None, None, None]

        def swap(history: Array, new: Array) -> tuple[Array, Array]:
            old = history[slots]
            keep = jnp.where(take | ~full, new, old)
            return jnp.where(take, old, new), history.at[slots].set(keep)

        a, history_a = swap(stats["history"].a, everyone.a)
        b, history_b = swap(stats["history"].b, everyone.b)
        shown = Pair(self.local_rows(a, num), self.local_rows(b, num))
        seen = jnp.where(full, seen, seen + batch)
        return shown, {"history": Pair(history_a, history_b), "seen": seen}

    # -- samples: both translations of given images ------------------------------------

    def sample(
        self, g: Variables, key: Key[Array, ""], num: int, condition: Any = None
    ) -> Pair:
        """Translations of `condition`, a Pair of images [num, H, W, C].

        Those in domain a are made of the images of b, and the reverse.
        """
        a, b = self.normalize(condition)
        return Pair(self.translate(g, "ba", b), self.translate(g, "ab", a))

    def condition(
        self, num: int, grid: bool = False, dataset: Dataset | None = None
    ) -> Pair:
        """The first test images of both domains."""
        if dataset is None:
            raise ValueError("condition: expected images to translate, Pair(a, b)")
        rows = np.arange(num if not grid else max(1, num // 4)) % len(dataset.test["a"])
        return Pair(dataset.test["a"][rows], dataset.test["b"][rows])

    def check_condition(self, condition: Any, num: int) -> None:
        expected = (num, *self.image_shape)
        for domain in Pair(*condition):
            if np.shape(domain) != expected:
                raise ValueError(
                    f"condition: expected Pair of {expected}, got {np.shape(domain)}"
                )

    def image(self, samples: Any, condition: Any = None) -> np.ndarray:
        """Columns a, its translation, b, its translation; of examples a and b."""
        columns = [samples.a, samples.b]
        if condition is not None:
            columns = [condition.a, samples.b, condition.b, samples.a]
        tiles = np.stack([np.asarray(x) for x in columns], axis=1)
        wide = len(columns) * 2 if len(tiles) > 1 else len(columns)
        return grid(tiles.reshape(-1, *tiles.shape[2:]), wide)

    def arrays(self, samples: Any, condition: Any) -> dict[str, np.ndarray]:
        return {
            "a": condition.a,
            "a_to_b": samples.b,
            "b": condition.b,
            "b_to_a": samples.a,
        }

    def write_sample(self, path: Path, sample: Any) -> None:
        save_png(path.with_name(f"{path.name}_b_to_a.png"), sample.a)
        save_png(path.with_name(f"{path.name}_a_to_b.png"), sample.b)

    def evaluate(
        self, g: Variables, dataset: Dataset, num: int, seed: int
    ) -> Evaluation:
        """Digits kept by the translation; of paired test sets also L1 to the truth."""
        from ganjax.metrics.translation import evaluate_translation

        @jax.jit
        def translate(a: Array, b: Array) -> Any:
            return self.export(self.sample(g, jax.random.key(0), 0, Pair(a, b)))

        return evaluate_translation(translate, dataset, num, self.paired_test)


def distance(generated: Pair, real: Pair) -> Array:
    """The sum over both domains of the mean absolute difference."""
    return jnp.mean(jnp.abs(generated.a - real.a)) + jnp.mean(
        jnp.abs(generated.b - real.b)
    )
