"""Transformations of images against NumPy, from numbers that the tests choose."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import double_precision
from jax.test_util import check_grads

from ganjax import transformations
from ganjax.transformations import TRANSFORMATIONS, draw, transform

RANGE = (-1.0, 1.0)
AMOUNTS = {
    "flip": 1.0,
    "brightness": 1.0,
    "saturation": 1.0,
    "contrast": 1.0,
    "translation": 0.25,
    "cutout": 0.5,
}


def images(*shape):
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32)


def apply(name, x, u, amount, pixel_range=RANGE):
    u = jnp.asarray(u, jnp.float32)
    fn = getattr(transformations, name)
    return np.asarray(jax.jit(fn, static_argnums=(2, 3))(x, u, amount, pixel_range))


def every(*nums):
    """Numbers in [0, 1) that choose each pair of integers below `nums` once."""
    pairs = np.stack(np.meshgrid(*map(np.arange, nums), indexing="ij"), -1)
    return pairs.reshape(-1, 2), (pairs.reshape(-1, 2) + 0.5) / nums


@pytest.mark.parametrize("pixel_range,gray", [(RANGE, 0.0), ((0.0, 1.0), 0.5)])
def test_translation_moves_by_whole_pixels_and_fills_with_gray(pixel_range, gray):
    """Up to int(0.25 * 9) = 2 rows and int(0.25 * 7) = 1 column, all 15 pairs."""
    pairs, u = every(5, 3)
    x = images(len(u), 9, 7, 2)
    expected = np.full(x.shape, gray, np.float32)
    for image, before, (down, right) in zip(expected, x, 2 - pairs, strict=True):
        right += -1  # from 2 - pair to 1 - pair
        for i in range(9):
            for j in range(7):
                if 0 <= i + down < 9 and 0 <= j + right < 7:
                    image[i + down, j + right] = before[i, j]
    actual = apply("translation", x, u, 0.25, pixel_range)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("height,width", [(8, 6), (7, 5)])
def test_cutout_makes_a_rectangle_gray_around_any_pixel(height, width):
    """Sides of 4 and 3, or 3 and 2, cut off at the edges as in DiffAugment's code."""
    sides = height // 2, width // 2
    places = height + 1 - sides[0] % 2, width + 1 - sides[1] % 2
    pairs, u = every(*places)
    x = images(len(u), height, width, 3)
    expected = np.array(x)
    for image, center in zip(expected, pairs, strict=True):
        top, left = (max(0, c - s // 2) for c, s in zip(center, sides, strict=True))
        bottom, right = (c - s // 2 + s for c, s in zip(center, sides, strict=True))
        image[top:bottom, left:right] = 0
    actual = apply("cutout", x, u, 0.5)
    np.testing.assert_array_equal(actual, expected)
    gray = (actual == 0).all(-1).sum((1, 2))
    assert gray.max() == sides[0] * sides[1] and gray.min() > 0


def test_colors_are_those_of_diffaugment():
    """Brightness ± 0.5; saturation by 0 to 2, contrast by 0.5 to 1.5; at 1/4 less."""
    u = np.array([[0.0, 0.9], [0.5, 0.9], [0.75, 0.9]])
    x = images(3, 4, 5, 3)
    a, column = np.asarray(x, np.float64), u[:, 0, None, None, None]
    gray, mean = a.mean(-1, keepdims=True), a.mean((1, 2, 3), keepdims=True)
    for amount in (1.0, 0.25):
        expected = {
            "brightness": a + amount * (column - 0.5),
            "saturation": gray + (1 + amount * (2 * column - 1)) * (a - gray),
            "contrast": mean + (1 + amount * (column - 0.5)) * (a - mean),
        }
        for name, values in expected.items():
            actual = apply(name, x, u, amount)
            np.testing.assert_allclose(actual, values, atol=1e-6, err_msg=name)
    black = apply("saturation", x, u, 1.0)[0]  # factor 0
    assert np.ptp(black, axis=-1).max() < 1e-6 < np.ptp(np.asarray(x[0]), axis=-1).min()


def test_saturation_of_gray_images_is_the_identity():
    x, u = images(4, 3, 5, 1), np.random.default_rng(1).random((4, 2))
    np.testing.assert_array_equal(apply("saturation", x, u, 1.0), x)
    x = jnp.tile(x, (1, 1, 1, 3))
    np.testing.assert_allclose(apply("saturation", x, u, 1.0), x, atol=1e-7)


def test_every_second_image_is_flipped():
    x, u = images(4, 3, 5, 2), [[0.0, 0], [0.49, 0], [0.5, 0], [0.99, 0]]
    actual = apply("flip", x, u, 1.0)
    np.testing.assert_array_equal(actual[:2], x[:2, :, ::-1])
    np.testing.assert_array_equal(actual[2:], x[2:])


@functools.partial(jax.jit, static_argnames=("names", "pixel_range"))
def run(x, draws, probability, names=tuple(AMOUNTS), pixel_range=RANGE):
    amounts = {name: AMOUNTS[name] * (name in names) for name in AMOUNTS}
    return transform(x, draws, probability, amounts, pixel_range)


def test_probability_0_changes_no_bit():
    x, draws = images(50, 6, 5, 3), draw(jax.random.key(0), 50)
    np.testing.assert_array_equal(
        np.asarray(run(x, draws, 0.0)).view(np.int32), np.asarray(x).view(np.int32)
    )


@pytest.mark.parametrize("name", AMOUNTS)
def test_probability_is_the_fraction_of_images_that_are_transformed(name):
    """All at 1; at 0.5 and 0.2 those whose first number is below it, and no others."""
    x, draws = images(500, 6, 5, 3), draw(jax.random.key(0), 500)
    first = np.asarray(draws[:, list(TRANSFORMATIONS).index(name), 0])
    changed = run(x, draws, 1.0, names=(name,))
    u = draws[:, list(TRANSFORMATIONS).index(name), 1:]
    np.testing.assert_allclose(changed, apply(name, x, u, AMOUNTS[name]), atol=1e-6)
    for p in (0.5, 0.2):
        applied = first < p
        assert abs(applied.mean() - p) < 0.06
        expected = np.where(applied[:, None, None, None], changed, x)
        actual = run(x, draws, p, names=(name,))
        np.testing.assert_array_equal(actual, expected)


def test_transformations_are_independent_and_in_the_order_of_the_table():
    """Flip, colors, translation, cutout: each with its own numbers."""
    x, draws = images(20, 6, 5, 3), draw(jax.random.key(0), 20)
    expected = x
    for name in TRANSFORMATIONS:
        expected = run(expected, draws, 0.6, names=(name,))
    np.testing.assert_allclose(run(x, draws, 0.6), expected, atol=1e-6)
    applied = np.asarray(draws[..., 0] < 0.6)
    assert len(np.unique(applied, axis=0)) > 8
    assert np.abs(np.corrcoef(np.asarray(draw(jax.random.key(1), 4000))[..., 0].T)
                  - np.eye(len(AMOUNTS))).max() < 0.06  # fmt: skip


def test_the_range_of_the_pixels_does_not_matter():
    x, draws = images(20, 6, 5, 3), draw(jax.random.key(0), 20)
    scaled = run((x + 1) / 2, draws, 0.8, pixel_range=(0.0, 1.0))
    np.testing.assert_allclose(2 * scaled - 1, run(x, draws, 0.8), atol=2e-6)


def test_derivatives_are_those_of_the_transformed_images():
    x, weights = images(3, 4, 4, 3), images(3, 4, 4, 3)[::-1]
    draws = draw(jax.random.key(3), 3).at[..., 0].set(0.1)

    def f(x):
        return jnp.sum(jnp.sin(3 * run(x, draws, 0.5)) * weights)

    check_grads(jax.jit(f), (x,), order=2, modes=("rev",), atol=0.02, rtol=0.02)


def test_types_are_kept():
    x, draws = images(8, 6, 5, 3), draw(jax.random.key(0), 8)
    narrow = run(x.astype(jnp.bfloat16), draws, 0.7)
    assert narrow.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        narrow.astype(jnp.float32), run(x, draws, 0.7), atol=0.03
    )
    with double_precision():
        wide = draw(jax.random.key(0), 8)
        assert wide.dtype == jnp.float32
        assert run(x, wide, 0.7).dtype == jnp.float32
