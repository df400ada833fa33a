"""The only file that says pmap: training chunks over all local devices.

State and data set are replicated, batch indices are sharded. Each device gathers its
own share of every batch from its resident copy, and the steps average over the axis.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ganjax.errors import UserError
from ganjax.gan import Gan
from ganjax.state import PyTree, TrainState
from ganjax.steps import Metrics, train_step

AXIS = "batch"
Data = tuple[jax.Array, jax.Array | None]
TrainChunk = Callable[..., tuple[TrainState, Metrics]]


def replicated() -> NamedSharding:
    """The placement of state and data: a copy on every local device."""
    return NamedSharding(Mesh(np.array(jax.local_devices()), (AXIS,)), PartitionSpec())


def replicate(tree: PyTree) -> PyTree:
    """A copy of every array on each local device; donating it spares the original.

    NumPy's arrays are not copied once more on their way there.
    """

    def own(x: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
        return jnp.copy(x) if isinstance(x, jax.Array) else x

    return jax.device_put(jax.tree.map(own, tree), replicated())


def check_batch_size(batch: int) -> None:
    """A global batch is shared out evenly, or not at all.

    Raises:
      UserError: the devices don't divide the batch.
    """
    devices = jax.local_device_count()
    if batch % devices:
        raise UserError(
            f"config.batch_size = {batch} is not divisible by the {devices} devices: "
            f"choose a multiple, e.g. {-(-batch // devices) * devices}"
        )


def shard_indices(indices: np.ndarray, chunk: int) -> np.ndarray:
    """int32 [n, k, B] -> [devices, chunk, k, B / devices], padded from n to `chunk`."""
    devices = jax.local_device_count()
    n, k, batch = indices.shape
    padded = np.zeros((chunk, k, batch), np.int32)
    padded[:n] = indices
    shares = padded.reshape(chunk, k, devices, batch // devices)
    return np.ascontiguousarray(shares.transpose(2, 0, 1, 3))


def make_train_chunk(gan: Gan, chunk: int) -> TrainChunk:
    """Up to `chunk` training steps in one device call.

    Returns:
      `(state, data, indices, n) -> (state, metrics)`. `state` is donated; `data` is
      (images uint8 [N, H, W, C], labels int32 [N], or None if the GAN takes none);
      `indices` comes from `shard_indices`; the first `n` rows are trained on. Metrics
      are sums over the n steps. Since n is an argument, one program serves every n and
      results don't depend on how steps are grouped; n = 0 compiles and trains nothing.
    """

    def run(
        state: TrainState, data: Data, n: jax.Array, indices: jax.Array
    ) -> tuple[TrainState, Metrics]:
        def step(state: TrainState, rows: jax.Array) -> tuple[TrainState, Metrics]:
            images, labels = (None if x is None else x[rows] for x in data)
            return train_step(gan, state, images, labels, axis_name=AXIS)

        def one(i: jax.Array, carry: tuple[TrainState, Metrics]):
            state, total = carry
            state, metrics = step(state, indices[i])
            return state, jax.tree.map(jnp.add, total, metrics)

        _, metrics = jax.eval_shape(lambda: step(state, indices[0]))
        zeros = jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), metrics)
        if chunk == 1:  # no loop: library convolutions crawl inside one on the CPU
            return lax.cond(
                n > 0, lambda: one(jnp.int32(0), (state, zeros)), lambda: (state, zeros)
            )
        return lax.fori_loop(0, n, one, (state, zeros))

    pmapped = jax.pmap(
        run,
        axis_name=AXIS,
        in_axes=(None, None, None, 0),
        out_axes=(None, None),
        donate_argnums=0,
    )

    def train_chunk(
        state: TrainState, data: Data, indices: np.ndarray, n: int
    ) -> tuple[TrainState, Metrics]:
        return pmapped(state, data, jnp.int32(n), indices)

    return train_chunk
