"""Ten practical tips for training GANs: which of them are true?

Command: python -m experiments.tips [--steps 18740] [--seeds 3] [--runs runs]

The fully connected GAN of configs/mlp_l1.py follows all ten tips of its source. Each
row changes one thing: a tip dropped, or pushed further. FID and classifier score of
10,000 samples against the 10,000 test images, mean ± sample standard deviation over
seeds. `differs`: FID above (worse) or below (better) that of the complete script by
Welch's t-test, p < 0.05, not corrected for the number of comparisons. Tips 4 and 6
(print the losses, real and fake separately) and 8 (min-max scaling of saved grids)
change no network: here losses are always separate, and grids need no scaling, since the
range of the output is known. Rows of `other` are none of the ten. Writes tips.md and
tips.png to experiments/results.

Result, 20 epochs, 3 seeds, results/tips.md. True: BatchNorm in G and only there (FID
216 against 895 without it and 912 with it in D too) and a fast D (608 at a tenth of its
rate). Not needed: [0, 1] with a sigmoid (tanh and [-1, 1]: 44, the lowest of all) and
weight decay (none: 57). Scaling by .3 and .3 fails (718), since tanh does not reach
white. The seeds of the complete script differ by more than the other effects: three
leave open whether GELU, L1, L2 in its place, the width of D, small betas, shared
samples or a head start for either player change anything.
"""

import contextlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict
from scipy.stats import ttest_ind

import ganjax
from experiments.common import (
    QUIET,
    load_data,
    markdown_table,
    mean_sd,
    parse_study,
    plot_seeds,
    run_once,
    save_figure,
    save_table,
)
from ganjax import data
from ganjax.checkpoint import Checkpoints
from ganjax.config import to_json
from ganjax.evaluate import make_scorer
from ganjax.models.layers import OUTPUTS, Output

STEPS, NUM = 18_740, 10_000
CONFIG = "configs/mlp_l1.py"
D, G = "discriminator.", "generator."
# (x − 0.3) / 0.3 takes black to −1 and white to 7/3, which tanh does not reach.
OUTPUTS["tanh_0.3"] = Output(jax.numpy.tanh, (-1.0, 7 / 3))
# (tip, what the row does instead) -> overrides of the config
ROWS: dict[tuple[str, str], dict[str, Any]] = {
    ("all", "the complete script"): {},
    ("1", "no BatchNorm in G"): {G + "norm": "none"},
    ("1", "BatchNorm in D too"): {D + "norm": "batch"},
    ("2", "tanh and [-1, 1]"): {G + "output": "tanh"},
    ("2", "tanh, scaled by .3 and .3"): {G + "output": "tanh_0.3"},
    ("3", "ReLU for GELU"): {G + "activation": "relu", D + "activation": "relu"},
    ("5", "no L1 term"): {"l1": 0.0},
    ("5", "L1 weight 1"): {"l1": 1.0},
    ("5", "L2 for L1"): {"l1": 0.0, "l2": 0.05},
    ("7", "D twice as wide"): {D + "hidden": (1024, 512, 256, 128, 64)},
    ("7", "D half as wide"): {D + "hidden": (256, 128, 64, 32, 16)},
    ("9", "D's learning rate / 10"): {"d_optimizer.learning_rate": 3e-5},
    ("10", "Adam betas 0.9, 0.999"): {
        f"{player}_optimizer.{beta}": value
        for player in "gd"
        for beta, value in (("b1", 0.9), ("b2", 0.999))
    },
    ("10", "no weight decay"): {
        "g_optimizer.weight_decay": 0.0,
        "d_optimizer.weight_decay": 0.0,
    },
    ("other", "two D steps per G step"): {"n_dis": 2, "updates": "alternating"},
    ("other", "D first, fresh fakes"): {"updates": "alternating"},
    ("other", "D alone for 200 steps"): {},
    ("other", "G alone for 200 steps"): {},
}
# Row -> the update and the number of its steps before the training of both players.
HEAD_STARTS = {
    ("other", "D alone for 200 steps"): (ganjax.d_step, 200),
    ("other", "G alone for 200 steps"): (ganjax.g_step, 200),
}
Results = dict[tuple[str, str], list[dict[str, float]]]  # one entry per seed


def give_head_start(
    config: ConfigDict, workdir: Path, dataset: data.Dataset, row: tuple[str, str]
) -> None:
    """Trains one player alone and saves the result as the checkpoint of step 0.

    `ganjax.train_and_evaluate` resumes from it. A run with a checkpoint is left alone.
    """
    update, steps = HEAD_STARTS[row]
    gan = ganjax.make_gan(config)
    with contextlib.closing(Checkpoints(workdir)) as checkpoints:
        if checkpoints.latest is not None:
            return
        state = ganjax.init_state(gan, jax.random.key(config.seed))
        examples = gan.examples(dataset)
        shape = (steps, 1, config.batch_size)
        for (rows,) in data.batch_indices(config.seed, 0, shape, len(examples)):
            state, _ = update(gan, state, examples[rows])
        metadata = {"config": to_json(config), "data": dataset.identity.to_dict()}
        checkpoints.save(0, state.replace(step=jax.numpy.int32(0)), metadata)


def differs(a: list[float], b: list[float]) -> str:
    """Whether FIDs a are worse or better than b by Welch's t-test at 5%."""
    if min(len(a), len(b)) < 2:
        return ""
    if ttest_ind(a, b, equal_var=False).pvalue >= 0.05:
        return "no"
    return "worse" if np.mean(a) > np.mean(b) else "better"


def table(results: Results) -> str:
    """Markdown, in the order of the tips."""
    lines = []
    complete = [scores["fid"] for scores in results["all", "the complete script"]]
    for (tip, change), rows in results.items():
        fid = [scores["fid"] for scores in rows]
        difference = "" if tip == "all" else differs(fid, complete)
        score = mean_sd([scores["is"] for scores in rows])
        lines.append([tip, change, mean_sd(fid, 0), score, difference])
    titles = ["tip", "change", ">FID", ">classifier score", "differs"]
    return markdown_table(titles, lines)


def plot(results: Results) -> Figure:
    """FID of every seed; the band is the complete script's mean ± standard error."""
    figure = Figure(figsize=(7, 5.5), layout="constrained")
    axis = figure.subplots()
    rows = {
        f"{change}  ({tip})": [scores["fid"] for scores in row]
        for (tip, change), row in results.items()
    }
    plot_seeds(axis, rows)
    fid = [scores["fid"] for scores in results["all", "the complete script"]]
    mean = float(np.mean(fid))
    error = float(np.std(fid, ddof=1)) / len(fid) ** 0.5 if len(fid) > 1 else 0.0
    axis.axvspan(mean - error, mean + error, color="orange", alpha=0.3)
    return figure


def main() -> None:
    flags = parse_study(__doc__, STEPS)
    dataset = load_data(ganjax.load_config(CONFIG))
    scorer = make_scorer(dataset)

    def train_and_score(row: tuple[str, str], seed: int) -> dict[str, float]:
        overrides = ROWS[row] | {"seed": seed, "num_steps": flags.steps}
        config = ganjax.load_config(CONFIG, QUIET | overrides)
        name = "".join(c if c.isalnum() else "-" for c in " ".join(row))
        workdir = flags.runs / "tips" / f"{name}-seed{seed}"
        if row in HEAD_STARTS:
            give_head_start(config, workdir, dataset, row)

        def score(state: ganjax.TrainState) -> dict[str, float]:
            gan, key = ganjax.make_gan(config), jax.random.key(0)
            return scorer(ganjax.sample(gan, state, num=NUM, key=key))

        return run_once(config, workdir, NUM, score)

    results: Results = {row: [] for row in ROWS}
    for seed in range(flags.seeds):
        for row, scores in results.items():
            scores.append(train_and_score(row, seed))
    save_table(table(results), flags.out / "tips.md")
    save_figure(plot(results), flags.out / "tips.png")


if __name__ == "__main__":
    main()
