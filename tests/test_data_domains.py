"""Domains of digits: where the images come from, and what the style does."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from ganjax.data import domains, make_dataset, strokes

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def digits():
    """500 images for training and 460 for testing, labeled by their number mod 10."""
    parts = [RNG.integers(0, 256, (n, 28, 28, 1), np.uint8) for n in (500, 460)]
    labels = [np.arange(len(images)) % 10 for images in parts]
    return make_dataset(
        parts[0], labels[0], parts[1], labels[1], name="mnist", source="noise"
    )


def test_uci_digits_are_scikit_learns_and_their_splits_are_disjoint(
    digits, monkeypatch
):
    monkeypatch.setattr(domains, "warp", lambda images: images.copy())
    dataset = domains.uci_digits(digits)
    assert len(dataset.train["a"]) == 500 and len(dataset.test["a"]) == 449
    np.testing.assert_array_equal(dataset.train["b"], digits.train["images"])
    np.testing.assert_array_equal(dataset.test["b"], digits.test["images"][:449])
    images, labels = load_digits(return_X_y=True)
    large = domains.enlarge(images.reshape(-1, 8, 8) / 16)
    known = {image.tobytes(): label for image, label in zip(large, labels, strict=True)}
    seen = [
        {image.tobytes() for image in split["a"]}
        for split in (dataset.train, dataset.test)
    ]
    assert not seen[0] & seen[1]
    for split in (dataset.train, dataset.test):
        found = [known[image.tobytes()] for image in split["a"]]
        np.testing.assert_array_equal(found, split["a_labels"])


def test_warped_digits_differ_from_one_another_by_a_little():
    image = domains.enlarge(load_digits(return_X_y=True)[0][:1].reshape(-1, 8, 8) / 16)
    warped = domains.warp(np.repeat(image, 200, 0))[..., 0] / 255
    assert len(np.unique(warped.reshape(200, -1), axis=0)) == 200
    mass = warped.sum((1, 2))
    np.testing.assert_allclose(mass.mean() / (image / 255).sum(), 1, atol=0.03)
    assert 0.03 < mass.std() / mass.mean() < 0.1  # a scale of 8% in each direction
    rows, columns = np.indices((28, 28))
    for place in (rows, columns):
        center = (warped * place).sum((1, 2)) / mass
        assert 0.4 < center.std() < 0.8  # uniform in ±1: 0.58
        assert np.abs(center - center.mean()).max() < 1.5


def test_enlarging_keeps_means_and_adds_a_border_of_four_pixels():
    image = np.zeros((1, 8, 8))
    image[0, 2:6, 2:6] = 1.0
    large = domains.enlarge(image)[0, ..., 0]
    assert large[:4].max() == large[-4:].max() == large[:, :4].max() == 0
    assert large[12:16, 12:16].min() > 220
    np.testing.assert_allclose(large[4:24, 4:24].mean() / 255, 16 / 64, atol=0.01)


def test_training_domains_of_the_styled_digits_share_no_digit(digits):
    dataset = domains.styled_digits(digits)
    images = digits.train["images"]
    np.testing.assert_array_equal(dataset.train["a"][..., 1:2], images[::2])
    np.testing.assert_array_equal(dataset.train["b"], domains.style(images[1::2]))
    np.testing.assert_array_equal(dataset.train["b_labels"], np.arange(1, 500, 2) % 10)
    test = digits.test["images"]
    np.testing.assert_array_equal(dataset.test["a"][..., :1], test)
    np.testing.assert_array_equal(dataset.test["b"], domains.style(test))


def test_shear_moves_rows_in_proportion_to_their_height():
    image = np.zeros((1, 28, 28))
    image[0, :, 10] = 1.0
    moved = strokes.shear(image, np.array([domains.SLANT]))[0]
    centers = (moved * np.arange(28)).sum(1) / moved.sum(1)
    expected = 10 + domains.SLANT * (13.5 - np.arange(28))
    np.testing.assert_allclose(centers, expected, atol=1e-9)
    np.testing.assert_allclose(moved.sum(1), 1)


def test_style_draws_a_colored_outline_around_a_black_interior():
    image = np.zeros((1, 28, 28, 1), np.uint8)
    image[0, 4:24, 9:19] = 255  # a bar of 10 pixels
    styled = domains.style(image)[0].astype(int)
    assert styled[13:15, 12:16].max() == 0  # inside
    # The edge has the hue of its row: warm at the top, blue at the bottom.
    top, bottom = styled[5, 9:22], styled[22, 5:18]
    assert top[:, 0].max() > 230 and bottom[:, 2].max() > 230
    assert top[top[:, 0].argmax(), 2] < 60 and bottom[bottom[:, 2].argmax(), 0] < 120
    corner = styled[:4, :4].reshape(-1, 3)
    assert 0 < corner.max() < 100 and len(np.unique(corner, axis=0)) == 2  # stripes
