"""Patches of photographs: where they come from, and that splits share none."""

import numpy as np
import pytest

import ganjax
from ganjax.data import DataOptions, photos


def test_patches_are_cut_from_the_photographs_row_by_row():
    image = np.arange(20 * 30 * 3).reshape(20, 30, 3)
    patches = photos.cut(image, 10, 12)
    assert len(patches) == 2 * 3  # rows 0, 8; columns 0, 8, 16
    np.testing.assert_array_equal(patches[4], image[8:18, 8:20])


@pytest.mark.slow
def test_patches_and_mirror_images_of_other_photographs_than_in_training():
    dataset = photos.load(DataOptions(name="photos", image_shape=(48, 48, 3)))
    for split, photographs in (("train", photos.TRAIN), ("test", photos.TEST)):
        images = getattr(dataset, split)["images"]
        assert images.dtype == np.uint8 and images.shape[1:] == (48, 48, 3)
        own = [
            p for place in photographs for p in photos.cut(photos.read(*place), 48, 48)
        ]
        assert len(images) == 2 * len(own)
        present = {x.tobytes() for x in images}
        for patch in own[:: len(own) // 50]:
            assert patch.tobytes() in present and patch[:, ::-1].tobytes() in present
    again = photos.load(DataOptions(name="photos", image_shape=(48, 48, 3)))
    assert again.identity == dataset.identity


def test_too_large_patches_and_missing_packages_are_reported():
    with pytest.raises(ganjax.UserError, match=r"image_shape=\(600, 600, 3\)"):
        photos.load(DataOptions(name="photos", image_shape=(600, 600, 3)))
    with pytest.raises(ganjax.UserError, match=r"image_shape=\(28, 28\)"):
        photos.load(DataOptions(name="photos", image_shape=(28, 28)))
    with pytest.raises(ganjax.UserError, match="pip install"):
        photos.read("no_such_package.data", "x.png")
