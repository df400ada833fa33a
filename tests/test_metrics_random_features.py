"""The random network: the same everywhere, and its arithmetic against SciPy."""

import numpy as np
import pytest
import scipy

from ganjax import metrics
from ganjax.metrics.random_features import (
    Design,
    make_kernels,
    normal,
    random_extractor,
)

NARROW = Design(width=16)


def images(n, *shape):
    return np.random.default_rng(0).integers(0, 256, (n, *shape), np.uint8)


def test_the_network_is_the_same_everywhere():
    """Recorded once; other weights would be another metric of the same name."""
    assert random_extractor((28, 28, 1)).fingerprint == "random 6471cc8a47a5"
    assert random_extractor((64, 64, 3)).fingerprint == "random bacc46b2196a"
    kernels = [x.shape for x in make_kernels(Design(), 65, 3)]
    assert [shape[-1] for shape in kernels] == [8, 16, 32, 64, 128]
    assert kernels[1] == (3, 3, 8, 16)
    drawn = normal((3,), seed=0)
    np.testing.assert_allclose(
        drawn, [0.944668341958920, 0.626686739502863, 2.157402648174501], rtol=1e-12
    )
    many = normal((20_000,), seed=1)
    assert scipy.stats.kstest(many, "norm").pvalue > 0.01


def test_features_are_moments_of_the_channels_of_every_stage():
    x = images(3, 8, 9, 2)
    found = metrics.extract(random_extractor((8, 9, 2), NARROW), x)
    (kernel,) = make_kernels(NARROW, 8, 2)
    assert kernel.std() == pytest.approx((2 / 18) ** 0.5, rel=0.1)
    # Stride 2 with padding as TensorFlow pads: even sizes only behind, odd ones evenly.
    padded = np.pad(x / 127.5 - 1, ((0, 0), (0, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    stage = np.einsum("nhwcij,ijco->nhwo", windows[:, ::2, ::2], kernel).clip(0)
    assert stage.shape == (3, 4, 5, 16)
    expected = np.concatenate([stage.mean((1, 2)), stage.std((1, 2))], axis=1)
    np.testing.assert_allclose(found.features, expected, rtol=1e-4, atol=1e-5)
    assert found.logits is None
    with pytest.raises(ValueError, match="expected features of the digit classifier"):
        _ = found.digit_logits


def test_features_do_not_depend_on_the_other_images():
    extractor, x = random_extractor((16, 16, 1)), images(5, 16, 16, 1)
    whole = metrics.extract(extractor, x).features
    np.testing.assert_allclose(
        metrics.extract(extractor, x[3:]).features, whole[3:], rtol=1e-5, atol=1e-6
    )


def test_small_images_are_refused():
    with pytest.raises(ValueError, match="expected 8x8 pixels or more"):
        random_extractor((7, 20, 3))
