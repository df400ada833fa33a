"""A folder of image files as a data set."""

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ganjax.data.dataset import DataOptions, Dataset, hold_out, make_arrays_dataset
from ganjax.errors import UserError, printable

MIN_IMAGES = 20
PROGRAMS = {"EPS", "WMF"}  # Pillow runs Ghostscript, or the drawing commands of Windows


def load(options: DataOptions) -> Dataset:
    """Every image file in and below `manual_dir`.

    Each image is cropped about its center to the proportions of `image_shape` and
    resized; transparency becomes white. What has an image's suffix and cannot be read,
    or has more pixels than Pillow considers safe, is listed and skipped. Every tenth
    image is a test image. Labels are the subfolders directly below `manual_dir`, in
    alphabetical order.

    Raises:
      UserError: no folder, too few readable images in it, or a bad shape.
    """
    shape = tuple(options.image_shape)
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise UserError(
            f"config.data.image_shape={shape}: expected (height, width, channels) "
            "with 1 or 3 channels"
        )
    folder = options.manual_folder()
    known = Image.registered_extensions().items()
    formats = [kind for kind in Image.OPEN if kind not in PROGRAMS]
    suffixes = {suffix for suffix, kind in known if kind in formats}
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in suffixes)
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # Threads, since decoding and resizing release the GIL.
        decoded = list(pool.map(lambda file: _read(file, shape, formats), files))
    pairs = [(f, x) for f, x in zip(files, decoded, strict=True) if x is not None]
    skipped = [f for f, x in zip(files, decoded, strict=True) if x is None]
    for file in skipped[:10]:
        print(f"skipped, not a readable image: {printable(file)}", file=sys.stderr)
    if len(skipped) > 10:
        print(f"skipped {len(skipped) - 10} more files", file=sys.stderr)
    if len(pairs) < MIN_IMAGES:
        raise UserError(
            f"config.data.manual_dir={options.manual_dir!r}: expected {MIN_IMAGES} or "
            f"more readable images, got {len(pairs)} and {len(skipped)} other files"
        )
    images = np.stack([image for _, image in pairs])
    # Images that are directly in the folder are one class together.
    classes = ["".join(file.relative_to(folder).parts[:-1][:1]) for file, _ in pairs]
    _, labels = np.unique(classes, return_inverse=True)
    train, test = hold_out(images, labels, np.arange(len(images)))
    source = printable(folder)
    return make_arrays_dataset(train, test, name="image_folder", source=source)


def _read(file: Path, shape: tuple[int, ...], formats: list[str]) -> np.ndarray | None:
    """uint8 [H, W, C], or None if the file is not a readable image."""
    height, width, channels = shape
    try:
        if not file.is_file():  # opening a pipe would wait for its other end
            return None
        with Image.open(file, formats=formats) as opened:
            image = ImageOps.exif_transpose(opened)
        if image.mode == "F":  # floats without a known range
            return None
        if image.mode.startswith("I"):  # mostly 16 bits, which Pillow clips to 8
            pixels = np.asarray(image)
            shift = 8 if image.mode != "I" or pixels.max() > 255 else 0
            image = Image.fromarray((pixels >> shift).clip(0, 255).astype(np.uint8))
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if channels == 1 else "RGB")
        return np.asarray(ImageOps.fit(image, (width, height))).reshape(shape)
    except Exception:  # each of Pillow's decoders has its own errors
        return None
