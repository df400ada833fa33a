"""Sliced Wasserstein distance of patches in a Laplacian pyramid (arXiv:1710.10196).

Section 5 of the paper: how the patches of each scale are distributed, from coarse
structure to edges. It needs no network, and takes any size and number of channels.
Brightness and contrast of a channel as a whole do not count, since both sets of patches
are normalized.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy  # loads its parts on first use, which saves 0.15 s of every start

from ganjax.metrics.intervals import normal_interval
from ganjax.metrics.types import PIXELS, Estimate, FeatureSet, RealData

Floats = npt.NDArray[np.float32]

PATCH = 7  # pixels, height and width
PATCHES = 128  # of an image and level
PROJECTIONS = 512
SMALLEST = 16  # pixels, of the shorter side of the coarsest level
NUM_IMAGES = 2048  # of each kind; the paper has 16,384
FACTOR = 1000.0  # as in the tables of the paper
BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16  # in each direction
BLOCK = 64  # images whose pyramids are made, and projections that are sorted, at once
PROTOCOL = "SWD x 1000, 7x7 patches, 512 projections; ci: fakes, linearized"


class Distance(NamedTuple):
    """A distance, and the first-order effect [N] of each image of the first set."""

    value: float
    influence: npt.NDArray[np.float64]


def sliced_wasserstein(fake: FeatureSet, real: RealData) -> dict[str, Estimate]:
    """The mean over levels as `swd`, and each as `swd_SIZE` if there are several.

    Of as many generated as real images, at most 2,048 random ones of each.
    """
    num = min(len(fake), len(real.compared), NUM_IMAGES)
    sets = [
        x.images[np.random.default_rng(0).permutation(len(x))[:num]]
        for x in (fake, real.compared)
    ]
    levels = laplacian_pyramid(sets[0][:1].astype(np.float32))
    found = {}
    for i, level in enumerate(levels):  # one by one, to save memory
        name = f"swd_{min(level.shape[1:3])}"
        a, b = (patches(x, i) for x in sets)
        found[name] = patch_distance(a, b)
    values, influences = zip(*found.values(), strict=True)
    mean = {"swd": Distance(float(np.mean(values)), np.mean(influences, axis=0))}
    named = mean | found if len(found) > 1 else mean
    return {name: _estimate(d, PROTOCOL + real.against) for name, d in named.items()}


def _estimate(distance: Distance, protocol: str) -> Estimate:
    value, n = FACTOR * distance.value, len(distance.influence)
    error = FACTOR * float(distance.influence.std(ddof=1)) / n**0.5
    low, high = normal_interval(value, error, low=0.0)
    return Estimate(value, low, high, n, n, protocol, PIXELS)


def patches(images: npt.NDArray[np.uint8], level: int, seed: int = 0) -> Floats:
    """Random patches of a level of the pyramid.

    Args:
      images: uint8 [N, H, W, C] with H, W >= 7.
      level: 0 is the finest.
      seed: of the places, which are other ones in each image.

    Returns:
      float32 [N, 128, C, 7, 7]; in each channel their mean is 0 and their standard
      deviation is 1.
    """
    found, rng = [], np.random.default_rng(seed)
    for first in range(0, len(images), BLOCK):
        part = laplacian_pyramid(images[first : first + BLOCK].astype(np.float32))
        rows, columns = (
            rng.integers(0, size - PATCH + 1, (len(part[level]), PATCHES))
            for size in part[level].shape[1:3]
        )
        views = np.lib.stride_tricks.sliding_window_view(
            part[level], (PATCH, PATCH), axis=(1, 2)
        )
        found.append(views[np.arange(len(views))[:, None], rows, columns])
    x: Floats = np.concatenate(found)
    axes = (0, 1, 3, 4)
    x -= x.mean(axes, keepdims=True)
    x /= np.maximum(x.std(axes, keepdims=True), 1e-6)
    return x


def laplacian_pyramid(images: Floats) -> list[Floats]:
    """Details of every scale, the finest first, and at last the smallest image.

    float32 [N, H, W, C]. A level is what the next one, enlarged, lacks, so `enlarge`
    and addition give the images back.
    """
    levels = [images]
    while min(levels[-1].shape[1:3]) >= 2 * SMALLEST:
        large, small = levels[-1], shrink(levels[-1])
        levels[-1:] = [large - enlarge(small, large.shape), small]
    return levels


def shrink(images: Floats) -> Floats:
    """Every second row and column of the images after a binomial filter."""
    return _filter(images)[:, ::2, ::2]


def enlarge(images: Floats, shape: tuple[int, ...]) -> Floats:
    """The inverse of `shrink` for smooth images [N, H, W, C] of this shape."""
    spread = np.zeros(shape, np.float32)
    spread[:, ::2, ::2] = images
    return 4 * _filter(spread)


def _filter(images: Floats) -> Floats:
    for axis in (1, 2):
        images = scipy.ndimage.convolve1d(images, BINOMIAL, axis, mode="mirror")
    return images


def patch_distance(
    a: Floats, b: Floats, projections: int = PROJECTIONS, seed: int = 0
) -> Distance:
    """The mean Wasserstein-1 distance of random projections.

    Args:
      a: patches float32 [N, P, ...].
      b: as many.
      projections: their number.
      seed: of the directions, uniform on the sphere.

    Returns:
      The distance of a to b. The effect of a patch at x is the Kantorovich potential of
      its projection, whose slope is the sign of F_b(x) - F_a(x).
    """
    n, num = a.shape[:2]
    x, y = (z.reshape(n * num, -1) for z in (a, b))
    directions = np.random.default_rng(seed).normal(size=(projections, x.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    total, influence = 0.0, np.zeros(n)
    for first in range(0, projections, BLOCK):
        block = directions[first : first + BLOCK].astype(np.float32)
        below, above = block @ x.T, np.sort(block @ y.T)
        for values, others in zip(below, above, strict=True):
            order = np.argsort(values)
            gaps = values[order] - others
            total += float(np.abs(gaps).mean(dtype=np.float64))
            steps = np.diff(values[order]) * np.sign(gaps[1:] + gaps[:-1])
            potential = np.concatenate([[0.0], np.cumsum(steps, dtype=np.float64)])
            influence += np.bincount(order // num, potential, n) / num
    return Distance(total / projections, influence / projections)
