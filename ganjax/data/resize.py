"""Images of any size and mode as arrays of one shape."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from ganjax.data.dataset import DataOptions
from ganjax.errors import UserError

MODES = {1: "L", 3: "RGB"}  # Pillow's names for 8-bit gray and color


@dataclass(frozen=True)
class Resize:
    """Crops an image about its center and resizes it.

    What is cut out has the proportions of `shape` and is as large as possible. With
    `crop` it is cut out of a square of that side about the center; an image that is
    smaller than the square is not extended.

    Raises:
      UserError: another shape than (height, width, 1 or 3).
    """

    shape: tuple[int, ...]  # (height, width, channels)
    crop: int = 0  # pixels; 0: no square

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or self.shape[-1] not in MODES:
            raise UserError(
                f"config.data.image_shape={self.shape}: expected (height, width, "
                "channels) with 1 or 3 channels"
            )

    @classmethod
    def of(cls, options: DataOptions) -> "Resize":
        """What the options of a data set ask for."""
        return cls(tuple(options.image_shape), options.crop)

    def __str__(self) -> str:
        """A part of the name of a folder, such as 64x64x3-crop108."""
        shape = "x".join(map(str, self.shape))
        return f"{shape}-crop{self.crop}" if self.crop else shape

    def __call__(self, image: Image.Image) -> np.ndarray:
        """uint8 [H, W, C]; an image of that shape as it is.

        Colors become gray and the reverse, transparency becomes white, and of 16 bits
        the upper 8 are used. Reduction is bicubic, with a filter that grows with the
        factor, as arXiv:2104.11222 recommends.
        """
        height, width, channels = self.shape
        image, mode = self._cut(image), MODES[channels]
        same = (image.mode, image.size) == (mode, (width, height))
        if same and not image.has_transparency_data:
            return np.asarray(image).reshape(self.shape)
        if image.mode.startswith("I"):  # mostly 16 bits, which Pillow clips to 8
            pixels = np.asarray(image)
            shift = 8 if image.mode != "I" or pixels.max() > 255 else 0
            image = Image.fromarray((pixels >> shift).clip(0, 255).astype(np.uint8))
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = ImageOps.fit(image.convert(mode), (width, height))
        return np.asarray(image).reshape(self.shape)

    def _cut(self, image: Image.Image) -> Image.Image:
        """The square, as far as it is inside the image."""
        if not self.crop:
            return image
        width, height = image.size
        wide, high = min(self.crop, width), min(self.crop, height)
        left, top = (width - wide) // 2, (height - high) // 2
        return image.crop((left, top, left + wide, top + high))
