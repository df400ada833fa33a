"""Images out of a trained generator, and their grids, files and animations."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ganjax.errors import UserError
from ganjax.gan import Gan
from ganjax.state import PyTree, TrainState
from ganjax.steps import to_uint8

BLOCK = 500  # images generated at once: bounds memory, one compilation for any number


@partial(jax.jit, static_argnums=0)
def _generate(gan: Gan, ema: PyTree, z: jax.Array) -> jax.Array:
    images: Any = gan.generator.apply(ema, z, train=False)
    return to_uint8(gan, images)


def sample(gan: Gan, state: TrainState, *, num: int, key: jax.Array) -> np.ndarray:
    """Images from the averaged generator, with its averaged batch statistics.

    Args:
      gan: from `make_gan`.
      state: a training state; only `g_ema` is read.
      num: how many.
      key: typed PRNG key []; the same key gives the same images.

    Returns:
      uint8 [num, H, W, C].
    """
    block = min(num, BLOCK)
    keys = [jax.random.fold_in(key, i) for i in range(-(-num // block))]
    images = [
        np.asarray(_generate(gan, state.g_ema, gan.prior(k, (block, gan.z_dim))))
        for k in keys
    ]
    return np.concatenate(images)[:num]


def grid(images: np.ndarray, columns: int | None = None, gap: int = 2) -> np.ndarray:
    """uint8 [N, H, W, C] -> one uint8 picture, row by row, as square as can be."""
    num, height, width, colours = images.shape
    columns = columns or int(np.ceil(num**0.5))
    rows = -(-num // columns)
    cell = (height + gap, width + gap)
    sheet = np.zeros((rows * cell[0] + gap, columns * cell[1] + gap, colours), np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * cell[0] + gap, i % columns * cell[1] + gap
        sheet[top : top + height, left : left + width] = image
    return sheet


def save_png(path: Path, picture: np.ndarray, scale: int = 1) -> None:
    """Writes uint8 [H, W, 1 or 3], each pixel enlarged to scale × scale."""
    from PIL import Image

    picture = picture.repeat(scale, 0).repeat(scale, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(path)


def save_gif(path: Path, frames: Sequence[Path], milliseconds: int = 150) -> None:
    """An animation of pictures on disk that rests on the last one."""
    from PIL import Image

    pictures = [Image.open(frame).convert("P") for frame in frames]
    durations = [milliseconds] * (len(pictures) - 1) + [2000]
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], duration=durations, loop=0
    )


def export(out: Path, images: np.ndarray) -> None:
    """Saves samples: FILE.png is a grid, FILE.npz an array `images`, else a folder.

    Raises:
      UserError: the place can't be written to, or is a file of an unknown kind.
    """
    try:
        if out.suffix == ".png":
            save_png(out, grid(images), scale=2)
        elif out.suffix == ".npz":
            out.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(out, images=images)
        elif out.suffix:
            raise UserError(f"--out={out}: FILE.png, FILE.npz or a folder, please")
        else:
            for i, image in enumerate(images):
                save_png(out / f"{i:06d}.png", image)
    except OSError as error:
        raise UserError(f"--out={out} can't be written: {error.strerror}") from error
