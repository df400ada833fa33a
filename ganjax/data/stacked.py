"""Stacked MNIST: a data set with 1,000 modes that can be counted."""

import numpy as np

from ganjax.data.dataset import Dataset, make_arrays_dataset


def stack(digits: Dataset) -> Dataset:
    """Three random digits as red, green and blue (arXiv:1611.02163).

    As many images as `digits` has, with each digit once in each channel; labels are
    int32 [N, 3].
    """
    rng = np.random.default_rng(0)

    def stack_split(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        num = len(arrays["images"])
        rows = np.stack([rng.permutation(num) for _ in range(3)], axis=1)
        images = np.moveaxis(arrays["images"][rows][..., 0], 1, -1)
        return {"images": images, "labels": arrays["labels"][rows]}

    train, test = stack_split(digits.train), stack_split(digits.test)
    source = digits.identity.source
    return make_arrays_dataset(train, test, name="stacked_mnist", source=source)
