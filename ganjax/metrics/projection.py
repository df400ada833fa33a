"""Memorization test: how closely the generator can make training and test images.

What it has memorized it makes more closely than images that it has not seen. Unlike the
nearest neighbors of samples, this also finds what is memorized but seldom sampled.
"""

from typing import NamedTuple

import jax
import numpy as np
import numpy.typing as npt

from ganjax.data import Dataset
from ganjax.gan import Variables
from ganjax.gans.standard import Standard
from ganjax.metrics.intervals import normal_interval
from ganjax.metrics.types import PIXELS, Estimate
from ganjax.projection import Search, project

NUM_IMAGES = 300  # of each kind
SEARCH = Search(starts=2, steps=20)  # a comparison does not need the best minimum
DRAWS = 1000
PROTOCOL = "median RMS of projections, train / test (< 1 memorized); ci: bootstrap"


class Comparison(NamedTuple):
    """A ratio of two kinds of images, and the same of the halves of one kind."""

    ratio: Estimate
    reference: Estimate


def projection(
    gan: Standard, g: Variables, dataset: Dataset, num_examples: int, seed: int
) -> Comparison:
    """The ratio of median errors of projections of training and of test images.

    Args:
      gan: from `make_gan`.
      g: variables of its generator.
      dataset: the data.
      num_examples: the first so many training images were trained on; 0: all.
      seed: of the projections' starts.

    Returns:
      The ratio, 1 for images that are as new as test images; and for reference that of
      one half of the test images to the other.
    """
    errors = []
    for split, limit in ((dataset.train, num_examples), (dataset.test, 0)):
        total = limit or len(split["images"])
        rows = np.linspace(0, total - 1, min(NUM_IMAGES, total)).astype(np.int64)
        labels = split["labels"][rows] if gan.num_classes else None
        images = split["images"][rows]
        key = jax.random.key(seed)
        errors.append(project(gan, g, images, key, labels, SEARCH).rms)
    train, test = errors
    reference = ratio_of_medians(test[::2], test[1::2])
    return Comparison(ratio_of_medians(train, test), reference)


def ratio_of_medians(a: npt.ArrayLike, b: npt.ArrayLike) -> Estimate:
    """The median of `a` [N] over that of `b` [M], with both as random."""
    rng = np.random.default_rng(0)
    x, y = np.asarray(a), np.asarray(b)
    value = float(np.median(x) / np.median(y))
    draws = [np.median(rng.choice(v, (DRAWS, len(v))), axis=1) for v in (x, y)]
    interval = normal_interval(value, float((draws[0] / draws[1]).std()), low=0.0)
    return Estimate(value, *interval, len(x), len(y), PROTOCOL, PIXELS)
