"""Nearest neighbors against NumPy, and copies against new images."""

import numpy as np
import pytest

from ganjax.metrics.nearest_neighbors import find_neighbors, memorization_test

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def digits(mnist):
    """4,000 training and 1,000 test images. Shuffled: MNIST's writers change."""
    images = np.concatenate([mnist.train["images"], mnist.test["images"]])
    order = np.random.default_rng(0).permutation(len(images))
    return images[order[:4000]], images[order[4000:5000]]


def closer(found):
    """P(fake < heldout) + P(equal) / 2 of the distances: 0.5 for new images."""
    fake, heldout = found.fake.distances, found.heldout.distances.T
    return (fake < heldout).mean() + (fake == heldout).mean() / 2


def test_neighbors_match_numpy(digits):
    train, test = digits
    queries, references = test[:70], train[:900]
    got = find_neighbors(queries, references, k=3, block=32)
    gaps = queries.reshape(70, 1, -1) / 255.0 - references.reshape(1, 900, -1) / 255.0
    distances = np.sqrt((gaps**2).sum(-1))
    order = np.argsort(distances, 1)[:, :3]
    np.testing.assert_array_equal(got.indices, order)
    expected = np.take_along_axis(distances, order, 1)
    np.testing.assert_allclose(got.distances, expected, rtol=1e-9)
    nearest = find_neighbors(queries, references)
    np.testing.assert_array_equal(nearest.indices, order[:, :1])


def test_memorization_test_separates_copies_from_new_images(digits):
    train, test = digits
    new = memorization_test(test[::2], train, test[1::2])
    assert new.ratio == pytest.approx(1.0, abs=0.08)
    assert closer(new) == pytest.approx(0.5, abs=0.07)
    copies = memorization_test(train[:200], train, test)
    assert copies.ratio == 0.0 and copies.fake.distances.max() == 0.0
    np.testing.assert_array_equal(copies.fake.indices[:, 0], np.arange(200))
    assert closer(copies) == 1.0
    ties = memorization_test(test, train, test)
    assert closer(ties) == pytest.approx(0.5, abs=1e-12)


def test_float_images_are_refused():
    with pytest.raises(ValueError, match="expected uint8"):
        find_neighbors(np.zeros((2, 4)), np.zeros((3, 4), np.uint8))
