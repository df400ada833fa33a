"""Digits in several domains: three colors of ink, each thin, as written or thick."""

import numpy as np
import numpy.typing as npt

from ganjax.data.dataset import Dataset, make_arrays_dataset
from ganjax.data.strokes import shift_edges

INKS = {"red": (255, 70, 50), "green": (70, 230, 90), "blue": (80, 130, 255)}
STROKES = {"thin": -0.7, "plain": 0.0, "thick": 1.0}  # pixels that edges are moved
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
    moves = np.array(list(STROKES.values()))[stroke]
    shapes = digits[..., 0].copy()
    changed = moves != 0
    if changed.any():
        shapes[changed] = shift_edges(shapes[changed], moves[changed])
    colors = np.array(list(INKS.values()))[ink][:, None, None]
    return np.round(shapes[..., None] / 255 * colors).astype(np.uint8)
