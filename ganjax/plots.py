"""Figures for people."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ganjax.files import write_file
from ganjax.images import grid
from ganjax.metrics.nearest_neighbors import Memorization


def plot_curves(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes a figure of losses and of probabilities of being real against steps.

    Real and fake loss share an axis. At log 2 D is at chance; at 0 it separates real
    from fake perfectly. With relativistic losses and critics the two coincide, since
    only their difference matters. A critic has a third panel with its estimate of the
    Wasserstein distance.

    Args:
      path: a PNG.
      rows: of metrics.jsonl, with `step`, `real_loss`, `fake_loss`, `d_real`, `d_fake`
        and, of a critic, `distance`.
    """
    step = [row["step"] for row in rows]
    critic = "distance" in rows[0]
    figure = _figure(15 if critic else 10, 4)
    axes = figure.subplots(1, 3 if critic else 2)
    left, right = axes[:2]
    if critic:
        axes[2].plot(step, [row["distance"] for row in rows], linewidth=1)
        axes[2].set(title="critic's Wasserstein distance, up to a factor")
        axes[2].set(xlabel="step", ylim=(min(0, *(r["distance"] for r in rows)), None))
    for name, label in (("real_loss", "real"), ("fake_loss", "fake")):
        left.plot(step, [row[name] for row in rows], label=label, linewidth=1)
    total = [row["real_loss"] + row["fake_loss"] for row in rows]
    left.plot(step, total, label="real + fake", linewidth=1, color="gray")
    for value, label in ((math.log(2), "log 2: D at chance"), (math.log(4), "log 4")):
        left.axhline(value, color="black", linewidth=0.8, linestyle="--")
        left.text(step[-1], value, label, ha="right", va="bottom", fontsize=8)
    left.set(title="discriminator, as cross-entropy", xlabel="step", ylabel="nats")
    left.set_ylim(0, max(1.6, min(4.0, 1.1 * max(total))))
    for name, label in (("d_real", "D(x)"), ("d_fake", "D(G(z))")):
        right.plot(step, [row[name] for row in rows], label=label, linewidth=1)
    right.axhline(0.5, color="black", linewidth=0.8, linestyle="--")
    right.set(title="probability of being real", xlabel="step", ylim=(0, 1))
    for axis in (left, right):
        axis.legend(loc="lower right", fontsize=8)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def plot_distances(path: Path, found: Memorization) -> None:
    """Writes histograms of the distances to the nearest training image.

    The distances of samples that copy training images are near 0; those of samples
    unlike the data are larger than those of test images.
    """
    figure = _figure(6, 3.5)
    axis = figure.subplots()
    fake, heldout = found.fake.distances[:, 0], found.heldout.distances[:, 0]
    bins = np.linspace(0, max(fake.max(), heldout.max()), 50).tolist()
    for distances, label in ((fake, "samples"), (heldout, "test images")):
        axis.hist(distances, bins, alpha=0.5, label=label)
    axis.set(xlabel="L2 distance to the nearest training image", ylabel="images")
    axis.legend()
    _save(figure, path)


def neighbors_grid(
    found: Memorization, train: np.ndarray, rows: int = 8, columns: int = 2
) -> np.ndarray:
    """An image of samples, each followed by its nearest training images.

    Args:
      found: of samples among the training images.
      train: these images, uint8 [N, H, W, C].
      rows: number of rows.
      columns: samples per row.

    Returns:
      uint8 [height, width, C].
    """
    samples = found.images[: rows * columns]
    neighbors = train[found.fake.indices[: rows * columns]]
    tiles = np.concatenate([samples[:, None], neighbors], axis=1)
    return grid(tiles.reshape(-1, *samples.shape[1:]), columns * tiles.shape[1])


class Line(NamedTuple):
    """A metric over the steps of a run."""

    step: Sequence[float]
    value: Sequence[float]
    color: str
    style: str = "-"
    label: str = ""  # "": not in the legend


def lines_svg(lines: Sequence[Line], marks: dict[str, float]) -> bytes:
    """A small figure of lines, with labeled dashed marks, as SVG."""
    from matplotlib import rc_context

    figure = _figure(4.5, 2.6)
    axis = figure.subplots()
    largest = 1e30  # Matplotlib fails near the largest float
    for line in lines:
        x, y = (np.clip(v, -largest, largest) for v in (line.step, line.value))
        axis.plot(x, y, line.style, color=line.color, label=line.label, linewidth=1.3)
    for label, value in marks.items():
        axis.axhline(value, color="black", linewidth=0.7, linestyle=":")
        right = axis.get_xlim()[1]
        text = axis.text(right, value, label, ha="right", va="bottom", fontsize=8)
        text.set_bbox({"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1})
    axis.set(xlabel="step")
    axis.locator_params(axis="x", nbins=5)
    axis.spines[["top", "right"]].set_visible(False)
    if any(line.label for line in lines):
        axis.legend(fontsize=8, frameon=False)
    file = io.BytesIO()
    with rc_context({"svg.hashsalt": "ganjax"}):  # the same file every time
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def plot_images(
    path: Path, images: np.ndarray, rows: Sequence[str], columns: Sequence[str]
) -> None:
    """Writes a table of images uint8 [R, C, H, W, channels] with headings.

    Args:
      path: a PNG.
      images: the cells of the table.
      rows: a heading for each row.
      columns: one for each column.
    """
    gap = 2
    canvas = grid(images.reshape(-1, *images.shape[2:]), images.shape[1], gap)
    scale = max(1, round(56 / images.shape[2]))
    canvas = canvas.repeat(scale, 0).repeat(scale, 1)
    height, width = canvas.shape[:2]
    left, top, dpi = 90, 30, 120  # pixels
    figure = _figure((left + width) / dpi, (top + height) / dpi, layout=None)
    size = (width / (left + width), height / (top + height))
    axis = figure.add_axes((1 - size[0], 0, *size))
    axis.imshow(canvas.squeeze(), cmap="gray", vmin=0, vmax=255)
    for ticks, labels, length in (
        (axis.set_yticks, rows, height),
        (axis.set_xticks, columns, width),
    ):
        cell = (length - gap * scale) / len(labels)
        centers = gap * scale / 2 + cell * (np.arange(len(labels)) + 0.5)
        ticks(centers, labels, fontsize=7)
    axis.tick_params(length=0, labeltop=True, labelbottom=False)
    axis.spines[:].set_visible(False)
    _save(figure, path)


def plot_truncation(path: Path, results: Mapping[str, Any], own: str) -> None:
    """Writes precision and recall by the scale of z, and against each other.

    Args:
      path: a PNG.
      results: by scale the results of `precision` and of `recall`.
      own: the scale of the config.
    """
    figure = _figure(10, 4)
    left, right = figure.subplots(1, 2)
    scales = [float(scale) for scale in results]
    curves = {}
    for name in ("precision", "recall"):
        values = curves[name] = [r[name]["value"] for r in results.values()]
        low, high = np.transpose([r[name]["ci95"] for r in results.values()])
        left.plot(scales, values, marker=".", label=name)
        left.fill_between(scales, low, high, alpha=0.2)
    left.axvline(float(own), color="black", linewidth=0.8, linestyle="--")
    left.set(xlabel="scale of z (dashed: of the config)", ylim=(0, 1))
    left.legend()
    right.plot(curves["recall"], curves["precision"], marker=".")
    for scale, x, y in zip(results, *reversed(curves.values()), strict=True):
        bold = {"weight": "bold"} if scale == own else {}
        right.annotate(scale, (x, y), (4, 4), textcoords="offset points", **bold)
    right.set(xlabel="recall", ylabel="precision")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _figure(width: float, height: float, layout: Any = "constrained") -> Any:
    from matplotlib.figure import Figure  # slow to import

    return Figure(figsize=(width, height), layout=layout)


def _save(figure: Any, path: Path) -> None:
    write_file(path, lambda file: figure.savefig(file, dpi=120))
