"""The minimax game on a finite space, where proposition 2 of arXiv:1406.2661 is exact.

p_data and p_g are masses [N] that sum to 1, both positive at every point; D is [N] in
(0, 1). The generator has no parameters: p_g itself is updated, as in the proof.

V(D, p_g) is linear in p_g, so C(p_g) = max_D V(D, p_g) is convex, and the gradient of V
in p_g at D = D* is the gradient of C (the envelope theorem). Descent of C with D
optimal at every step therefore reaches the minimum -log 4 at p_g = p_data.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import rel_entr

from ganjax.theory.minimax import LOG_4

Step = Callable[[jax.Array, jax.Array], jax.Array]  # (p_g, gradient) -> p_g


def finite_discriminator(p_data: jax.Array, p_g: jax.Array) -> jax.Array:
    """D* = p_data / (p_data + p_g): arXiv:1406.2661, equation 2. [N] -> [N]."""
    return p_data / (p_data + p_g)


def finite_value(d: jax.Array, p_data: jax.Array, p_g: jax.Array) -> jax.Array:
    """V(D, p_g) = Σ p_data log D + p_g log(1 - D). All [N] -> []."""
    return jnp.sum(p_data * jnp.log(d) + p_g * jnp.log1p(-d))


def finite_gradient(d: jax.Array) -> jax.Array:
    """The gradient of V(D, p_g) in p_g with D held fixed: log(1 - D). [N] -> [N]."""
    return jnp.log1p(-d)


def finite_criterion(p_data: jax.Array, p_g: jax.Array) -> jax.Array:
    """C(p_g) = -log 4 + 2 JSD(p_data || p_g): arXiv:1406.2661, theorem 1. [N] -> []."""
    mean = (p_data + p_g) / 2
    return jnp.sum(rel_entr(p_data, mean) + rel_entr(p_g, mean)) - LOG_4


def finite_pushforward(p_z: jax.Array, g: jax.Array, num: int) -> jax.Array:
    """The masses p_g [num] of G(z), for p_z [M] and G as int [M] in [0, num)."""
    return jnp.bincount(g, weights=p_z, length=num)


# --- descent of p_g -----------------------------------------------------------------


def projected_step(p_g: jax.Array, gradient: jax.Array, rate: float) -> jax.Array:
    """A gradient step, then the nearest point of the simplex. [N] -> [N]."""
    return jnp.asarray(optax.projections.projection_simplex(p_g - rate * gradient))


def mirror_step(p_g: jax.Array, gradient: jax.Array, rate: float) -> jax.Array:
    """An exponentiated gradient step, p_g ∝ p_g exp(-rate · gradient). [N] -> [N].

    With D = D* and rate 1 the result is (p_g + p_data)/2: the error is halved. C'' is
    at most 1/p_g, the second derivative of the negative entropy. So for every rate <= 1
    no step increases C, and after t steps C + log 4 <= KL(p_data || p_g(0)) / (t rate)
    (arXiv:1610.05708).
    """
    return jax.nn.softmax(jnp.log(p_g) - rate * gradient)


def generator_path(
    p_data: jax.Array, start: jax.Array, step: Step, steps: int, delay: int = 0
) -> jax.Array:
    """p_g before the first and after each of `steps` updates. [N] -> [steps + 1, N].

    Args:
      p_data: the data.
      start: the first p_g.
      step: `projected_step` or `mirror_step` with a rate.
      steps: number of updates.
      delay: D is optimal for the p_g of so many updates ago. Algorithm 1 with D trained
        to its optimum has 0; simultaneous updates of both players have 1.
    """

    def update(recent: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        d = finite_discriminator(p_data, recent[0])
        p_g = step(recent[-1], finite_gradient(d))
        return jnp.concatenate([recent[1:], p_g[None]]), p_g

    recent = jnp.tile(start, (delay + 1, 1))
    _, path = jax.lax.scan(update, recent, length=steps)
    return jnp.concatenate([start[None], path])


def mirror_factor(rate: float, delay: int = 0) -> float:
    """The factor of the error p_g - p_data per `mirror_step`, close to p_data.

    The linearized error is e(t+1) = e(t) - rate/2 · e(t - delay), the same for every
    point of the space: the largest root of λ^(delay+1) - λ^delay + rate/2, in modulus.
    """
    polynomial = np.zeros(delay + 2)
    polynomial[:2] = 1.0, -1.0
    polynomial[-1] += rate / 2
    return float(np.abs(np.roots(polynomial)).max())


def largest_rate(delay: int = 0) -> float:
    """The rate at which `mirror_factor` is 1: p_g converges for smaller ones only.

    There λ = exp(iφ) with φ = π / (2 delay + 1) is a root, hence rate = 4 sin(φ/2): 4
    without a delay, 2 for a delay of one update, about π/delay for a long one.
    """
    return 4.0 * math.sin(math.pi / (4 * delay + 2))
