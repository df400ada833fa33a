"""The training state: arrays only, immutable, everything an exact resume needs."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ganjax.gan import Gan

PyTree = Any


class TrainState(struct.PyTreeNode):
    """Both players between two steps.

    `g_ema` is `{"params": …, "batch_stats": …}`: an exponential moving average of the
    generator's parameters *and* of its batch statistics, so that the averaged network
    normalises with statistics of its own age. `sample` uses nothing else.
    """

    step: jax.Array  # int32 [], generator updates done
    d_updates: jax.Array  # int32 [], discriminator updates done; seeds their noise
    key: jax.Array  # typed PRNG key [], never split in place, only folded into
    g_params: PyTree
    g_stats: PyTree
    g_opt: PyTree
    g_ema: PyTree
    d_params: PyTree
    d_stats: PyTree
    d_opt: PyTree


def abstract_state(gan: Gan) -> TrainState:
    """Shapes and types of a state, without computing one."""
    return jax.eval_shape(lambda: init_state(gan, jax.random.key(0)))


@partial(jax.jit, static_argnums=0)
def init_state(gan: Gan, key: jax.Array) -> TrainState:
    """A fresh state, a pure function of the key.

    Args:
      gan: from `make_gan`.
      key: typed PRNG key [], e.g. `jax.random.key(0)`.
    """
    g_key, d_key = jax.random.split(key)
    # Two samples: batch statistics of one would be degenerate.
    z = jnp.zeros((2, gan.z_dim))
    images = jnp.zeros((2, *gan.generator.image_shape))
    labels = jnp.zeros(2, jnp.int32) if gan.num_classes else None
    g = gan.generator.init(g_key, z, labels=labels)
    d = gan.discriminator.init(d_key, images, labels=labels)
    g_stats, d_stats = g.get("batch_stats", {}), d.get("batch_stats", {})
    ema = {"params": g["params"], "batch_stats": g_stats}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        d_updates=jnp.zeros((), jnp.int32),
        key=key,
        g_params=g["params"],
        g_stats=g_stats,
        g_opt=gan.g_tx.init(g["params"]),
        g_ema=jax.tree.map(jnp.copy, ema),  # a buffer donated twice is an error
        d_params=d["params"],
        d_stats=d_stats,
        d_opt=gan.d_tx.init(d["params"]),
    )
