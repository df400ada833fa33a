"""The minimax game of Goodfellow et al. 2014 (arXiv:1406.2661) on the line."""

import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from ganjax.theory.divergences import expectation, js_divergence

LOG_4 = math.log(4.0)  # -C(G) at the optimum p_g = p_data


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


def pushforward_log_density(
    log_p_z: jax.Array, generator: Callable[[jax.Array], jax.Array], z: jax.Array
) -> jax.Array:
    """log p_g at x = G(z), which is log p_z(z) - log |G'(z)|. All [N] -> [N].

    With this p_g, E_z f(G(z)) = E_{p_g} f(x) for every f, as for log(1 - D) in V(D, G).

    Args:
      log_p_z: the log-density of z at the points `z`.
      generator: G, [] -> [], differentiable and strictly monotone.
      z: points.
    """
    slopes = jax.vmap(jax.grad(generator))(z)
    return log_p_z - jnp.log(jnp.abs(slopes))


# |dL_G/dl| of one generated sample's logit l: the signal that is left when D wins.
# log(1 - D) has slope σ(l), -log D has slope 1 - σ(l). arXiv:1406.2661, section 3.
GENERATOR_SLOPES: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "minimax": lambda logits: jax.nn.sigmoid(logits),
    "non_saturating": lambda logits: jax.nn.sigmoid(-logits),
}
