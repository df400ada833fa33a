"""Ten practical tips for training GANs: which of them is true?

Command: python -m experiments.tips [--steps 2000] [--seeds 3] [--runs runs]

The fully connected GAN of configs/mlp_l1.py follows all ten tips of its source. Each
row changes one thing: a tip dropped, or pushed further. FID and classifier score of
10,000 samples against the 10,000 test images, mean ± sample standard deviation over
seeds. `differs`: FID above (worse) or below (better) the complete script's by Welch's
t-test, p < .05, not corrected for the number of comparisons. Tips 4 and 6 (print the
losses, real and fake apart) and 8 (min-max scaling of saved grids) change no network:
here losses are always apart, and grids need no scaling, since the range of the output
is known. `other` rows are none of the ten. Writes tips.md and tips.png to
experiments/results.

Result, 2,000 steps (two epochs), 3 seeds, results/tips.md. True: BatchNorm in G and
only there (FID 356 against 984 without it and 859 with it in D too), small betas
(against 718), a fast D (against 609 at a tenth of its rate) and a little L1 (none:
423). Not true at this budget: [0, 1] with a sigmoid (tanh: 283). Three seeds leave open
whether GELU (ReLU: 407), the width of D (twice: 294, half: 487), weight decay (none:
330), shared fakes (fresh: 319) or a head start for D (441) change anything.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import ttest_ind

import ganjax
from experiments.runs import QUIET, make_parser, mean_sd, run_once
from ganjax import data
from ganjax.evaluation import make_scorer

STEPS, NUM = 2000, 10_000
D, G = "discriminator.", "generator."
# (tip, what the row does instead) -> overrides of configs/mlp_l1.py
ROWS: dict[tuple[str, str], dict[str, Any]] = {
    ("all", "the complete script"): {},
    ("1", "no BatchNorm in G"): {G + "norm": "none"},
    ("1", "BatchNorm in D too"): {D + "norm": "batch"},
    ("2", "tanh and [-1, 1]"): {G + "output": "tanh"},
    ("3", "ReLU for GELU"): {G + "activation": "relu", D + "activation": "relu"},
    ("5", "no L1 term"): {"l1": 0.0},
    ("5", "L1 weight 1"): {"l1": 1.0},
    ("7", "D twice as wide"): {D + "hidden": (1024, 512, 256, 128, 64)},
    ("7", "D half as wide"): {D + "hidden": (256, 128, 64, 32, 16)},
    ("9", "D's learning rate / 10"): {"d_optimizer.learning_rate": 3e-5},
    ("10", "Adam betas .9, .999"): {
        f"{player}_optimizer.{beta}": value
        for player in "gd"
        for beta, value in (("b1", 0.9), ("b2", 0.999))
    },
    ("10", "no weight decay"): {
        "g_optimizer.weight_decay": 0.0,
        "d_optimizer.weight_decay": 0.0,
    },
    ("other", "two D steps a G step"): {"n_dis": 2, "reuse_fakes": False},
    ("other", "D first, fresh fakes"): {"order": "d_first", "reuse_fakes": False},
    ("other", "D alone for 200 steps"): {"d_warmup": 200},
}
Scores = list[dict[str, float]]  # one a seed
Judge = Callable[[np.ndarray], dict[str, float]]


def differs(a: list[float], b: list[float]) -> str:
    """Whether FIDs a are worse or better than b by Welch's t-test at 5 %."""
    if min(len(a), len(b)) < 2:
        return ""
    if ttest_ind(a, b, equal_var=False).pvalue >= 0.05:
        return "no"
    return "worse" if np.mean(a) > np.mean(b) else "better"


def table(results: dict[tuple[str, str], Scores]) -> str:
    """Markdown, in the order of the tips."""
    lines = [
        "| tip | change | FID | classifier score | differs |",
        "|---|---|---:|---:|---|",
    ]
    complete = [score["fid"] for score in results["all", "the complete script"]]
    for (tip, change), scores in results.items():
        fid = [score["fid"] for score in scores]
        verdict = "" if tip == "all" else differs(fid, complete)
        score = mean_sd([score["is"] for score in scores])
        lines.append(f"| {tip} | {change} | {mean_sd(fid, 0)} | {score} | {verdict} |")
    return "\n".join(lines)


def plot(results: dict[tuple[str, str], Scores], path: Path) -> None:
    """FID of every seed; the band is the complete script's mean ± standard error."""
    figure = Figure(figsize=(7, 5.5), layout="constrained")
    axis = figure.subplots()
    for y, scores in enumerate(results.values()):
        axis.plot([s["fid"] for s in scores], [y] * len(scores), "ko", alpha=0.6)
    fid = [score["fid"] for score in results["all", "the complete script"]]
    error = np.std(fid, ddof=1) / np.sqrt(len(fid)) if len(fid) > 1 else 0.0
    axis.axvspan(np.mean(fid) - error, np.mean(fid) + error, color="orange", alpha=0.3)
    labels = [f"{change}  ({tip})" for tip, change in results]
    axis.set(xscale="log", xlabel="FID", yticks=range(len(labels)), yticklabels=labels)
    axis.invert_yaxis()
    figure.savefig(path, dpi=100)


def train_and_score_quickly(
    overrides: dict[str, Any], workdir: Path, judge: Judge
) -> dict[str, float]:
    """FID and classifier score of one run, no more."""
    config = ganjax.load_config("configs/mlp_l1.py", QUIET | overrides)

    def score(state: ganjax.TrainState) -> dict[str, float]:
        gan, key = ganjax.make_gan(config), jax.random.key(0)
        return judge(ganjax.sample(gan, state, num=NUM, key=key))

    return run_once(config, workdir, NUM, score)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    flags = parser.parse_args()
    if flags.steps != STEPS:
        flags.runs /= f"steps{flags.steps}"

    judge = make_scorer(data.load(ganjax.load_config("configs/mlp_l1.py").data))
    results: dict[tuple[str, str], Scores] = {row: [] for row in ROWS}
    for seed in range(flags.seeds):
        for (tip, change), overrides in ROWS.items():
            name = "".join(c if c.isalnum() else "-" for c in f"{tip} {change}")
            overrides = overrides | {"seed": seed, "num_steps": flags.steps}
            workdir = flags.runs / "tips" / f"{name}-seed{seed}"
            row = train_and_score_quickly(overrides, workdir, judge)
            results[tip, change].append(row)
    text = table(results)
    print(text)
    (flags.out / "tips.md").write_text(text + "\n")
    plot(results, flags.out / "tips.png")


if __name__ == "__main__":
    main()
