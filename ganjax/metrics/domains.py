"""Translation of digits between domains whose true counterparts can be drawn."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ganjax.data import Dataset
from ganjax.data.inks import DOMAINS, render
from ganjax.metrics.classifier import load_classifier
from ganjax.metrics.estimates import fraction_estimate
from ganjax.metrics.translation import accuracy, gray, mean_l1
from ganjax.metrics.types import PIXELS, Estimate, Evaluation

Images = npt.NDArray[np.uint8]
BLOCK = 500  # images translated at once


def evaluate_domains(
    translate: Callable[[Images, npt.NDArray[np.int32]], Any],
    dataset: Dataset,
    num: int,
    seed: int,
) -> Evaluation:
    """Scores of the first `num` test images, each in a random other domain.

    Args:
      translate: images uint8 [B, 28, 28, 3] and domains int32 [B] to images.
      dataset: of ganjax/data/inks.py.
      num: number of test images.
      seed: of the choice of domains.

    Returns:
      `domain_reached`: the nearest of the digit's counterparts in all domains, by mean
      absolute difference, is that of the domain asked for (reference: the inputs, which
      are in another domain); `digit_kept`: the digit is recognized (reference: true
      counterparts); `l1` to the true counterpart (reference: the inputs').
    """
    test = {name: array[:num] for name, array in dataset.test.items()}
    images, own, sources = test["images"], test["labels"], test["sources"]
    shift = np.random.default_rng(seed).integers(1, len(DOMAINS), len(own))
    targets = ((own + shift) % len(DOMAINS)).astype(np.int32)
    translated = np.concatenate(
        [
            np.asarray(translate(images[i : i + BLOCK], targets[i : i + BLOCK]))
            for i in range(0, len(images), BLOCK)
        ]
    )
    counterparts = [
        render(sources, np.full(len(sources), domain)) for domain in range(len(DOMAINS))
    ]
    truth = np.stack(counterparts)[targets, np.arange(len(targets))]
    digits = dataset.train["digits"]
    identity = f"{dataset.identity.sha256}-digits"
    classifier = load_classifier(gray(dataset.train["images"]), digits, identity)
    estimates = {
        "domain_reached": reached(translated, counterparts, targets),
        "digit_kept": accuracy(classifier, translated, test["digits"]),
        "l1": mean_l1(translated, truth),
    }
    references = {
        "domain_reached": reached(images, counterparts, targets),
        "digit_kept": accuracy(classifier, truth, test["digits"]),
        "l1": mean_l1(images, truth),
    }
    return Evaluation(estimates, references, {})


def reached(
    images: Images, counterparts: list[Images], targets: npt.NDArray[np.int32]
) -> Estimate:
    """The fraction of images nearest to their counterpart in the target domain."""
    gaps = [
        np.abs(images.astype(np.float32) - other).mean((1, 2, 3))
        for other in counterparts
    ]
    protocol = "nearest counterpart is that of the target; ci: Wilson, images"
    return fraction_estimate(np.argmin(gaps, axis=0) == targets, protocol, PIXELS)
