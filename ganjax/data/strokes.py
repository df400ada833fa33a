"""Stroke thickness and slant of digits, measured and changed.

Images are enlarged twice and binarized; the signed distance to the edge, in pixels
of the original, then tells how thick a stroke is, and its level sets are thinner and
thicker strokes. (Castro et al., Morpho-MNIST, arXiv:1809.08119, has the idea.)
"""

import numpy as np
import numpy.typing as npt
import scipy  # loads its parts on first use, which saves 0.15 s of every start

Images = npt.NDArray[np.uint8]  # [N, H, W]
Floats = npt.NDArray[np.float64]
SCALE = 2
ROWS = 100  # images processed at once


def thickness(images: Images) -> Floats:
    """Mean stroke thickness in pixels, [N]; 0 of an empty image.

    A straight stroke of thickness t has a mean distance of t / 4 to its edge.
    """
    return np.concatenate(
        [_thickness(signed_distance(images[i : i + ROWS])) for i in _starts(images)]
    )


def slant(images: Images) -> Floats:
    """Horizontal shift per row upwards, [N]: 0 upright, positive leaning to the right.

    The slope that makes the second mixed moment vanish; 0 of an empty image.
    """
    weights = images.astype(np.float64)
    mass = np.maximum(weights.sum((1, 2)), 1e-9)
    rows, columns = np.indices(images.shape[1:], np.float64)
    up = -(rows - ((weights * rows).sum((1, 2)) / mass)[:, None, None])
    right = columns - ((weights * columns).sum((1, 2)) / mass)[:, None, None]
    variance = (weights * up**2).sum((1, 2))
    covariance = (weights * up * right).sum((1, 2))
    return np.where(variance > 0, covariance / np.maximum(variance, 1e-9), 0.0)


def shift_edges(images: Images, pixels: npt.ArrayLike) -> Images:
    """Strokes whose edges are moved outwards by so many pixels, [N] or a number.

    Negative numbers make them thinner, but never by more than 60% of the digit's mean
    half thickness, since thinner places would break.
    """
    moves = np.broadcast_to(np.asarray(pixels, np.float64), len(images))
    parts = []
    for i in _starts(images):
        distance = signed_distance(images[i : i + ROWS])
        least = -0.6 * _thickness(distance) / 2
        move = np.maximum(moves[i : i + ROWS], least)[:, None, None]
        # The fraction of each fine pixel that is inside of the new edge.
        inside = np.clip((distance + move) * SCALE + 0.5, 0, 1)
        n, height, width = inside.shape
        blocks = inside.reshape(n, height // SCALE, SCALE, width // SCALE, SCALE)
        parts.append(np.round(blocks.mean((2, 4)) * 255).astype(np.uint8))
    return np.concatenate(parts)


def shear(images: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """[N, 28, 28], rows moved right by `slopes` [N] times their height."""
    num, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (8, 9)))
    columns, rows = np.arange(width), np.arange(num)[:, None]
    moved = np.empty_like(images)
    for y in range(height):
        place = columns - (slopes * ((height - 1) / 2 - y))[:, None]
        left = np.floor(place).astype(int)
        fraction = place - left
        row = padded[:, y]
        moved[:, y] = (1 - fraction) * row[rows, left + 8]
        moved[:, y] += fraction * row[rows, left + 9]
    return moved


def signed_distance(images: Images) -> Floats:
    """Distance to the edge of the stroke in pixels, positive inside: [N, 2 H, 2 W]."""
    fine = scipy.ndimage.zoom(
        images / 255.0, (1, SCALE, SCALE), order=1, mode="grid-constant", grid_mode=True
    )
    fine = np.pad(fine > 0.5, ((0, 0), (1, 1), (1, 1)))  # an edge around each image
    n, height, width = fine.shape
    column = fine.reshape(n * height, width)  # all in one call, below one another
    inside, outside = (
        scipy.ndimage.distance_transform_edt(mask).reshape(n, height, width)
        for mask in (column, ~column)
    )
    # The edge is half a fine pixel from the centers on either side.
    signed = np.where(fine, inside - 0.5, 0.5 - outside) / SCALE
    return signed[:, 1:-1, 1:-1]


def _thickness(distance: Floats) -> Floats:
    inside = distance > 0
    area = inside.sum((1, 2))
    return 4 * np.where(inside, distance, 0.0).sum((1, 2)) / np.maximum(area, 1)


def _starts(images: Images) -> range:
    return range(0, len(images), ROWS)
