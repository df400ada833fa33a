"""The training state: arrays only, immutable, all that an exact resume needs."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Int32, Key, PyTree

from ganjax.errors import UserError
from ganjax.gan import Gan, Variables
from ganjax.optim import Optimizer

MAX_NUMBERS = 2**31  # in the variables of a player; as float32 they take 8 GiB


class PlayerState(struct.PyTreeNode):
    """The generator or the discriminator between two of its updates."""

    params: PyTree
    batch_stats: PyTree  # variables that are not trained by gradients
    opt_state: PyTree
    updates: Int32[Array, ""]  # updates done; seeds this player's noise

    @property
    def variables(self) -> Variables:
        """Parameters and batch statistics, as Flax modules take them."""
        return {"params": self.params, "batch_stats": self.batch_stats}


class TrainState(struct.PyTreeNode):
    """Both players between two training steps.

    `g_ema` holds the moving average of the generator's parameters and of its batch
    statistics; samples come from it.
    """

    step: Int32[Array, ""]  # training steps done
    key: Key[Array, ""]  # never split, only folded into
    g: PlayerState
    d: PlayerState
    g_ema: Variables


def abstract_state(gan: Gan) -> TrainState:
    """Shapes and types of a state, without computing one."""
    return jax.eval_shape(lambda: init_state(gan, jax.random.key(0)))


def real_numbers(tree: PyTree) -> list[np.ndarray]:
    """The floating-point arrays of a tree, on the host."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jax.device_get(leaves)


@partial(jax.jit, static_argnames="gan")
def init_state(gan: Gan, key: Key[Array, ""]) -> TrainState:
    """A new state, a pure function of the key.

    Args:
      gan: from `make_gan`.
      key: typed PRNG key [], e.g. `jax.random.key(0)`.

    Raises:
      UserError: a player has more than `MAX_NUMBERS` numbers; none was allocated.
    """
    g, d = gan.init(key)
    for name, variables in (("generator", g), ("discriminator", d)):
        # Under jit these are shapes, not arrays.
        size = sum(math.prod(x.shape) for x in jax.tree.leaves(variables))
        if size > MAX_NUMBERS:
            raise UserError(
                f"config.{name}: expected at most {MAX_NUMBERS:,} parameters, got "
                f"{size:,}: lower its widths, config.prior.z_dim or the image's size"
            )
    g_player, d_player = player(g, gan.g_optimizer), player(d, gan.d_optimizer)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        g=g_player,
        d=d_player,
        # A copy: donating one buffer twice is an error.
        g_ema=jax.tree.map(jnp.copy, g_player.variables),
    )


def player(variables: dict[str, Any], optimizer: Optimizer) -> PlayerState:
    """A player that has done no update."""
    return PlayerState(
        params=variables["params"],
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.transformation().init(variables["params"]),
        updates=jnp.zeros((), jnp.int32),
    )
