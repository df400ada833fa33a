"""Which adversarial loss is best on the same networks, data and budget?

Command: python -m experiments.loss_table [--steps 2000] [--seeds 3] [--runs runs]

Every setting of configs/loss.py with the optimizer, penalty and critic steps of its
paper. 10,000 samples of the averaged generator against the 10,000 test images; mean ±
sample standard deviation over seeds. A step is one generator update, so five critic
steps cost more time. Prints a Markdown table and writes it and loss_table.png (FID of
each seed; a row of samples each) to experiments/results.

Result, 2,000 steps, 3 seeds (results/loss_table.md): at this budget the relativistic
loss with R1 + R2 and a tenfold learning rate is far ahead, FID 11.4 ± 1.0. The gradient
penalties (167, 195) and spectral norm (198) come next, least squares without any (220).
Minimax, non-saturating and clipped WGAN have not converged, or D separates real from
fake perfectly.
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.common import (
    mean_sd,
    over_seeds,
    parse_study,
    run_folder,
    sample_run,
    save_figure,
    save_table,
    train_and_score,
)
from ganjax.configs.loss import SETTINGS
from ganjax.images import grid

STEPS = 2000
Results = dict[str, list[dict[str, Any]]]  # by name of the setting, one entry per seed
# metric -> title and decimals
COLUMNS = {
    "fid": ("FID", 1),
    "is": ("classifier score", 2),
    "precision": ("precision", 3),
    "recall": ("recall", 3),
    "class_kl": ("class KL", 3),
}


def table(results: Results) -> str:
    """Markdown, in the order given."""
    titles = [title for title, _ in COLUMNS.values()]
    lines = [
        "| loss | " + " | ".join(titles) + " |",
        "|---|" + "---:|" * len(titles),
    ]
    for name, rows in results.items():
        cells = [
            mean_sd([row[metric]["value"] for row in rows], digits)
            for metric, (_, digits) in COLUMNS.items()
        ]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    real = next(iter(results.values()))[0]
    cells = [f"{real[m]['reference']:.{digits}f}" for m, (_, digits) in COLUMNS.items()]
    lines.append("| " + " | ".join(["*real images*", *cells]) + " |")
    return "\n".join(lines)


def plot(results: Results, runs: Path) -> Figure:
    """FID of every seed on a logarithmic axis; fourteen samples of seed 0."""
    figure = Figure(figsize=(10, 0.5 + 0.5 * len(results)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    names = list(results)
    for y, name in enumerate(names):
        fids = [row["fid"]["value"] for row in results[name]]
        left.plot(fids, [y] * len(fids), "o", color="black", alpha=0.6)
    real = results[names[0]][0]["fid"]["reference"]
    left.axvline(real, color="gray", linestyle="--", linewidth=0.8)
    left.text(real, len(names) - 0.5, " real", fontsize=8, color="gray")
    left.set(xscale="log", xlabel="FID", yticks=range(len(names)), yticklabels=names)
    left.invert_yaxis()
    rows = [sample_run(run_folder(runs, config(name)), 14) for name in names]
    right.imshow(grid(np.concatenate(rows), columns=14), cmap="gray", aspect="auto")
    right.set(xticks=[], yticks=[], title="seed 0, not selected")
    return figure


def config(name: str) -> str:
    """The config of a setting."""
    return f"configs/loss.py:{name}"


def main() -> None:
    flags = parse_study(__doc__, STEPS)

    def score(name: str, seed: int) -> dict[str, Any]:
        overrides = {"seed": seed, "num_steps": flags.steps}
        workdir = run_folder(flags.runs, config(name), seed)
        return train_and_score(config(name), overrides, workdir)

    def mean_fid(rows: list[dict[str, Any]]) -> float:
        return float(np.mean([row["fid"]["value"] for row in rows]))

    results = over_seeds(SETTINGS, flags.seeds, score)
    results = dict(sorted(results.items(), key=lambda item: mean_fid(item[1])))
    save_table(table(results), flags.out / "loss_table.md")
    save_figure(plot(results, flags.runs), flags.out / "loss_table.png")


if __name__ == "__main__":
    main()
