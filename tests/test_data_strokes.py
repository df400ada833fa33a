"""Thickness and slant of drawn strokes, and strokes made thinner and thicker."""

import colorsys

import numpy as np
import pytest

from ganjax.data import inks, make_dataset, strokes


def bar(width, slope=0.0):
    """A bar of some width from row 4 to 23, leaning by `slope` columns per row."""
    fine = np.zeros((28 * 8, 28 * 8))
    columns = (np.arange(28 * 8) + 0.5) / 8
    for row in range(4 * 8, 24 * 8):
        center = 14 + slope * (14 - (row + 0.5) / 8)
        fine[row] = np.abs(columns - center) < width / 2
    blocks = fine.reshape(28, 8, 28, 8).mean((1, 3))
    return np.round(255 * blocks).astype(np.uint8)


@pytest.mark.parametrize("width", [2, 3, 4, 6])
def test_thickness_of_a_bar_is_its_width(width):
    """Up to its ends, which make the mean distance a little smaller."""
    value = strokes.thickness(bar(width)[None])[0]
    assert 0.8 * width < value < 1.1 * width


def test_slant_is_the_slope():
    images = np.stack([bar(2, slope) for slope in (-0.4, 0.0, 0.25)])
    np.testing.assert_allclose(strokes.slant(images), [-0.4, 0.0, 0.25], atol=0.01)
    assert strokes.slant(np.zeros((1, 28, 28), np.uint8)) == 0


def test_edges_move_by_the_pixels_asked_for():
    image = bar(6)
    thinner, same, thicker = strokes.shift_edges(
        np.stack([image] * 3), [-1.0, 0.0, 1.5]
    )
    widths = [x[14].sum() / 255 for x in (thinner, same, thicker)]
    np.testing.assert_allclose(widths, [4, 6, 9], atol=0.3)


def test_thin_strokes_do_not_vanish():
    """At most 60% of the half thickness: 0.6 pixels on either side of 2."""
    (thin,) = strokes.shift_edges(bar(2)[None], -5.0)
    np.testing.assert_allclose(thin[14].sum() / 255, 0.8, atol=0.3)


def test_domains_are_colors_and_thicknesses():
    """Each rendering has the hue and the stroke thickness of its name."""
    digit = np.stack([bar(4)] * len(inks.DOMAINS))[..., None]
    images = inks.render(digit, np.arange(len(inks.DOMAINS)))
    hues = {"red": 0.0, "green": 1 / 3, "blue": 0.61}
    for name, image in zip(inks.DOMAINS, images, strict=True):
        stroke, color = name.split()
        brightest = image.reshape(-1, 3)[image.sum(-1).argmax()] / 255
        hue = colorsys.rgb_to_hsv(*brightest)[0]
        assert abs(hue - hues[color]) < 0.06, name
        (width,) = strokes.thickness(image.max(-1)[None])
        assert abs(width - inks.STROKES[stroke]) < 0.4, name


def test_each_digit_is_in_one_domain_at_random():
    rng = np.random.default_rng(1)
    images = np.stack([bar(w) for w in rng.integers(2, 7, 400)])[..., None]
    digits = np.arange(400) % 10
    mnist = make_dataset(images, digits, images[:50], digits[:50], name="m", source="s")
    dataset = inks.colored_strokes(mnist)
    train = dataset.train
    expected = inks.render(train["sources"], train["labels"])
    np.testing.assert_array_equal(train["images"], expected)
    np.testing.assert_array_equal(train["sources"], images)
    np.testing.assert_array_equal(train["digits"], digits)
    counts = np.bincount(train["labels"], minlength=9)
    error = (400 * 8 / 81) ** 0.5
    assert np.abs(counts - 400 / 9).max() < 4 * error
