"""Rows of the global batch and rows of one device, inside a pmap or without one.

`axis_name` is the pmap's axis; None means that there is one device.
"""

from collections.abc import Callable

import jax
from jax import lax
from jaxtyping import Array


def num_devices(axis_name: str | None) -> int:
    """Devices along the axis."""
    return 1 if axis_name is None else lax.axis_size(axis_name)


def local_rows(x: Array, num: int, axis_name: str | None) -> Array:
    """This device's `num` rows."""
    if axis_name is None:
        return x
    start = lax.axis_index(axis_name) * num
    return lax.dynamic_slice_in_dim(x, start, num)


def draw(
    sampler: Callable[[jax.Array, int], Array],
    key: jax.Array,
    num: int,
    axis_name: str | None,
) -> Array:
    """This device's `num` rows of what `sampler(key, n)` draws for all devices.

    Noise so drawn does not depend on the number of devices.
    """
    return local_rows(sampler(key, num * num_devices(axis_name)), num, axis_name)
