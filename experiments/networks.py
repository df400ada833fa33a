"""Are larger networks worth their time? Residual blocks, attention, R3GAN, StyleGAN2.

Question: residual blocks, attention and styles pay with weeks of GPUs. What do networks
reach in the same minutes of one CPU core?

Command: python -m experiments.networks [--data mnist] [--networks dcgan r3gan]

Every pair has the loss, penalties, batches and moving average of configs/mnist.py,
which were chosen for DCGAN's networks, and no norm: these are not SNGAN and SAGAN,
which have other losses and spectral norm. Each has a learning rate of its own, the best
of four after 40 s with seed 0. Then three seeds train for the same CPU seconds, on
MNIST and on 5,000 cartoon faces of 32x32 pixels. They are those of the process
(`time.process_time`), without compilation; what else the machine runs changes the
number of steps a little. DCGAN's also train for 8 s, in about as many steps as the
others make. 10,000 samples of the averaged generator against the test images, 10,000
digits and 1,500 other faces: FID by the digit classifier, or by random features and
beside the sliced Wasserstein distance.

Runs that are done are not repeated. Prints a table for each data set; with both data
sets and all networks it writes networks.json, networks.md and networks.png.

Result: see results/networks.md. DCGAN's networks are far ahead after minutes.
"""

import json
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

import ganjax
from experiments import common
from experiments.cartoon_faces import draw_faces
from experiments.contrast import run_once
from ganjax import data, files, metrics, parallel
from ganjax.config import to_json
from ganjax.data import Dataset
from ganjax.features import comparable, load_extractor, load_real
from ganjax.images import grid
from ganjax.main import use_compilation_cache
from ganjax.metrics.fid import fid
from ganjax.metrics.sliced_wasserstein import sliced_wasserstein
from ganjax.metrics.types import Suite

NUM = 10_000  # samples
NUM_FACES = 15_000  # of which every tenth is a test image
TRAINED_ON = {"mnist": 0, "faces": 5000}  # images; 0: all of the training set
SHOWN = 8  # rows and columns of samples in the picture
SECONDS, SEARCH_SECONDS, SHORT_SECONDS = 120.0, 40.0, 8.0  # of training
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
SEEDS = 3
Row = dict[str, float]
Rows = dict[str, list[Row]]  # by networks, one per seed
Images = dict[str, np.ndarray]

# Options of both networks by data set.
PAIRS: dict[str, dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "mnist": {
        "dcgan": ({"channels": (32, 16), "norm": "none"}, {"channels": (16, 32)}),
        "resnet": (
            {"channels": (64, 16, 8), "norm": "none"},
            {"channels": (8, 16), "blocks": (64, 64), "norm": "none"},
        ),
        "r3gan": ({"channels": (128, 16, 8)}, {"channels": (8, 16, 128)}),
        "stylegan": ({"channels": (64, 32, 8)}, {"channels": (8, 16, 32)}),
    },
    "faces": {
        "dcgan": (
            {"channels": (64, 32, 16), "norm": "none"},
            {"channels": (16, 32, 64)},
        ),
        "resnet": (
            {"channels": (64, 64, 16, 8), "norm": "none"},
            {"channels": (8, 16, 64), "blocks": (64,), "norm": "none"},
        ),
        "r3gan": ({"channels": (128, 64, 16, 8)}, {"channels": (8, 16, 64, 128)}),
        "stylegan": ({"channels": (64, 32, 16, 8)}, {"channels": (8, 16, 32, 64)}),
    },
}
# Heights of the feature maps with attention in G and in D, of 64 channels but for
# MNIST's D, where the 16 of the last feature map before the blocks are the most.
HEIGHTS = {"mnist": (7, 7), "faces": (8, 4)}
NETWORKS = ("dcgan", "resnet", "attention", "r3gan", "stylegan")
COLUMNS = {  # title and digits
    "g_parameters": ("parameters of G", 0),
    "d_parameters": ("of D", 0),
    "rate": ("rate", 4),
    "ms_per_step": ("CPU ms per step", 0),
    "steps": ("steps", 0),
    "fid": ("FID", 1),
    "fid_random": ("FID, random features", 3),
    "swd": ("sliced Wasserstein", 1),
}
EXACT = ("g_parameters", "d_parameters", "rate")  # the same for all seeds


def make_config(
    dataset: str, network: str, rate: float, seed: int, runs: Path
) -> ConfigDict:
    """The config of a pair; faces are drawn in the folder of the runs."""
    name = "resnet" if network == "attention" else network
    g, d = PAIRS[dataset][name]
    if network == "attention":
        heights = HEIGHTS[dataset]
        g, d = g | {"attention": heights[0]}, d | {"attention": heights[1]}
    changes: dict[str, Any] = {
        "generator": {"name": name} | g,
        "discriminator": {"name": name} | d,
        "g_optimizer.learning_rate": rate,
        "d_optimizer.learning_rate": rate,
        "num_examples": TRAINED_ON[dataset],
        "seed": seed,
    }
    if network == "stylegan":
        changes["prior.distribution"] = "sphere"  # as in configs/stylegan.py
        changes["generator"]["style_mixing"] = 0.0  # as for CIFAR-10 in 2006.06676
    if dataset == "faces":
        folder = draw_faces(runs / "faces", NUM_FACES)
        changes |= {"data.name": "image_folder", "data.manual_dir": str(folder)}
        changes["data.image_shape"] = (32, 32, 3)
    return ganjax.load_config("mnist", changes)


def train(config: ConfigDict, dataset: Dataset, seconds: float) -> tuple[Row, Images]:
    """Trains until the process has used so many CPU seconds; what it cost, samples."""
    gan = ganjax.make_gan(config)
    chunk = parallel.steps_per_call(gan)
    num = config.num_examples or len(dataset.train["images"])
    train_chunk = parallel.make_train_chunk(gan, chunk)
    state = ganjax.init_state(gan, jax.random.key(config.seed))
    sizes = [
        sum(x.size for x in jax.tree.leaves(player.params))
        for player in (state.g, state.d)
    ]
    examples = parallel.replicate(gan.examples(dataset))
    state, step, used = parallel.replicate(state), 0, 0.0
    shape = (chunk, gan.n_dis, config.batch_size)

    def call(n: int) -> float:
        """Trains n steps; the CPU seconds that they took."""
        nonlocal state
        rows = data.batch_indices(config.seed, step, shape, num)
        indices = parallel.shard_indices(rows, chunk)
        started = time.process_time()
        state, _ = jax.block_until_ready(train_chunk(state, examples, indices, n))
        return time.process_time() - started

    call(0)  # compiles
    while used < seconds:
        used += call(chunk)
        step += chunk
    row = {"g_parameters": sizes[0], "d_parameters": sizes[1], "steps": step}
    row |= {"seconds": used, "ms_per_step": 1000 * used / step}
    row["rate"] = config.g_optimizer.learning_rate
    key = jax.random.key(1)
    return row, {"samples": ganjax.sample(gan, state, num=NUM, key=key)}


class Scorer:
    """Samples, or real images, against the test images of a data set."""

    def __init__(self, dataset: Dataset):
        self._extractor = load_extractor(dataset)
        self._real = load_real(self._extractor, dataset)
        other: Suite = (fid, sliced_wasserstein)
        self._suite = other if self._extractor.suffix else (fid,)

    def __call__(self, samples: np.ndarray) -> Row:
        fake = comparable(metrics.extract(self._extractor, samples), self._real)
        values = metrics.score(fake, self._real, self._suite)
        return {k: x.value for k, x in values.items() if k in COLUMNS}

    def reference(self) -> Row:
        values = metrics.reference_values(self._real, NUM, self._suite)
        return {k: x.value for k, x in values.items() if k in COLUMNS}


class Study:
    """The runs on one data set."""

    def __init__(self, name: str, runs: Path):
        self._name, self._runs = name, runs
        config = make_config(name, "dcgan", 1e-3, 0, runs)
        self._dataset = common.load_data(config).in_memory()
        self._scorer = Scorer(self._dataset)

    def run(
        self, network: str, rate: float, seed: int, seconds: float
    ) -> tuple[Row, Images]:
        """A run, or what it found before on this machine: its row, and samples."""
        config = make_config(self._name, network, rate, seed, self._runs)
        identity = {
            "config": to_json(config),
            "data": self._dataset.identity.sha256,
            "seconds": seconds,
            "machine": common.describe_machine(),
            "jax": jax.__version__,
        }

        def measure() -> tuple[Row, Images]:
            row, images = train(config, self._dataset, seconds)
            jax.clear_caches()  # Linux limits the memory maps that programs are
            shown = {"samples": images["samples"][: SHOWN**2]}
            return row | self._scorer(images["samples"]), shown

        name = f"networks-{self._name}-{network}"
        folder = self._runs / name / f"{seconds:g}s-{rate:g}-seed{seed}"
        return run_once(folder, identity, measure)

    def best_rate(self, network: str) -> float:
        """The learning rate of the lowest FID after a short run."""

        def score(rate: float) -> float:
            row, _ = self.run(network, rate, 0, SEARCH_SECONDS)
            found = row["fid"] if "fid" in row else row["fid_random"]
            print(f"{self._name} {network}, rate {rate:g}: FID {found:.3f}", flush=True)
            return found if np.isfinite(found) else np.inf

        return min(RATES, key=score)

    def rows(
        self, network: str, seconds: float = SECONDS
    ) -> tuple[list[Row], np.ndarray]:
        """Rows of all seeds at the best rate, and samples of the first."""
        rate = self.best_rate(network)
        runs = [self.run(network, rate, seed, seconds) for seed in range(SEEDS)]
        return [row for row, _ in runs], runs[0][1]["samples"]

    def reference(self) -> list[Row]:
        """The row of real images."""
        return [self._scorer.reference()]


# --- results ------------------------------------------------------------------------


def table(rows: Rows) -> str:
    """Markdown, a row for each pair, and one of real images."""
    kept = [k for k in COLUMNS if any(k in runs[0] for runs in rows.values())]
    titles = ["networks", *(f">{COLUMNS[k][0]}" for k in kept)]

    def cell(name: str, runs: list[Row]) -> str:
        if name not in runs[0]:
            return ""
        digits = COLUMNS[name][1]
        if name in EXACT:
            return f"{runs[0][name]:,.{digits}f}"
        return common.mean_sd([run[name] for run in runs], digits)

    cells = [[name, *(cell(k, runs) for k in kept)] for name, runs in rows.items()]
    return common.markdown_table(titles, cells)


def draw(samples: dict[str, Images], rows: dict[str, Rows]) -> Figure:
    """Samples of all networks side by side, a line of grids for each data set."""
    columns = max(map(len, samples.values()))
    figure = Figure((3 * columns, 3.3 * len(samples)), layout="constrained")
    axes = figure.subplots(len(samples), columns, squeeze=False)
    for line, (name, images) in zip(axes, samples.items(), strict=True):
        for axis, (network, x) in zip(line, images.items(), strict=True):
            row = rows[name][network][0]
            axis.imshow(grid(x, SHOWN).squeeze(), cmap="gray")
            axis.set_title(f"{network}: {row['steps']:,.0f} steps")
            axis.set_axis_off()
    return figure


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("--data", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    flags = parser.parse_args()
    use_compilation_cache()  # a run that was stopped compiles once
    results: dict[str, Rows] = {}
    samples: dict[str, Images] = {}
    for name in flags.data:
        study = Study(name, flags.runs)
        results[name], samples[name] = {}, {}
        for network in flags.networks:
            results[name][network], samples[name][network] = study.rows(network)
        if "dcgan" in flags.networks:
            short = f"dcgan, {SHORT_SECONDS:g} s"
            results[name][short], _ = study.rows("dcgan", SHORT_SECONDS)
        results[name]["*real images*"] = study.reference()
        print(f"\n{name}\n\n{table(results[name])}", flush=True)
    if len(flags.data) < len(PAIRS) or len(flags.networks) < len(NETWORKS):
        return
    report = {"machine": common.describe_machine(), "results": results}
    files.write_text(flags.out / "networks.json", json.dumps(report, indent=2) + "\n")
    tables = [f"{name}:\n\n{table(rows)}" for name, rows in results.items()]
    common.save_table("\n\n".join(tables), flags.out / "networks.md")
    figure = draw(samples, results)
    common.save_figure(figure, flags.out / "networks.png", colors=256)


if __name__ == "__main__":
    main()
