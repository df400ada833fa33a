"""A text encoder, and networks that are conditioned on its codes.

Each player has an encoder of its own, trained with it (arXiv:1605.05396 trains one
beforehand). A sentence is int32 [L], word numbers with 0 after the end.
"""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from ganjax.models.layers import Conv
from ganjax.options import PositiveInt, Widths, given


class TextEncoder(nn.Module):
    """Sentences [B, L] -> codes [B, features]: the last state of a GRU."""

    num_words: int
    embedding: PositiveInt = 32
    features: PositiveInt = 64

    @nn.compact
    def __call__(self, tokens: Int[Array, "B L"]) -> Float[Array, "B F"]:
        words = nn.Embed(self.num_words, self.embedding)(tokens)
        lengths = jnp.sum(tokens > 0, axis=1)
        rnn = nn.RNN(nn.GRUCell(self.features), return_carry=True)
        # Flax's own first state is float32, whatever the words are.
        start = jnp.zeros((len(tokens), self.features), words.dtype)
        code, _ = rnn(words, initial_carry=start, seq_lengths=lengths)
        return code


class TextGenerator(nn.Module):
    """z [B, Z] and sentences [B, L] -> images, by a generator of [z, code]."""

    encoder: TextEncoder
    network: nn.Module

    def __call__(
        self, z: Float[Array, "B Z"], tokens: Int[Array, "B L"]
    ) -> Float[Array, "B H W C"]:
        return self.from_code(z, self.encode(tokens))

    def encode(self, tokens: Int[Array, "B L"]) -> Float[Array, "B F"]:
        """The codes of sentences."""
        return self.encoder(tokens)

    def from_code(
        self, z: Float[Array, "B Z"], code: Float[Array, "B F"]
    ) -> Float[Array, "B H W C"]:
        """Images from z and codes."""
        return self.network(jnp.concatenate([z, code], axis=-1))


class TextDiscriminator(nn.Module):
    """Images [B, H, W, C] and sentences [B, L] -> logits [B].

    ⟨projected code, features⟩ is added to a logit of the image alone, as labels are in
    arXiv:1802.05637.
    """

    encoder: TextEncoder
    channels: Widths = (32, 64)  # each halves the resolution
    hidden: PositiveInt = 256
    conv: str = given("matmul")

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], tokens: Int[Array, "B L"]
    ) -> Float[Array, " B"]:
        for features in self.channels:
            x = nn.leaky_relu(Conv(features, 4, 2, self.conv)(x), negative_slope=0.2)
        x = nn.Dense(self.hidden)(x.reshape(len(x), -1))
        x = nn.leaky_relu(x, negative_slope=0.2)
        code = nn.Dense(self.hidden)(self.encoder(tokens))
        return nn.Dense(1)(x)[:, 0] + jnp.sum(code * x, axis=-1)
