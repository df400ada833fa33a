"""Closed forms and exact numerics that a GAN can be checked against.

Densities are given by their logarithms on a grid `x` [N], increasing, not
necessarily even; integrals are trapezoids, so the grid has to cover both supports.
`-inf` is a valid log-density (outside the support) and 0 · log 0 counts as 0.
Everything but the linear programme is differentiable `jax.numpy`.

Goodfellow et al. 2014 (arXiv:1406.2661): the optimal discriminator, C(G).
Arjovsky et al. 2017 (arXiv:1701.07875): Wasserstein-1 against Jensen-Shannon.
Mescheder et al. 2018 (arXiv:1801.04406): the Dirac-GAN.
"""

import cmath
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from ganjax.losses import LOSSES

T = TypeVar("T")

LOG_2 = math.log(2.0)  # the largest Jensen-Shannon divergence, in nats
LOG_4 = math.log(4.0)  # -C(G) at the optimum p_g = p_data


# ---- The game of 2014 -------------------------------------------------------


def optimal_discriminator_logit(log_p_data: jax.Array, log_p_g: jax.Array) -> jax.Array:
    """The logit of D*(x), which is log p_data(x) - log p_g(x).

    Shapes: any, equal. Range: [-inf, inf]; nan where neither density has mass.
    Source: arXiv:1406.2661, proposition 1.
    """
    return log_p_data - log_p_g


def optimal_discriminator(log_p_data: jax.Array, log_p_g: jax.Array) -> jax.Array:
    """D*(x) = p_data / (p_data + p_g), in [0, 1]; arXiv:1406.2661, equation 2."""
    return jax.nn.sigmoid(optimal_discriminator_logit(log_p_data, log_p_g))


def value_function(
    logits: jax.Array, log_p_data: jax.Array, log_p_g: jax.Array, x: jax.Array
) -> jax.Array:
    """V(D, G) = E_data log D(x) + E_g log(1 - D(x)), for D given by its logits.

    Shapes: all [N] -> []. Range: [-inf, 0]. Source: arXiv:1406.2661, equation 1.
    """
    return expectation(log_p_data, jax.nn.log_sigmoid(logits), x) + expectation(
        log_p_g, jax.nn.log_sigmoid(-logits), x
    )


def generator_criterion(
    log_p_data: jax.Array, log_p_g: jax.Array, x: jax.Array
) -> jax.Array:
    """C(G) = max_D V(D, G) = -log 4 + 2 JSD(p_data || p_g).

    Shapes: all [N] -> []. Range: [-log 4, 0]; -log 4 only where p_g = p_data.
    Source: arXiv:1406.2661, theorem 1.
    """
    return -LOG_4 + 2.0 * js_divergence(log_p_data, log_p_g, x)


# |dL_G/dl| of one fake's logit l = D(G(z)): what is left of the signal when D wins.
# log(1 - D) has slope σ(l), -log D has slope 1 - σ(l). arXiv:1406.2661, section 3.
GENERATOR_SLOPES: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "minimax": lambda logits: jax.nn.sigmoid(logits),
    "non_saturating": lambda logits: jax.nn.sigmoid(-logits),
}


# ---- Divergences ------------------------------------------------------------


def expectation(log_p: jax.Array, f: jax.Array, x: jax.Array) -> jax.Array:
    """∫ p(x) f(x) dx, with 0 wherever p is 0, whatever f is. All [N] -> []."""
    p = jnp.exp(log_p)
    # masked before the product: 0 · inf would be nan, in the gradient too
    return jnp.trapezoid(p * jnp.where(p > 0, f, 0.0), x)


def kl_divergence(log_p: jax.Array, log_q: jax.Array, x: jax.Array) -> jax.Array:
    """KL(p || q) in nats: [0, inf], inf where p has mass that q lacks. [N] -> []."""
    return expectation(log_p, log_p - log_q, x)


def js_divergence(log_p: jax.Array, log_q: jax.Array, x: jax.Array) -> jax.Array:
    """JSD(p || q), half of KL(p || m) + KL(q || m) with m = (p + q)/2.

    Shapes: all [N] -> []. Range: [0, log 2] nats; log 2 for *any* two disjoint
    supports, near or far, so its gradient there is 0.
    """
    log_m = jnp.logaddexp(log_p, log_q) - LOG_2
    return 0.5 * (kl_divergence(log_p, log_m, x) + kl_divergence(log_q, log_m, x))


def cdf(log_p: jax.Array, x: jax.Array) -> jax.Array:
    """The distribution function on the grid, by cumulative trapezoids. [N] -> [N]."""
    p = jnp.exp(log_p)
    slabs = 0.5 * (p[1:] + p[:-1]) * jnp.diff(x)
    return jnp.concatenate([jnp.zeros_like(x[:1]), jnp.cumsum(slabs)])


def wasserstein_1d(cdf_p: jax.Array, cdf_q: jax.Array, x: jax.Array) -> jax.Array:
    """W1(p, q) = ∫ |F - F'| dx from two distribution functions. All [N] -> [].

    Distribution functions and not densities, so that point masses can be compared.
    The unit is that of x. On the line this is the earth mover's distance.
    """
    return jnp.trapezoid(jnp.abs(cdf_p - cdf_q), x)


def wasserstein_1d_samples(x: jax.Array, y: jax.Array) -> jax.Array:
    """W1 between two empirical distributions, exact: [N], [M] -> [].

    Differentiable in the samples. Errors: ValueError unless both have rank 1.
    """
    if x.ndim != 1 or y.ndim != 1:
        raise ValueError(f"samples must be [N] and [M], not {x.shape} and {y.shape}")
    edges = jnp.sort(jnp.concatenate([x, y]))
    below_x = jnp.searchsorted(jnp.sort(x), edges[:-1], side="right") / x.size
    below_y = jnp.searchsorted(jnp.sort(y), edges[:-1], side="right") / y.size
    return jnp.sum(jnp.abs(below_x - below_y) * jnp.diff(edges))


def wasserstein_discrete(
    p: npt.ArrayLike, q: npt.ArrayLike, distance: npt.ArrayLike
) -> tuple[float, npt.NDArray[np.float64]]:
    """The cheapest plan that moves p onto q, by linear programming.

    Minimises Σ plan·distance over plans >= 0 whose rows sum to p and columns to q.

    Args:
      p: [N] masses, non-negative.
      q: [M] masses, non-negative, of the same total.
      distance: [N, M], the cost of moving a unit of mass from i to j.

    Returns:
      The least cost (W1 if p sums to 1) and one plan [N, M] that attains it.

    Raises:
      ValueError: shapes that disagree, negative masses, or totals that differ.
    """
    from scipy.optimize import linprog

    p, q, distance = (np.asarray(a, np.float64) for a in (p, q, distance))
    if distance.shape != (*p.shape, *q.shape) or p.ndim != 1:
        raise ValueError(f"shapes {p.shape}, {q.shape} and {distance.shape} disagree")
    if p.min() < 0 or q.min() < 0 or not np.isclose(p.sum(), q.sum()):
        raise ValueError(f"need masses >= 0 of one total, not {p} and {q}")
    n, m = distance.shape
    rows = np.kron(np.eye(n), np.ones(m))  # rows @ plan.ravel() = plan.sum(1)
    columns = np.kron(np.ones(n), np.eye(m))
    result = linprog(
        distance.ravel(),
        A_eq=np.concatenate([rows, columns]),
        b_eq=np.concatenate([p, q * (p.sum() / q.sum())]),
    )
    return float(result.fun), result.x.reshape(n, m)


def moving_plans(
    p: Sequence[int], q: Sequence[int]
) -> Iterator[npt.NDArray[np.integer]]:
    """Every plan [N, M] that moves whole units from piles p [N] onto piles q [M].

    The corners of the linear programme are whole numbers when the masses are, so the
    cheapest of these is the optimum. Their number explodes: for tiny piles only.
    Errors: ValueError if the totals differ.
    """
    if sum(p) != sum(q):
        raise ValueError(f"piles {p} and {q} differ in total")
    if not p:
        yield np.zeros((0, len(q)), int)
        return
    for row in itertools.product(*(range(min(p[0], room) + 1) for room in q)):
        if sum(row) == p[0]:
            left = [room - moved for room, moved in zip(q, row, strict=True)]
            for rest in moving_plans(p[1:], left):
                yield np.vstack([np.array(row, int), rest])


# ---- The Dirac-GAN ----------------------------------------------------------
#
# p_data is a point at 0, p_g a point at θ, D(x) = ψ·x: a game of two numbers. Both
# players descend their losses at once, d(θ, ψ)/dt = (-∂L_G/∂θ, -∂L_D/∂ψ), and the
# eigenvalues of that field's Jacobian at the equilibrium (0, 0) decide: a negative
# real part converges, a zero one circles. D is high on real data, as everywhere in
# ganjax; the paper's ψ has the other sign, its eigenvalues are the same.


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
      KeyError: an unknown name; the message lists the known ones.
    """
    _choose(DIRAC_LOSSES, loss)
    _, value, variance = _choose(DIRAC_PENALTIES, penalty)
    # Gauss-Hermite: 16 points integrate the noise on each of the two samples
    nodes, mass = np.polynomial.hermite_e.hermegauss(16)
    noise_real, noise_fake = np.meshgrid(*[math.sqrt(variance(weight)) * nodes] * 2)
    mass = np.outer(mass, mass) / np.sum(mass) ** 2

    def expected(
        loss_fn: Callable[[jax.Array, jax.Array], jax.Array],
        theta: jax.Array,
        psi: jax.Array,
    ) -> jax.Array:
        dtype = theta.dtype
        real = psi * jnp.asarray(noise_real, dtype)
        fake = psi * (theta + jnp.asarray(noise_fake, dtype))
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
    slope, curvature = _choose(DIRAC_LOSSES, loss)
    damping = _choose(DIRAC_PENALTIES, penalty).damping(weight, curvature)
    root = cmath.sqrt(damping**2 / 4 - slope**2)
    return -damping / 2 + root, -damping / 2 - root


def _choose(table: Mapping[str, T], name: str) -> T:
    if name not in table:
        raise KeyError(f"{name!r} is not one of {', '.join(table)}")
    return table[name]
