"""What do the metrics say of a trained GAN, of real images and of an untrained GAN?

python experiments/metrics_table.py --workdir runs/mnist

10,000 images each, against the 10,000 test images: samples of the newest checkpoint in
the work folder, training images drawn at random, and samples of the same generator
before its first step. Prints a Markdown table; the README's is one that this printed.
"""

import argparse
import time
from pathlib import Path

import jax
import numpy as np

import ganjax
from ganjax import data
from ganjax.evaluation import classifier
from ganjax.metrics import evaluate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=Path, default=Path("runs/mnist"))
    parser.add_argument("--num", type=int, default=10_000)
    flags = parser.parse_args()

    gan, state, metadata = ganjax.load_run(flags.workdir)
    dataset = data.load(metadata["config"]["data"])
    rows = np.random.default_rng(0).permutation(len(dataset.images) * 5 // 6)
    key = jax.random.key(0)
    untrained = ganjax.init_state(gan, jax.random.key(metadata["config"]["seed"]))
    sets = {
        "trained": ganjax.sample(gan, state, num=flags.num, key=key),
        "real": dataset.images[rows[: flags.num]],
        "untrained": ganjax.sample(gan, untrained, num=flags.num, key=key),
    }
    params = classifier(dataset)
    real = {
        "train_images": dataset.images,
        "train_labels": dataset.labels,
        "test_images": dataset.test_images,
        "test_labels": dataset.test_labels,
    }
    scores, seconds = {}, {}
    for name, images in sets.items():
        started = time.perf_counter()
        scores[name] = evaluate(images, real, params, parzen=True)
        seconds[name] = time.perf_counter() - started

    print(f"step {int(state.step)}, {dataset.describe()}, {flags.num} images each")
    print(f"features {scores['real']['fid']['features']}")
    print("| metric | " + " | ".join(sets) + " |")
    print("|---|" + "---:|" * len(sets))
    for metric in scores["real"]:
        cells = []
        for name in sets:
            entry = scores[name][metric]
            low, high = entry["ci95"]
            cells.append(f"{entry['value']:.4g} ({low:.4g} to {high:.4g})")
        print(f"| {metric} | " + " | ".join(cells) + " |")
    print("| seconds | " + " | ".join(f"{seconds[n]:.0f}" for n in sets) + " |")


if __name__ == "__main__":
    main()
