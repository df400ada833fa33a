"""Image translation between two domains of digits: is the digit still the same?

Translated digits are read by a classifier that was trained on the domain that they are
translated to. Images of three channels are classified by the mean of their channels.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ganjax.data import Dataset
from ganjax.metrics.classifier import Params, extract, fingerprint, load_classifier
from ganjax.metrics.estimates import fraction_estimate, mean_estimate
from ganjax.metrics.types import Estimate, Evaluation

Images = npt.NDArray[np.uint8]
BLOCK = 500  # images translated at once


def evaluate_translation(
    translate: Callable[[Images, Images], tuple[Any, Any]],
    dataset: Dataset,
    num: int,
    paired: bool,
) -> Evaluation:
    """Scores of both directions on the first `num` test images.

    Args:
      translate: images of a and of b, uint8 [B, H, W, C] each, to images of a made from
        those of b and images of b made from those of a.
      dataset: arrays "a", "a_labels", "b", "b_labels".
      num: number of test images of each domain.
      paired: whether row i of both test sets is the same digit.

    Returns:
      For "ab" and "ba": `accuracy`, the fraction of translated digits that are
      recognized in the other domain (reference: that of real images there), and
      `accuracy_untranslated`; of paired test sets `l1`, the mean absolute difference to
      the true counterpart on the scale of [0, 1] (reference: of the untranslated).
    """
    test = {name: array[:num] for name, array in dataset.test.items()}
    to_a, to_b = in_blocks(translate, test["a"], test["b"])
    directions = {
        "ab": (test["a"], to_b, test["a_labels"], "b"),
        "ba": (test["b"], to_a, test["b_labels"], "a"),
    }
    estimates: dict[str, Estimate] = {}
    references: dict[str, Estimate] = {}
    for name, (source, translated, labels, target) in directions.items():
        classifier = domain_classifier(dataset, target)
        for suffix, images in (("", translated), ("_untranslated", source)):
            key = f"accuracy_{name}{suffix}"
            estimates[key] = accuracy(classifier, images, labels)
            references[key] = accuracy(
                classifier, test[target], test[f"{target}_labels"]
            )
        if paired:
            estimates[f"l1_{name}"] = mean_l1(translated, test[target])
            references[f"l1_{name}"] = mean_l1(source, test[target])
    return Evaluation(estimates, references, {})


def in_blocks(
    translate: Callable[[Images, Images], tuple[Any, Any]], a: Images, b: Images
) -> tuple[Images, Images]:
    """`translate` of all images, a block at a time."""
    parts = [
        translate(a[i : i + BLOCK], b[i : i + BLOCK]) for i in range(0, len(a), BLOCK)
    ]
    first, second = ([np.asarray(x) for x in side] for side in zip(*parts, strict=True))
    return np.concatenate(first), np.concatenate(second)


def domain_classifier(dataset: Dataset, domain: str) -> Params:
    """A classifier of the digits of a domain, from the cache or trained now."""
    identity = f"{dataset.identity.sha256}-{domain}"
    labels = dataset.train[f"{domain}_labels"]
    return load_classifier(gray(dataset.train[domain]), labels, identity)


def gray(images: Images) -> Images:
    """uint8 [N, H, W, C] -> [N, H, W, 1]: the mean of the channels."""
    if images.shape[-1] == 1:
        return images
    return np.round(images.mean(-1, keepdims=True)).astype(np.uint8)


def accuracy(classifier: Params, images: Images, labels: np.ndarray) -> Estimate:
    """The fraction of images that the classifier assigns to their label."""
    predicted = extract(classifier, gray(images)).digit_logits.argmax(1)
    protocol = "digits recognized; ci: Wilson, images as independent"
    return fraction_estimate(predicted == labels, protocol, fingerprint(classifier))


def mean_l1(images: Images, truth: Images) -> Estimate:
    """Mean absolute difference of pixels on the scale of [0, 1]."""
    gaps = np.abs(images.astype(np.float32) - truth) / 255
    protocol = "mean absolute difference to the truth; ci: images as independent"
    values = gaps.reshape(len(gaps), -1).mean(1)
    return mean_estimate(values, protocol, len(truth), low=0.0)
