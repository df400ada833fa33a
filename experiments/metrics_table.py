"""Metrics of a trained generator, of real images and of an untrained generator.

Command: python -m experiments.metrics_table [--workdir runs/mnist]

10,000 images each, against the 10,000 test images: samples of the newest checkpoint in
the run's folder, random training images, and samples of the same generator before its
first step. Prints a Markdown table.
"""

import argparse
import time
from pathlib import Path

import jax
import numpy as np

import ganjax
from ganjax import data, metrics
from ganjax.data import DataOptions
from ganjax.features import load_extractor
from ganjax.metrics.parzen import parzen
from ganjax.options import build


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, default=Path("runs/mnist"))
    parser.add_argument("--num", type=int, default=10_000)
    flags = parser.parse_args()

    gan, state, metadata = ganjax.load_run(flags.workdir)
    config, key = metadata["config"], jax.random.key(0)
    dataset = data.load(build(DataOptions, config["data"], "config.data"))
    extractor = load_extractor(dataset)
    real = metrics.extract_real(extractor, dataset.train, dataset.test)
    rows = np.random.default_rng(0).permutation(real.validation_start)
    untrained = ganjax.init_state(gan, jax.random.key(config["seed"]))
    sets = {
        "trained": ganjax.sample(gan, state, num=flags.num, key=key),
        "real": dataset.train["images"][rows[: flags.num]],
        "untrained": ganjax.sample(gan, untrained, num=flags.num, key=key),
    }
    scores, seconds = {}, {}
    for name, images in sets.items():
        started = time.perf_counter()
        fake = metrics.extract(extractor, images)
        scores[name] = metrics.score(fake, real, (*metrics.DIGITS, parzen))
        seconds[name] = time.perf_counter() - started

    print(f"step {int(state.step)}, {dataset.describe()}, {flags.num} images each")
    print(f"features {real.features}")
    print("| metric | " + " | ".join(sets) + " |")
    print("|---|" + "---:|" * len(sets))
    for metric in scores["real"]:
        estimates = [scores[name][metric] for name in sets]
        cells = [f"{e.value:.4g} ({e.low:.4g} to {e.high:.4g})" for e in estimates]
        print(f"| {metric} | " + " | ".join(cells) + " |")
    print("| seconds | " + " | ".join(f"{seconds[n]:.0f}" for n in sets) + " |")


if __name__ == "__main__":
    main()
