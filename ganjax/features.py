"""The features that metrics of a data set use, and the real images to compare with."""

from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np

from ganjax import metrics
from ganjax.data.dataset import Dataset
from ganjax.errors import UserError
from ganjax.metrics.classifier import Params
from ganjax.metrics.features import Extractor, halve
from ganjax.metrics.onnx_features import onnx_extractor
from ganjax.metrics.random_features import MIN_SIZE, random_extractor
from ganjax.metrics.suite import MIN_IMAGES
from ganjax.metrics.types import FeatureSet, RealData
from ganjax.options import convert

Rows = TypeVar("Rows", FeatureSet, np.ndarray)
MIN_TEST = 1000  # test images; where they are fewer, training images are added


class Name:
    """What the option `features` may be; see `load_extractor`."""

    def __contains__(self, value: str) -> bool:
        return value in ("auto", "digits", "random") or value.endswith(".onnx")

    def __str__(self) -> str:
        return "that is auto, digits, random or FILE.onnx"


Features = Annotated[str, Name()]


def load_extractor(dataset: Dataset, features: str = "auto") -> Extractor:
    """What computes the features of a data set's images.

    Args:
      dataset: with "images".
      features: "digits", the digit classifier; "random", a random network; a path that
        ends in .onnx; "auto": the digit classifier where it applies, else random.

    Raises:
      UserError: data without images, or features that do not apply to them.
    """
    convert(features, Features, "config.features")
    if features == "digits" or (features == "auto" and has_digits(dataset)):
        return metrics.digit_extractor(load_classifier(dataset))
    images = dataset.train.get("images", np.zeros(0))
    pixels = images.dtype == np.uint8 and images.ndim == 4
    if not pixels or min(images.shape[1:3]) < MIN_SIZE:
        raise UserError(
            f"config.data.name={dataset.identity.name!r}: expected uint8 images of "
            f"{MIN_SIZE}x{MIN_SIZE} pixels or more, which the metrics need; to train "
            "without metrics, pass --config.evaluate_every=0"
        )
    shape = tuple(images.shape[1:])
    if features.endswith(".onnx"):
        return onnx_extractor(Path(features).expanduser(), shape)
    return random_extractor(shape)


def load_real(extractor: Extractor, dataset: Dataset) -> RealData:
    """The features of a data set's images.

    Where few are for testing, generated images are compared with a half of all, except
    by the digit classifier.

    Raises:
      UserError: too few images.
    """
    kept = dataset.in_memory()
    check_number(extractor, kept)
    real = metrics.extract_real(extractor, kept.train, kept.test)
    if not extractor.suffix or len(real.test) >= MIN_TEST:
        return real
    return halve(real)


def check_number(extractor: Extractor, dataset: Dataset) -> None:
    """Checks that there are images enough, in all or, for digits, of each split.

    Raises:
      UserError: there are not.
    """
    train, test = (len(x["images"]) for x in (dataset.train, dataset.test))
    if extractor.suffix:
        enough = test and train + test >= 2 * MIN_IMAGES
        expected = f"{2 * MIN_IMAGES} images or more, some of them for testing"
    else:
        enough = min(train, test) >= MIN_IMAGES
        expected = f"{MIN_IMAGES} images or more both for training and for testing"
    if not enough:
        raise UserError(
            f"config.data.name={dataset.identity.name!r}: expected {expected}, which "
            f"the metrics need, got {train} and {test}; to train without metrics, pass "
            "--config.evaluate_every=0"
        )


def has_digits(dataset: Dataset) -> bool:
    """Whether images are of 28x28 pixels with one of two to ten classes per channel."""
    images, labels = (dataset.train.get(k, np.zeros(0)) for k in ("images", "labels"))
    digits = images.dtype == np.uint8 and images.shape[1:3] == (28, 28)
    classes = images.shape[3:] == (labels.shape[1:] or (1,))
    return digits and classes and 0 < int(labels.max(initial=0)) < 10


def load_classifier(dataset: Dataset) -> Params:
    """The digit classifier for a data set, from the cache or trained now.

    Of stacked digits it is trained on the first channel and applied to each.

    Raises:
      UserError: not `has_digits`.
    """
    if not has_digits(dataset):
        raise UserError(
            f"config.data.name={dataset.identity.name!r}: expected uint8 images of "
            "28x28 pixels in two to ten classes, of each channel, which the metrics' "
            "classifier needs; to train without metrics, pass --config.evaluate_every=0"
        )
    train, sha256 = dataset.in_memory().train, dataset.identity.sha256
    images, labels = train["images"], train["labels"]
    first = labels if labels.ndim == 1 else labels[:, 0]
    return metrics.load_classifier(images[..., :1], first, sha256)


def comparable(fake: Rows, real: RealData) -> Rows:
    """Random ones of generated images, as many as there are real ones for reference.

    FID depends on the numbers of images, and halved data are few.
    """
    if not real.halves:
        return fake
    order = np.random.default_rng(0).permutation(len(fake))
    return fake[order[: len(real.halves.reference)]]
