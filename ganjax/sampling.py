"""Samples of a trained generator, as arrays and as files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Array, Key, PyTree

from ganjax.errors import UserError
from ganjax.files import write_file
from ganjax.gan import Gan, Variables
from ganjax.images import save_png
from ganjax.state import TrainState

if TYPE_CHECKING:
    from ganjax.data import Dataset

BLOCK = 500  # samples made at once: bounds memory, and one compilation for any number


@partial(jax.jit, static_argnames=("gan", "num"))
def sample_block(
    gan: Gan, g: Variables, key: Key[Array, ""], num: int, condition: PyTree
) -> PyTree:
    """`num` samples in one call."""
    return gan.export(gan.sample(g, key, num, condition))


def sample(
    gan: Gan,
    state: TrainState,
    *,
    num: int,
    key: Key[Array, ""],
    condition: PyTree = None,
) -> np.ndarray:
    """Samples of the averaged generator, with its averaged batch statistics.

    Args:
      gan: from `make_gan`.
      state: a training state; only `g_ema` is read.
      num: number of samples.
      key: typed PRNG key []; the same key gives the same samples.
      condition: what is asked for: the labels int [num] of a class-conditional GAN.
        Default: `gan.condition(num)`, balanced labels.

    Returns:
      Images uint8 [num, H, W, C].

    Raises:
      ValueError: no samples asked for, or a condition that does not fit.
    """
    if num < 1:
        raise ValueError(f"num={num}: expected at least 1")
    if condition is None:
        condition = gan.condition(num)
    gan.check_condition(condition, num)
    parts = []
    for i, rows in enumerate(blocks(num, BLOCK)):
        part = jax.tree.map(lambda x, rows=rows: np.asarray(x)[rows], condition)
        block_key = jax.random.fold_in(key, i)
        parts.append(sample_block(gan, state.g_ema, block_key, len(rows), part))
    return jax.tree.map(
        lambda *x: np.concatenate([np.asarray(part) for part in x])[:num], *parts
    )


def blocks(num: int, size: int) -> Iterator[np.ndarray]:
    """0 ... num - 1 in blocks of one size, so that there is one program for all.

    The last begins again at 0.

    >>> [rows.tolist() for rows in blocks(5, 3)]
    [[0, 1, 2], [3, 4, 0]]
    """
    size = min(num, size)
    for first in range(0, num, size):
        yield np.arange(first, first + size) % num


def sample_grid(
    gan: Gan,
    state: TrainState,
    num: int,
    key: Key[Array, ""],
    dataset: Dataset | None = None,
) -> np.ndarray:
    """About `num` samples as one image, uint8 [H, W, C]."""
    condition = gan.condition(num, grid=True, dataset=dataset)
    num = num if condition is None else len(jax.tree.leaves(condition)[0])
    samples = sample(gan, state, num=num, key=key, condition=condition)
    return gan.image(samples, condition)


@dataclass(frozen=True)
class Request:
    """What to sample: how many, with which noise, and what is asked for."""

    num: int
    key: Key[Array, ""]
    condition: PyTree = None  # arrays [num, ...]; None: what the GAN asks for itself
    dataset: Dataset | None = None  # for GANs that make samples from examples


def export(gan: Gan, state: TrainState, out: Path, request: Request) -> None:
    """Saves samples: a grid FILE.png, arrays FILE.npz, or a folder with a file each.

    An .npz holds what `Gan.arrays` names, e.g. `images` and `labels`.

    Raises:
      UserError: `out` can't be written, or has an unknown suffix.
    """
    check_suffix(out)
    num, condition, grid = request.num, request.condition, out.suffix == ".png"
    if condition is None:
        condition = gan.condition(num, grid, request.dataset)
    if condition is not None:  # a grid may have fewer
        num = len(jax.tree.leaves(condition)[0])
    samples = sample(gan, state, num=num, key=request.key, condition=condition)
    save(gan, out, samples, condition)


def check_suffix(out: Path) -> None:
    """Checks that `save` knows the kind of file; a UserError if not."""
    if out.suffix not in (".png", ".npz", ""):
        raise UserError(f"--out={out}: expected FILE.png, FILE.npz or a folder")


def save(gan: Gan, out: Path, samples: PyTree, condition: PyTree = None) -> None:
    """Writes samples, or examples like them, as `export` does.

    Raises:
      UserError: `out` can't be written, or has an unknown suffix.
    """
    check_suffix(out)
    try:
        if out.suffix == ".png":
            save_png(out, gan.image(samples, condition), scale=2)
        elif out.suffix == ".npz":
            arrays: dict[str, Any] = gan.arrays(samples, condition)
            write_file(out, lambda file: np.savez_compressed(file, **arrays))
        else:
            write_files(gan, out, samples)
    except OSError as error:
        raise UserError(f"--out={out}: can't be written: {error.strerror}") from error


def write_files(gan: Gan, folder: Path, samples: PyTree) -> None:
    """A file for each sample.

    Raises:
      UserError: the folder has more files than that, so that they would be mixed.
    """
    num = len(jax.tree.leaves(samples)[0])
    if list(folder.glob(f"{num:06d}.*")):
        raise UserError(f"--out={folder}: expected a folder without other samples")
    for i in range(num):
        one = jax.tree.map(lambda x, i=i: x[i], samples)
        gan.write_sample(folder / f"{i:06d}", one)
