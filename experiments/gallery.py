"""What does every config reach, in how many seconds?

Command: python -m experiments.gallery [--runs runs] [--faces FOLDER]

Trains every config once (seed 0; the steps below), scores 10,000 samples (26,000 of
Stacked MNIST) and writes experiments/results/gallery.md, a Markdown table, and
gallery.png: a row of unselected samples per config. Runs that exist are not repeated.
gans.md has the seconds of the GANs whose results are in docs/gans.md.
Without --faces, a folder of images, it draws 5,000 cartoon faces for image_folder.py.
The losses of loss.py have a table and a figure of their own, by loss_table.py.
"""

from pathlib import Path
from typing import Any

import jax
from matplotlib.figure import Figure

import ganjax
from experiments.cartoon_faces import draw_faces
from experiments.common import (
    make_parser,
    run_folder,
    save_figure,
    save_table,
    train_and_score,
    training_seconds,
)
from ganjax.images import grid

# config -> overrides: fewer steps where the config's own take too long. mnist_best.py
# is not among them; its docstring has its result.
CONFIGS: dict[str, dict[str, Any]] = {
    "mnist.py": {},
    "conditional.py": {},
    "goodfellow2014.py": {},
    "goodfellow2014.py:minimax": {"num_steps": 3_000},
    "mlp_l1.py": {},
    "mlp_l1.py:walkthrough": {},
    "dcgan.py": {},
    "dcgan.py:non_saturating": {},
    "cnn.py": {},
    "cnn.py:minimax": {},
    "stacked_mnist.py": {"num_steps": 1500},
    "image_folder.py": {"num_steps": 1000},
}
GANS = (  # whose seconds are measured; docs/gans.md has their results
    "cyclegan.py",
    "cyclegan.py:styled",
    "stargan.py",
    "srgan.py",
    "srgan.py:photos",
    "text_to_image.py",
    "crnn_gan.py",
)
COLUMNS = 16


def line(name: str, row: dict[str, Any], seconds: float) -> str:
    """One line of the table; metrics that do not apply are left out."""

    def cell(metric: str, digits: int) -> str:
        return f"{row[metric]['value']:.{digits}f}" if metric in row else ""

    steps = ganjax.load_config(f"configs/{name}", CONFIGS[name]).num_steps
    cells = [
        f"`{name}`",
        f"{steps:,}",
        f"{seconds:.0f}",
        cell("fid", 1),
        cell("is", 2),
        " / ".join(filter(None, (cell("precision", 2), cell("recall", 2)))),
        cell("parzen_ll", 0),
    ]
    return "| " + " | ".join(cells) + " |"


def table(results: dict[str, dict[str, Any]], seconds: dict[str, float]) -> str:
    """Markdown: one line per config, and the same metrics of real images."""
    first = next(iter(results.values()))
    real = {metric: row["reference"] for metric, row in first.items()}
    lines = [
        "| config | steps | seconds | FID | score | precision / recall | Parzen |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(line(name, row, seconds[name]) for name, row in results.items()),
        f"| *real training images* | | | {real['fid']:.2f} | {real['is']:.2f} "
        f"| {real['precision']:.2f} / {real['recall']:.2f} | {real['parzen_ll']:.0f} |",
    ]
    return "\n".join(lines)


def table_of_seconds(seconds: dict[str, float]) -> str:
    """Markdown: one line for each of the GANs that have results of their own."""
    lines = ["| config | steps | seconds |", "|---|---:|---:|"]
    for name in GANS:
        steps = ganjax.load_config(f"configs/{name}").num_steps
        lines.append(f"| `{name}` | {steps:,} | {seconds[name]:,.0f} |")
    return "\n".join(lines)


def plot(folders: dict[str, Path]) -> Figure:
    """A row of samples per config, in color only where the images have any."""
    figure = Figure(figsize=(10, 0.62 * len(folders)), layout="constrained")
    rows = zip(figure.subplots(len(folders), 1), folders.items(), strict=True)
    for axis, (name, folder) in rows:
        gan, state, _ = ganjax.load_run(folder)
        images = ganjax.sample(gan, state, num=COLUMNS, key=jax.random.key(0))
        axis.imshow(grid(images, columns=COLUMNS), cmap="gray")
        axis.set(xticks=[], yticks=[])
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        axis.spines[:].set_visible(False)
    return figure


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--faces", type=Path)
    flags = parser.parse_args()

    faces = flags.faces or draw_faces(flags.runs / "cartoon_faces", num=5000)
    configs = CONFIGS | {name: {} for name in GANS}
    configs["image_folder.py"]["data.manual_dir"] = str(faces)
    # Measured first: after many allocations the steps of a process are slower.
    seconds = {
        name: training_seconds(f"configs/{name}", overrides)
        for name, overrides in configs.items()
    }
    save_table(table_of_seconds(seconds), flags.out / "gans.md")
    results, folders = {}, {}
    for name, overrides in CONFIGS.items():
        num = 26_000 if name == "stacked_mnist.py" else 10_000
        path = f"configs/{name}"
        folders[name] = run_folder(flags.runs, path)
        results[name] = train_and_score(path, overrides, folders[name], num)
        for metric in ("modes", "modes_kl", "label_accuracy"):
            if metric in results[name]:
                print(f"{name}: {metric} {results[name][metric]['value']:.4g}")
    save_table(table(results, seconds), flags.out / "gallery.md")
    path = flags.out / "gallery.png"
    save_figure(plot(folders), path, dpi=80, bbox_inches="tight")


if __name__ == "__main__":
    main()
