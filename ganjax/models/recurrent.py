"""The recurrent networks of C-RNN-GAN (arXiv:1611.09904), over sequences of notes."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn import log_sigmoid, logsumexp
from jaxtyping import Array, Float

from ganjax.errors import UserError
from ganjax.options import Widths, given

Sequence = Float[Array, "B T F"]


class Step(nn.Module):
    """One step of the generator: z and the previous note -> the next note."""

    hidden: Widths
    features: int

    @nn.compact
    def __call__(self, carry: Any, z: Any, previous: Any) -> tuple[Any, Any]:
        """`previous` is the note before [B, F], or None for the generator's own."""
        states, own = carry
        x = jnp.concatenate([z, own if previous is None else previous], axis=-1)
        new = []
        for width, state in zip(self.hidden, states, strict=True):
            state, x = nn.OptimizedLSTMCell(width)(state, x)
            new.append(state)
        note = nn.Dense(self.features)(x)
        return (tuple(new), note), note


class Generator(nn.Module):
    """Stacked LSTMs whose output is their input at the next step (section 2).

    The output layer is linear. The note before the first is zeros.
    """

    hidden: Widths = (128, 128)  # of each LSTM
    features: int = given(3)  # of a note

    @nn.compact
    def __call__(
        self, z: Float[Array, "B T Z"], notes: Sequence | None = None
    ) -> Sequence:
        """Notes [B, T, F] from noise; with `notes`, the prediction of each of them.

        A prediction depends on the given notes before it and on z up to it.
        """
        batch, length, _ = z.shape
        states = tuple((jnp.zeros((batch, w), z.dtype),) * 2 for w in self.hidden)
        first = jnp.zeros((batch, self.features), z.dtype)
        previous = None
        if notes is not None:
            previous = jnp.concatenate([first[:, None], notes[:, :-1]], axis=1)
        scan = nn.scan(
            Step,
            variable_broadcast="params",
            split_rngs={"params": False},
            in_axes=1,
            out_axes=1,
            length=length,
        )
        step = scan(self.hidden, self.features, name="step")
        _, outputs = step((states, first), z, previous)
        return outputs


class Discriminator(nn.Module):
    """Stacked bidirectional LSTMs with one decision at each step (section 3).

    Each layer is two LSTMs of half its width, one for each direction. A linear layer
    that all steps share makes a logit of each step's output.
    """

    hidden: Widths = (128, 128)  # of each layer, both directions together
    # Over time steps: mean probabilities, as in the paper, or mean logits.
    average: Literal["probabilities", "logits"] = "probabilities"

    def setup(self) -> None:
        if any(width % 2 for width in self.hidden):
            raise UserError(
                f"config.discriminator.hidden={self.hidden}: expected even widths, "
                "since half of each reads backwards"
            )
        self.layers = [
            nn.Bidirectional(
                nn.RNN(nn.OptimizedLSTMCell(width // 2)),
                nn.RNN(nn.OptimizedLSTMCell(width // 2)),
            )
            for width in self.hidden
        ]
        self.decision = nn.Dense(1)

    def __call__(
        self, notes: Sequence
    ) -> tuple[Float[Array, " B"], Float[Array, "B T H"]]:
        """Logits [B] of being real, and the outputs [B, T, H] of the last layer.

        The logits are unbounded numbers t with D(x) = sigmoid(t), also where D(x) is a
        mean of probabilities.
        """
        x: Any = notes
        for layer, width in zip(self.layers, self.hidden, strict=True):
            # Flax's own first states are float32, whatever the notes are.
            start = (jnp.zeros((len(notes), width // 2), notes.dtype),) * 2
            x = layer(x, initial_carry=(start, start))
        logits = self.decision(x)[..., 0]
        if self.average == "logits":
            return jnp.mean(logits, axis=1), x
        return logit_of_mean(logits), x


def logit_of_mean(logits: Float[Array, "B T"]) -> Float[Array, " B"]:
    """logit(mean over T of sigmoid(logits)), without rounding at 0 and 1.

    The means of σ and of 1 − σ are taken as log-sums; their ratio has no 1 / T.
    """
    real: jax.Array = logsumexp(log_sigmoid(logits), axis=1)
    fake: jax.Array = logsumexp(log_sigmoid(-logits), axis=1)
    return real - fake
