"""KL, Jensen-Shannon and Wasserstein-1 on the line.

Wasserstein-1 against Jensen-Shannon: Arjovsky et al. 2017 (arXiv:1701.07875).
"""

import math

import jax
import jax.numpy as jnp

LOG_2 = math.log(2.0)  # the largest Jensen-Shannon divergence, in nats


def expectation(log_p: jax.Array, f: jax.Array, x: jax.Array) -> jax.Array:
    """∫ p(x) f(x) dx, with 0 wherever p is 0, whatever f is. All [N] -> []."""
    p = jnp.exp(log_p)
    # Masked before the product: 0 · inf would be nan, in the gradient too.
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
        raise ValueError(f"samples: expected [N] and [M], got {x.shape} and {y.shape}")
    edges = jnp.sort(jnp.concatenate([x, y]))
    below_x = jnp.searchsorted(jnp.sort(x), edges[:-1], side="right") / x.size
    below_y = jnp.searchsorted(jnp.sort(y), edges[:-1], side="right") / y.size
    return jnp.sum(jnp.abs(below_x - below_y) * jnp.diff(edges))
