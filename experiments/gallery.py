"""What does every config reach, in how many seconds?

Command: python -m experiments.gallery [--runs runs] [--faces FOLDER]

Trains every config once (seed 0; the steps below), scores 10,000 samples (26,000 of
Stacked MNIST) and writes experiments/results/gallery.md, a Markdown table, and
gallery.png: a row of unselected samples per config. Runs that exist are not repeated.
Without --faces, a folder of images, it draws 5,000 cartoon faces for image_folder.py.
The games of loss.py have a table and a picture of their own, by loss_table.py.
"""

from pathlib import Path
from typing import Any

import jax
from matplotlib.figure import Figure

import ganjax
from experiments.cartoon_faces import draw_faces
from experiments.runs import (
    make_parser,
    save_figure,
    train_and_score,
    training_seconds,
)
from ganjax.sampling import grid

# config -> steps, where the config's own take too long here
CONFIGS: dict[str, dict[str, Any]] = {
    "mnist.py": {},
    "conditional.py": {},
    "mnist_best.py": {},
    "goodfellow2014.py": {},
    "mlp_l1.py": {"num_steps": 9370},
    "mlp_l1.py:walkthrough": {"num_steps": 9370},
    "dcgan.py": {"num_steps": 3_000},
    "stacked_mnist.py": {"num_steps": 1500},
    "image_folder.py": {"num_steps": 1000},
    "goodfellow2014.py:minimax": {"num_steps": 3_000},
}
COLUMNS = 16


def run_folder(runs: Path, name: str) -> Path:
    """Where `--config configs/NAME` alone would put it."""
    return runs / name.replace(".py:", "-").removesuffix(".py")


def steps(name: str) -> int:
    """Training steps of a config, as shortened here."""
    return ganjax.load_config(f"configs/{name}", CONFIGS[name]).num_steps


def line(name: str, row: dict[str, Any], seconds: float) -> str:
    """One line of the table; a score that does not apply is left empty."""

    def cell(metric: str, digits: int) -> str:
        return f"{row[metric]['value']:.{digits}f}" if metric in row else ""

    cells = [
        f"`{name}`",
        f"{steps(name):,}",
        f"{seconds:.0f}",
        cell("fid", 1),
        cell("is", 2),
        " / ".join(filter(None, (cell("precision", 2), cell("recall", 2)))),
        cell("parzen_ll", 0),
    ]
    return "| " + " | ".join(cells) + " |"


def table(results: dict[str, dict[str, Any]], seconds: dict[str, float]) -> str:
    """Markdown, a config a line, and the same of real images."""
    lines = [
        "| config | steps | seconds | FID | score | precision / recall | Parzen |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(line(name, row, seconds[name]) for name, row in results.items()),
    ]
    floor = {
        metric: f"{value['floor']:.2f}"
        for metric, value in next(iter(results.values())).items()
        if isinstance(value, dict)
    }
    floor["parzen_ll"] = f"{float(floor['parzen_ll']):.0f}"
    lines.append(
        f"| *real training images* | | | {floor['fid']} | {floor['is']} "
        f"| {floor['precision']} / {floor['recall']} | {floor['parzen_ll']} |"
    )
    return "\n".join(lines)


def plot(names: list[str], runs: Path, path: Path) -> None:
    """A row of samples per config, in colour only where there is any."""
    figure = Figure(figsize=(10, 0.62 * len(names)), layout="constrained")
    for axis, name in zip(figure.subplots(len(names), 1), names, strict=True):
        gan, state, _ = ganjax.load_run(run_folder(runs, name))
        images = ganjax.sample(gan, state, num=COLUMNS, key=jax.random.key(0))
        axis.imshow(grid(images, columns=COLUMNS), cmap="gray")
        axis.set(xticks=[], yticks=[])
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        axis.spines[:].set_visible(False)
    save_figure(figure, path, dpi=80, bbox_inches="tight")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--faces", type=Path)
    flags = parser.parse_args()

    faces = flags.faces or draw_faces(flags.runs / "cartoon_faces", num=5000)
    folder = {"data.manual_dir": str(faces)}
    # First: arrays that come and go leave a process slower than a training is.
    seconds = {name: training_seconds(name, CONFIGS[name]) for name in CONFIGS}
    results = {}
    for name in CONFIGS:
        overrides = CONFIGS[name] | (folder if name == "image_folder.py" else {})
        num = 26_000 if name == "stacked_mnist.py" else 10_000
        workdir = run_folder(flags.runs, name)
        results[name] = train_and_score(name, overrides, workdir, num)
        for metric in ("modes", "modes_kl", "label_accuracy"):
            if metric in results[name]:
                print(f"{name}: {metric} {results[name][metric]['value']:.4g}")
    text = table(results, seconds)
    print(text)
    (flags.out / "gallery.md").write_text(text + "\n")
    plot(list(results), flags.runs, flags.out / "gallery.png")


if __name__ == "__main__":
    main()
