"""Patches of the color photographs that scikit-learn and scikit-image carry."""

from importlib import resources

import numpy as np
from PIL import Image

from ganjax.data.dataset import DataOptions, Dataset, make_arrays_dataset
from ganjax.data.resize import Resize
from ganjax.errors import UserError

# Package and file. Test patches are of photographs that training never sees.
TRAIN = (
    ("sklearn.datasets.images", "china.jpg"),
    ("skimage.data", "astronaut.png"),
    ("skimage.data", "coffee.png"),
    ("skimage.data", "motorcycle_left.png"),
    ("skimage.data", "rocket.jpg"),
)
TEST = (
    ("sklearn.datasets.images", "flower.jpg"),
    ("skimage.data", "chelsea.png"),
)
REDUCE = 2  # the photographs are shrunk: sharper, and more content in a patch
STRIDE = 8  # pixels between neighboring patches


def load(options: DataOptions) -> Dataset:
    """Overlapping patches of `options.image_shape`, and their mirror images.

    Arrays "images" uint8 [N, H, W, 3], in a random order.

    Raises:
      UserError: scikit-image is not installed, or a patch is larger than a photograph.
    """
    height, width, _ = Resize.of(options).shape
    rng = np.random.default_rng(0)
    splits = []
    for photographs in (TRAIN, TEST):
        patches = [p for place in photographs for p in cut(read(*place), height, width)]
        if not patches:
            raise UserError(
                f"config.data.image_shape={options.image_shape}: expected patches "
                "that fit into photographs of about 300x200 pixels"
            )
        images = np.stack([*patches, *(p[:, ::-1] for p in patches)])
        splits.append({"images": images[rng.permutation(len(images))]})
    source = "photographs in scikit-learn and scikit-image"
    return make_arrays_dataset(*splits, name="photos", source=source)


def read(package: str, name: str) -> np.ndarray:
    """A photograph, uint8 [H, W, 3].

    Raises:
      UserError: the package is not installed.
    """
    try:
        file = resources.files(package) / name
    except ModuleNotFoundError as error:
        raise UserError(
            f"config.data.name='photos': expected the package of {package}, which is "
            "not installed: pip install -e '.[photos]'"
        ) from error
    with file.open("rb") as stream, Image.open(stream) as image:
        return np.asarray(image.convert("RGB").reduce(REDUCE))


def cut(image: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    """Patches of an image, row by row."""
    return [
        image[top : top + height, left : left + width]
        for top in range(0, len(image) - height + 1, STRIDE)
        for left in range(0, image.shape[1] - width + 1, STRIDE)
    ]
