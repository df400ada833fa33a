"""Scores of image translation, with classifiers replaced by rules."""

import numpy as np
import pytest

from ganjax.data import make_arrays_dataset
from ganjax.metrics import translation
from ganjax.metrics.intervals import fraction_interval


def bright(values):
    """Images of one color each, uint8 [N, 4, 4, 1]."""
    return np.asarray(values, np.uint8).reshape(-1, 1, 1, 1) * np.ones(
        (1, 4, 4, 1), np.uint8
    )


@pytest.fixture
def by_brightness(monkeypatch):
    """Classifiers for which the label is a tenth (a) or twentieth (b) of the pixel."""
    monkeypatch.setattr(translation, "domain_classifier", lambda dataset, name: name)
    monkeypatch.setattr(translation, "fingerprint", lambda classifier: classifier)

    class Predicted:
        def __init__(self, labels):
            self.digit_logits = np.eye(10)[labels]

    def extract(classifier, images):
        scale = {"a": 10, "b": 20}[classifier]
        return Predicted(np.minimum(images[:, 0, 0, 0] // scale, 9))

    monkeypatch.setattr(translation, "extract", extract)


def test_scores_of_both_directions(by_brightness, monkeypatch):
    monkeypatch.setattr(translation, "BLOCK", 2)
    labels = np.array([1, 2, 3], np.int32)
    arrays = {
        "a": bright([10, 20, 30]),
        "a_labels": labels,
        "b": bright([20, 40, 60]),
        "b_labels": labels,
    }
    dataset = make_arrays_dataset(arrays, arrays, name="x", source="y")

    def translate(a, b):
        """To b it is right up to 5 levels; to a one image is wrong."""
        return np.where(b == 60, 90, b // 2).astype(np.uint8), 2 * a + 5

    estimates, references, _ = translation.evaluate_translation(
        translate, dataset, num=3, paired=True
    )
    value = {name: estimate.value for name, estimate in estimates.items()}
    assert value["accuracy_ab"] == 1 and value["accuracy_ba"] == pytest.approx(2 / 3)
    # Untranslated, 10, 20, 30 are read as 0, 1, 1 in b; 20, 40, 60 as 2, 4, 6 in a.
    assert value["accuracy_ab_untranslated"] == value["accuracy_ba_untranslated"] == 0
    assert references["accuracy_ab"].value == references["accuracy_ba"].value == 1
    assert value["l1_ab"] == pytest.approx(5 / 255)
    assert value["l1_ba"] == pytest.approx(60 / 3 / 255)  # 90 for 30
    assert references["l1_ab"].value == pytest.approx(20 / 255)  # 10, 20, 30 apart
    assert estimates["l1_ab"].n_fake == 3
    assert estimates["accuracy_ba"].features == "a"


def test_channels_are_averaged():
    image = np.array([[[[10, 20, 60]]]], np.uint8)
    assert translation.gray(image).tolist() == [[[[30]]]]
    np.testing.assert_array_equal(translation.gray(image[..., :1]), image[..., :1])


def test_wilson_interval():
    """Wilson (1927) for 9 of 10 and 10 of 10, by its formula with z = 1.96."""
    np.testing.assert_allclose(fraction_interval(9, 10), (0.59585, 0.98212), atol=1e-4)
    np.testing.assert_allclose(fraction_interval(10, 10), (0.72246, 1.0), atol=1e-4)
    low, high = fraction_interval(0, 10)
    assert low == 0 and high == pytest.approx(1 - 0.72246, abs=1e-4)
