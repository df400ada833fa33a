"""How many images does a GAN need, and what does augmentation of D's inputs change?

Command: python -m experiments.few_images [--steps 2000] [--seeds 3] [--runs runs]

configs/mnist.py on the first 200, 1,000 and 5,000 digits, without augmentation, with
DiffAugment (augment.probability=1), and with ADA (augment.target=0.6, which can take
the probability from 0 to 1 in 50,000 images: with the paper's 500,000 it would end at
0.26). FID of 10,000 samples against the 10,000 test images; memorization: the median
distance of 1,000 samples to the nearest of the images that the run was trained on,
divided by that of test images, 1 for new images and 0 for copies. Mean ± sample
standard deviation over seeds. `differs`: FID below (better) or above (worse) that
without augmentation by Welch's t-test, p < 0.05, not corrected for the number of
comparisons. Writes few_images.md, few_images.json and few_images.png to
experiments/results.
"""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

import ganjax
from experiments.common import (
    QUIET,
    load_data,
    markdown_table,
    mean_sd,
    parse_study,
    run_once,
    save_figure,
    save_table,
)
from experiments.tips import differs
from ganjax import files
from ganjax.evaluate import make_scorer
from ganjax.images import grid
from ganjax.metrics.nearest_neighbors import NUM_IMAGES, memorization_test

STEPS, NUM = 2000, 10_000
DIGITS = "configs/mnist.py"
SIZES = (200, 1000, 5000)
AUGMENTATIONS: dict[str, dict[str, Any]] = {  # overrides of a config
    "none": {},
    "DiffAugment": {"augment.probability": 1.0},
    "ADA": {"augment.target": 0.6, "augment.rise": 50_000},
}
SHOWN = 40  # samples of a run in the figure
Row = tuple[int, str]  # number of images, augmentation
Results = dict[Row, list[dict[str, float]]]  # one entry per seed


def run_folder(runs: Path, row: Row, seed: int) -> Path:
    """The folder of a run."""
    num, augmentation = row
    return runs / "few_images" / f"digits-{num}-{augmentation.lower()}-seed{seed}"


class Study:
    """Trains and scores single runs."""

    def __init__(self, steps: int, runs: Path):
        self.steps, self.runs = steps, runs
        self.dataset = load_data(ganjax.load_config(DIGITS))
        self.scorer = make_scorer(self.dataset)

    def run(self, row: Row, seed: int) -> dict[str, float]:
        """FID, memorization, and the probability of a transformation at the end."""
        num, augmentation = row
        changes = {"num_examples": num, "num_steps": self.steps, "seed": seed}
        overrides = QUIET | AUGMENTATIONS[augmentation] | changes
        config = ganjax.load_config(DIGITS, overrides)

        def score(state: ganjax.TrainState) -> dict[str, float]:
            gan, key = ganjax.make_gan(config), jax.random.key(0)
            images = ganjax.sample(gan, state, num=NUM, key=key)
            heldout = self.dataset.test["images"][: 2 * NUM_IMAGES : 2]
            train = self.dataset.train["images"][:num]
            found = memorization_test(images[:NUM_IMAGES], train, heldout)
            ada = state.d.batch_stats.get("augment", {})
            p = float(ada.get("probability", config.augment.probability))
            scores = self.scorer(images)
            return scores | {"memorization": found.ratio, "probability": p}

        return run_once(config, run_folder(self.runs, row, seed), NUM, score)


def table(results: Results) -> str:
    """Markdown, a line for each row."""
    lines = []
    for (num, augmentation), runs in results.items():
        fid, copies, p = (
            [run[name] for run in runs]
            for name in ("fid", "memorization", "probability")
        )
        plain = [run["fid"] for run in results[num, "none"]]
        difference = "" if augmentation == "none" else differs(fid, plain)
        cells = [mean_sd(fid, 1), difference, mean_sd(copies), mean_sd(p)]
        lines.append([f"{num:,}", augmentation, *cells])
    titles = ["augmentation", ">FID", "differs", ">memorization", ">probability"]
    return markdown_table([">digits", *titles], lines)


def plot(results: Results, study: Study) -> Figure:
    """FID over the number of images, and samples of seed 0."""
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    curves, below = figure.subfigures(2, 1, height_ratios=[1, 1.6])
    for axis, metric in zip(
        curves.subplots(1, 2), ("fid", "memorization"), strict=True
    ):
        for augmentation in AUGMENTATIONS:
            values = np.array(
                [[run[metric] for run in results[n, augmentation]] for n in SIZES]
            )
            (line,) = axis.plot(SIZES, values.mean(1), label=augmentation)
            for column in values.T:
                axis.plot(SIZES, column, "o", color=line.get_color(), alpha=0.4)
        label = "FID" if metric == "fid" else metric
        axis.set(xscale="log", xlabel="digits trained on", ylabel=label)
        axis.set(xticks=SIZES, xticklabels=[f"{n:,}" for n in SIZES])
        axis.minorticks_off()
        axis.legend()
    axes = below.subplots(len(AUGMENTATIONS), len(SIZES))
    for row, augmentation in zip(axes, AUGMENTATIONS, strict=True):
        for axis, num in zip(row, SIZES, strict=True):
            folder = run_folder(study.runs, (num, augmentation), 0)
            gan, state, _ = ganjax.load_run(folder)
            images = ganjax.sample(gan, state, num=SHOWN, key=jax.random.key(0))
            axis.imshow(grid(images, 10)[..., 0], cmap="gray")
            axis.set(xticks=[], yticks=[])
            if num == SIZES[0]:
                axis.set_ylabel(augmentation)
            if row is axes[0]:
                axis.set_title(f"{num:,} digits")
    return figure


def main() -> None:
    flags = parse_study(__doc__, STEPS)
    study = Study(flags.steps, flags.runs)
    rows = [(num, name) for name in AUGMENTATIONS for num in SIZES]
    found: Results = {
        row: [study.run(row, seed) for seed in range(flags.seeds)] for row in rows
    }
    results = {(num, name): found[num, name] for num in SIZES for name in AUGMENTATIONS}
    save_table(table(results), flags.out / "few_images.md")
    records = [
        {"num": num, "augmentation": name, "seed": seed, **run}
        for (num, name), runs in results.items()
        for seed, run in enumerate(runs)
    ]
    text = json.dumps(records, indent=1) + "\n"
    files.write_text(flags.out / "few_images.json", text)
    save_figure(plot(results, study), flags.out / "few_images.png")


if __name__ == "__main__":
    main()
