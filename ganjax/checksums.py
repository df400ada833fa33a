"""Checksums of a state and of its metadata, by which damaged files are noticed."""

import json
import zlib
from typing import Any

import jax
import numpy as np

from ganjax.state import TrainState


def architecture(state: TrainState) -> list[list[int]]:
    """The shape of every array of a state."""
    return [list(x.shape) for x in jax.tree.leaves(state)]


def paths(state: TrainState) -> dict[str, jax.Array]:
    """The arrays of a state by their paths, such as "g/params/Dense_0/kernel"."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(p, simple=True, separator="/"): x for p, x in leaves}


def array_checksums(state: TrainState) -> dict[str, int]:
    """CRC-32 of type, shape and bytes of every array of a state, of one replica."""

    def checksum(x: jax.Array) -> int:
        start = zlib.crc32(f"{x.dtype}{x.shape}".encode())
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.random.key_data(x)
        return zlib.crc32(np.ascontiguousarray(x).reshape(-1).view(np.uint8), start)

    return {path: checksum(x) for path, x in paths(state).items()}


def json_checksum(metadata: dict[str, Any]) -> int:
    """CRC-32 of metadata as they are after a round trip through JSON."""
    rest = {name: x for name, x in metadata.items() if name != "checksum"}
    rest = json.loads(json.dumps(rest))  # keys are strings, tuples are lists
    return zlib.crc32(json.dumps(rest, sort_keys=True).encode())
