"""How damaged checkpoints are noticed: by checksums and by errors of reading."""

import contextlib
import json
import re
import sys
import zlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ganjax.state import TrainState

# How Orbax and TensorStore report files that are missing, cut short or altered. Names
# in the JSON files of Orbax become keys and attributes.
ERRORS = re.compile(
    r"DATA_LOSS|NOT_FOUND|OUT_OF_RANGE|FAILED_PRECONDITION|Error (opening|reading)|"
    r"error while reading array|structures? (error|do not match)|wrong checksum"
)
ERROR_TYPES = (
    FileNotFoundError,
    json.JSONDecodeError,
    UnicodeDecodeError,
    KeyError,
    AttributeError,
)


def paths(state: TrainState) -> dict[str, jax.Array]:
    """The arrays of a state by their paths, such as "g/params/Dense_0/kernel"."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(p, simple=True, separator="/"): x for p, x in leaves}


def array_checksums(state: TrainState) -> dict[str, int]:
    """CRC-32 of type, shape and bytes of every array of a state, of one replica."""

    def checksum(x: jax.Array) -> int:
        start = zlib.crc32(f"{x.dtype}{x.shape}".encode())
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.random.key_data(x)
        content = np.ascontiguousarray(x).reshape(-1).view(np.uint8)
        return zlib.crc32(content.data, start)

    return {path: checksum(x) for path, x in paths(state).items()}


def json_checksum(metadata: dict[str, Any]) -> int:
    """CRC-32 of metadata as they are after a round trip through JSON."""
    rest = {name: x for name, x in metadata.items() if name != "checksum"}
    rest = json.loads(json.dumps(rest))  # keys are strings, tuples are lists
    return zlib.crc32(json.dumps(rest, sort_keys=True).encode())


def is_damage(error: Exception) -> bool:
    """Whether an error of reading looks like damaged files rather than like a bug."""
    return isinstance(error, ERROR_TYPES) or bool(ERRORS.search(str(error)))


def summary(error: Exception) -> str:
    """The beginning of an error message, which TensorStore spreads over pages."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return text if len(text) <= 80 else f"{text[:77]}..."


@contextlib.contextmanager
def late_errors_ignored() -> Iterator[None]:
    """Keeps TensorStore from printing errors of reads that end after the first error.

    Each is reported to an event loop that is closed by then, which prints a traceback.
    After an exception the hook stays, since the number of these reads is unknown.
    """
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            before(unraisable)

    sys.unraisablehook = hook
    yield
    sys.unraisablehook = before
