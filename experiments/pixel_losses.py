"""Can L1 or L2 replace the adversary?

Command: python -m experiments.pixel_losses [--runs runs]

The generators of configs/srgan.py (digits and photographs) and of
configs/text_to_image.py, trained by each loss alone, seed 0. The adversary of SRGAN
keeps its L1 term. PSNR and SSIM compare with the original image, FID with the test
images; sharpness is the steepest slope of an image; attributes are the fraction of
images that show digit, color, thickness and slant of their sentence. Up to 10,000 test
images or sentences. Writes pixel_losses.md, pixel_losses.png, pixel_losses_text.png,
and text_interpolation.png, of the adversary, to experiments/results.

Result: where the input leaves little open (super-resolution), L1 and L2 have the better
PSNR, and the adversary the better FID and edges as sharp as real ones. Where it leaves
the handwriting open (text), L1 draws the median of all digits that fit and L2 their
mean: readable, blurred, and the same for every z.
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import ganjax
from experiments.common import (
    QUIET,
    load_data,
    make_parser,
    markdown_table,
    run_once,
    save_figure,
    save_table,
)
from ganjax.config import config_name
from ganjax.data.captions import encode
from ganjax.evaluate import evaluate_run
from ganjax.images import grid, shrink_pixels
from ganjax.metrics.super_resolution import interpolate

NUM = 10_000
LOSSES: dict[str, dict[str, float]] = {  # overrides of a config
    "adversary": {},
    "L1": {"adversarial": 0.0, "l1": 1.0, "l2": 0.0},
    "L2": {"adversarial": 0.0, "l1": 0.0, "l2": 1.0},
}
CONFIGS = {  # config -> losses
    "srgan.py": ("adversary", "L1", "L2"),
    "srgan.py:photos": ("adversary", "L1", "L2"),
    "text_to_image.py": ("adversary", "L1", "L2"),
}
DIGITS, TEXT = "srgan.py", "text_to_image.py"
# metric -> title and decimals
COLUMNS = {
    "psnr": ("PSNR, dB", 1),
    "ssim": ("SSIM", 3),
    "fid": ("FID", 2),
    "sharpness": ("sharpness", 3),
    "all": ("attributes", 3),
    "unseen_all": ("of unseen combinations", 3),
}
SHOWN = 10  # images in a column of the figure
SENTENCES = (  # the first and the last of each row
    ("a thin upright red one", "a thick slanted blue seven"),
    ("a thick upright yellow zero", "a thin upright yellow six"),
    ("a thin leaning green four", "a thick slanted green nine"),
    ("a thick upright white three", "a thin slanted red eight"),
)
Results = dict[str, dict[str, dict[str, Any]]]  # config -> loss -> metrics


def run_folder(runs: Path, name: str, loss: str) -> Path:
    """The folder of a run."""
    return runs / "pixel_losses" / f"{config_name(name)}-{loss}"


def train_and_score(name: str, loss: str, workdir: Path) -> dict[str, Any]:
    """The metrics of a config trained by a loss."""
    config = ganjax.load_config(f"configs/{name}", QUIET | LOSSES[loss])

    def score(_: ganjax.TrainState) -> dict[str, Any]:
        evaluate_run(workdir, NUM, seed=0, parzen=False)
        return json.loads((workdir / "metrics.json").read_text())

    return run_once(config, workdir, NUM, score)


def table(results: Results) -> str:
    """Markdown; metrics that do not apply are left out."""
    lines = []

    def cells(row: dict[str, Any], value: str, metrics: set[str]) -> list[str]:
        return [
            f"{row[metric][value]:.{digits}f}" if metric in row.keys() & metrics else ""
            for metric, (_, digits) in COLUMNS.items()
        ]

    for name, rows in results.items():
        for loss, row in rows.items():
            values = cells(row, "value", set(COLUMNS))
            lines.append([f"`{name}`", loss, *values])
        # References: bicubic interpolation, or real images.
        real = {"sharpness", "all", "unseen_all"}
        if "psnr" in row:
            values = cells(row, "reference", set(COLUMNS) - real)
            lines.append(["", "*bicubic*", *values])
        values = cells(row, "reference", real)
        lines.append(["", "*real images*", *values])
    titles = [f">{title}" for title, _ in COLUMNS.values()]
    return markdown_table(["config", "trained by", *titles], lines)


def enlargements(folders: dict[str, Path], images: np.ndarray) -> dict[str, np.ndarray]:
    """Images uint8 [N, H, W, C] by title: shrunk, enlarged each way, the original."""
    columns = {}
    for loss, folder in folders.items():
        gan, state, _ = ganjax.load_run(folder)
        low, key = shrink_pixels(images, gan.factor), jax.random.key(0)
        columns[loss] = ganjax.sample(gan, state, num=len(low), key=key, condition=low)
    ways = {"input": Image.Resampling.NEAREST, "bicubic": Image.Resampling.BICUBIC}
    first = {title: interpolate(low, gan.factor, way) for title, way in ways.items()}
    order = {loss: columns[loss] for loss in ("L2", "L1", "adversary")}
    return first | order | {"original": images}


def plot(columns: dict[str, np.ndarray]) -> Figure:
    """A row for each image, a column for each way."""
    figure = Figure(figsize=(len(columns), SHOWN + 0.3), layout="constrained")
    axes = figure.subplots(1, len(columns))
    for axis, (title, images) in zip(axes, columns.items(), strict=True):
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
        axis.imshow(padded.reshape(-1, *padded.shape[2:]), cmap="gray")
        axis.set(xticks=[], yticks=[], title=title)
    return figure


def plot_texts(folders: dict[str, Path]) -> Figure:
    """The grids at the end of training: columns 6 to 10 are 1 to 5 with another z."""
    figure = Figure(figsize=(12, 4.3), layout="constrained")
    axes = figure.subplots(1, len(folders))
    for axis, (loss, folder) in zip(axes, folders.items(), strict=True):
        with Image.open(folder / "samples.png") as image:
            axis.imshow(image)
        axis.set(xticks=[], yticks=[], title=loss)
    return figure


def two_lines(text: str) -> str:
    """A sentence with color and digit in a line of their own."""
    before, color, digit = text.rsplit(" ", 2)
    return f"{before}\n{color} {digit}"


def plot_interpolation(folder: Path) -> Figure:
    """A row for each pair of sentences: along the line between their codes, one z."""
    gan, state, _ = ganjax.load_run(folder)
    figure = Figure(figsize=(9, 0.65 * len(SENTENCES)), layout="constrained")
    rows = zip(figure.subplots(len(SENTENCES), 1), SENTENCES, strict=True)
    for i, (axis, texts) in enumerate(rows):
        z = gan.prior.sample(jax.random.key(i), 1).repeat(SHOWN, 0)
        first, last = (jnp.asarray(encode([text])) for text in texts)
        images = gan.export(gan.interpolate(state.g_ema, z, first, last))
        axis.imshow(grid(np.asarray(images), SHOWN))
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        left, right = (two_lines(text) for text in texts)
        axis.set_ylabel(left, rotation=0, ha="right", va="center", fontsize=8)
        twin = axis.secondary_yaxis("right")
        twin.set_yticks([])
        twin.spines[:].set_visible(False)
        twin.set_ylabel(right, rotation=0, ha="left", va="center", fontsize=8)
    return figure


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    flags = parser.parse_args()
    results: Results = {}
    folders = {
        name: {loss: run_folder(flags.runs, name, loss) for loss in losses}
        for name, losses in CONFIGS.items()
    }
    for name in CONFIGS:
        results[name] = {
            loss: train_and_score(name, loss, folder)
            for loss, folder in folders[name].items()
        }
    save_table(table(results), flags.out / "pixel_losses.md")
    test = load_data(ganjax.load_config(f"configs/{DIGITS}")).test["images"]
    columns = enlargements(folders[DIGITS], test[:SHOWN])
    save_figure(plot(columns), flags.out / "pixel_losses.png", colors=256)
    path = flags.out / "pixel_losses_text.png"
    save_figure(plot_texts(folders[TEXT]), path, colors=256, dpi=120)
    path = flags.out / "text_interpolation.png"
    figure = plot_interpolation(folders[TEXT]["adversary"])
    save_figure(figure, path, colors=256, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()
