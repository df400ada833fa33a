"""Augmentation of all images that the discriminator sees, for training on few of them.

With few images a discriminator learns them by heart. One that sees real and generated
images only after a random transformation T can not. The generator does not learn to
make transformed images as long as no other distribution of images looks the same after
T (arXiv:2006.06676, section 2.2): a rotation by 0, 90, 180 or 270 degrees, each equally
often, hides which way is up; one applied to half of the images does not. DiffAugment
(arXiv:2006.10738) is `probability` 1, ADA (2006.06676) a probability that the training
itself finds (`target`).

D is replaced by D∘T everywhere: in both players' losses, where the generator's gradient
goes through T, and in the penalties, whose gradient is that of D(T(x)) with respect to
the image x before its transformation. So it is in the code of both papers and of
arXiv:2501.05441: tf.gradients(D(DiffAugment(reals)), reals) in DiffAugment-stylegan2's
loss.py, and r1_grads with respect to real_img_tmp in StyleGAN2-ADA's. R2 alone, and
penalties between real and generated images, use the transformations of the real ones.

Instance noise is something else: it moves the points at which penalties are taken. It
comes first, and T transforms the noisy images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ganjax.errors import OptionsError, UserError
from ganjax.losses import Loss
from ganjax.options import MAX_INT, Fraction, Range
from ganjax.transformations import draw, transform

if TYPE_CHECKING:
    from ganjax.gans.standard import Standard

Logits = Float[Array, " B"]
Variables = dict[str, Any]

STATE = "augment"  # of ADA, among the discriminator's batch_stats
INTERVAL = 4  # updates of D between two of the probability: 2006.06676, section 3


@dataclass(frozen=True)
class Augment:
    """Augmentation of what D sees; off while `probability` and `target` are 0."""

    # Of each transformation for each image: 1 is DiffAugment. With a `target` it is
    # where the training starts.
    probability: Fraction = 0.0
    # ADA: the probability rises while E[sign(D(x))] over real images is above this,
    # and falls while it is below; 0.6 in the paper. 0: the probability is constant.
    target: Annotated[float, Range(0, below=1)] = 0.0
    # Images of a rise from 0 to 1 without a step back.
    rise: Annotated[int, Range(1, MAX_INT)] = 500_000
    # Left to right, only for data that may be mirrored: at 1 half of the samples are.
    flip: bool = False
    translation: Fraction = 0.125  # largest, of the image's sides
    cutout: Fraction = 0.5  # sides of the rectangle, of the image's
    color: Fraction = 1.0  # brightness, saturation, contrast; 1: those of DiffAugment

    def __post_init__(self) -> None:
        if self.active and not any(self.amounts.values()):
            raise OptionsError("expected a transformation with an amount above 0")

    @property
    def active(self) -> bool:
        """Whether anything is done to images."""
        return bool(self.probability or self.target)

    @property
    def amounts(self) -> dict[str, float]:
        """How much of each of `TRANSFORMATIONS`."""
        color = dict.fromkeys(("brightness", "saturation", "contrast"), self.color)
        rest = {"translation": self.translation, "cutout": self.cutout}
        return {"flip": float(self.flip)} | color | rest

    def check(self, shape: tuple[int, ...]) -> None:
        """Checks the shape of an example.

        Raises:
          UserError: examples are no images.
        """
        if self.active and len(shape) != 3:
            name = "target" if self.target else "probability"
            raise UserError(
                f"config.augment.{name}={getattr(self, name)}: expected 0, since "
                f"examples {list(shape)} are no images"
            )

    def add_state(self, d: Variables) -> Variables:
        """The variables of a discriminator with ADA's state among its batch_stats."""
        if not self.target:
            return d
        # float32 also for the count: batch_stats are averaged over devices.
        zero = jnp.zeros((), jnp.float32)
        p = zero + self.probability
        state = {"probability": p, "signs": zero, "updates": zero}
        return d | {"batch_stats": d.get("batch_stats", {}) | {STATE: state}}


class Bound(NamedTuple):
    """T of one update: a function of images, and how it changes the probability."""

    gan: Standard
    state: dict[str, Any]
    draws: Any  # [2 B, T, 3]: of the real images, then of the generated ones

    def __call__(self, images: Any, first: int = 0) -> Any:
        """Transformed images [n, H, W, C], with the draws from `first` on."""
        if self.draws is None:
            return images
        draws, p = self.draws[first : first + len(images)], self.state["probability"]
        amounts = self.gan.augment.amounts
        return transform(images, draws, p, amounts, self.gan.pixel_range)

    def both(self, pair: tuple[Any, Any]) -> tuple[Any, Any]:
        """Real and generated images transformed.

        Stacked, so that a penalty on both shares the result.
        """
        if self.draws is None:
            return pair
        images = self(jnp.concatenate(pair))
        return images[: len(pair[0])], images[len(pair[0]) :]

    def adapt(self, logits: tuple[Logits, Logits]) -> tuple[Variables, Variables]:
        """ADA's state after an update of D, and metrics: 2006.06676, section 3.

        `logits` are D(x) and D(G(z)), each [B]. Both are empty if the probability is
        constant.
        """
        options = self.gan.augment
        if not options.target:
            return {}, {}
        sign = mean_sign(self.gan.loss, logits, self.gan.pmean)
        p, signs = self.state["probability"], self.state["signs"] + sign
        updates = self.state["updates"] + 1
        due = updates == INTERVAL
        images = INTERVAL * len(logits[0]) * self.gan.num_devices()
        change = jnp.sign(signs / INTERVAL - options.target) * (images / options.rise)
        after = {
            "probability": jnp.where(due, jnp.clip(p + change, 0.0, 1.0), p),
            "signs": jnp.where(due, 0.0, signs),
            "updates": jnp.where(due, 0.0, updates),
        }
        return {STATE: after}, {"augment_probability": p, "d_real_sign": sign}


def bind(
    gan: Standard, d: Variables, key: Key[Array, ""], num: int
) -> tuple[Variables, Bound]:
    """The variables of the network D itself, and T with its parameters drawn.

    Args:
      gan: whose images these are.
      d: variables of the discriminator, with ADA's state if there is one.
      key: typed PRNG key [].
      num: real images on this device, and as many generated ones.
    """
    stats = dict(d["batch_stats"])
    state = stats.pop(STATE, {"probability": gan.augment.probability})
    draws = None
    if gan.augment.active:
        key = jax.random.fold_in(key, 2)  # 0 and 1 are the keys of instance noise
        draws = jnp.concatenate(gan.draw_pair(draw, key, num))
    return d | {"batch_stats": stats}, Bound(gan, state, draws)


def mean_sign(
    loss: Loss, logits: tuple[Logits, Logits], pmean: Callable[[Any], Any]
) -> jax.Array:
    """r_t = E[sign(D(x))] over real images, []: arXiv:2006.06676, equation 1.

    1 for a discriminator that recognizes all of them, 0 for one that does not know
    them. Where a loss leaves the level of the logits open, it is measured from the mean
    of generated images, as in `losses.diagnostics`.

    Args:
      loss: the loss in use.
      logits: D(x) [B] and D(G(z)) [B].
      pmean: the mean over devices.
    """
    real, fake = logits
    undecided = pmean(jnp.mean(fake)) if loss.shift_invariant else loss.threshold
    return pmean(jnp.mean(jnp.sign(real - undecided)))
