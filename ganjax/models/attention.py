"""Self-attention over the pixels of a feature map (SAGAN, arXiv:1805.08318, section 3).

As in the authors' code, which differs from the paper's equations: keys and values are
the maxima over squares of 2x2 pixels, values have half of the width, a fourth 1x1
convolution returns to the full width, and no convolution has a bias.
"""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from ganjax.errors import UserError
from ganjax.models.layers import run_layer


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
            layer = nn.Dense(max(features, 1), use_bias=False, kernel_init=init)
            return run_layer(layer, self.norm, train, x)

        queries = project(c // 8, x).reshape(b, h * w, -1)
        keys = max_pool(project(c // 8, x)).reshape(b, -1, queries.shape[-1])
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


def check_attention(network: str, height: int, heights: list[int]) -> None:
    """Checks that a feature map has the height at which a network has attention.

    Raises:
      UserError: none of `heights` is `height`, which is not 0 (no attention) either.
    """
    if height and height not in heights:
        choices = ", ".join(map(str, heights))
        raise UserError(
            f"config.{network}.attention={height}: expected 0 or the height of a "
            f"feature map: {choices}"
        )
