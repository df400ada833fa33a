"""Fidelity of enlarged images to their originals: PSNR and SSIM.

Both prefer blur to wrong detail (arXiv:1609.04802, section 3.4; arXiv:1711.06077): an
average of all plausible images has the highest PSNR. FID tells the other half.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
import scipy  # loads its parts on first use, which saves 0.15 s of every start
from PIL import Image

from ganjax.data import Dataset
from ganjax.images import shrink_pixels
from ganjax.metrics.classifier import digit_extractor, load_classifier
from ganjax.metrics.estimates import mean_estimate
from ganjax.metrics.features import extract, extract_real
from ganjax.metrics.fid import fid
from ganjax.metrics.sharpness import sharpness
from ganjax.metrics.types import Estimate, Evaluation

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
BLOCK = 500  # images enlarged at once
CI = "ci: images as independent"
SIGMA, RADIUS = 1.5, 5  # of SSIM's window of 11x11 pixels


def evaluate_super_resolution(
    enlarge: Callable[..., Any], dataset: Dataset, factor: int, num: int, seed: int
) -> Evaluation:
    """Scores of the first `num` test images, shrunk and enlarged again.

    Args:
      enlarge: images uint8 [B, h, w, C] and a key to images uint8 [B, H, W, C].
      dataset: with "images".
      factor: of the resolution.
      num: number of test images.
      seed: of the noise.

    Returns:
      `psnr`, `ssim` and, of digits, `fid`, with bicubic interpolation as reference; the
      same of nearest interpolation as `nearest_psnr` and so on; `sharpness`, with that
      of the original images as reference.
    """
    truth = dataset.test["images"][:num]
    low = shrink_pixels(truth, factor)
    keys = jax.random.split(jax.random.key(seed), -(-len(low) // BLOCK))
    parts = [
        np.asarray(enlarge(low[i * BLOCK : (i + 1) * BLOCK], key))
        for i, key in enumerate(keys)
    ]
    outputs = np.concatenate(parts)
    score = make_score(dataset, truth)
    bicubic = score(interpolate(low, factor, Image.Resampling.BICUBIC))
    nearest = score(interpolate(low, factor, Image.Resampling.NEAREST))
    named = {f"nearest_{name}": estimate for name, estimate in nearest.items()}
    beside = {f"nearest_{name}": estimate for name, estimate in bicubic.items()}
    estimates = score(outputs) | named | {"sharpness": sharpness(outputs)}
    return Evaluation(estimates, bicubic | beside | {"sharpness": sharpness(truth)}, {})


def make_score(
    dataset: Dataset, truth: Images
) -> Callable[[Images], dict[str, Estimate]]:
    """`images -> {"psnr": ..., "ssim": ...}`, and "fid" of digits."""
    digits = truth.shape[1:] == (28, 28, 1)
    if digits:
        labels, sha256 = dataset.train["labels"], dataset.identity.sha256
        classifier = load_classifier(dataset.train["images"], labels, sha256)
        extractor = digit_extractor(classifier)
        real = extract_real(extractor, dataset.train, dataset.test)

    def score(images: Images) -> dict[str, Estimate]:
        scores = {
            "psnr": mean_estimate(
                psnr(images, truth), f"mean of images, dB; {CI}", len(truth)
            ),
            "ssim": mean_estimate(
                ssim(images, truth), f"mean of images; {CI}", len(truth)
            ),
        }
        return scores | (fid(extract(extractor, images), real) if digits else {})

    return score


def psnr(images: Images, truth: Images) -> Floats:
    """Peak signal-to-noise ratio in dB, [N]: −10 log10 of the mean squared error.

    With pixels in [0, 1]; equal images count as an error of one level in one pixel.
    """
    gaps = (images.astype(np.float64) - truth) / 255
    errors = (gaps**2).reshape(len(gaps), -1).mean(1)
    least = (1 / 255) ** 2 / gaps[0].size
    return -10 * np.log10(np.maximum(errors, least))


def ssim(images: Images, truth: Images) -> Floats:
    """Structural similarity (Wang et al. 2004, doi:10.1109/TIP.2003.819861), [N].

    A Gaussian window of 11x11 pixels with σ = 1.5, population moments, the mean over
    channels and over the pixels whose window is inside of the image.
    """
    x, y = (a.astype(np.float64) / 255 for a in (images, truth))
    c1, c2 = 0.01**2, 0.03**2

    def blur(a: Floats) -> Floats:
        sigmas = (0.0, SIGMA, SIGMA, 0.0)
        return scipy.ndimage.gaussian_filter(a, sigmas, radius=(0, RADIUS, RADIUS, 0))

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    inside = similarity[:, RADIUS:-RADIUS, RADIUS:-RADIUS]
    return inside.mean((1, 2, 3))


def interpolate(images: Images, factor: int, method: Image.Resampling) -> Images:
    """Images enlarged by Pillow."""
    size = images.shape[2] * factor, images.shape[1] * factor
    flat = images[..., 0] if images.shape[-1] == 1 else images
    enlarged = [np.asarray(Image.fromarray(x).resize(size, method)) for x in flat]
    return np.stack(enlarged).reshape(len(images), size[1], size[0], -1)
