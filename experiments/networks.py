"""Are larger networks worth their time? DCGAN, SNGAN, SAGAN, R3GAN, StyleGAN2.

Question: residual blocks, attention and styles pay with weeks of GPUs. What do networks
reach in the same minutes of one CPU core?

Command: python -m experiments.networks [--data mnist] [--networks dcgan r3gan]

Every pair has the loss, penalty and batches of configs/mnist.py and the same CPU
seconds of training, on MNIST and on 5,000 cartoon faces of 32x32 pixels. They are those
of the process (`time.process_time`), which other programs on the machine change little,
without compilation. Of the learning rates 1e-3 and 3e-3 each pair has the one with the
lower FID after 30 s on MNIST: `--seconds 30 --rate 1e-3`. Samples are of the averaged
generator.

Runs that are done are not repeated. Prints a table for each data set. Unless --seconds
or --rate are given, also writes networks.json and networks.png.
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
from ganjax import data, files, parallel
from ganjax.config import to_json
from ganjax.data import Dataset
from ganjax.evaluate import make_scorer
from ganjax.images import grid

NUM = 10_000  # samples
SHOWN = 8  # rows and columns of samples in the picture
SECONDS = 100.0  # of training
Row = dict[str, float]
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
COSTS = {
    "g_parameters": "parameters of G",
    "d_parameters": "of D",
    "ms_per_step": "ms per step",
    "steps": "steps",
    "seconds": "CPU seconds",
}
HEIGHTS = {"mnist": 14, "faces": 16}  # of the feature maps with attention
NETWORKS = ("dcgan", "resnet", "attention", "r3gan", "stylegan")
RATES = {
    "dcgan": 3e-3,
    "resnet": 3e-3,
    "attention": 3e-3,
    "r3gan": 3e-3,
    "stylegan": 3e-3,
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


def load_data(name: str, runs: Path) -> Dataset:
    """Digits, or faces that are drawn in the folder of the runs."""
    if name == "mnist":
        return data.load(data.DataOptions())
    folder = draw_faces(runs / "faces", 5000)
    options = {"name": "image_folder", "manual_dir": str(folder)}
    return data.load(data.DataOptions(**options, image_shape=(32, 32, 3)))


def run(
    dataset: Dataset, config: ConfigDict, folder: Path, seconds: float
) -> tuple[Row, Images]:
    """A run of this config, or what it found before."""
    identity = {"config": to_json(config), "data": dataset.identity.sha256}
    identity = json.loads(json.dumps(identity | {"seconds": seconds}))  # lists, as read
    return run_once(folder, identity, lambda: train(config, dataset, seconds))


# --- results ------------------------------------------------------------------------


def table(rows: dict[str, Row]) -> str:
    """Markdown, a row for each pair."""
    scores = [k for k in next(iter(rows.values())) if k not in COSTS]
    titles = ["networks", *(f">{title}" for title in (*COSTS.values(), *scores))]
    cells = [
        [name, *(f"{row[k]:,.0f}" for k in COSTS), *(f"{row[k]:.4g}" for k in scores)]
        for name, row in rows.items()
    ]
    return common.markdown_table(titles, cells)


def draw(samples: dict[str, Images], rows: dict[str, dict[str, Row]]) -> Figure:
    """Samples of all networks side by side, a line of grids for each data set."""
    figure = Figure((3 * len(NETWORKS), 3.3 * len(samples)), layout="constrained")
    axes = figure.subplots(len(samples), len(NETWORKS), squeeze=False)
    for line, (name, images) in zip(axes, samples.items(), strict=True):
        for axis, (network, x) in zip(line, images.items(), strict=True):
            row = rows[name][network]
            axis.imshow(grid(x[: SHOWN**2], SHOWN).squeeze(), cmap="gray")
            axis.set_title(f"{network}: {row['steps']:,} steps", fontsize=9)
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
    results: dict[str, dict[str, Row]] = {name: {} for name in flags.data}
    samples: dict[str, Images] = {name: {} for name in flags.data}
    for name in flags.data:
        dataset = load_data(name, flags.runs)
        scorer = make_scorer(dataset) if name == "mnist" else None
        for network in flags.networks:
            rate = flags.rate or RATES[network]
            config = make_config(name, network, rate)
            folder = flags.runs / f"networks-{name}-{network}"
            if flags.seconds != SECONDS or flags.rate:
                folder /= f"{flags.seconds:g}s-{rate:g}"
            row, images = run(dataset, config, folder, flags.seconds)
            scores = scorer(images["samples"]) if scorer else {}
            results[name][network] = row | {"rate": rate} | scores
            samples[name][network] = images["samples"]
        print(f"\n{name}\n\n{table(results[name])}", flush=True)
    complete = set(flags.data) == set(PAIRS) and set(flags.networks) == set(NETWORKS)
    if complete and flags.seconds == SECONDS and not flags.rate:
        report = {"machine": common.describe_machine(), "results": results}
        text = json.dumps(report, indent=2) + "\n"
        files.write_text(flags.out / "networks.json", text)
        common.save_figure(draw(samples, results), flags.out / "networks.png")


if __name__ == "__main__":
    main()
