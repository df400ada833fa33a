"""Features of a network of the user's own, an ONNX file that onnxruntime runs.

The network takes float32 [N, C, H, W] with pixels in [0, 1], as torchvision's ToTensor
makes them; what else it needs, such as the mean and the standard deviation of ImageNet,
belongs into the file. Its first output, flattened, is the features.
"""

import hashlib
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
    image = inputs[0].shape
    channels = image_shape[-1]
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(image) != 4:
        raise UserError(
            f"{where}: expected one input float32 [N, C, H, W], got {', '.join(shapes)}"
        )
    wanted = image[1] if isinstance(image[1], int) else channels
    if wanted != channels and channels != 1:
        raise UserError(
            f"{where}: expected an input of {channels} channels, got {wanted}"
        )
    fixed = all(isinstance(x, int) for x in image[2:])
    height, width = image[2:] if fixed else image_shape[:2]

    def apply(images: npt.NDArray[np.uint8]) -> tuple[Floats, None]:
        x = resize(images, (height, width)).transpose(0, 3, 1, 2)
        x = np.ascontiguousarray(np.broadcast_to(x, (len(x), wanted, *x.shape[2:])))
        output = np.asarray(session.run(None, {inputs[0].name: x})[0], np.float32)
        if output.shape[:1] != (len(x),):
            got = f"{list(output.shape)} for {len(x)} images"
            raise UserError(f"{where}: expected an output [N, ...], got {got}")
        return output.reshape(len(x), -1), None

    batch = image[0] if isinstance(image[0], int) else BATCH
    name = hashlib.sha256(content).hexdigest()[:12]
    return Extractor(apply, f"onnx {name}", "_onnx", batch_size=batch)


def _load(content: bytes, where: str) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise UserError(
            f"{where}: needs the package onnxruntime: pip install 'ganjax[onnx]'"
        ) from error
    try:
        return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own, of many kinds
        reason = printable(str(error).splitlines()[0])[:200]
        raise UserError(f"{where}: expected an ONNX network: {reason}") from error


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
