"""Features of a network of the user's own, an ONNX file that onnxruntime runs.

The network takes float32 [N, C, H, W] with pixels in [0, 1], as torchvision's ToTensor
makes them; what else it needs, such as the mean and the standard deviation of ImageNet,
belongs into the file. Its first output, flattened, is the features.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ganjax.errors import UserError, printable
from ganjax.metrics.features import Extractor

BATCH = 64  # images in a call, unless the file fixes their number
Floats = npt.NDArray[np.float32]


def onnx_extractor(path: Path, image_shape: tuple[int, ...]) -> Extractor:
    """The network of a file, for images of this shape (H, W, C).

    Images are resized to the height and width of its input, if it fixes them, by
    bicubic interpolation of float pixels with antialiasing (arXiv:2104.11222). Gray
    images are repeated for a network of color images.

    Raises:
      UserError: no such file or package, or a network of other inputs and outputs.
    """
    where = f"features={printable(path)!r}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{where}: expected an ONNX file, got {error.strerror!r}"
        ) from error
    session = _load(content, where)
    inputs = session.get_inputs()
    shapes = [f"{x.type} {list(x.shape)}" for x in inputs]
    kinds = [(x.type, len(x.shape)) for x in inputs]
    if kinds != [("tensor(float)", 4)]:
        got = ", ".join(shapes) or "none"
        raise UserError(f"{where}: expected one input float32 [N, C, H, W], got {got}")
    height, width, channels = image_shape
    # Sizes that the file leaves open are names, or None.
    batch, wanted, *size = (
        given if isinstance(given, int) else own
        for given, own in zip(
            inputs[0].shape, (BATCH, channels, height, width), strict=True
        )
    )
    if wanted != channels and (channels, wanted) != (1, 3):
        raise UserError(
            f"{where}: expected an input of {channels} channels, got {wanted}"
        )

    def apply(images: npt.NDArray[np.uint8]) -> tuple[Floats, None]:
        n = batch if isinstance(inputs[0].shape[0], int) else len(images)
        x = np.zeros((n, wanted, *size), np.float32)
        x[: len(images)] = resize(images, (size[0], size[1])).transpose(0, 3, 1, 2)
        with _errors_of(where, "expected a network that can be run"):
            output = np.asarray(session.run(None, {inputs[0].name: x})[0], np.float32)
        if output.shape[:1] != (n,):
            got = f"{list(output.shape)} for {n} images"
            raise UserError(f"{where}: expected an output [N, ...], got {got}")
        return output[: len(images)].reshape(len(images), -1), None

    apply(np.zeros((1, *image_shape), np.uint8))  # refused now, not after sampling
    name = hashlib.sha256(content).hexdigest()[:12]
    return Extractor(apply, f"onnx {name}", "_onnx", batch_size=batch)


def _load(content: bytes, where: str) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise UserError(
            f"{where}: needs the package onnxruntime: pip install 'ganjax[onnx]'"
        ) from error
    with _errors_of(where, "expected an ONNX network"):
        return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


@contextmanager
def _errors_of(where: str, expected: str) -> Iterator[None]:
    """Errors of onnxruntime, which are of many kinds, as one line."""
    try:
        yield
    except Exception as error:
        reason = printable(str(error).splitlines()[0])[:200]
        raise UserError(f"{where}: {expected}: {reason}") from error


def resize(images: npt.NDArray[np.uint8], size: tuple[int, int]) -> Floats:
    """uint8 [N, H, W, C] -> float32 [N, *size, C] in [0, 1], within rounding."""
    x: Floats = images.astype(np.float32) / np.float32(255)
    if x.shape[1:3] == size:
        return x
    (height, width), method = size, Image.Resampling.BICUBIC
    channels = [
        np.asarray(Image.fromarray(plane).resize((width, height), method))
        for image in x
        for plane in image.transpose(2, 0, 1)
    ]
    return np.stack(channels).reshape(len(x), -1, *size).transpose(0, 2, 3, 1)
