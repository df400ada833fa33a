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
def _generate(
    gan: Gan, ema: PyTree, z: jax.Array, labels: np.ndarray | None
) -> jax.Array:
    images: Any = gan.generator.apply(ema, z, train=False, labels=labels)
    return to_uint8(gan, images)


def sample(
    gan: Gan,
    state: TrainState,
    *,
    num: int,
    key: jax.Array,
    labels: np.ndarray | None = None,
) -> np.ndarray:
    """Images from the averaged generator, with its averaged batch statistics.

    Args:
      gan: from `make_gan`.
      state: a training state; only `g_ema` is read.
      num: how many.
      key: typed PRNG key []; the same key gives the same images.
      labels: int [num], the classes of a conditional GAN; default: `balanced_labels`.

    Returns:
      uint8 [num, H, W, C].

    Raises:
      ValueError: labels for an unconditional GAN, of a wrong number, or no classes; or
        no samples asked for.
    """
    if num < 1:
        raise ValueError(f"num = {num} must be at least 1")
    if labels is None:
        labels = balanced_labels(gan, num)
    elif not gan.num_classes or len(labels) != num:
        raise ValueError(f"{len(labels)} labels for {num} of {gan.num_classes} classes")
    elif not 0 <= min(labels) <= max(labels) < gan.num_classes:
        raise ValueError(f"labels must be in [0, {gan.num_classes})")
    block = min(num, BLOCK)
    images = []
    for i in range(-(-num // block)):
        z = gan.prior(jax.random.fold_in(key, i), (block, gan.z_dim))
        z *= gan.sample_scale
        rows = np.arange(i * block, (i + 1) * block) % num
        classes = None if labels is None else np.asarray(labels, np.int32)[rows]
        images.append(np.asarray(_generate(gan, state.g_ema, z, classes)))
    return np.concatenate(images)[:num]


def balanced_labels(gan: Gan, num: int) -> np.ndarray | None:
    """Classes in a fixed random order, int32 [num]; None without any.

    As many of each, also in the first n for any n that `gan.num_classes` divides.
    """
    if not gan.num_classes:
        return None
    rounds = np.tile(np.arange(gan.num_classes), (-(-num // gan.num_classes), 1))
    mixed = np.random.default_rng(0).permuted(rounds, axis=1)
    return mixed.astype(np.int32).ravel()[:num]


def sample_grid(gan: Gan, state: TrainState, num: int, key: jax.Array) -> np.ndarray:
    """A grid of samples; of a conditional GAN a row for each class, equally long."""
    if not gan.num_classes:
        return grid(sample(gan, state, num=num, key=key))
    columns = max(1, num // gan.num_classes)
    labels = np.repeat(np.arange(gan.num_classes), columns)
    return grid(sample(gan, state, num=len(labels), key=key, labels=labels), columns)


def grid(images: np.ndarray, columns: int | None = None, gap: int = 2) -> np.ndarray:
    """uint8 [N, H, W, C] -> one uint8 picture, row by row, as square as can be."""
    num, height, width, colours = images.shape
    columns = columns or int(np.ceil(num**0.5))
    rows = -(-num // columns)
    cell = (height + gap, width + gap)
    size = (rows * cell[0] + gap, columns * cell[1] + gap, colours)
    picture = np.zeros(size, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * cell[0] + gap, i % columns * cell[1] + gap
        picture[top : top + height, left : left + width] = image
    return picture


def save_png(path: Path, picture: np.ndarray, scale: int = 1) -> None:
    """Writes uint8 [H, W, 1 or 3], each pixel enlarged to scale × scale."""
    from PIL import Image

    picture = picture.repeat(scale, 0).repeat(scale, 1)
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".part")  # no reader ever meets half a picture
    image.save(scratch, "png")
    scratch.replace(path)


def save_gif(path: Path, frames: Sequence[Path], milliseconds: int = 150) -> None:
    """An animation of pictures on disk that rests on the last one."""
    from PIL import Image

    pictures = [Image.open(frame).convert("P") for frame in frames]
    durations = [milliseconds] * (len(pictures) - 1) + [2000]
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], duration=durations, loop=0
    )


def export(gan: Gan, state: TrainState, out: Path, num: int, key: jax.Array) -> None:
    """Saves samples: FILE.png is a grid, FILE.npz an array `images`, else a folder.

    The .npz of a conditional GAN also has `labels`, int32 [num].

    Raises:
      UserError: the place can't be written to, or is a file of an unknown kind.
    """
    if out.suffix not in (".png", ".npz", ""):
        raise UserError(f"--out={out}: FILE.png, FILE.npz or a folder, please")
    try:
        if out.suffix == ".png":
            save_png(out, sample_grid(gan, state, num, key), scale=2)
        elif out.suffix == ".npz":
            arrays: dict[str, Any] = {"images": sample(gan, state, num=num, key=key)}
            if gan.num_classes:
                arrays["labels"] = balanced_labels(gan, num)
            out.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(out, **arrays)
        else:
            if (out / f"{num:06d}.png").exists():
                raise UserError(f"--out={out} holds more pictures: choose another")
            for i, image in enumerate(sample(gan, state, num=num, key=key)):
                save_png(out / f"{i:06d}.png", image)
    except OSError as error:
        raise UserError(f"--out={out} can't be written: {error.strerror}") from error
