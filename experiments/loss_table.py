"""Which adversarial loss is best, on the same networks, data and budget?

Command: python -m experiments.loss_table [--steps 2000] [--seeds 3] [--runs runs]

Every game of configs/loss.py with the optimiser, penalty and critic steps of its paper.
10,000 samples of the averaged generator against the 10,000 test images; mean ± sample
standard deviation over seeds. A step is one generator update, so five critic steps cost
more time. Prints a Markdown table and writes it and loss_table.png (FID of each seed; a
row of samples each) to experiments/results.

Result, 2,000 steps, 3 seeds (results/loss_table.md): at this budget the relativistic
loss with R1 + R2 and a tenfold learning rate is far ahead, FID 11.4 ± 1.0. The gradient
penalties (167, 195) and spectral norm (198) come next, least squares without any (220).
Minimax, non-saturating and clipped WGAN have hardly begun, or lost the game to D.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

import ganjax
from configs.loss import LOSSES
from experiments.runs import make_parser, mean_sd, train_and_score
from ganjax.sampling import grid

STEPS = 2000
Results = dict[str, list[dict[str, Any]]]  # by loss, one a seed
# metric -> title and decimals
COLUMNS = {
    "fid": ("FID", 1),
    "is": ("classifier score", 2),
    "precision": ("precision", 3),
    "recall": ("recall", 3),
    "class_kl": ("class KL", 3),
}


def run_folder(runs: Path, loss: str, seed: int) -> Path:
    """Seed 0 where `--config configs/loss.py:LOSS` alone would put it."""
    return runs / (f"loss-{loss}" + (f"-seed{seed}" if seed else ""))


def table(results: Results) -> str:
    """Markdown, in the order given."""
    titles = [title for title, _ in COLUMNS.values()]
    lines = [
        "| loss | " + " | ".join(titles) + " |",
        "|---|" + "---:|" * len(titles),
    ]
    for loss, rows in results.items():
        cells = [
            mean_sd([row[metric]["value"] for row in rows], digits)
            for metric, (_, digits) in COLUMNS.items()
        ]
        lines.append("| " + " | ".join([loss, *cells]) + " |")
    floors = next(iter(results.values()))[0]
    cells = [f"{floors[m]['floor']:.{digits}f}" for m, (_, digits) in COLUMNS.items()]
    lines.append("| " + " | ".join(["*real images*", *cells]) + " |")
    return "\n".join(lines)


def plot(results: Results, runs: Path, path: Path) -> None:
    """FID of every seed on a logarithmic axis; twelve samples of seed 0."""
    figure = Figure(figsize=(10, 0.5 + 0.5 * len(results)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    names = list(results)
    for y, loss in enumerate(names):
        fids = [row["fid"]["value"] for row in results[loss]]
        left.plot(fids, [y] * len(fids), "o", color="black", alpha=0.6)
    floor = results[names[0]][0]["fid"]["floor"]
    left.axvline(floor, color="gray", linestyle="--", linewidth=0.8)
    left.text(floor, len(names) - 0.5, " real", fontsize=8, color="gray")
    left.set(xscale="log", xlabel="FID", yticks=range(len(names)), yticklabels=names)
    left.invert_yaxis()
    rows = []
    for loss in names:
        gan, state, _ = ganjax.load_run(run_folder(runs, loss, 0))
        rows.append(ganjax.sample(gan, state, num=14, key=jax.random.key(0)))
    right.imshow(grid(np.concatenate(rows), columns=14), cmap="gray", aspect="auto")
    right.set(xticks=[], yticks=[], title="seed 0, not selected")
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    flags = parser.parse_args()
    if flags.steps != STEPS:
        flags.runs /= f"steps{flags.steps}"

    results: Results = {loss: [] for loss in LOSSES}
    for seed in range(flags.seeds):
        for loss in LOSSES:
            overrides = {"seed": seed, "num_steps": flags.steps}
            workdir = run_folder(flags.runs, loss, seed)
            results[loss].append(train_and_score(f"loss.py:{loss}", overrides, workdir))
    mean_fid = {k: np.mean([r["fid"]["value"] for r in v]) for k, v in results.items()}
    results = {k: results[k] for k in sorted(results, key=mean_fid.__getitem__)}
    text = table(results)
    print(text)
    (flags.out / "loss_table.md").write_text(text + "\n")
    plot(results, flags.runs, flags.out / "loss_table.png")


if __name__ == "__main__":
    main()
