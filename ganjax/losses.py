"""Adversarial losses: pure functions of logits, per sample; the caller reduces.

Every function takes `(real_logits, fake_logits)`, both float [B], and returns [B].
All take both, because relativistic losses need both. Log probabilities come from
softplus, log σ(t) = −softplus(−t), never from log(σ(t) + ε).

To add a loss, write its three functions and one line in `LOSSES`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import relu, sigmoid, softplus
from jaxtyping import Array, Bool, Float

Logits = Float[Array, " B"]
LossFn = Callable[[jax.Array, jax.Array], jax.Array]
Metrics = dict[str, jax.Array]


class Loss(NamedTuple):
    """The losses of both players; each minimizes its own."""

    real: LossFn  # the discriminator's term that raises real logits
    fake: LossFn  # the discriminator's term that lowers fake logits
    g: LossFn  # the generator's
    shift_invariant: bool = False  # only differences real − fake matter
    critic: bool = False  # mean(real) − mean(fake) estimates the Wasserstein distance
    threshold: float = 0.0  # the logit at which the discriminator is undecided

    def d(self, real_logits: Logits, fake_logits: Logits) -> Logits:
        """The discriminator's loss [B]: the sum of its two terms."""
        real = self.real(real_logits, fake_logits)
        return real + self.fake(real_logits, fake_logits)


def bce_real(real_logits: Logits, fake_logits: Logits) -> Logits:
    """−log D(x), arXiv:1406.2661, equation 1."""
    return softplus(-real_logits)


def bce_fake(real_logits: Logits, fake_logits: Logits) -> Logits:
    """−log(1 − D(G(z))), arXiv:1406.2661, equation 1."""
    return softplus(fake_logits)


def saturating(real_logits: Logits, fake_logits: Logits) -> Logits:
    """log(1 − D(G(z))): the minimax game itself, arXiv:1406.2661, Algorithm 1."""
    return -softplus(fake_logits)


def non_saturating(real_logits: Logits, fake_logits: Logits) -> Logits:
    """−log D(G(z)): same fixed point, larger gradients early (1406.2661, section 3)."""
    return softplus(-fake_logits)


def relativistic_d(real_logits: Logits, fake_logits: Logits) -> Logits:
    """½ softplus(−(D(x) − D(G(z)))), half of arXiv:2501.05441, equation 2.

    Both terms of the discriminator are this half, so that weights and label smoothing
    work as for every other loss.
    """
    return softplus(fake_logits - real_logits) / 2


def relativistic_g(real_logits: Logits, fake_logits: Logits) -> Logits:
    """softplus(−(D(G(z)) − D(x))), arXiv:2501.05441, equation 2."""
    return softplus(real_logits - fake_logits)


LOSSES: dict[str, Loss] = {
    "minimax": Loss(bce_real, bce_fake, saturating),
    "non_saturating": Loss(bce_real, bce_fake, non_saturating),
    # Least squares with targets 1 and 0: arXiv:1611.04076, equation 9.
    "lsgan": Loss(
        lambda real, fake: (real - 1) ** 2 / 2,
        lambda real, fake: fake**2 / 2,
        lambda real, fake: (fake - 1) ** 2 / 2,
        threshold=0.5,
    ),
    # Dual form of the Wasserstein-1 distance: arXiv:1701.07875, Algorithm 1.
    "wgan": Loss(
        lambda real, fake: -real,
        lambda real, fake: fake,
        lambda real, fake: -fake,
        shift_invariant=True,
        critic=True,
    ),
    # arXiv:1705.02894; with spectral norm arXiv:1802.05957, equations 16 and 17.
    "hinge": Loss(
        lambda real, fake: relu(1 - real),
        lambda real, fake: relu(1 + fake),
        lambda real, fake: -fake,
    ),
    "relativistic": Loss(
        relativistic_d, relativistic_d, relativistic_g, shift_invariant=True
    ),
}


def with_weights(loss: Loss, real: float, fake: float) -> Loss:
    """The loss with weights on the discriminator's two terms."""
    return loss._replace(
        real=lambda r, f: real * loss.real(r, f),
        fake=lambda r, f: fake * loss.fake(r, f),
    )


def with_label_smoothing(loss: Loss, smoothing: float) -> Loss:
    """One-sided label smoothing (arXiv:1606.03498, section 3.4).

    Real images have the target 1 − smoothing; generated ones keep the target 0.
    """
    if not smoothing:
        return loss
    return loss._replace(
        real=lambda r, f: (
            (1 - smoothing) * loss.real(r, f) + smoothing * loss.fake(f, r)
        )
    )


def flip_labels(
    real_logits: Logits, fake_logits: Logits, flips: Bool[Array, " B"]
) -> tuple[Logits, Logits]:
    """Swaps real and fake logits where `flips` is true."""
    return (
        jnp.where(flips, fake_logits, real_logits),
        jnp.where(flips, real_logits, fake_logits),
    )


def with_pixel_errors(
    adversarial: Logits, error: Float[Array, "B ..."], weights: tuple[float, ...]
) -> tuple[Float[Array, ""], Metrics]:
    """The generator's loss where each generated image has a target.

    Args:
      adversarial: the generator's adversarial loss.
      error: G(z) − x.
      weights: of the adversarial loss, of mean |G(z) − x| and of mean (G(z) − x)².

    Returns:
      The weighted sum, and its terms as metrics.
    """
    terms = {
        "g_loss": jnp.mean(adversarial),
        "l1": jnp.mean(jnp.abs(error)),
        "l2": jnp.mean(error**2),
    }
    weighted = [w * x for w, x in zip(weights, terms.values(), strict=True)]
    return weighted[0] + weighted[1] + weighted[2], terms


def diagnostics(
    loss: Loss,
    real_logits: Logits,
    fake_logits: Logits,
    pmean: Callable[[Any], Any] = lambda tree: tree,
) -> Metrics:
    """The discriminator read as a classifier: curves that compare across losses.

    Relativistic losses and critics leave the level of the logits open; there each side
    is measured from the mean of the other side (arXiv:1807.00734, section 4). A
    critic's difference of means is its estimate of the Wasserstein distance, times its
    Lipschitz constant (arXiv:1701.07875, equation 3).

    Args:
      loss: the loss in use.
      real_logits: D(x) [B].
      fake_logits: D(G(z)) [B].
      pmean: the mean over devices.

    Returns:
      Scalars: cross-entropies `real_loss` and `fake_loss`, probabilities `d_real` and
      `d_fake`, the fraction `d_accuracy` of samples that D classifies correctly, and
      `distance` for a critic.
    """
    real, fake = real_logits - loss.threshold, fake_logits - loss.threshold
    metrics = {}
    if loss.shift_invariant:
        real_mean, fake_mean = pmean((jnp.mean(real), jnp.mean(fake)))
        real, fake = real - fake_mean, fake - real_mean
        if loss.critic:
            metrics["distance"] = real_mean - fake_mean
    return metrics | {
        "real_loss": jnp.mean(softplus(-real)),
        "fake_loss": jnp.mean(softplus(fake)),
        "d_real": jnp.mean(sigmoid(real)),
        "d_fake": jnp.mean(sigmoid(fake)),
        "d_accuracy": (jnp.mean(real > 0) + jnp.mean(fake < 0)) / 2,
    }
