"""Which adversarial loss is best on the same networks, data and budget?

Command: python -m experiments.loss_table [--steps 10000] [--seeds 3] [--runs runs]

Every setting of configs/loss.py with the optimizer, penalty, norm and critic steps of
its paper, at 1, 3, 10 and 30 times the learning rate of the paper with seed 0; the best
of these by FID with the other seeds. 10,000 samples of the averaged generator against
the 10,000 test images; mean ± sample standard deviation over seeds. The seed of the
search is one of these, so the chosen rate is favored slightly. A step is one generator
update: five critic steps cost more time. Prints a Markdown table and writes it and
loss_table.png (FID of each seed; a row of samples each) to experiments/results.
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from experiments.common import (
    markdown_table,
    mean_sd,
    parse_study,
    plot_seeds,
    save_figure,
    save_table,
    train_and_score,
)
from ganjax.configs.loss import SETTINGS, learning_rate

STEPS = 10_000
FACTORS = (1, 3, 10, 30)  # of the learning rate of the paper
# metric -> title and decimals
COLUMNS = {
    "fid": ("FID", 1),
    "is": ("classifier score", 2),
    "precision": ("precision", 3),
    "recall": ("recall", 3),
    "class_kl": ("class KL", 3),
}
Rows = list[dict[str, Any]]  # metrics, one entry per seed
Search = dict[int, float]  # FID of seed 0 by factor


def run_folder(runs: Path, name: str, factor: int, seed: int) -> Path:
    """The folder of a run."""
    return runs / "loss" / f"{name}-x{factor}-seed{seed}"


def best(search: Search) -> int:
    """The factor of the lowest FID."""
    return min(search, key=lambda factor: search[factor])


def table(results: dict[str, Rows], searches: dict[str, Search]) -> str:
    """Markdown, in the order given; bold: the chosen learning rate."""
    titles = [f"FID, rate x {factor}" for factor in FACTORS]
    titles += [title for title, _ in COLUMNS.values()]
    lines = []
    for name, rows in results.items():
        search = searches[name]
        cells = [f"{search[factor]:.1f}" for factor in FACTORS]
        chosen = FACTORS.index(best(search))
        cells[chosen] = f"**{cells[chosen]}**"
        cells += [
            mean_sd([row[metric]["value"] for row in rows], digits)
            for metric, (_, digits) in COLUMNS.items()
        ]
        lines.append([name, *cells])
    real = next(iter(results.values()))[0]
    cells = [f"{real[m]['reference']:.{digits}f}" for m, (_, digits) in COLUMNS.items()]
    lines.append(["*real images*", *[""] * len(FACTORS), *cells])
    return markdown_table(["loss", *(f">{title}" for title in titles)], lines)


def first_samples(folder: Path) -> np.ndarray:
    """The first two rows of the 8x8 grid at the end of a run, side by side."""
    with Image.open(folder / "samples.png") as image:
        pixels = np.asarray(image)[::2, ::2]  # it is enlarged twice
    return np.concatenate(np.split(pixels[: 2 * (len(pixels) // 8)], 2), axis=1)


def plot(results: dict[str, Rows], folders: dict[str, Path]) -> Figure:
    """FID of every seed on a logarithmic axis; sixteen samples of seed 0."""
    figure = Figure(figsize=(10, 0.5 + 0.5 * len(results)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    names = list(results)
    fids = {name: [row["fid"]["value"] for row in results[name]] for name in names}
    plot_seeds(left, fids)
    real = results[names[0]][0]["fid"]["reference"]
    left.axvline(real, color="gray", linestyle="--", linewidth=0.8)
    left.text(real, len(names) - 0.5, " real", fontsize=8, color="gray")
    left.set_xticks([2, 4, 8, 16], ["2", "4", "8", "16"])
    left.minorticks_off()
    rows = [first_samples(folders[name]) for name in names]
    right.imshow(np.concatenate(rows), cmap="gray", aspect="auto")
    right.set(xticks=[], yticks=[], title="seed 0, not selected")
    return figure


def main() -> None:
    flags = parse_study(__doc__, STEPS)

    def score(name: str, factor: int, seed: int) -> dict[str, Any]:
        rate = learning_rate(name, factor)
        overrides = {
            "seed": seed,
            "num_steps": flags.steps,
            "g_optimizer.learning_rate": rate,
            "d_optimizer.learning_rate": rate,
        }
        workdir = run_folder(flags.runs, name, factor, seed)
        return train_and_score(f"configs/loss.py:{name}", overrides, workdir)

    def fid(row: dict[str, Any]) -> float:
        return row["fid"]["value"]

    results: dict[str, Rows] = {}
    searches: dict[str, Search] = {}
    for name in SETTINGS:
        found = {factor: score(name, factor, seed=0) for factor in FACTORS}
        searches[name] = {factor: fid(row) for factor, row in found.items()}
        factor = best(searches[name])
        others = [score(name, factor, seed) for seed in range(1, flags.seeds)]
        results[name] = [found[factor], *others]
        if factor != SETTINGS[name]["factor"]:
            print(f"configs/loss.py: expected factor {factor} for {name}")
    order = sorted(results, key=lambda name: np.mean([fid(r) for r in results[name]]))
    results = {name: results[name] for name in order}
    folders = {n: run_folder(flags.runs, n, best(searches[n]), 0) for n in order}
    save_table(table(results, searches), flags.out / "loss_table.md")
    save_figure(plot(results, folders), flags.out / "loss_table.png")


if __name__ == "__main__":
    main()
