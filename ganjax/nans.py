"""`config.debug_nans`: names the operation that made the first NaN."""

import re
from pathlib import Path
from types import TracebackType

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ganjax import parallel
from ganjax.errors import UserError
from ganjax.gan import Gan, Metrics
from ganjax.state import TrainState, real_numbers
from ganjax.steps import train_step

PACKAGE = Path(__file__).parent
LIBRARIES = re.compile(r"[/\\](site|dist)-packages[/\\]|[/\\]python3\.\d+[/\\]")


def make_train_chunk(gan: Gan, chunk: int, streamed: bool) -> parallel.TrainChunk:
    """As `parallel.make_train_chunk`, of a chunk of 1, with a check after every step.

    A step that makes a NaN is repeated operation by operation. Infinities are no error.

    Returns:
      A function that raises a UserError: the operation and its place in the code.
    """
    compiled = parallel.make_train_chunk(gan, chunk, streamed)

    def train_chunk(
        state: TrainState, data: PyTree, indices: np.ndarray, n: int
    ) -> tuple[TrainState, Metrics]:
        before = jax.tree.map(jnp.copy, state)  # `state` is donated
        result = compiled(state, data, indices, n)
        if n and any(np.isnan(x).any() for x in real_numbers(result)):
            rows = indices[:, 0]  # [devices, k, B / devices]
            if streamed:  # every device has its own rows
                take = jax.vmap(lambda x, i: x[i])
                batches = jax.tree.map(lambda x: take(x, rows), data)
            else:
                batches = jax.tree.map(lambda x: x[rows], data)
            batches = jax.tree.map(join_devices, batches)
            device = jax.local_devices()[0]
            explain(gan, *jax.device_put((before, batches), device))
        return result

    return train_chunk


def join_devices(x: jax.Array) -> jax.Array:
    """[devices, k, B, ...] -> [k, devices * B, ...]."""
    return x.swapaxes(0, 1).reshape(x.shape[1], -1, *x.shape[3:])


def explain(gan: Gan, state: TrainState, batches: PyTree) -> None:
    """Repeats a training step that makes a NaN, operation by operation.

    Raises:
      UserError: where the first NaN comes from.
    """
    what = "NaN in the compiled step, none operation by operation"
    try:
        with jax.disable_jit(), jax.debug_nans(True):
            train_step(gan, state, batches)
    except FloatingPointError as error:
        name = re.search(r"encountered in (\S+)", str(error))
        operation = f"operation {name[1].rstrip('.')}" if name else "an operation"
        what = f"NaN in {operation}, at {place(error)}"
    raise UserError(f"config.debug_nans: {what}, step {int(state.step) + 1}")


def place(error: BaseException) -> str:
    """FILE:LINE (FUNCTION) of the innermost frame that is of no library.

    The cause of an error in a backward pass has the traceback of the forward pass.
    """
    found = "an unknown place"
    for traceback in (
        error.__traceback__,
        getattr(error.__cause__, "__traceback__", None),
    ):
        found = _innermost(traceback) or found
    return found


def _innermost(traceback: TracebackType | None) -> str | None:
    found = None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        file = Path(code.co_filename)
        own = file.is_relative_to(PACKAGE)
        if own or not LIBRARIES.search(code.co_filename):
            shown = file.relative_to(PACKAGE.parent) if own else file
            found = f"{shown}:{traceback.tb_lineno} ({code.co_name})"
        traceback = traceback.tb_next
    return found
