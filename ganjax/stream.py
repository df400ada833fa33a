"""How training data get to the devices: all at once, or a few batches at a time.

Both give the training program the same rows in the same order, a pure function of the
step: results are equal bit for bit, and resuming needs no state of the data.
"""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import numpy as np
from jaxtyping import PyTree

from ganjax import parallel
from ganjax.data.dataset import MEGABYTE

# (step, n) -> the examples of n steps, int32 [n, k, B]: columns of this process.
Order = Callable[[int, int], np.ndarray]
Call = tuple[PyTree, np.ndarray, int]  # data, indices and n of a call of a train chunk

MAX_BLOCK_BYTES = 32 * MEGABYTE  # of the batches that are read and transferred at once
MAX_BLOCK_STEPS = 100
BLOCKS_AHEAD = 2  # that are on the devices before they are used
THREADS = 2


class Batches(Protocol):
    """What the training loop asks for its data."""

    streamed: bool  # as of `parallel.make_train_chunk`

    def __call__(self, step: int, n: int) -> Call:
        """The data of steps from `step` on: at most n of them."""

    def close(self) -> None:
        """Ends threads."""


def make_batches(
    examples: PyTree, num: int, order: Order, chunk: int, budget_mb: int
) -> Batches:
    """The batches of a run.

    Args:
      examples: arrays or `Records` [N, ...].
      num: how many of the N are used, the first ones.
      order: which of them are in which batch.
      chunk: as of `parallel.make_train_chunk`.
      budget_mb: if the examples are larger, batches are streamed.
    """
    size = num * row_bytes(examples) / MEGABYTE
    if size > budget_mb:
        print(
            f"streaming {size:,.0f} MB of training data: more than "
            f"config.data.device_budget_mb={budget_mb}",
            flush=True,
        )
        return Streamed(examples, order, chunk)
    return Resident(jax.tree.map(lambda x: x[:num], examples), order, chunk)


def row_bytes(examples: PyTree) -> int:
    """Bytes of one example."""
    return sum(x.nbytes // len(x) for x in jax.tree.leaves(examples))


def block_steps(step_bytes: int) -> int:
    """Training steps whose batches are one block, from the bytes of a step's."""
    return min(max(MAX_BLOCK_BYTES // step_bytes, 1), MAX_BLOCK_STEPS)


class Resident:
    """Examples of which every device has a copy."""

    streamed = False

    def __init__(self, examples: PyTree, order: Order, chunk: int):
        self._data = parallel.replicate(examples)
        self._order, self._chunk = order, chunk

    def __call__(self, step: int, n: int) -> Call:
        return self._data, parallel.shard_indices(self._order(step, n), self._chunk), n

    def close(self) -> None:
        pass


class Streamed:
    """Batches that threads of Grain read and put on the devices before they are used.

    They are read in blocks: block i holds the batches of steps i·S to (i + 1)·S − 1. A
    call of the training program uses a part of one block.
    """

    streamed = True

    def __init__(self, examples: PyTree, order: Order, chunk: int):
        self._examples, self._order, self._chunk = examples, order, chunk
        _, repeats, columns = order(0, 1).shape
        step_bytes = repeats * columns * row_bytes(examples)
        self.steps = block_steps(step_bytes)
        local = columns // jax.local_device_count()
        rows = np.arange(self.steps * repeats * local, dtype=np.int32)
        self._rows = rows.reshape(self.steps, repeats, local)  # in a device's block
        self._blocks: Any = None  # iterator
        self._number = -1  # of the current block
        self._data: PyTree = None

    def __call__(self, step: int, n: int) -> Call:
        number, first = divmod(step, self.steps)
        self._go_to(number)
        rows = self._rows[first : first + min(n, self._chunk)]
        padded = np.zeros((self._chunk, *rows.shape[1:]), np.int32)
        padded[: len(rows)] = rows
        indices = np.broadcast_to(padded, (jax.local_device_count(), *padded.shape))
        return self._data, indices, len(rows)

    def close(self) -> None:
        if self._blocks is not None:
            self._blocks.close()

    def _go_to(self, number: int) -> None:
        if number == self._number:
            return
        if self._blocks is None or number != self._number + 1:
            self.close()
            self._blocks = self._read_from(number)
        self._data = None  # frees its memory
        self._data, self._number = next(self._blocks), number

    def _read_from(self, number: int) -> Any:
        import grain

        numbers = grain.MapDataset.range(number, number + 2**31)
        ahead = grain.ReadOptions(
            num_threads=THREADS, prefetch_buffer_size=BLOCKS_AHEAD
        )
        return iter(numbers.map(self._read).to_iter_dataset(ahead))

    def _read(self, number: int) -> PyTree:
        rows = self._order(number * self.steps, self.steps)
        parts = parallel.shard_indices(rows, self.steps)
        parts = parts.reshape(len(parts), -1)
        return parallel.shard(jax.tree.map(lambda x: x[parts], self._examples))
