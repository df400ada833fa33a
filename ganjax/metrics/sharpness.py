"""Sharpness of edges, without reference images."""

import numpy as np
import numpy.typing as npt

from ganjax.metrics.estimates import mean_estimate
from ganjax.metrics.types import Estimate


def sharpness(images: npt.NDArray[np.uint8]) -> Estimate:
    """The mean steepest slope of an image, in levels of [0, 1] per pixel.

    Blur makes edges less steep: an average of several digits has no sharp edge. Of
    color images [N, H, W, C] the largest channel counts.
    """
    gray = images.max(-1).astype(np.float64) / 255
    down, right = np.diff(gray, axis=1), np.diff(gray, axis=2)
    values = np.maximum(np.abs(down).max((1, 2)), np.abs(right).max((1, 2)))
    protocol = "steepest slope of an image; ci: images as independent"
    return mean_estimate(values, protocol, low=0.0)
