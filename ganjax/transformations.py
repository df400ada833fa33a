"""Random transformations of images: pure functions of images and of random numbers.

Those of DiffAugment (arXiv:2006.10738) with the amounts of its code, but that parts of
a side are rounded down, not to the nearest pixel, and a flip. All are differentiable in
the images. `u` are uniform in [0, 1), two numbers per image.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from ganjax.images import PixelRange

Images = Float[Array, "B H W C"]
Draws = Float[Array, "B 2"]
PerImage = Float[Array, " B"]


def flip(images: Images, u: Draws, amount: float, pixel_range: PixelRange) -> Images:
    """Left to right, of every second image on average: 2006.06676, appendix B."""
    return jnp.where(per_image(u[:, 0] < 0.5, bool), images[:, :, ::-1], images)


def brightness(
    images: Images, u: Draws, amount: float, pixel_range: PixelRange
) -> Images:
    """Adds the same number to all pixels, up to a quarter of the range × `amount`."""
    low, high = pixel_range
    return images + per_image((u[:, 0] - 0.5) * (amount * (high - low) / 2), images)


def saturation(
    images: Images, u: Draws, amount: float, pixel_range: PixelRange
) -> Images:
    """Scales differences of the channels by 1 ± `amount`; a gray image stays."""
    if images.shape[-1] == 1:
        return images
    gray = jnp.mean(images, -1, keepdims=True)
    return gray + per_image(1 + amount * (2 * u[:, 0] - 1), images) * (images - gray)


def contrast(
    images: Images, u: Draws, amount: float, pixel_range: PixelRange
) -> Images:
    """Scales differences from the image's mean by 1 ± `amount` / 2."""
    mean = jnp.mean(images, (1, 2, 3), keepdims=True)
    return mean + per_image(1 + amount * (u[:, 0] - 0.5), images) * (images - mean)


def translation(
    images: Images, u: Draws, amount: float, pixel_range: PixelRange
) -> Images:
    """Moves by whole pixels, up to `amount` of each side; gray comes in."""
    gray, shape = sum(pixel_range) / 2, images.shape[1:]
    margins = [int(amount * size) for size in shape[:2]]
    padding = [(0, 0), *((m, m) for m in margins), (0, 0)]
    padded = jnp.pad(images, padding, constant_values=gray)
    # A window of the padded image; its derivative is a window, too, and no scatter.
    starts = [choose(u[:, i], 2 * m + 1) for i, m in enumerate(margins)]
    starts.append(jnp.zeros(len(images), jnp.int32))
    return jax.vmap(lambda x, *start: lax.dynamic_slice(x, start, shape))(
        padded, *starts
    )


def cutout(images: Images, u: Draws, amount: float, pixel_range: PixelRange) -> Images:
    """Makes a rectangle gray, `amount` of each side, whose center is any pixel."""
    inside = []
    for i, size in enumerate(images.shape[1:3]):
        side = int(amount * size)
        start = choose(u[:, i], size + 1 - side % 2)[:, None] - side // 2
        pixels = jnp.arange(size)[None]
        inside.append((start <= pixels) & (pixels < start + side))
    hole = inside[0][:, :, None, None] & inside[1][:, None, :, None]
    return jnp.where(hole, sum(pixel_range) / 2, images)


def choose(u: PerImage, num: int) -> jax.Array:
    """Integers 0 ... num − 1 from numbers in [0, 1)."""
    return jnp.floor(u * num).astype(jnp.int32)


def per_image(values: Array, like: Any) -> jax.Array:
    """One value for each image, [B] -> [B, 1, 1, 1], of the type of `like`."""
    return values.astype(getattr(like, "dtype", like))[:, None, None, None]


# In the order of application, that of DiffAugment's code. Its scale is [-1, 1], where
# what it fills in, 0, is the middle of the range, as here of any range.
TRANSFORMATIONS: dict[str, Callable[..., jax.Array]] = {
    "flip": flip,
    "brightness": brightness,
    "saturation": saturation,
    "contrast": contrast,
    "translation": translation,
    "cutout": cutout,
}


def draw(key: Key[Array, ""], num: int) -> jax.Array:
    """Uniform numbers [num, T, 3]: whether to apply each transformation, and how."""
    return jax.random.uniform(key, (num, len(TRANSFORMATIONS), 3), jnp.float32)


def transform(
    images: Images,
    draws: Float[Array, "B T 3"],
    probability: float | Array,
    amounts: Mapping[str, float],
    pixel_range: PixelRange,
) -> Images:
    """Each transformation, for each image by itself, with this probability.

    Args:
      images: in `pixel_range`, of any floating-point type, which is kept.
      draws: from `draw`; the first of three applies the transformation if it is below
        `probability`: at 0 no number changes, at 1 all images do.
      probability: [].
      amounts: of each of `TRANSFORMATIONS`; 0 leaves it out.
      pixel_range: what black and white are.
    """
    for i, (name, fn) in enumerate(TRANSFORMATIONS.items()):
        if amounts[name]:
            changed = fn(images, draws[:, i, 1:], amounts[name], pixel_range)
            applied = per_image(draws[:, i, 0] < probability, bool)
            images = jnp.where(applied, changed, images)
    return images
