"""Self-attention over the pixels of a feature map (SAGAN, arXiv:1805.08318, section 3).

As in the authors' code, which differs from the paper's equations: keys and values are
the maxima over squares of 2x2 pixels, and values have half of the width, not an eighth.
No convolution has a bias.
"""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from ganjax.errors import UserError
from ganjax.models.layers import run_layer

REDUCTION = 8  # of the width, to that of queries and keys


class SelfAttention(nn.Module):
    """x + gamma · attention(x), of the shape of x; gamma starts at 0."""

    norm: str  # "spectral": of the four convolutions
    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool
    ) -> Float[Array, "B H W C"]:
        b, h, w, c = x.shape

        def project(features: int, x: Array) -> Array:
            """A 1x1 convolution."""
            init = self.kernel_init
            layer = nn.Dense(features, use_bias=False, kernel_init=init)
            return run_layer(layer, self.norm, train, x)

        queries = project(c // REDUCTION, x).reshape(b, h * w, -1)
        keys = max_pool(project(c // REDUCTION, x)).reshape(b, -1, queries.shape[-1])
        values = max_pool(project(c // 2, x)).reshape(b, keys.shape[1], -1)
        weights = nn.softmax(jnp.einsum("bqc,bkc->bqk", queries, keys))
        attended = jnp.einsum("bqk,bkc->bqc", weights, values).reshape(b, h, w, -1)
        gamma = self.param("gamma", nn.initializers.zeros, ())
        return x + gamma * project(c, attended)


def max_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """The maximum of every square of four pixels; of odd sizes the last has fewer.

    Not `nn.max_pool`, whose derivatives XLA computes one number at a time on CPUs.
    """
    b, h, w, c = x.shape
    if h % 2 or w % 2:
        edges = ((0, 0), (0, h % 2), (0, w % 2), (0, 0))
        x = jnp.pad(x, edges, constant_values=-jnp.inf)
    return x.reshape(b, (h + 1) // 2, 2, (w + 1) // 2, 2, c).max((2, 4))


def check_attention(network: str, height: int, widths: dict[int, int]) -> None:
    """Checks that a feature map has the height at which a network has attention.

    Args:
      network: "generator" or "discriminator".
      height: of the feature map with attention; 0: there is none.
      widths: channels by height of all feature maps.

    Raises:
      UserError: there is no such feature map, or it has too few channels.
    """
    if height and height not in widths:
        choices = ", ".join(map(str, widths))
        raise UserError(
            f"config.{network}.attention={height}: expected 0 or the height of a "
            f"feature map: {choices}"
        )
    if height and widths[height] < REDUCTION:
        raise UserError(
            f"config.{network}.attention={height}: expected at least {REDUCTION} "
            f"channels there, got {widths[height]}"
        )
