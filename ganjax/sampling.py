"""Samples of a trained generator, as arrays and as files."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key, PyTree

from ganjax.errors import UserError
from ganjax.files import write_file
from ganjax.gan import Gan, Variables
from ganjax.images import save_png
from ganjax.state import TrainState

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
    block = min(num, BLOCK)
    parts = []
    for i in range(-(-num // block)):
        rows = np.arange(i * block, (i + 1) * block) % num
        part = jax.tree.map(lambda x, rows=rows: np.asarray(x)[rows], condition)
        block_key = jax.random.fold_in(key, i)
        parts.append(sample_block(gan, state.g_ema, block_key, block, part))
    return jax.tree.map(
        lambda *x: np.concatenate([np.asarray(part) for part in x])[:num], *parts
    )


def sample_grid(gan: Gan, state: TrainState, num: int, key: Key[Array, ""]) -> Any:
    """About `num` samples as one image, uint8 [H, W, C]."""
    condition = gan.condition(num, grid=True)
    num = num if condition is None else len(jax.tree.leaves(condition)[0])
    samples = sample(gan, state, num=num, key=key, condition=condition)
    return gan.image(samples, condition)


def export(
    gan: Gan, state: TrainState, out: Path, num: int, key: Key[Array, ""]
) -> None:
    """Saves samples: a grid FILE.png, arrays FILE.npz, or a folder of images.

    The .npz holds `images` and, of a class-conditional GAN, `labels` int32 [num].

    Raises:
      UserError: `out` can't be written, or has an unknown suffix.
    """
    if out.suffix not in (".png", ".npz", ""):
        raise UserError(f"--out={out}: expected FILE.png, FILE.npz or a folder")
    try:
        if out.suffix == ".png":
            save_png(out, sample_grid(gan, state, num, key), scale=2)
        elif out.suffix == ".npz":
            arrays: dict[str, Any] = {"images": sample(gan, state, num=num, key=key)}
            labels = gan.condition(num)
            if labels is not None:
                arrays["labels"] = labels
            write_file(out, lambda file: np.savez_compressed(file, **arrays))
        else:
            if (out / f"{num:06d}.png").exists():
                raise UserError(f"--out={out}: expected a folder without other images")
            for i, image in enumerate(sample(gan, state, num=num, key=key)):
                save_png(out / f"{i:06d}.png", image)
    except OSError as error:
        raise UserError(f"--out={out}: can't be written: {error.strerror}") from error
