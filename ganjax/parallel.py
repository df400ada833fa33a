"""The only file that says pmap: training chunks over all devices of all processes.

State and data are replicated, batch indices are sharded. Each device gathers its part
of every batch from its own copy of the data, and the steps average over the axis. Of
data that are streamed, a device has only its parts of the next batches. Each process
passes what its own devices need (ganjax/distributed.py).
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from ganjax.errors import UserError
from ganjax.gan import Gan, Metrics
from ganjax.state import TrainState, init_state
from ganjax.steps import train_step

AXIS = "batch"
TrainChunk = Callable[[TrainState, PyTree, np.ndarray, int], tuple[TrainState, Metrics]]


def replicated_sharding() -> NamedSharding:
    """The placement of state and data: a copy on every local device."""
    return NamedSharding(Mesh(np.array(jax.local_devices()), (AXIS,)), PartitionSpec())


def replicate(tree: PyTree) -> PyTree:
    """Copies every array to each local device; donating the copies is safe."""

    def own(x: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
        return jnp.copy(x) if isinstance(x, jax.Array) else x  # NumPy is copied anyway

    return jax.device_put(jax.tree.map(own, tree), replicated_sharding())


def shard(tree: PyTree) -> PyTree:
    """Puts row i of every array [devices, ...] on the i-th local device."""
    mesh = replicated_sharding().mesh
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(AXIS)))


def check_batch_size(batch_size: int) -> None:
    """Checks that the batch size is divisible by the number of devices.

    Raises:
      UserError: it is not.
    """
    devices = jax.device_count()
    if batch_size % devices:
        raise UserError(
            f"config.batch_size={batch_size}: expected a multiple of the {devices} "
            f"devices, e.g. {-(-batch_size // devices) * devices}"
        )


def steps_per_call(gan: Gan) -> int:
    """Training steps in one device call, by back end.

    Accelerators want long calls. On a CPU 10 steps hide the cost of a call and keep the
    progress bar moving; but XLA's own convolutions are slow inside a loop there.
    """
    if jax.default_backend() != "cpu":
        return 100
    # Initialization runs both networks.
    program = jax.make_jaxpr(lambda key: init_state(gan, key))(jax.random.key(0))
    return 1 if "conv_general_dilated" in str(program) else 10


def keep_freed_memory() -> None:
    """Makes glibc keep the memory that a device call frees for the next call.

    By default it returns the temporaries of a call on the CPU, tens of megabytes, to
    the system, which fills every page of them with zeros again: a sixth of the time of
    a step of dcgan.py. Other C libraries have no such options.
    """
    mallopt = (
        getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    )
    if mallopt:
        # Trim threshold, top pad and mmap threshold: malloc.h.
        for option, value in ((-1, 2**31 - 1), (-2, 2**28)):
            mallopt(option, value)
        if not mallopt(-3, 2**30):
            mallopt(-3, 2**25)  # the most that older versions allow


def local_columns(indices: np.ndarray) -> np.ndarray:
    """The part of batches [n, k, B] that is for the devices of this process.

    pmap's devices are in the order of the processes.
    """
    num = indices.shape[-1] // jax.process_count()
    start = jax.process_index() * num
    return indices[..., start : start + num]


def shard_indices(indices: np.ndarray, chunk: int) -> np.ndarray:
    """int32 [n, k, B] -> [devices, chunk, k, B / devices], padded from n to `chunk`.

    B are the columns of this process, and the devices are its own.
    """
    devices = jax.local_device_count()
    n, k, batch = indices.shape
    padded = np.zeros((chunk, k, batch), np.int32)
    padded[:n] = indices
    parts = padded.reshape(chunk, k, devices, batch // devices)
    return np.ascontiguousarray(parts.transpose(2, 0, 1, 3))


def make_train_chunk(
    gan: Gan, chunk: int, streamed: bool = False, stacked: bool = False
) -> TrainChunk:
    """Up to `chunk` training steps in one device call.

    If `stacked`, of several runs at once, which differ in their states alone: a state
    has arrays [runs, ...], indices are [devices, runs, ...], and so are metrics [runs].

    Returns:
      `(state, data, indices, n) -> (state, metrics)`. `state` is donated; `data` is a
      pytree of arrays [N, ...], copied to each device, or if `streamed` [devices, N,
      ...], where each device has its own; `indices` comes from `shard_indices`, and its
      first `n` rows are trained on. Metrics are sums over the n steps. Since n is an
      argument, one program serves every n and results don't depend on how steps are
      grouped; a call with n = 0 compiles and trains nothing.
    """
    keep_freed_memory()
    program = train_program(gan, chunk, streamed, stacked=stacked)

    def train_chunk(
        state: TrainState, data: PyTree, indices: np.ndarray, n: int
    ) -> tuple[TrainState, Metrics]:
        return program(state, data, jnp.int32(n), indices)

    return train_chunk


def train_program(
    gan: Gan,
    chunk: int,
    streamed: bool = False,
    devices: Sequence[jax.Device] | None = None,
    stacked: bool = False,
) -> Any:
    """The pmapped `(state, data, n, indices) -> (state, metrics)` of a train chunk.

    It is for all devices, or for `devices`, which may be ones to compile for.
    """
    gan = gan.on_axis(AXIS)

    def run(
        state: TrainState, data: PyTree, n: jax.Array, indices: jax.Array
    ) -> tuple[TrainState, Metrics]:
        def step(state: TrainState, rows: jax.Array) -> tuple[TrainState, Metrics]:
            return train_step(gan, state, jax.tree.map(lambda x: x[rows], data))

        def one(
            i: jax.Array, carry: tuple[TrainState, Metrics]
        ) -> tuple[TrainState, Metrics]:
            state, total = carry
            state, metrics = step(state, indices[i])
            return state, jax.tree.map(jnp.add, total, metrics)

        _, metrics = jax.eval_shape(lambda: step(state, indices[0]))
        zeros = jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), metrics)
        if chunk == 1:  # without a loop, in which library convolutions are slow on CPUs
            return lax.cond(
                n > 0, lambda: one(jnp.int32(0), (state, zeros)), lambda: (state, zeros)
            )
        return lax.fori_loop(0, n, one, (state, zeros))

    return jax.pmap(
        jax.vmap(run, in_axes=(0, None, None, 0)) if stacked else run,
        axis_name=AXIS,
        in_axes=(None, 0 if streamed else None, None, 0),
        out_axes=(None, None),
        donate_argnums=0,
        devices=devices,
    )
