"""Adversarial losses: pure functions of logits, per sample; the caller reduces.

Every function takes `(real_logits, fake_logits)`, both float [B], and returns [B].
All take both, because relativistic losses need both; one arity serves all. Log
probabilities come from softplus, log σ(t) = −softplus(−t), never from log(σ(t) + ε).

To add a loss, write its three functions and one line in `LOSSES`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
from jax.nn import relu, softplus

LossFn = Callable[[jax.Array, jax.Array], jax.Array]


class Loss(NamedTuple):
    """A two-player game. Each player minimises its own function."""

    real: LossFn  # the discriminator's half that pulls real logits up
    fake: LossFn  # the discriminator's half that pushes fake logits down
    g: LossFn  # the generator's
    level_free: bool = False  # only differences real − fake carry meaning
    critic: bool = False  # mean(real) − mean(fake) estimates the Wasserstein distance
    boundary: float = 0.0  # the logit of an undecided discriminator

    def d(self, real_logits: jax.Array, fake_logits: jax.Array) -> jax.Array:
        """The discriminator's loss [B], both halves at weight one."""
        half = self.real(real_logits, fake_logits)
        return half + self.fake(real_logits, fake_logits)


def bce_real(real_logits: jax.Array, fake_logits: jax.Array) -> jax.Array:
    """−log D(x), arXiv:1406.2661, equation 1."""
    return softplus(-real_logits)


def bce_fake(real_logits: jax.Array, fake_logits: jax.Array) -> jax.Array:
    """−log(1 − D(G(z))), arXiv:1406.2661, equation 1."""
    return softplus(fake_logits)


def saturating(real_logits: jax.Array, fake_logits: jax.Array) -> jax.Array:
    """log(1 − D(G(z))): the minimax game itself, arXiv:1406.2661, Algorithm 1."""
    return -softplus(fake_logits)


def non_saturating(real_logits: jax.Array, fake_logits: jax.Array) -> jax.Array:
    """−log D(G(z)): same fixed point, stronger gradient early (1406.2661, §3)."""
    return softplus(-fake_logits)


def relativistic_d(real_logits: jax.Array, fake_logits: jax.Array) -> jax.Array:
    """½ softplus(−(D(x) − D(G(z)))), half of arXiv:2501.05441, equation 2."""
    return softplus(fake_logits - real_logits) / 2


def relativistic_g(real_logits: jax.Array, fake_logits: jax.Array) -> jax.Array:
    """softplus(−(D(G(z)) − D(x))): the mirror image, arXiv:2501.05441."""
    return softplus(real_logits - fake_logits)


def weigh(loss: Loss, real: float, fake: float) -> Loss:
    """The discriminator's halves at other weights than one."""
    return loss._replace(
        real=lambda r, f: real * loss.real(r, f),
        fake=lambda r, f: fake * loss.fake(r, f),
    )


def smooth(loss: Loss, share: float) -> Loss:
    """One-sided label smoothing (arXiv:1606.03498, section 3.4).

    A share of every real image counts as fake: target 1 − share. Fakes keep target 0.
    """
    if not share:
        return loss
    return loss._replace(
        real=lambda r, f: (1 - share) * loss.real(r, f) + share * loss.fake(f, r)
    )


LOSSES: dict[str, Loss] = {
    "minimax": Loss(bce_real, bce_fake, saturating),
    "non_saturating": Loss(bce_real, bce_fake, non_saturating),
    # Least squares, targets 1 and 0: arXiv:1611.04076, equation 9.
    "lsgan": Loss(
        lambda real, fake: (real - 1) ** 2 / 2,
        lambda real, fake: fake**2 / 2,
        lambda real, fake: (fake - 1) ** 2 / 2,
        boundary=0.5,
    ),
    # Dual form of the Wasserstein-1 distance: arXiv:1701.07875, Algorithm 1.
    "wgan": Loss(
        lambda real, fake: -real,
        lambda real, fake: fake,
        lambda real, fake: -fake,
        level_free=True,
        critic=True,
    ),
    # arXiv:1705.02894; with spectral norm arXiv:1802.05957, equations 16 and 17.
    "hinge": Loss(
        lambda real, fake: relu(1 - real),
        lambda real, fake: relu(1 + fake),
        lambda real, fake: -fake,
    ),
    "relativistic": Loss(
        relativistic_d, relativistic_d, relativistic_g, level_free=True
    ),
}
