"""Stacked MNIST."""

import dataclasses

import numpy as np
import pytest
from helpers import MNIST_DIR

from ganjax import data
from ganjax.data import DataOptions


@pytest.mark.slow
def test_every_digit_occurs_once_in_each_channel(mnist, data_dir):
    options = DataOptions(
        name="stacked_mnist",
        data_dir=str(data_dir),
        manual_dir=MNIST_DIR,
        image_shape=(28, 28, 3),
    )
    stacked = data.load(options)
    for split in ("train", "test"):
        images, base = (getattr(d, split)["images"] for d in (stacked, mnist))
        labels, base_labels = (getattr(d, split)["labels"] for d in (stacked, mnist))
        assert images.shape == (len(base), 28, 28, 3)
        for channel in range(3):
            ink = images[..., channel].sum(axis=(1, 2), dtype=np.int64)
            base_ink = base.sum(axis=(1, 2, 3), dtype=np.int64)
            np.testing.assert_array_equal(np.sort(ink), np.sort(base_ink))
            counts = np.bincount(labels[:, channel])
            np.testing.assert_array_equal(counts, np.bincount(base_labels))
    # Channels are independent: close to uniform over pairs of digits.
    labels = stacked.train["labels"]
    pairs = np.bincount(labels[:, 0] * 10 + labels[:, 1], minlength=100)
    assert 0.4 < pairs.min() / pairs.mean() and pairs.max() / pairs.mean() < 1.8
    assert data.load(options).identity == stacked.identity
    assert stacked.identity.source == mnist.identity.source
    assert dataclasses.replace(stacked.identity, name="") != mnist.identity


def test_labels_are_those_of_the_channels():
    """Images of digit d are all d, so that each pixel shows its channel's label."""
    labels = np.arange(10).repeat(6)
    images = np.zeros((60, 2, 2, 1), np.uint8)
    images[:] = labels[:, None, None, None]
    digits = data.make_dataset(
        images, labels, images[::3], labels[::3], name="digits", source="a test"
    )
    stacked = data.stacked.stack(digits)
    for arrays in (stacked.train, stacked.test):
        for row in range(2):
            pixels = arrays["images"][:, row, row]
            np.testing.assert_array_equal(pixels, arrays["labels"])
    assert len(np.unique(stacked.train["labels"], axis=0)) > 30  # not in step
