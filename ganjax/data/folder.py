"""A folder of image files as a data set."""

import contextlib
import hashlib
import math
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ganjax.data.dataset import (
    MEGABYTE,
    DataOptions,
    Dataset,
    hold_out,
    make_arrays_dataset,
)
from ganjax.data.records import Labels, Origin, Put, stored
from ganjax.data.resize import Resize
from ganjax.errors import UserError, printable

MIN_IMAGES = 20
MAX_DECODED = 10_000  # files that are decoded at every start
BLOCK = 256  # files decoded at once
PROGRAMS = {"EPS", "WMF"}  # Pillow runs Ghostscript, or the drawing commands of Windows


def load(options: DataOptions) -> Dataset:
    """Every image file in and below `manual_dir`.

    Each image is cropped about its center and resized, as `Resize` says. What has an
    image's suffix and cannot be read, or has more pixels than Pillow considers safe, is
    listed and skipped. Every tenth image is a test image. Labels are the subfolders
    directly below `manual_dir`, in alphabetical order.

    The images of many files, or of more bytes than `device_budget_mb`, are decoded once
    into records.

    Raises:
      UserError: no folder, too few readable images in it, or a bad shape.
    """
    files = Files(options.manual_folder(), Resize.of(options))
    shape = files.resize.shape
    size = len(files.paths) * math.prod(shape)
    if len(files.paths) > MAX_DECODED or size > options.device_budget_mb * MEGABYTE:
        origin = Origin("image_folder", printable(files.folder), files.key())
        form = f"{shape}{options.crop}" if options.crop else str(shape)
        place = os.fsencode(files.folder.resolve()) + form.encode()
        name = f"image_folder-{hashlib.sha256(place).hexdigest()[:12]}"
        folder = options.cache_folder(name)
        return stored(folder, origin, shape, files.write)
    pairs = list(files.decode())
    images = np.stack([image for _, image in pairs])
    labels = files.labels([path for path, _ in pairs])
    train, test = hold_out(images, labels, np.arange(len(images)))
    source = printable(files.folder)
    return make_arrays_dataset(train, test, name="image_folder", source=source)


class Files:
    """The image files in and below a folder, and images of one shape made of them."""

    def __init__(self, folder: Path, resize: Resize):
        known = Image.registered_extensions().items()
        self.formats = [kind for kind in Image.OPEN if kind not in PROGRAMS]
        suffixes = {suffix for suffix, kind in known if kind in self.formats}
        self.folder, self.resize = folder, resize
        self.paths = sorted(
            f
            for f in ([folder] if folder.is_file() else folder.rglob("*"))
            if f.suffix.lower() in suffixes
        )

    def key(self) -> str:
        """A hash of the paths, sizes and times of all files."""
        digest = hashlib.sha256()
        for path in self.paths:
            with contextlib.suppress(OSError):  # a link to nowhere
                stat = path.stat()
                digest.update(os.fsencode(path.relative_to(self.folder)))
                digest.update(f"\0{stat.st_size} {stat.st_mtime_ns}\0".encode())
        return digest.hexdigest()

    def decode(
        self, least: int = MIN_IMAGES, field: str = "config.data.manual_dir"
    ) -> Iterator[tuple[Path, np.ndarray]]:
        """The readable files with their images uint8 [H, W, C]; lists the others.

        Raises:
          UserError: at the end, if they are too few; the message names the field.
        """
        num, skipped = 0, []
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(self.paths), BLOCK):
                paths = self.paths[start : start + BLOCK]
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    warnings.simplefilter("error", Image.DecompressionBombWarning)
                    # Threads, since decoding and resizing release the GIL.
                    images = list(pool.map(self._read, paths))
                for path, image in zip(paths, images, strict=True):
                    if image is None:
                        skipped.append(path)
                    else:
                        num += 1
                        yield path, image
        for path in skipped[:10]:
            print(f"skipped, not a readable image: {printable(path)}", file=sys.stderr)
        if len(skipped) > 10:
            print(f"skipped {len(skipped) - 10} more files", file=sys.stderr)
        if num < least:
            raise UserError(
                f"{field}={str(self.folder)!r}: expected {least} "
                f"or more readable images, got {num} and {len(skipped)} other files"
            )

    def labels(self, paths: Sequence[Path]) -> np.ndarray:
        """The classes of files; those directly in the folder are one class together."""
        classes = ["".join(p.relative_to(self.folder).parts[:-1][:1]) for p in paths]
        return np.unique(classes, return_inverse=True)[1].astype(np.int32)

    def write(self, put: Put) -> Labels:
        """Decodes all files with a progress bar; every tenth image is for testing."""
        from tqdm import tqdm

        found: dict[str, list[Path]] = {"train": [], "test": []}
        bar = tqdm(self.decode(), "decoding", total=len(self.paths), unit="image")
        for i, (path, image) in enumerate(bar):
            split = "test" if i % 10 == 9 else "train"
            found[split].append(path)
            put(split, image)
        labels, num = (
            self.labels([*found["train"], *found["test"]]),
            len(found["train"]),
        )
        return {"train": labels[:num], "test": labels[num:]}

    def _read(self, file: Path) -> np.ndarray | None:
        """uint8 [H, W, C], or None if the file is not a readable image."""
        try:
            if not file.is_file():  # opening a pipe would wait for its other end
                return None
            with Image.open(file, formats=self.formats) as opened:
                image = ImageOps.exif_transpose(opened)
            if image.mode == "F":  # floats without a known range
                return None
            return self.resize(image)
        except Exception:  # each of Pillow's decoders has its own errors
            return None
