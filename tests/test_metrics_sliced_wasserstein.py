"""Sliced Wasserstein distance: pyramid, patches, distance and interval."""

import numpy as np
import pytest
import scipy.stats

from ganjax.metrics import sliced_wasserstein as swd
from ganjax.metrics.types import FeatureSet, RealData


def smooth(seed, n, size=16, channels=1, sigma=2.0):
    """Random images, uint8 [N, size, size, C]."""
    noise = np.random.default_rng(seed).normal(size=(n, size, size, channels))
    blurred = scipy.ndimage.gaussian_filter(noise, (0, sigma, sigma, 0))
    return np.clip(128 + 40 * blurred / blurred.std(), 0, 255).astype(np.uint8)


def feature_set(images):
    return FeatureSet(images, np.zeros((len(images), 1), np.float32), None)


def compare(fake, real):
    sets = [feature_set(x) for x in (fake, real)]
    return swd.sliced_wasserstein(sets[0], RealData(sets[1], sets[1], "none"))


@pytest.mark.parametrize("shape,sides", [((64, 64), [64, 32, 16]), ((28, 45), [28])])
def test_levels_of_the_pyramid_add_up_to_the_images(shape, sides):
    images = smooth(0, 3, 64, 2)[:, : shape[0], : shape[1]].astype(np.float32)
    levels = swd.laplacian_pyramid(images)
    assert [min(level.shape[1:3]) for level in levels] == sides
    whole = levels[-1]
    for level in levels[-2::-1]:
        whole = level + swd.enlarge(whole, level.shape)
    np.testing.assert_allclose(whole, images, atol=1e-3)


def test_details_are_what_the_smaller_image_lacks():
    """Of constant images nothing; of single pixels the binomial weights."""
    constant = np.full((1, 33, 32, 1), 7.0, np.float32)
    np.testing.assert_allclose(swd.shrink(constant), 7.0, rtol=1e-6)
    enlarged = swd.enlarge(swd.shrink(constant), constant.shape)
    np.testing.assert_allclose(enlarged, 7.0, rtol=1e-6)
    dot = np.zeros((1, 32, 32, 1), np.float32)
    dot[0, 10, 12] = 256.0
    small = swd.shrink(dot)[0, :, :, 0]
    assert small.shape == (16, 16) and small[5, 6] == 36 and small[4, 6] == 6
    assert small.sum() == 64


def test_patches_are_parts_of_their_images_normalized_by_channel():
    images = smooth(1, 70, 16, 2)
    images[..., 1] //= 3
    found = swd.patches(images, 0)
    assert found.shape == (70, 128, 2, 7, 7)
    np.testing.assert_allclose(found.mean((0, 1, 3, 4)), 0, atol=1e-3)
    np.testing.assert_allclose(found.std((0, 1, 3, 4)), 1, atol=1e-3)
    # A linear function of the pixels of image 66, which is in the second block.
    places = np.lib.stride_tricks.sliding_window_view(images[66], (7, 7), (0, 1))
    own = places.reshape(100, 2, 49).astype(np.float64)
    for channel in range(2):
        patch = found[66, 3, channel].ravel()
        errors = [np.polyfit(x[channel], patch, 1, full=True)[1] for x in own]
        assert min(float(e[0]) if len(e) else np.inf for e in errors) < 1e-6


def test_one_projection_is_the_wasserstein_distance():
    """With a single feature every direction is 1 or -1."""
    rng = np.random.default_rng(2)
    a = rng.normal(size=(300, 4, 1)).astype(np.float32)
    b = rng.gamma(2.0, size=(300, 4, 1)).astype(np.float32)
    found = swd.patch_distance(a, b)
    expected = scipy.stats.wasserstein_distance(a.ravel(), b.ravel())
    assert found.value == pytest.approx(expected, rel=1e-5)
    # In several dimensions, the mean over the projections.
    a, b = rng.normal(size=(2, 50, 4, 2, 3)).astype(np.float32)
    directions = np.random.default_rng(0).normal(size=(3, 6))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distances = [
        scipy.stats.wasserstein_distance(a.reshape(200, 6) @ d, b.reshape(200, 6) @ d)
        for d in directions
    ]
    found = swd.patch_distance(a, b, projections=3).value
    assert found == pytest.approx(np.mean(distances), rel=1e-5)


def test_distance_grows_with_blur_and_vanishes_for_the_same_images():
    real = smooth(3, 40, 32)
    assert compare(real, real)["swd"].value == 0
    values = [compare(smooth(4, 40, 32, sigma=s), real)["swd"].value for s in (2, 3, 5)]
    assert values[0] < values[1] < values[2]
    found = compare(smooth(4, 50, 32), real)
    assert set(found) == {"swd", "swd_32", "swd_16"}
    mean = (found["swd_32"].value + found["swd_16"].value) / 2
    assert found["swd"].value == pytest.approx(mean, rel=1e-9)
    assert found["swd"].n_fake == found["swd"].n_real == 40


def test_interval_is_as_wide_as_the_spread_over_draws():
    """Of images whose patches depend on each other: each has its own contrast."""
    rng = np.random.default_rng(5)

    def draw(mean, n):
        contrast = rng.normal(mean, 0.4, (n, 1, 1))
        return (contrast + rng.normal(size=(n, 8, 4))).astype(np.float32)

    real, values, errors = draw(0.0, 400), [], []
    for _ in range(100):
        found = swd.patch_distance(draw(0.7, 400), real, projections=16)
        values.append(found.value)
        errors.append(found.influence.std(ddof=1) / 400**0.5)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.25)
