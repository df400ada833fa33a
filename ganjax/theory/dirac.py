"""The Dirac-GAN of Mescheder et al. 2018 (arXiv:1801.04406).

p_data is a point at 0, p_g a point at θ, D(x) = ψ·x: a game of two numbers. Both
players descend their losses at once, d(θ, ψ)/dt = (-∂L_G/∂θ, -∂L_D/∂ψ). The eigenvalues
of the Jacobian of this field at the equilibrium (0, 0) decide: it converges if all real
parts are negative and circles if they are 0. D is high on real data, as everywhere in
ganjax; the paper's ψ has the other sign, its eigenvalues are the same.
"""

import cmath
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ganjax.errors import choose
from ganjax.losses import LOSSES


class DiracLoss(NamedTuple):
    """The slopes at (0, 0) of a loss of (real, fake) logits, of ganjax/losses.py."""

    slope: float  # |dL/d(fake logit)|, the same for both players
    curvature: float  # trace of the Hessian of L_D in (real, fake)


class DiracPenalty(NamedTuple):
    """What is added to D: a penalty on ψ = ∇_x D, or noise on the points."""

    damping: Callable[[float, float], float]  # (weight, curvature): -∂(dψ/dt)/∂ψ
    value: Callable[[jax.Array, float], jax.Array] = lambda psi, weight: 0.0 * psi
    variance: Callable[[float], float] = lambda weight: 0.0  # of the noise


DIRAC_LOSSES: Mapping[str, DiracLoss] = {
    "minimax": DiracLoss(slope=0.5, curvature=0.5),
    "non_saturating": DiracLoss(slope=0.5, curvature=0.5),
    "relativistic": DiracLoss(slope=0.5, curvature=0.5),
    "hinge": DiracLoss(slope=1.0, curvature=0.0),
    "wgan": DiracLoss(slope=1.0, curvature=0.0),
}

# D is linear: its gradient at the fakes (r2) is its gradient at the reals (r1)
_R1 = DiracPenalty(
    damping=lambda weight, curvature: weight,
    value=lambda psi, weight: 0.5 * weight * psi**2,
)

DIRAC_PENALTIES: Mapping[str, DiracPenalty] = {
    "none": DiracPenalty(damping=lambda weight, curvature: 0.0),
    "r1": _R1,
    "r2": _R1,
    "r1_r2": DiracPenalty(
        damping=lambda weight, curvature: 2.0 * weight,
        value=lambda psi, weight: weight * psi**2,
    ),
    # |ψ| has a kink at the equilibrium: no Jacobian there, and no convergence
    "wgan_gp": DiracPenalty(
        damping=lambda weight, curvature: math.nan,
        value=lambda psi, weight: weight * (jnp.abs(psi) - 1.0) ** 2,
    ),
    "instance_noise": DiracPenalty(
        damping=lambda weight, curvature: weight * curvature,
        variance=lambda weight: weight,
    ),
}


def dirac_field(
    loss: str, penalty: str = "none", weight: float = 0.0
) -> Callable[[jax.Array], jax.Array]:
    """The field [θ, ψ] -> [dθ/dt, dψ/dt] of simultaneous gradient descent.

    Args:
      loss: a key of DIRAC_LOSSES.
      penalty: a key of DIRAC_PENALTIES.
      weight: γ of r1, r2 and r1_r2, λ of wgan_gp, σ² of instance_noise.

    Raises:
      UserError: an unknown name; the message lists the known ones.
    """
    choose(DIRAC_LOSSES, loss, "loss")
    _, value, variance = choose(DIRAC_PENALTIES, penalty, "penalty")
    # Gauss-Hermite: 16 points integrate the noise on each of the two samples
    nodes, mass = np.polynomial.hermite_e.hermegauss(16)
    noise_real, noise_fake = np.meshgrid(*[math.sqrt(variance(weight)) * nodes] * 2)
    mass = np.outer(mass, mass).ravel() / np.sum(mass) ** 2

    def expected(
        loss_fn: Callable[[jax.Array, jax.Array], jax.Array],
        theta: jax.Array,
        psi: jax.Array,
    ) -> jax.Array:
        dtype = theta.dtype
        real = psi * jnp.asarray(noise_real.ravel(), dtype)
        fake = psi * (theta + jnp.asarray(noise_fake.ravel(), dtype))
        return jnp.sum(jnp.asarray(mass, dtype) * loss_fn(real, fake))

    def d_total(psi: jax.Array, theta: jax.Array) -> jax.Array:
        return expected(LOSSES[loss].d, theta, psi) + value(psi, weight)

    def g_total(theta: jax.Array, psi: jax.Array) -> jax.Array:
        return expected(LOSSES[loss].g, theta, psi)

    def field(point: jax.Array) -> jax.Array:
        theta, psi = point
        return -jnp.stack(
            [jax.grad(g_total)(theta, psi), jax.grad(d_total)(psi, theta)]
        )

    return field


def dirac_eigenvalues(
    loss: str, penalty: str = "none", weight: float = 0.0
) -> tuple[complex, complex]:
    """The predicted eigenvalues at (0, 0), the one of larger imaginary part first.

    The Jacobian is [[0, s], [-s, -c]] with the slope s and the damping c, hence
    -c/2 ± √(c²/4 - s²). Source: arXiv:1801.04406, sections 2 and 3; the hinge and the
    relativistic rows are derived here. nan for wgan_gp, which has no Jacobian there.
    Arguments and errors as in `dirac_field`.
    """
    slope, curvature = choose(DIRAC_LOSSES, loss, "loss")
    damping = choose(DIRAC_PENALTIES, penalty, "penalty").damping(weight, curvature)
    root = cmath.sqrt(damping**2 / 4 - slope**2)
    return -damping / 2 + root, -damping / 2 - root
