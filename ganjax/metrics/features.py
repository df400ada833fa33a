"""Features of images: what computes them is data, an `Extractor`.

A metric on features depends on them: every result carries the `fingerprint` of its
extractor, and results of two extractors must not be compared (arXiv:1801.01973 shows
this for Inception).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ganjax.metrics.pairwise import blocks
from ganjax.metrics.types import FeatureSet, Halves, RealData

HALVES_SEED = 0


@dataclass(frozen=True, eq=False)
class Extractor:
    """A function of images with its name.

    `apply` takes images uint8 [B, H, W, C] and returns features float32 [B, D], and the
    logits [B, C, 10] of a digit classifier or None.
    """

    apply: Callable[[np.ndarray], tuple[Any, Any]]
    fingerprint: str  # identifies the function in results
    suffix: str = ""  # of the names of FID and KID, e.g. "_random"
    size: tuple[int, int] | None = None  # the only height and width; None: any
    batch_size: int = 1000  # images in a call


def extract(
    extractor: Extractor, images: npt.ArrayLike, labels: npt.ArrayLike | None = None
) -> FeatureSet:
    """Features of images uint8 [N, H, W, C].

    Raises:
      ValueError: images of another type or shape, or not as many labels.
    """
    x, y = np.asarray(images), None if labels is None else np.asarray(labels)
    size = extractor.size
    known = x.ndim == 4 and size in (None, x.shape[1:3])
    if x.dtype != np.uint8 or not known or not len(x):
        height, width = size or ("H", "W")
        raise ValueError(
            f"images: expected uint8 [N, {height}, {width}, C], got {x.dtype} "
            f"{list(x.shape)}"
        )
    if y is not None and y.shape[:1] != x.shape[:1]:
        raise ValueError(f"labels: expected {len(x)}, got {list(y.shape)}")
    outputs = [extractor.apply(block) for _, block in blocks(x, extractor.batch_size)]
    features, logits = (
        None if parts[0] is None else np.concatenate([np.asarray(p) for p in parts])
        for parts in zip(*outputs, strict=True)
    )
    assert features is not None  # for the type checker
    return FeatureSet(
        x, features[: len(x)], None if logits is None else logits[: len(x)], y
    )


def extract_real(
    extractor: Extractor,
    train: Mapping[str, npt.ArrayLike],
    test: Mapping[str, npt.ArrayLike],
) -> RealData:
    """Feature sets of training and test arrays: `images` and, where known, `labels`."""
    train_set = extract(extractor, train["images"], train.get("labels"))
    test_set = extract(extractor, test["images"], test.get("labels"))
    return RealData(train_set, test_set, extractor.fingerprint, extractor.suffix)


def halve(real: RealData) -> RealData:
    """The same with random halves of all images, for data with few test images.

    Generated images are compared with one half, and for reference the other half is.
    """
    both = [
        np.concatenate([getattr(real.train, name), getattr(real.test, name)])
        for name in ("images", "features")
    ]
    total = len(both[0])
    order = np.random.default_rng(HALVES_SEED).permutation(total)
    sets = [
        FeatureSet(both[0][rows], both[1][rows], None)
        for rows in (order[: total // 2], order[total // 2 : total // 2 * 2])
    ]
    return replace(real, halves=Halves(*sets))
