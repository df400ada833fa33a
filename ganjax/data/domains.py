"""Two domains of digits for image translation: arrays "a" and "b", with their labels.

Row i of both is unrelated in training. Arrays of a smaller domain are repeated.
"""

import colorsys

import numpy as np
import scipy  # loads its parts on first use, which saves 0.15 s of every start

from ganjax.data.dataset import Dataset, make_arrays_dataset
from ganjax.data.strokes import shear

SLANT = 0.35  # columns per row
RNG_SEED = 0


def uci_digits(mnist: Dataset) -> Dataset:
    """UCI's handwritten digits (a) and MNIST (b), uint8 [N, 28, 28, 1].

    The 1,797 images of 8x8 pixels that scikit-learn carries (E. Alpaydin and C. Kaynak,
    doi:10.24432/C50P49) are enlarged to 20x20, the size of MNIST's digits, on the same
    black border. Every fourth is for testing; as many of MNIST's test images are. For
    training they are repeated until there are as many as MNIST's, each time warped a
    little: a discriminator would memorize 1,348 images.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = enlarge(images.reshape(-1, 8, 8) / 16.0)
    order = np.random.default_rng(RNG_SEED).permutation(len(images))
    test = np.arange(len(order)) % 4 == 3
    train_rows = np.resize(order[~test], len(mnist.train["images"]))
    splits = []
    for rows, digits, prepare in (
        (train_rows, mnist.train, warp),
        (order[test], mnist.test, np.asarray),
    ):
        splits.append(
            {
                "a": prepare(images[rows]),
                "a_labels": labels[rows].astype(np.int32),
                "b": digits["images"][: len(rows)],
                "b_labels": digits["labels"][: len(rows)],
            }
        )
    source = f"scikit-learn and {mnist.identity.source}"
    return make_arrays_dataset(*splits, name="uci_to_mnist", source=source)


def styled_digits(mnist: Dataset) -> Dataset:
    """Digits (a) and styled digits (b), uint8 [N, 28, 28, 3].

    In training the domains share no digit: a has those of even rows, b those of odd
    rows. Row i of both test sets is the same digit.
    """

    def plain(images: np.ndarray) -> np.ndarray:
        return np.repeat(images, 3, axis=-1)

    images, labels = mnist.train["images"], mnist.train["labels"]
    half = len(images) // 2
    even, odd = slice(0, 2 * half, 2), slice(1, 2 * half, 2)
    train = {
        "a": plain(images[even]),
        "a_labels": labels[even],
        "b": style(images[odd]),
        "b_labels": labels[odd],
    }
    images, labels = mnist.test["images"], mnist.test["labels"]
    test = {
        "a": plain(images),
        "a_labels": labels,
        "b": style(images),
        "b_labels": labels,
    }
    source = mnist.identity.source
    return make_arrays_dataset(train, test, name="styled_mnist", source=source)


def enlarge(images: np.ndarray) -> np.ndarray:
    """[N, 8, 8] in [0, 1] -> uint8 [N, 28, 28, 1]: cubic to 20x20, on a border."""
    large = scipy.ndimage.zoom(
        images, (1, 2.5, 2.5), order=3, grid_mode=True, mode="nearest"
    )
    pixels = np.round(np.clip(large, 0, 1) * 255).astype(np.uint8)
    return np.pad(pixels, ((0, 0), (4, 4), (4, 4)))[..., None]


def warp(images: np.ndarray) -> np.ndarray:
    """uint8 [N, 28, 28, 1], each rotated, scaled, sheared and moved by a little.

    Up to 6 degrees, 8% in each direction, 0.1 columns per row and one pixel.
    """
    rng = np.random.default_rng(RNG_SEED)
    angle, slope, *_ = limits = rng.uniform(-1, 1, (6, len(images)))
    scale, shift = 1 + 0.08 * limits[2:4], limits[4:6]
    angle, slope = np.radians(6) * angle, 0.1 * slope
    center = (np.array(images.shape[1:3]) - 1) / 2
    warped = np.empty_like(images[..., 0])
    for i, image in enumerate(images[..., 0]):
        cos, sin = np.cos(angle[i]), np.sin(angle[i])
        rotation = np.array([[cos, -sin], [sin, cos]])
        matrix = rotation @ [[1, 0], [slope[i], 1]] @ np.diag(scale[:, i])
        offset = center - matrix @ (center + shift[:, i])
        warped[i] = scipy.ndimage.affine_transform(image, matrix, offset, order=1)
    return warped[..., None]


def style(images: np.ndarray) -> np.ndarray:
    """Digits uint8 [N, 28, 28, 1], slanted and outlined in color on a texture.

    A shear, an outline (dilation minus erosion) whose hue depends on the row, a dark
    interior, and stripes behind: no filter with one kernel does this.

    Returns:
      uint8 [N, 28, 28, 3].
    """
    digits = shear(images[..., 0] / 255.0, np.full(len(images), SLANT))
    size = (1, 3, 3)
    outer, inner = (
        f(digits, size)
        for f in (scipy.ndimage.grey_dilation, scipy.ndimage.grey_erosion)
    )
    outline = (outer - inner)[..., None]
    rows, columns = np.mgrid[:28, :28]
    hues = np.array(
        [colorsys.hsv_to_rgb(0.05 + 0.7 * y / 27, 0.9, 1.0) for y in range(28)]
    )
    ink = hues[:, None]  # [28, 1, 3]
    stripes = ((rows + 2 * columns) // 4 % 2)[..., None]
    texture = np.where(stripes, [0.10, 0.25, 0.35], [0.05, 0.12, 0.25])
    filled = outer[..., None]
    background = (1 - filled) * texture  # black inside the digit
    styled = background * (1 - outline) + ink * outline
    return np.round(np.clip(styled, 0, 1) * 255).astype(np.uint8)
