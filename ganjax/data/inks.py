"""Digits in several domains: three colors of ink, each thin, medium or thick."""

import numpy as np
import numpy.typing as npt

from ganjax.data.dataset import Dataset, make_arrays_dataset
from ganjax.data.strokes import shift_edges, thickness

INKS = {"red": (255, 70, 50), "green": (70, 230, 90), "blue": (80, 130, 255)}
# Pixels. Absolute, so that the domain of an image can be seen on the image: of digits
# "as written" some are as thin as those of others that were made thinner.
STROKES = {"thin": 1.6, "medium": 2.6, "thick": 3.8}
DOMAINS = tuple(f"{stroke} {ink}" for ink in INKS for stroke in STROKES)


def colored_strokes(mnist: Dataset) -> Dataset:
    """Each digit in one of nine domains, at random.

    Arrays "images" uint8 [N, 28, 28, 3], "labels" int32 [N], the domains, "digits"
    int32 [N] and "sources" uint8 [N, 28, 28, 1], the digits of MNIST.
    """
    rng = np.random.default_rng(0)
    splits = []
    for split in (mnist.train, mnist.test):
        labels = rng.integers(0, len(DOMAINS), len(split["images"])).astype(np.int32)
        splits.append(
            {
                "images": render(split["images"], labels),
                "labels": labels,
                "digits": split["labels"],
                "sources": split["images"],
            }
        )
    source = mnist.identity.source
    return make_arrays_dataset(*splits, name="colored_strokes", source=source)


def render(digits: np.ndarray, domains: npt.ArrayLike) -> np.ndarray:
    """Digits uint8 [N, 28, 28, 1] in their domains, int [N]: uint8 [N, 28, 28, 3]."""
    ink, stroke = np.divmod(np.asarray(domains), len(STROKES))
    wanted = np.array(list(STROKES.values()))[stroke]
    shapes = shift_edges(digits[..., 0], (wanted - thickness(digits[..., 0])) / 2)
    colors = np.array(list(INKS.values()))[ink][:, None, None]
    return np.round(shapes[..., None] / 255 * colors).astype(np.uint8)
