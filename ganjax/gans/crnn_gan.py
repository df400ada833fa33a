"""C-RNN-GAN: sequences of notes from a recurrent network (arXiv:1611.09904)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float, Key, PyTree

from ganjax import music
from ganjax.errors import UserError
from ganjax.gan import Batch, Gan, Keys, Metrics, Variables
from ganjax.losses import LOSSES, Loss, LossFn, diagnostics
from ganjax.metrics.music import reference_notes, score_notes
from ganjax.metrics.types import Evaluation
from ganjax.models import recurrent
from ganjax.networks import apply_in
from ganjax.optim import Number, value_at
from ganjax.options import Fraction, build, choice, given
from ganjax.priors import Prior
from ganjax.sampling import sample_block

if TYPE_CHECKING:
    from ganjax.data import Dataset

Sequences = Float[Array, "B T F"]
NUM_SHOWN = 8  # sequences in a figure


class Generated(NamedTuple):
    """What the generator makes in an update."""

    notes: Any  # [B, T, F], each from z and the generated note before it
    predicted: Any = None  # [B, T, F], each from z and the real notes before it


@dataclass(frozen=True, kw_only=True)
class CRnnGan(Gan):
    """Sequences of notes as real numbers, `ganjax.music.encode`, one z for each note.

    The generator minimizes a weighted sum: its adversarial loss, feature matching (the
    paper's objective, arXiv:1606.03498, equation 1) and the squared error of predicting
    the next note (the paper's pre-training). Weights may be schedules.
    """

    generator: nn.Module
    discriminator: nn.Module
    length: int = given(64)  # notes in a sequence
    loss: Loss = choice(LOSSES, "relativistic")
    adversarial: Number = 1.0  # weight of the generator's adversarial loss
    feature_matching: Number = 0.0  # weight of (mean R(x) - mean R(G(z)))²
    next_note: Number = 0.0  # weight of the squared error of the next note
    # A player is not trained while its adversarial loss is below this fraction of the
    # other's (0.7 in the paper), each relative to its value where D is undecided. 0:
    # both always are. Its gradient is then 0, which stops plain SGD; Adam's averages
    # and weight decay still move the parameters.
    freeze: Fraction = 0.0
    prior: Prior = Prior()

    pixel_range = (0.0, 1.0)  # the data have no pixels

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> CRnnGan:
        shape = tuple(config["data"]["image_shape"])
        if len(shape) != 2 or shape[-1] != len(music.FEATURES):
            raise UserError(
                f"config.data.image_shape={shape}: expected (number of notes, "
                f"{len(music.FEATURES)})"
            )
        return cls.from_parts(
            config,
            generator=build(
                recurrent.Generator, config["generator"], "config.generator"
            ),
            discriminator=build(
                recurrent.Discriminator, config["discriminator"], "config.discriminator"
            ),
            length=shape[0],
        )

    def examples(self, dataset: Dataset) -> Batch:
        """Notes float32 [N, T, F]."""
        notes = dataset.train.get("notes")
        if notes is None or notes.shape[1:] != (self.length, len(music.FEATURES)):
            raise UserError(
                f"config.data.name={dataset.identity.name!r}: expected sequences of "
                f"{self.length} notes"
            )
        return notes

    def init(self, key: Key[Array, ""]) -> tuple[Variables, Variables]:
        g_key, d_key = jax.random.split(key)
        z = jnp.zeros((2, self.length, self.prior.z_dim))
        notes = jnp.zeros((2, self.length, len(music.FEATURES)))
        g, d = self.generator.init(g_key, z), self.discriminator.init(d_key, notes)
        return dict(g), dict(d)

    def generate(
        self, g: Variables, batch: Sequences, keys: Keys
    ) -> tuple[Generated, PyTree]:
        z = self.draw(self.draw_z, keys.z, len(batch))
        notes = apply_in(self.generator, self.dtype, g["params"], z)
        if self.next_note == 0:
            return Generated(notes), {}
        taught = apply_in(self.generator, self.dtype, g["params"], z, batch)
        return Generated(notes, taught), {}

    def d_loss(
        self, d: Variables, batch: Any, generated: Generated, keys: Keys, step: Array
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        logits, _ = self.discriminate(d, batch, generated.notes)
        metrics = diagnostics(self.loss, *logits, self.pmean)
        loss = metrics["d_loss"] = jnp.mean(self.loss.d(*logits))
        trained = self.unless_ahead((self.loss.d, self.loss.g), logits)
        metrics["d_trained"] = trained

        def d_fn(x: Sequences) -> Array:
            return apply_in(self.discriminator, self.dtype, d["params"], x)[0]

        penalty, values = self.penalize(d_fn, (batch, generated.notes), keys, step)
        return trained * (loss + penalty), ({}, metrics | values)

    def g_loss(
        self, d: Variables, batch: Any, generated: Generated, keys: Keys, step: Array
    ) -> tuple[Array, Metrics]:
        logits, outputs = self.discriminate(d, batch, generated.notes)
        adversarial = jnp.mean(self.loss.g(*logits))
        metrics = {"g_loss": adversarial}
        trained = self.unless_ahead((self.loss.g, self.loss.d), logits)
        metrics["g_trained"] = trained
        loss = value_at(self.adversarial, step) * adversarial
        if self.feature_matching != 0:
            # D averages over time what R says of each step, and so do these means.
            real, fake = self.pmean([jnp.mean(x, axis=(0, 1)) for x in outputs])
            metrics["feature_matching"] = jnp.sum((real - fake) ** 2)
            weight = value_at(self.feature_matching, step)
            loss += weight * metrics["feature_matching"]
        loss *= trained
        if self.next_note != 0:
            metrics["next_note"] = jnp.mean((generated.predicted - batch) ** 2)
            loss += value_at(self.next_note, step) * metrics["next_note"]
        return loss, metrics

    def sample(
        self, g: Variables, key: Key[Array, ""], num: int, condition: PyTree = None
    ) -> Sequences:
        notes: Any = self.generator.apply(
            {"params": g["params"]}, self.draw_z(key, num)
        )
        return notes

    def export(self, generated: Sequences) -> Sequences:
        """As they are: `ganjax.music.decode` rounds them."""
        return generated

    def image(self, samples: Any, condition: PyTree = None) -> np.ndarray:
        """Piano rolls of the first sequences."""
        shown = np.asarray(samples[:NUM_SHOWN])
        titles = [f"sequence {i}" for i in range(len(shown))]
        return music.piano_rolls(music.decode(shown), titles)

    def arrays(self, samples: Any, condition: PyTree) -> dict[str, np.ndarray]:
        """`notes`, and the same rounded: `pitch`, `onset` and `duration` [num, T]."""
        return {"notes": samples, **music.decode(samples)._asdict()}

    def write_sample(self, path: Path, sample: Any) -> None:
        """A MIDI file."""
        music.write_midi(path.with_suffix(".mid"), music.decode(sample))

    def evaluate(
        self, g: Variables, dataset: Dataset, num: int, seed: int
    ) -> Evaluation:
        """Statistics of samples and of an untrained generator, beside held-out ones."""
        keys = jax.random.split(jax.random.key(seed), 3)
        untrained, _ = self.init(keys[0])
        made, noise, train, test = (
            music.decode(np.asarray(x))
            for x in (
                sample_block(self, g, keys[1], num, None),
                sample_block(self, untrained, keys[2], num, None),
                dataset.train["notes"],
                dataset.test["notes"],
            )
        )
        estimates = score_notes(made, test) | score_notes(noise, test, "untrained_")
        references = reference_notes(train, test)
        references |= {f"untrained_{name}": x for name, x in references.items()}
        shown = [music.Notes(*(x[: NUM_SHOWN // 2] for x in n)) for n in (made, test)]
        titles = ["generated"] * len(shown[0].pitch)
        titles += ["held-out"] * len(shown[1].pitch)
        both = music.Notes(*map(np.concatenate, zip(*shown, strict=True)))
        figures = {"rolls.png": music.piano_rolls(both, titles)}
        return Evaluation(estimates, references, figures)

    def draw_z(self, key: Array, num: int) -> Float[Array, "num T Z"]:
        """Independent z for each note of each sequence."""
        z = self.prior.sample(key, num * self.length)
        return z.reshape(num, self.length, self.prior.z_dim)

    def discriminate(
        self, d: Variables, real: Sequences, fake: Sequences
    ) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Logits [B] of real and of fake, and the last layer's outputs of each."""
        num = len(real)
        both = jnp.concatenate([real, fake])
        logits, outputs = apply_in(self.discriminator, self.dtype, d["params"], both)
        return (logits[:num], logits[num:]), (outputs[:num], outputs[num:])

    def unless_ahead(
        self, losses: tuple[LossFn, LossFn], logits: tuple[Array, Array]
    ) -> Array:
        """1, or 0 while a player is ahead; its own loss comes first."""
        if not self.freeze:
            return jnp.ones(())
        undecided = (jnp.zeros(1), jnp.zeros(1))
        own, other = self.pmean(
            [jnp.mean(f(*lax.stop_gradient(logits))) for f in losses]
        )
        own, other = own / losses[0](*undecided)[0], other / losses[1](*undecided)[0]
        return jnp.where(own < self.freeze * other, 0.0, 1.0)
