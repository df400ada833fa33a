"""Images as arrays and files: pixel ranges, grids, PNG and GIF."""

import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from ganjax.errors import printable
from ganjax.files import write_file

PixelRange = tuple[float, float]  # what the pixel values 0 and 255 become


def normalize(images: UInt8[Array, "..."], pixel_range: PixelRange) -> jax.Array:
    """Pixels 0 to 255 scaled to the range: uint8 [...] -> float32 [...]."""
    low, high = pixel_range
    return images.astype(jnp.float32) * ((high - low) / 255) + low


def denormalize(images: Float[Array, "..."], pixel_range: PixelRange) -> jax.Array:
    """The inverse of `normalize`, rounded; values outside the range are clipped."""
    low, high = pixel_range
    scaled = (images - low) * (255 / (high - low))
    return jnp.clip(jnp.round(scaled), 0, 255).astype(jnp.uint8)


def shrink_pixels(
    images: UInt8[np.ndarray, "N H W C"], factor: int
) -> UInt8[np.ndarray, "N h w C"]:
    """Rounded means of squares of factor × factor pixels."""
    n, h, w, c = images.shape
    blocks = images.reshape(n, h // factor, factor, w // factor, factor, c)
    return np.round(blocks.mean((2, 4))).astype(np.uint8)


def grid(
    images: UInt8[np.ndarray, "N H W C"], columns: int | None = None, gap: int = 2
) -> UInt8[np.ndarray, "height width C"]:
    """Images side by side, row by row; as nearly square as possible by default."""
    num, height, width, channels = images.shape
    columns = columns or int(np.ceil(num**0.5))
    rows = -(-num // columns)
    cell = (height + gap, width + gap)
    size = (rows * cell[0] + gap, columns * cell[1] + gap, channels)
    canvas = np.zeros(size, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * cell[0] + gap, i % columns * cell[1] + gap
        canvas[top : top + height, left : left + width] = image
    return canvas


def side_by_side(
    left: UInt8[np.ndarray, "h w C"], right: UInt8[np.ndarray, "H W C"], gap: int = 8
) -> UInt8[np.ndarray, "height width C"]:
    """Two images beside each other on white, aligned at the top."""
    height = max(len(left), len(right))
    padding = [((0, height - len(x)), (0, 0), (0, 0)) for x in (left, right)]
    space = np.full((height, gap, left.shape[-1]), 255, np.uint8)
    padded = [
        np.pad(x, p, constant_values=255)
        for x, p in zip((left, right), padding, strict=True)
    ]
    return np.concatenate([padded[0], space, padded[1]], axis=1)


def save_png(path: Path, image: UInt8[np.ndarray, "H W C"], scale: int = 1) -> None:
    """Writes an image of 1 or 3 channels, each pixel enlarged to scale × scale."""
    from PIL import Image

    image = image.repeat(scale, 0).repeat(scale, 1)
    opened = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    write_file(path, lambda file: opened.save(file, "png"))


def save_gif(path: Path, frames: Sequence[Path], milliseconds: int = 150) -> None:
    """Writes an animation of image files; the last one stays for two seconds.

    Damaged files are skipped by name; without any other there is no animation.
    """
    from PIL import Image

    images = []
    for frame in frames:
        try:
            images.append(Image.open(frame).convert("P"))
        except Exception:  # each of Pillow's decoders has its own errors
            print(f"skipped, not a readable image: {printable(frame)}", file=sys.stderr)
    if not images:
        return
    durations = [milliseconds] * (len(images) - 1) + [2000]
    write_file(
        path,
        lambda file: images[0].save(
            file,
            "gif",
            save_all=True,
            append_images=images[1:],
            duration=durations,
            loop=0,
        ),
    )
