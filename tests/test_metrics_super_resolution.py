"""PSNR by hand, SSIM beside scikit-image, and the evaluation of an enlargement."""

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import structural_similarity

from ganjax.data import make_arrays_dataset
from ganjax.metrics import super_resolution

RNG = np.random.default_rng(0)


def test_psnr_of_a_known_error():
    truth = np.zeros((2, 4, 4, 1), np.uint8)
    images = truth.copy()
    images[0] = 51  # an error of 0.2 everywhere: −10 log10 0.04
    values = super_resolution.psnr(images, truth)
    np.testing.assert_allclose(values[0], 13.9794, rtol=1e-4)
    # Equal images: one level in one of 16 pixels.
    np.testing.assert_allclose(values[1], 10 * np.log10(255**2 * 16), rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_that_of_scikit_image(channels):
    truth = RNG.integers(0, 256, (3, 28, 30, channels), np.uint8)
    noise = RNG.normal(0, [[[[10]]], [[[40]]], [[[0]]]], truth.shape)
    images = np.clip(truth + noise, 0, 255).astype(np.uint8)
    expected = [
        structural_similarity(
            x,
            y,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
        )
        for x, y in zip(images, truth, strict=True)
    ]
    values = super_resolution.ssim(images, truth)
    np.testing.assert_allclose(values, expected, rtol=1e-3)
    np.testing.assert_allclose(values[2], 1, rtol=1e-12)


def test_interpolation_enlarges_by_squares_or_smoothly():
    low = np.array([[[[0], [200]]]], np.uint8)
    nearest = super_resolution.interpolate(low, 2, Image.Resampling.NEAREST)
    assert nearest[0, :, :, 0].tolist() == [[0, 0, 200, 200]] * 2
    cubic = super_resolution.interpolate(low, 2, Image.Resampling.BICUBIC)
    row = cubic[0, 0, :, 0].astype(int)
    assert cubic.shape == (1, 2, 4, 1) and (np.diff(row) >= 0).all()
    # The cubic kernel overshoots at the ends, and is symmetric about the middle.
    assert row[1] + row[2] == 200 and row[3] > 200


def test_a_perfect_enlargement_has_the_best_scores(monkeypatch):
    """Color images, which have no classifier and therefore no FID."""
    monkeypatch.setattr(super_resolution, "BLOCK", 3)
    images = RNG.integers(0, 256, (5, 16, 16, 3), np.uint8)
    dataset = make_arrays_dataset(
        {"images": images}, {"images": images}, name="x", source="y"
    )
    seen = []

    def enlarge(low, key):
        start = sum(seen)
        seen.append(len(low))
        expected = images[start : start + len(low)].reshape(-1, 4, 4, 4, 4, 3)
        np.testing.assert_array_equal(low, np.round(expected.mean((2, 4))))
        return images[start : start + len(low)]

    estimates, references, _ = super_resolution.evaluate_super_resolution(
        enlarge, dataset, factor=4, num=5, seed=0
    )
    assert seen == [3, 2]
    assert estimates["ssim"].value == pytest.approx(1)
    assert estimates["psnr"].value > 60 > references["psnr"].value
    assert estimates["sharpness"].value == references["sharpness"].value
    assert estimates.keys() == references.keys()
    low = images.reshape(5, 4, 4, 4, 4, 3).mean((2, 4)).round().astype(np.uint8)
    nearest = low.repeat(4, 1).repeat(4, 2)
    expected = super_resolution.psnr(nearest, images).mean()
    assert estimates["nearest_psnr"].value == pytest.approx(expected)
