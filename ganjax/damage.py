"""Damaged checkpoints: checksums, errors of reading, and those of writing."""

import contextlib
import errno
import json
import logging
import os
import re
import sys
import zlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

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


def paths(state: PyTree) -> dict[str, jax.Array]:
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


def system_error(error: Exception) -> tuple[int | None, str]:
    """The `errno` of an error of writing, if there is one, and what happened."""
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)  # as TensorStore writes it
    if code := re.search(r"(?:os_error_code='|OS error )(\d+)", text):
        number = int(code[1])
    elif text.startswith("NOT_FOUND"):
        number = errno.ENOENT
    return number, summary(error) if number is None else os.strerror(number)


@contextlib.contextmanager
def tracebacks_ignored() -> Iterator[None]:
    """Keeps Orbax and TensorStore from printing tracebacks of errors that they raise.

    Both log an error in each thread. Of the reads or writes that fail after the first
    error, each is reported to an event loop that is closed by then, which prints a
    traceback. After an exception nothing is undone, since their number is unknown.
    """
    before = sys.unraisablehook
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            before(unraisable)

    def not_of_orbax(record: logging.LogRecord) -> bool:
        where = f"{record.pathname} {record.getMessage()}"
        return not (record.exc_info and "orbax" in where)

    sys.unraisablehook = hook
    for logger in loggers:
        logger.addFilter(not_of_orbax)
    yield
    for logger in loggers:
        logger.removeFilter(not_of_orbax)
    if sys.unraisablehook is hook:  # not one that stayed
        sys.unraisablehook = before
