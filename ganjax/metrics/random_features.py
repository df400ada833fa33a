"""Features of a fixed random convolutional network, for images of any kind.

Untrained features separate distributions of images where no trained ones fit
(arXiv:2002.09797, section 4, with a random VGG). Nothing here is learned or loaded, so
every machine has the same network. experiments/feature_scores.py compares its numbers
with those of the digit classifier.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from ganjax.metrics.classifier import fingerprint
from ganjax.metrics.features import Extractor

MIN_SIZE = 8  # pixels, of the shorter side
SMALLEST = 4  # pixels, of the shorter side of the last stage
KERNEL = 3
PIXELS_AT_ONCE = 2**20
Kernels = tuple[jax.Array, ...]


class Design(NamedTuple):
    """What the network computes."""

    width: int = 128  # of the last stage; each before has half as many, at least 8
    spread: bool = True  # the standard deviation over pixels beside the mean
    cells: int = 0  # per side, into which the last stage is pooled in addition
    size: int = 0  # pixels per side that images are resized to; 0: as they are


DESIGN = Design()


def random_extractor(
    image_shape: tuple[int, ...], design: Design = DESIGN
) -> Extractor:
    """The network for images uint8 [B, H, W, C] of this shape (H, W, C).

    Stages of convolution and ReLU halve the image down to 4 pixels. The features are
    the mean and the standard deviation of every channel of every stage over pixels.

    Raises:
      ValueError: images of fewer than 8 pixels in height or width.
    """
    height, width, channels = image_shape
    if min(height, width) < MIN_SIZE:
        raise ValueError(f"images: expected {MIN_SIZE}x{MIN_SIZE} pixels or more")
    kernels = make_kernels(design, design.size or min(height, width), channels)
    names = {f"{design[1:]}{i}": kernel for i, kernel in enumerate(kernels)}
    apply = partial(_apply, design, tuple(jnp.asarray(kernel) for kernel in kernels))
    batch = max(1, min(1000, PIXELS_AT_ONCE // (height * width)))
    name = f"random {fingerprint(names)}"
    return Extractor(apply, name, "_random", batch_size=batch)


def make_kernels(
    design: Design, size: int, channels: int
) -> list[npt.NDArray[np.float32]]:
    """He-normal [3, 3, inputs, outputs] each; `size` is the image's shorter side."""
    kernels, inputs = [], channels
    stages = 0
    while -(-size // 2**stages) > SMALLEST:
        stages += 1
    for stage in range(stages):
        outputs = max(8, design.width >> (stages - 1 - stage))
        shape = (KERNEL, KERNEL, inputs, outputs)
        scale = np.sqrt(2 / (KERNEL * KERNEL * inputs))
        kernels.append((scale * normal(shape, seed=stage)).astype(np.float32))
        inputs = outputs
    return kernels


def normal(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float64]:
    """Standard normal numbers, the same in every version of NumPy (Box and Muller).

    NumPy guarantees the bits of PCG64, but not what `Generator.normal` makes of them
    (its NEP 19).
    """
    num = int(np.prod(shape))
    bits = np.random.PCG64(seed).random_raw(2 * num) >> np.uint64(11)
    u, v = ((bits + 0.5) * 2.0**-53).reshape(2, num)  # in (0, 1)
    return (np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)).reshape(shape)


@partial(jax.jit, static_argnums=0)
def _apply(
    design: Design, kernels: Kernels, images: jax.Array
) -> tuple[jax.Array, None]:
    """Features [B, D]; they are no logits."""
    x = images.astype(jnp.float32) / 127.5 - 1
    if design.size:
        shape = (len(x), design.size, design.size, x.shape[-1])
        x = jax.image.resize(x, shape, "cubic")
    features = []
    for kernel in kernels:
        x = jax.lax.conv_general_dilated(
            x,
            kernel,
            (2, 2),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=jax.lax.Precision.HIGHEST,  # no TF32, bf16
        )
        x = jax.nn.relu(x)
        features.append(x.mean((1, 2)))
        if design.spread:
            features.append(x.std((1, 2)))
    if design.cells:
        shape = (len(x), design.cells, design.cells, x.shape[-1])
        features.append(jax.image.resize(x, shape, "linear").reshape(len(x), -1))
    return jnp.concatenate(features, axis=1), None
