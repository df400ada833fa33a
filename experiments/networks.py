"""Are larger networks worth their time? DCGAN, SNGAN, SAGAN, R3GAN, StyleGAN2.

Question: residual blocks, attention and styles pay with weeks of GPUs. What do networks
reach in the same minutes of one CPU core?

Command: python -m experiments.networks [--data mnist] [--networks dcgan r3gan]

Every pair has the loss, penalty and batches of configs/mnist.py and the same CPU
seconds of training, on MNIST and on 5,000 cartoon faces of 32x32 pixels. They are those
of the process (`time.process_time`), which other programs on the machine change little,
without compilation. The learning rate is that of mnist.py. With 1e-3 the residual pair
has a higher FID after 30 s, 456 against 402 (`--seconds 30 --rate 1e-3`); the others
were not tuned. 10,000 samples of the averaged generator, seed 0; FID by the digit
classifier, or by random features and beside the sliced Wasserstein distance.

Runs that are done are not repeated. Prints a table for each data set and writes
networks.json, networks.md and networks.png, except in a search.

Result: not measured.
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
SHOWN = 8  # rows and columns of samples in the picture
SECONDS = 150.0  # of training
Row = dict[str, float]
Rows = dict[str, Row]  # by networks
Images = dict[str, np.ndarray]

# Options of both networks by data set, with about as many parameters as DCGAN's.
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
HEIGHTS = {"mnist": 14, "faces": 16}  # of the feature maps with attention
NETWORKS = ("dcgan", "resnet", "attention", "r3gan", "stylegan")
RATE = 3e-3
COLUMNS = {  # title and digits
    "g_parameters": ("parameters of G", 0),
    "d_parameters": ("of D", 0),
    "ms_per_step": ("CPU ms per step", 0),
    "steps": ("steps", 0),
    "fid": ("FID", 1),
    "fid_random": ("FID, random features", 3),
    "swd": ("sliced Wasserstein", 1),
}


def make_config(dataset: str, network: str, rate: float) -> ConfigDict:
    """The config of a pair."""
    name = "resnet" if network == "attention" else network
    options = PAIRS[dataset][name]
    if network == "attention":
        options = tuple(o | {"attention": HEIGHTS[dataset]} for o in options)
    g, d = options
    changes: dict[str, Any] = {
        "generator": {"name": name} | g,
        "discriminator": {"name": name} | d,
        "g_optimizer.learning_rate": rate,
        "d_optimizer.learning_rate": rate,
    }
    if network == "stylegan":
        changes["prior.distribution"] = "sphere"  # as in configs/stylegan.py
    if dataset == "faces":
        changes["data.image_shape"] = (32, 32, 3)
    return ganjax.load_config("mnist", changes)


def load_data(name: str, runs: Path) -> Dataset:
    """Digits, or faces that are drawn in the folder of the runs."""
    if name == "mnist":
        return data.load(data.DataOptions())
    folder = draw_faces(runs / "faces", 5000)
    options = {"name": "image_folder", "manual_dir": str(folder)}
    return data.load(data.DataOptions(**options, image_shape=(32, 32, 3)))


def train(config: ConfigDict, dataset: Dataset, seconds: float) -> tuple[Row, Images]:
    """Trains until the process has used so many CPU seconds; what it cost, samples."""
    gan = ganjax.make_gan(config)
    chunk, num = parallel.steps_per_call(gan), len(dataset.train["images"])
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


def run(
    dataset: Dataset, config: ConfigDict, folder: Path, seconds: float
) -> tuple[Row, Images]:
    """A run of this config, or what it found before."""
    identity = {"config": to_json(config), "data": dataset.identity.sha256}
    identity = json.loads(json.dumps(identity | {"seconds": seconds}))  # lists, as read
    return run_once(folder, identity, lambda: train(config, dataset, seconds))


# --- results ------------------------------------------------------------------------


def table(rows: Rows) -> str:
    """Markdown, a row for each pair, and one of real images."""
    kept = [k for k in COLUMNS if any(k in row for row in rows.values())]
    titles = ["networks", *(f">{COLUMNS[k][0]}" for k in kept)]
    cells = [
        [name, *(f"{row[k]:,.{COLUMNS[k][1]}f}" if k in row else "" for k in kept)]
        for name, row in rows.items()
    ]
    return common.markdown_table(titles, cells)


def draw(samples: dict[str, Images], rows: dict[str, Rows]) -> Figure:
    """Samples of all networks side by side, a line of grids for each data set."""
    columns = max(map(len, samples.values()))
    figure = Figure((3 * columns, 3.3 * len(samples)), layout="constrained")
    axes = figure.subplots(len(samples), columns, squeeze=False)
    for line, (name, images) in zip(axes, samples.items(), strict=True):
        for axis, (network, x) in zip(line, images.items(), strict=True):
            row = rows[name][network]
            axis.imshow(grid(x[: SHOWN**2], SHOWN).squeeze(), cmap="gray")
            axis.set_title(f"{network}: {row['steps']:,.0f} steps")
            axis.set_axis_off()
    return figure


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("--data", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of training")
    parser.add_argument("--rate", type=float, help="learning rate, for a search")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    flags = parser.parse_args()
    use_compilation_cache()  # a run that was stopped compiles once
    searching = flags.seconds != SECONDS or flags.rate
    results: dict[str, Rows] = {name: {} for name in flags.data}
    samples: dict[str, Images] = {name: {} for name in flags.data}
    for name in flags.data:
        dataset = load_data(name, flags.runs)
        scorer = Scorer(dataset)
        for network in flags.networks:
            rate = flags.rate or RATE
            folder = flags.runs / f"networks-{name}-{network}"
            if searching:
                folder /= f"{flags.seconds:g}s-{rate:g}"
            config = make_config(name, network, rate)
            row, images = run(dataset, config, folder, flags.seconds)
            samples[name][network] = images["samples"]
            results[name][network] = row | {"rate": rate} | scorer(images["samples"])
        results[name]["*real images*"] = scorer.reference()
        print(f"\n{name}\n\n{table(results[name])}", flush=True)
    if searching:
        return
    report = {"machine": common.describe_machine(), "results": results}
    files.write_text(flags.out / "networks.json", json.dumps(report, indent=2) + "\n")
    tables = [f"{name}:\n\n{table(rows)}" for name, rows in results.items()]
    common.save_table("\n\n".join(tables), flags.out / "networks.md")
    common.save_figure(draw(samples, results), flags.out / "networks.png")


if __name__ == "__main__":
    main()
