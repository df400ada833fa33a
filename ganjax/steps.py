"""The update functions `(gan, state, batch) -> (state, metrics)`: pure and jitted.

The engine of every GAN in gans/: keys, gradients, averaging over devices, optimizers,
the moving average and the order of updates. Called from a notebook the functions take
plain arrays and donate nothing. Inside a pmap each device passes its part of the batch
to a GAN that is bound to the axis (`Gan.on_axis`); gradients, batch statistics and
metrics are averaged over it.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Int, Key, PyTree

from ganjax.gan import Batch, Gan, Generated, Keys, Metrics
from ganjax.optim import Optimizer
from ganjax.state import PlayerState, TrainState

# One number for each use of randomness by each player: no key is used twice.
D_TAGS = Keys(z=0, dropout=1, noise=3, penalty=2, labels=4)
G_TAGS = Keys(z=5, dropout=6, noise=7, penalty=8, labels=9)


@partial(jax.jit, static_argnames="gan")
def d_step(
    gan: Gan, state: TrainState, batch: Batch, generated: Generated | None = None
) -> tuple[TrainState, Metrics]:
    """One discriminator update: replaces `state.d` and nothing else.

    Args:
      gan: from `make_gan`.
      state: the current state; not donated.
      batch: real data, arrays [B, ...]. uint8 images are scaled to the generator's
        range, all other arrays are taken as they are.
      generated: generated samples [B, ...]; by default the generator makes new ones.

    Raises:
      ValueError: the batch is not what this GAN trains on.
    """
    batch = gan.normalize(batch)
    keys = update_keys(state.key, state.d.updates, D_TAGS)
    if generated is None:
        generated, _ = gan.generate(state.g.variables, batch, keys)

    def loss_fn(params: PyTree) -> tuple[Array, tuple[PyTree, Metrics]]:
        d = {"params": params, "batch_stats": state.d.batch_stats}
        return gan.d_loss(d, batch, generated, keys, state.step)

    grads, (stats, metrics) = jax.grad(loss_fn, has_aux=True)(state.d.params)
    grads, stats, metrics = gan.pmean((grads, stats, metrics))
    d = apply_gradients(gan.d_optimizer, state.d, grads, stats)
    return state.replace(d=d), metrics | {"d_grad_norm": optax.tree.norm(grads)}


class Forward(NamedTuple):
    """A forward pass of the generator."""

    generated: Generated
    vjp_fn: Callable[[Generated], tuple[PyTree]]  # gradients to those of parameters
    batch_stats: PyTree  # the new ones


@partial(jax.jit, static_argnames="gan")
def g_step(
    gan: Gan, state: TrainState, batch: Batch, forward: Forward | None = None
) -> tuple[TrainState, Metrics]:
    """One generator update: replaces `state.g`, `state.g_ema` and `state.step`.

    The loss is differentiated through the discriminator down to what the generator
    produced, and from there by one VJP to its parameters. Arguments as in `d_step`;
    `forward` is a pass of this generator on this batch, by default a new one.
    """
    batch = gan.normalize(batch)
    keys = update_keys(state.key, state.g.updates, G_TAGS)
    if forward is None:
        forward = generator_forward(gan, state, batch)

    def loss_fn(generated: Generated) -> tuple[Array, Metrics]:
        return gan.g_loss(state.d.variables, batch, generated, keys, state.step)

    gradient = jax.grad(loss_fn, has_aux=True, allow_int=True)
    generated_grads, metrics = gradient(forward.generated)
    (grads,) = forward.vjp_fn(generated_grads)
    grads, stats, metrics = gan.pmean((grads, forward.batch_stats, metrics))
    g = apply_gradients(gan.g_optimizer, state.g, grads, stats)
    batch_size = len(jax.tree.leaves(batch)[0]) * gan.num_devices()
    g_ema = gan.ema.update(state.g_ema, g.variables, state.step, batch_size)
    state = state.replace(step=state.step + 1, g=g, g_ema=g_ema)
    return state, metrics | {"g_grad_norm": optax.tree.norm(grads)}


@partial(jax.jit, static_argnames="gan")
def train_step(
    gan: Gan, state: TrainState, batches: Batch
) -> tuple[TrainState, Metrics]:
    """k discriminator updates, then one of the generator: arXiv:1406.2661, Algorithm 1.

    With `gan.updates == "simultaneous"` both players are updated from the same state,
    the discriminator on the samples that the generator is updated on.

    Args:
      gan: from `make_gan`.
      state: the current state; not donated.
      batches: arrays [k, B, ...], a batch for each discriminator update; the last one
        is also the generator's.

    Returns:
      The new state and both players' metrics, the discriminator's averaged over k.
    """
    batches = gan.normalize(batches)
    last = jax.tree.map(lambda x: x[-1], batches)
    if gan.updates == "simultaneous":
        return simultaneous_step(gan, state, last)
    # Unrolled: k is small, and a loop would hide the k updates from the compiler.
    update = partial(d_step, gan)
    state, d_metrics = lax.scan(update, state, batches, unroll=True)
    state, g_metrics = g_step(gan, state, last)
    return state, jax.tree.map(jnp.mean, d_metrics) | g_metrics


def simultaneous_step(
    gan: Gan, state: TrainState, batch: Batch
) -> tuple[TrainState, Metrics]:
    """An update of each player from the same state, on the same generated samples."""
    forward = generator_forward(gan, state, batch)
    after_d, d_metrics = d_step(gan, state, batch, forward.generated)
    after_g, g_metrics = g_step(gan, state, batch, forward)
    return after_g.replace(d=after_d.d), d_metrics | g_metrics


def generator_forward(gan: Gan, state: TrainState, batch: Batch) -> Forward:
    """The pass of the generator that its next update differentiates."""
    keys = update_keys(state.key, state.g.updates, G_TAGS)

    def generate(params: PyTree) -> tuple[Generated, PyTree]:
        g = {"params": params, "batch_stats": state.g.batch_stats}
        return gan.generate(g, batch, keys)

    return Forward(*jax.vjp(generate, state.g.params, has_aux=True))


def update_keys(key: Key[Array, ""], updates: Int[Array, ""], tags: Keys) -> Keys:
    """The keys of one update of one player."""
    key = jax.random.fold_in(key, updates)
    return Keys(*(jax.random.fold_in(key, tag) for tag in tags))


def apply_gradients(
    optimizer: Optimizer, player: PlayerState, grads: PyTree, batch_stats: PyTree
) -> PlayerState:
    """A player after one update of its optimizer."""
    tx = optimizer.transformation()
    updates, opt_state = tx.update(grads, player.opt_state, player.params)
    return PlayerState(
        params=optax.apply_updates(player.params, updates),
        batch_stats=batch_stats,
        opt_state=opt_state,
        updates=player.updates + 1,
    )
