"""Do scores without a trained network rank generators as the digit classifier does?

Command: python -m experiments.feature_scores [--runs runs]

Two tests of the FID of random features and of the sliced Wasserstein distance (SWD), on
MNIST, where the FID of the digit classifier is known. Agreement: Spearman's correlation
with that FID over generators, which are the newest checkpoints of all runs on MNIST in
and below --runs, e.g. those of gallery.py and loss_table.py, and configs/mnist.py after
100, 200, 400 and 800 steps, which are trained here; 2,000 samples each, seed 0.
Monotony: 2,000 training images that are blurred, noisy, without some classes, or only a
few of them repeated, at five strengths each, and sets of which a fraction are training
images and the others test images. All are compared with every second test image, by
SWD with 2,000 of these and 128 projections.

DESIGNS are random networks that were compared to choose one, on the same generators.
What is scored is not scored again. Writes feature_scores.json and feature_scores.png.

Result: 0.905 for random features and 0.916 for SWD over 32 generators. Both grow with
all distortions, but SWD not from 2,000 to 500 different images, and neither with copies
of training images.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure
from scipy import ndimage, stats

import ganjax
from experiments import common
from ganjax import data, files, metrics
from ganjax.data import DataOptions, Dataset
from ganjax.features import load_extractor
from ganjax.metrics.fid import frechet_distance
from ganjax.metrics.kid import kid
from ganjax.metrics.nearest_neighbors import nearest_neighbors
from ganjax.metrics.prdc import prdc
from ganjax.metrics.random_features import DESIGN, random_extractor
from ganjax.metrics.sliced_wasserstein import FACTOR, patch_distance, patches
from ganjax.metrics.types import FeatureSet, RealData

Rows = dict[str, dict[str, float]]  # scores by set
Images = np.ndarray  # uint8 [N, 28, 28, 1]
STEPS = (100, 200, 400, 800)  # of configs/mnist.py
NUM = 2000  # images of a set
PROJECTIONS = 128  # of SWD
DESIGNS = {
    "chosen": DESIGN,
    "half the width": DESIGN._replace(width=64),
    "mean alone": DESIGN._replace(spread=False),
    "half the width, 2x2 cells": DESIGN._replace(width=64, cells=2),
    "resized to 32x32": DESIGN._replace(size=32),
}


def early_samples(folder: Path) -> dict[str, Images]:
    """Samples of configs/mnist.py by "early/STEPS"."""

    def draw(steps: int) -> Images:
        config = ganjax.load_config("mnist", {**common.QUIET, "num_steps": steps})
        return sample(ganjax.make_gan(config), common.train(config, folder / "early"))

    return {
        f"early/{n}": kept(folder / f"early-{n}.npz", partial(draw, n)) for n in STEPS
    }


def run_samples(runs: Path, folder: Path) -> dict[str, Images]:
    """Samples of the newest checkpoint of every run on MNIST."""

    def draw(run: Path) -> Images:
        return sample(*ganjax.load_run(run)[:2])

    samples = {}
    for path in sorted(runs.rglob("config.json")):
        run, config = path.parent, json.loads(path.read_text())["config"]
        digits = config["data"]["name"] == "mnist" and config["gan"] == "standard"
        if digits and (run / "checkpoints").exists() and folder not in path.parents:
            name = str(run.relative_to(runs))
            file = folder / f"{name.replace('/', '-')}.npz"
            samples[name] = kept(file, partial(draw, run))
    return samples


def sample(gan: ganjax.Gan, state: ganjax.TrainState) -> Images:
    """Samples with seed 0."""
    return ganjax.sample(gan, state, num=NUM, key=jax.random.key(0))


def kept(file: Path, draw: Callable[[], Images]) -> Images:
    """The images in a file, which is written if it does not exist."""
    if not file.exists():
        images = draw()
        files.write_file(file, lambda f: np.savez_compressed(f, images=images))
    with np.load(file) as arrays:
        return arrays["images"]


def blurred(images: Images, sigma: float) -> Images:
    """A Gaussian filter."""
    smooth = ndimage.gaussian_filter(images.astype(np.float32), (0, sigma, sigma, 0))
    return np.round(smooth).astype(np.uint8)


def noisy(images: Images, sigma: float) -> Images:
    """Gaussian noise in gray levels, clipped."""
    noise = np.random.default_rng(1).normal(0, sigma, images.shape)
    return np.clip(np.round(images + noise), 0, 255).astype(np.uint8)


def distortions(dataset: Dataset) -> dict[str, dict[str, Images]]:
    """Sets of images by kind and strength, from none to the strongest."""
    order = np.random.default_rng(0).permutation(len(dataset.train["images"]))
    images, labels = (dataset.train[k][order] for k in ("images", "labels"))
    first, test = images[:NUM], dataset.test["images"]
    kept = {n: images[labels < 10 - n][:NUM] for n in (0, 1, 2, 4, 7, 9)}
    heldout = test[1::2][:NUM]  # the others are compared with
    return {
        "blur (sigma)": {f"{s}": blurred(first, s) for s in (0, 0.5, 0.75, 1, 1.5, 2)},
        "noise (gray levels)": {
            f"{s}": noisy(first, s) for s in (0, 10, 20, 40, 80, 120)
        },
        "classes left out": {f"{n}": x for n, x in kept.items()},
        "different images": {
            f"{n}": first[np.arange(NUM) % n] for n in (NUM, 500, 100, 30, 10, 3)
        },
        "copies of training images": {
            f"{p}": np.concatenate([first[: round(p * NUM)], heldout[round(p * NUM) :]])
            for p in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
        },
    }


class Scorer:
    """Scores of sets of images beside every second test image."""

    def __init__(self, dataset: Dataset):
        networks = {k: random_extractor((28, 28, 1), x) for k, x in DESIGNS.items()}
        self.networks = networks | {"digits": load_extractor(dataset, "digits")}
        test, train = dataset.test["images"][::2], dataset.train["images"]
        self.real = {k: metrics.extract(x, test) for k, x in self.networks.items()}
        chosen, self.patches = self.real["chosen"], patches(test[:NUM], 0)
        unused = np.zeros((len(train), 0), np.float32)
        self.data = RealData(FeatureSet(train, unused, None), chosen, "random")

    def agreement(self, images: Images) -> dict[str, float]:
        """What could stand for the FID of the digit classifier, and that FID."""
        fakes = {k: metrics.extract(x, images) for k, x in self.networks.items()}
        values = {
            f"fid {k}": frechet_distance(x.features, self.real[k].features)
            for k, x in fakes.items()
        }
        distance = patch_distance(patches(images, 0), self.patches, PROJECTIONS)
        return values | {"swd": FACTOR * distance.value}

    def all(self, images: Images) -> dict[str, float]:
        """The same and all other metrics of the chosen network."""
        values = self.agreement(images)
        fake = metrics.extract(self.networks["chosen"], images)
        for metric in (kid, prdc, nearest_neighbors):
            values |= {k: x.value for k, x in metric(fake, self.data).items()}
        return values


def scores(
    sets: dict[str, Images], score: Callable[[Images], dict[str, float]], file: Path
) -> Rows:
    """Scores of every set; those in the file are not computed again."""
    known = json.loads(file.read_text()) if file.exists() else {}
    for name, images in sets.items():
        if name not in known:
            known[name] = score(images)
            files.write_text(file, json.dumps(known))
            print(name, {k: round(v, 4) for k, v in known[name].items()}, flush=True)
    return {name: known[name] for name in sets}


def spearman(rows: Rows) -> dict[str, float]:
    """Rank correlation of each score with the FID of the digit classifier."""
    values = columns(rows)
    truth = values.pop("fid digits")
    return {k: float(stats.spearmanr(x, truth).statistic) for k, x in values.items()}


def columns(rows: Rows) -> dict[str, list[float]]:
    """The values of all sets by score."""
    return {k: [row[k] for row in rows.values()] for k in next(iter(rows.values()))}


def order(values: list[float]) -> str:
    """Whether values only rise, only fall, or neither.

    >>> order([1.0, 2.0, 5.0]), order([3.0, 1.0]), order([1.0, 3.0, 2.0])
    ('rises', 'falls', 'neither')
    """
    signs = set(np.sign(np.diff(values)).tolist())
    return {(1.0,): "rises", (-1.0,): "falls"}.get(tuple(signs), "neither")


def plot(
    checkpoints: Rows,
    distorted: dict[str, Rows],
    path: Path,
) -> None:
    """Scores against the digit classifier's FID, and by strength of distortion."""
    shown = {"fid chosen": "FID of random features", "swd": "SWD"}
    figure = Figure(figsize=(14, 7), layout="constrained")
    axes = figure.subplots(2, 4)
    truth = [row["fid digits"] for row in checkpoints.values()]
    early = [name.startswith("early/") for name in checkpoints]
    for axis, (key, title) in zip(axes[:, 0], shown.items(), strict=True):
        values = [row[key] for row in checkpoints.values()]
        for which, label in ((False, "trained"), (True, "mnist.py, 100 to 800 steps")):
            rows = [i for i, x in enumerate(early) if x == which]
            x, y = ([v[i] for i in rows] for v in (truth, values))
            axis.plot(x, y, "o", label=label, alpha=0.8)
        axis.set(xscale="log", yscale="log", ylabel=title)
        axis.set_xlabel("FID of the digit classifier")
    axes[0, 0].legend(fontsize=7)
    kinds = list(distorted)[:4]
    for column, pair in enumerate((kinds[:2], kinds[2:3], kinds[3:]), start=1):
        for axis, (key, title) in zip(axes[:, column], shown.items(), strict=True):
            for kind in pair:
                values = [row[key] for row in distorted[kind].values()]
                axis.plot(range(len(values)), values, "o-", label=kind)
            axis.set(xlabel="strength", ylabel=title, ylim=(0, None))
            axis.legend(fontsize=8)
    common.save_figure(figure, path)


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    flags = parser.parse_args()
    folder = flags.runs / "feature_scores"
    sets = early_samples(folder) | run_samples(flags.runs, folder)
    dataset = data.load(DataOptions())
    scorer = Scorer(dataset)
    checkpoints = scores(sets, scorer.agreement, folder / "checkpoints.json")
    distorted = {
        kind: scores(images, scorer.all, folder / f"distorted-{i}.json")
        for i, (kind, images) in enumerate(distortions(dataset).items())
    }
    orders = {
        kind: {k: order(v) for k, v in columns(rows).items()}
        for kind, rows in distorted.items()
    }
    result = {"num": NUM, "spearman": spearman(checkpoints), "order": orders}
    result |= {"checkpoints": checkpoints, "distorted": distorted}
    files.write_text(flags.out / "feature_scores.json", json.dumps(result, indent=1))
    plot(checkpoints, distorted, flags.out / "feature_scores.png")
    for name, value in result["spearman"].items():
        print(f"{name}: {value:.3f}")


if __name__ == "__main__":
    main()
