"""Images as arrays and files: pixel ranges, grids, PNG and GIF."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from ganjax.errors import UserError, printable
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
            images.append(opened := Image.open(frame))
            opened.load()
        except Exception:  # each of Pillow's decoders has its own errors
            print(f"skipped, not a readable image: {printable(frame)}", file=sys.stderr)
    if not images:
        return
    _write_gif(path, images, [milliseconds] * (len(images) - 1) + [2000])


def save_animation(
    path: Path, frames: UInt8[np.ndarray, "T H W C"], scale: int = 1, fps: int = 25
) -> None:
    """Writes an animation that repeats, FILE.gif or FILE.mp4, of 1 or 3 channels.

    Raises:
      UserError: an MP4 without the package that writes it.
    """
    from PIL import Image

    frames = frames.repeat(scale, 1).repeat(scale, 2)
    if path.suffix == ".gif":
        images = [Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x) for x in frames]
        _write_gif(path, images, [1000 // fps] * len(images))
        return
    try:
        import av  # noqa: F401  what imageio writes it with
        from imageio.v3 import imwrite
    except ImportError as error:
        raise UserError(
            f"{path}: writing an MP4 needs PyAV: pip install 'ganjax[video]'"
        ) from error
    height, width = frames.shape[1:3]  # even: colors have half the resolution
    colors = np.broadcast_to(frames, (*frames.shape[:3], 3))
    even = np.pad(colors, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
    options: Any = {"plugin": "pyav", "codec": "libx264", "fps": fps}
    video = imwrite("<bytes>", even, extension=".mp4", **options)
    write_file(path, lambda file: file.write(video))


def _write_gif(path: Path, images: list[Any], durations: list[int]) -> None:
    """An animation of Pillow images for so many milliseconds each.

    A GIF has 256 colors: gray images are exact, others have a palette of their own.
    """

    def write(file: IO[bytes]) -> None:
        rest = images[1:]
        images[0].save(
            file, "gif", save_all=True, append_images=rest, duration=durations, loop=0
        )

    write_file(path, write)
