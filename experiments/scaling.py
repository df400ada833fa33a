"""Does the number of devices change results, and what do batch and width cost?

Command: python -m experiments.scaling [--steps 40] [--fid 7]

Every run is a process of its own with virtual CPU devices and no compilation cache.
Images per second are those of the median step after the first ten; seconds of
compilation are those of the first call, tracing included; memory is the peak resident
size of the process, interpreter, compiler and data included. Seconds to an FID are
those of the training steps until 10,000 samples have it, looked at after every 32,000
images, of 512,000 at most; the number of steps until then is that of one device, since
devices do not change the updates. Prints Markdown tables and writes scaling.png to
experiments/results.

Result, 40 steps on 2 cores of an Intel Xeon: with SGD and the same global batch the
losses of D on 1, 2, 4 and 8 devices differ by at most 3e-5. With Adam they differ by up
to 0.38: Adam's first step is the sign of the gradient, and where a gradient is rounding
noise, devices that sum in another order get the other sign. Virtual devices share the
same cores: 2 are as fast as 1, 8 half as fast and 0.4 GB larger. Images per second grow
up to a batch of 128 and fall at 256; twice the width takes 2.4 times as long.
Compilation takes 3 s whatever the size. FID 7 (one seed) takes 64 s in batches of 32,
72 in those of 64, 85 in those of 128 and 184 in those of 256; batches of 16 don't reach
it at the same learning rate. Neither half nor twice the width is faster (79 and 177 s).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
POINT = {"devices": 1, "batch_size": 64, "width": 1.0, "optimizers": {}}
SGD = {
    "g_optimizer": {"name": "sgd", "learning_rate": 0.02},
    "d_optimizer": {"name": "sgd", "learning_rate": 0.02},
}
ENVIRONMENT = {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "0"}
MEASURES = {
    "speed": "images/s",
    "seconds": "seconds to the FID",
    "compilation": "compilation, s",
    "mb": "peak MB",
}
BETWEEN, MOST = 32_000, 512_000  # images from one FID to the next, and at most
Rows = list[dict[str, Any]]
AXES: dict[str, list[float]] = {
    "devices": [1, 2, 4, 8],
    "batch_size": [16, 32, 64, 128, 256],
    "width": [0.5, 1.0, 2.0],
}


def load(point: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The GAN of a point, its config and MNIST."""
    import ganjax
    from ganjax import data
    from ganjax.data import DataOptions
    from ganjax.options import build

    overrides = {"batch_size": point["batch_size"]} | point["optimizers"]
    config = ganjax.load_config("configs/mnist.py", overrides)
    for player in (config.generator, config.discriminator):
        for field in ("hidden", "channels"):
            player[field] = tuple(int(w * point["width"]) for w in player[field])
    options = build(DataOptions, config.data, "config.data")
    return ganjax.make_gan(config), config, data.load(options)


def child(point: dict[str, Any], steps: int) -> dict[str, Any]:
    """One run in this process: losses of D, speed, seconds of compilation, memory."""
    import jax

    import ganjax
    from ganjax import data, parallel

    gan, config, dataset = load(point)
    images = dataset.train["images"]
    state = parallel.replicate(ganjax.init_state(gan, jax.random.key(0)))
    examples = parallel.replicate(images)
    train_chunk = parallel.make_train_chunk(gan, 2)
    losses, seconds = [], []
    shape = (1, gan.n_dis, config.batch_size)
    nothing = parallel.shard_indices(np.zeros(shape, np.int32), 2)
    started = time.perf_counter()
    state, _ = jax.block_until_ready(train_chunk(state, examples, nothing, 0))
    compilation = time.perf_counter() - started
    for step in range(steps):
        rows = data.batch_indices(0, step, shape, len(images))
        started = time.perf_counter()
        indices = parallel.shard_indices(rows, 2)
        state, metrics = train_chunk(state, examples, indices, 1)
        losses.append(float(metrics["d_loss"]))
        seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    speed = config.batch_size / np.median(seconds[10:])
    measured = {"speed": speed, "compilation": compilation, "mb": peak}
    return {"losses": losses} | measured


def images_to_fid(point: dict[str, Any], fid: float) -> float:
    """Images of training until the generator has this FID; infinite: not reached."""
    import jax

    import ganjax
    from ganjax import data, parallel
    from ganjax.evaluate import make_scorer

    gan, config, dataset = load(point)
    score, images = make_scorer(dataset), dataset.train["images"]
    state = parallel.replicate(ganjax.init_state(gan, jax.random.key(0)))
    examples = parallel.replicate(images)
    chunk = BETWEEN // config.batch_size
    train_chunk = parallel.make_train_chunk(gan, chunk)
    for step in range(0, chunk * MOST // BETWEEN, chunk):
        shape = (chunk, gan.n_dis, config.batch_size)
        rows = data.batch_indices(0, step, shape, len(images))
        indices = parallel.shard_indices(rows, chunk)
        state, _ = train_chunk(state, examples, indices, chunk)
        samples = ganjax.sample(gan, state, num=10_000, key=jax.random.key(1))
        if score(samples)["fid"] <= fid:
            return (step + chunk) * config.batch_size
    return np.inf


def run(point: dict[str, Any], steps: int) -> dict[str, Any]:
    """`child` in a process of its own with virtual devices."""
    flags = f"--xla_force_host_platform_device_count={point['devices']}"
    command = [sys.executable, "-m", "experiments.scaling", f"--steps={steps}"]
    out = subprocess.run(
        [*command, "--child", json.dumps(point)],
        env=os.environ | {"XLA_FLAGS": flags} | ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return point | json.loads(out.splitlines()[-1])


def plot(results: dict[str, Rows], sgd: Rows, path: Path) -> None:
    """Losses on top of each other; every measure along each axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8), layout="constrained")
    losses, rest = figure.subfigures(1, 2, width_ratios=(1, 2.4))
    axis = losses.subplots()
    for row in sgd:
        label = f"{row['devices']} device" + "s" * (row["devices"] > 1)
        width = 1 + 6 / row["devices"]  # thick to thin, so that all stay visible
        axis.plot(row["losses"], label=label, linewidth=width, alpha=0.7)
    axis.set(title="SGD, one batch of 64 on several devices", ylabel="loss of D")
    axis.set(xlabel="step")
    axis.legend(fontsize=8)
    grid = rest.subplots(len(MEASURES), len(results), sharex="col")
    for column, (name, rows) in zip(grid.T, results.items(), strict=True):
        x = [row[name] for row in rows]
        for axis, measure in zip(column, MEASURES, strict=True):
            axis.plot(x, [row[measure] for row in rows], "o-")
            axis.set(xscale="log", xticks=x, xticklabels=x)
            axis.minorticks_off()
            finite = [row[measure] for row in rows if np.isfinite(row[measure])]
            axis.set_ylim(0, 1.15 * max(finite, default=1))
        column[-1].set_xlabel(name.replace("_", " "))
    for axis, label in zip(grid[:, 0], MEASURES.values(), strict=True):
        axis.set_ylabel(label)
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--fid", type=float, default=7.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.child:
        print(json.dumps(child(flags.child, flags.steps)))
        return
    flags.out.mkdir(parents=True, exist_ok=True)
    results = {
        name: [run(POINT | {name: value}, flags.steps) for value in values]
        for name, values in AXES.items()
    }
    sgd = [
        run(POINT | {"devices": n, "optimizers": SGD}, flags.steps)
        for n in AXES["devices"]
    ]

    needed: dict[tuple[int, float], float] = {}
    for row in (row for rows in results.values() for row in rows):
        size = row["batch_size"], row["width"]
        if size not in needed:
            needed[size] = images_to_fid(row, flags.fid)
        row["seconds"] = needed[size] / row["speed"]

    def differences(rows: Rows) -> np.ndarray:
        """Largest difference to the losses of one device, for each run."""
        losses = np.array([row["losses"] for row in rows])
        return np.abs(losses - losses[0]).max(axis=1)

    titles = ["devices", "batch", "width", *MEASURES.values()]
    print("| " + " | ".join(titles) + " |\n|" + "---:|" * len(titles))
    for row in (row for rows in results.values() for row in rows):
        cells = f"{row['devices']} | {row['batch_size']} | {row['width']}"
        measures = " | ".join(f"{row[name]:,.0f}" for name in MEASURES)
        print(f"| {cells} | {measures} |", flush=True)
    print("\n| devices | loss of D differs by, SGD | Adam |\n|---:|---:|---:|")
    both = differences(sgd), differences(results["devices"])
    for devices, *values in zip(AXES["devices"], *both, strict=True):
        print(f"| {devices} | {values[0]:.1e} | {values[1]:.1e} |")
    plot(results, sgd, flags.out / "scaling.png")


if __name__ == "__main__":
    main()
