"""Files of samples, .npz, from anywhere."""

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import numpy as np

from ganjax.errors import UserError, printable
from ganjax.metrics.suite import MIN_IMAGES

MAX_BYTES = 2**32  # of the arrays of a file


def read_samples(
    file: Path,
    image_shape: tuple[int, ...],
    least: int = MIN_IMAGES,
    flag: str = "--samples",
) -> tuple[np.ndarray, np.ndarray | None]:
    """Images and labels of an .npz, whose headers are checked before its arrays.

    There have to be at least `least` images; messages name the flag.

    Raises:
      UserError: see `evaluate_samples`; also arrays of more than 4 GiB.
    """
    where, shape = f"{flag}={printable(file)}", ", ".join(map(str, image_shape))
    expected = f"an .npz with 'images' uint8 [N >= {least}, {shape}]"
    try:
        if not file.is_file():  # opening a pipe would wait for its other end
            raise FileNotFoundError("no such file")
        with ZipFile(file) as archive:
            images = read_header(archive, "images.npy")
            num = images.shape[0] if images.shape else 0
            right = images.dtype == np.uint8 and images.shape[1:] == image_shape
            if not right or num < least:
                raise UserError(f"{where}: expected {expected}, got {images}")
            if "labels.npy" in archive.namelist():
                labels = read_header(archive, "labels.npy")
                if labels.shape != (num,) or labels.dtype.kind not in "iu":
                    message = f"expected labels [{num}], got {labels}"
                    raise UserError(f"{where}: {message}")
        with np.load(file) as arrays:
            return arrays["images"], arrays.get("labels")
    except UserError:
        raise
    except Exception as error:  # NumPy and zipfile raise many kinds
        reason = printable(error)[:200]
        raise UserError(f"{where}: expected {expected}: {reason}") from error


class Header(NamedTuple):
    """Shape and type of an array in a file."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


def read_header(archive: ZipFile, name: str) -> Header:
    """The header of an array in an .npz.

    Raises:
      ValueError: the file has not as many bytes as its header says, or over 4 GiB.
    """
    versions: dict[Any, Callable[..., Any]] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    with archive.open(name) as member:
        read = versions[np.lib.format.read_magic(member)]
        shape, _, dtype = read(member)
    size = prod(shape) * dtype.itemsize
    # Pickled objects are not of a known size; they are refused by their type.
    if not dtype.hasobject and size > min(archive.getinfo(name).file_size, MAX_BYTES):
        raise ValueError(f"its header asks for {size:,} bytes")
    return Header(shape, dtype)
