"""How many images does a GAN need, and does augmentation of what D sees help?

Command: python -m experiments.few_images [--steps 1000] [--seeds 3] [--runs runs]

configs/mnist.py on the first 200, 1,000 and 5,000 digits, and configs/image_folder.py
on 500 cartoon faces of 32x32 pixels (with half as many channels), after 1,000 steps:
without augmentation, with DiffAugment (augment.probability=1), and "ADA", its
probability for the same transformations (augment.target=0.6, which can take the
probability from 0 to 1 in 25,000 images: with the paper's 500,000 it would end at 0.13
at most). All seeds have the same images. Other numbers of steps may give another order:
with few images FID falls and then rises again, and augmentation delays both.

FID is by the digit classifier, of 10,000 samples against the 10,000 test digits, and
of faces by a random network, of 2,000 samples against 2,000 faces that were not trained
on, beside the sliced Wasserstein distance. Distance to training images: the median
distance of 1,000 samples to the nearest one, divided by that of unseen images: 1 for
new images, 0 for copies. Mean ± sample standard deviation over seeds. `differs`: FID
below (better) or above (worse) that without augmentation by Welch's t-test, p < 0.05,
not corrected for the number of comparisons. Writes few_images.md, few_images.json and
few_images.png to experiments/results.

Result: see results/few_images.md.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

import ganjax
from experiments.cartoon_faces import draw_faces
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
from ganjax import files, metrics
from ganjax.features import load_extractor
from ganjax.images import grid
from ganjax.metrics.fid import fid
from ganjax.metrics.nearest_neighbors import nearest_neighbors
from ganjax.metrics.sliced_wasserstein import sliced_wasserstein
from ganjax.metrics.types import Suite

STEPS = 1000
AUGMENTATIONS: dict[str, dict[str, Any]] = {  # overrides of a config
    "none": {},
    "DiffAugment": {"augment.probability": 1.0},
    "ADA": {"augment.target": 0.6, "augment.rise": 25_000},
}
NUM_FACES = 2800  # of which every tenth is a test image, which is not used
FACES = {
    "data.image_shape": (32, 32, 3),
    "generator.channels": (64, 32, 16),
    "discriminator.channels": (16, 32, 64),
}
SHOWN = 40  # samples of a run in the figure


class Data(NamedTuple):
    """What is trained on, and how it is scored."""

    name: str
    num: int  # images to train on
    samples: int  # that are scored


DATA = (
    Data("digits", 200, 10_000),
    Data("digits", 1000, 10_000),
    Data("digits", 5000, 10_000),
    Data("faces", 500, 2000),
)
Row = tuple[Data, str]  # and the augmentation
Results = dict[Row, list[dict[str, float]]]  # one entry per seed


def load_config(row: Row, seed: int, flags: Any) -> ConfigDict:
    """The config of a run."""
    data, augmentation = row
    changes = {"num_examples": data.num, "num_steps": flags.steps, "seed": seed}
    overrides = QUIET | AUGMENTATIONS[augmentation] | changes
    if data.name == "digits":
        return ganjax.load_config("configs/mnist.py", overrides)
    folder = draw_faces(flags.runs / "few_images/data", NUM_FACES)
    faces = FACES | {"data.manual_dir": str(folder)}
    return ganjax.load_config("configs/image_folder.py", overrides | faces)


def run_folder(row: Row, seed: int, flags: Any) -> Path:
    """The folder of a run."""
    data, augmentation = row
    name = f"{data.name}-{data.num}-{augmentation.lower()}-seed{seed}"
    return flags.runs / "few_images" / name


def train_and_score(row: Row, seed: int, flags: Any) -> dict[str, float]:
    """The metrics of a run, and the probability of a transformation at its end."""
    data, _ = row
    config = load_config(row, seed, flags)

    def score(state: ganjax.TrainState) -> dict[str, float]:
        gan, key = ganjax.make_gan(config), jax.random.key(0)
        images = ganjax.sample(gan, state, num=data.samples, key=key)
        dataset = load_data(config)
        extractor = load_extractor(dataset)
        train, unseen = np.split(dataset.train["images"], [data.num])
        suite: Suite = (fid, nearest_neighbors)
        if data.name == "digits":
            unseen = dataset.test["images"]
        else:
            suite += (sliced_wasserstein,)
        real = metrics.extract_real(
            extractor, {"images": train}, {"images": unseen[: data.samples]}
        )
        found = metrics.score(metrics.extract(extractor, images), real, suite)
        values = {k.removesuffix("_random"): e.value for k, e in found.items()}
        ada = state.d.batch_stats.get("augment", {})
        p = float(ada.get("probability", config.augment.probability))
        return values | {"probability": p}

    folder = run_folder(row, seed, flags)
    return run_once(config, folder, data.samples, score)


def table(results: Results) -> str:
    """Markdown, a line for each row."""
    lines = []
    for (data, augmentation), runs in results.items():

        def cell(name: str, digits: int = 2, runs: Any = runs) -> str:
            values = [run[name] for run in runs if name in run]
            return mean_sd(values, digits) if values else ""

        values = [
            [run["fid"] for run in results[data, a]] for a in (augmentation, "none")
        ]
        difference = "" if augmentation == "none" else differs(*values)
        digits = 1 if data.name == "digits" else 3  # random features are small
        scores = cell("fid", digits), difference, cell("swd", 1)
        title = f"{data.num:,} {data.name}"
        ends = cell("memorization"), cell("probability")
        lines.append([title, augmentation, *scores, *ends])
    titles = [
        ">FID",
        "differs",
        ">SWD",
        ">distance to training images",
        ">probability at the end",
    ]
    return markdown_table(["images", "augmentation", *titles], lines)


def plot(flags: Any) -> Figure:
    """Samples of seed 0: a row for each augmentation, a column for each data set."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    axes = figure.subplots(len(AUGMENTATIONS), len(DATA))
    for row, augmentation in zip(axes, AUGMENTATIONS, strict=True):
        for axis, data in zip(row, DATA, strict=True):
            folder = run_folder((data, augmentation), 0, flags)
            gan, state, _ = ganjax.load_run(folder)
            images = ganjax.sample(gan, state, num=SHOWN, key=jax.random.key(0))
            axis.imshow(grid(images, 10), cmap="gray")
            axis.set(xticks=[], yticks=[])
            if data is DATA[0]:
                axis.set_ylabel(augmentation)
            if augmentation == "none":
                axis.set_title(f"{data.num:,} {data.name}")
    return figure


def main() -> None:
    flags = parse_study(__doc__, STEPS)
    results: Results = {(data, name): [] for data in DATA for name in AUGMENTATIONS}
    for seed in range(flags.seeds):
        for row, runs in results.items():
            runs.append(train_and_score(row, seed, flags))
    save_table(table(results), flags.out / "few_images.md")
    records = [
        {"data": data.name, "num": data.num, "augmentation": name, "seed": seed, **run}
        for (data, name), runs in results.items()
        for seed, run in enumerate(runs)
    ]
    text = json.dumps(records, indent=1) + "\n"
    files.write_text(flags.out / "few_images.json", text)
    save_figure(plot(flags), flags.out / "few_images.png", colors=256, dpi=120)


if __name__ == "__main__":
    main()
