"""Parzen-window log-likelihoods of our GANs beside those published in 2014.

Command: python -m experiments.parzen_table --workdirs runs/mnist runs/goodfellow2014

Parzen-window log-likelihood of the 10,000 test images in nats, the protocol of
arXiv:1406.2661 (ganjax/metrics/parzen.py); ± is the standard error over test images.
Two rows for comparison: real training images as centers, and the centroids of k-means,
which score higher (arXiv:1511.01844, section 3.3, explains why the estimate can't be
trusted).

Result, seed 0, each config's own number of steps:

| model | log-likelihood, nats |
|---|---:|
| adversarial nets (2014), published | 225 ± 2 |
| real training images | 242.6 ± 2.1 |
| k-means, 3 iterations | 334.1 ± 1.7 |
| goodfellow2014, 125,000 steps | 212.4 ± 2.4 |
| mnist, 8,000 steps | 229.0 ± 2.2 |
| conditional, 5,000 steps | 244.0 ± 2.1 |
| mnist_best, 46,000 steps | 244.2 ± 2.1 |

The GAN of 2014 still improves: 154 after 33 epochs, 193 after 100 and 212 after 250 (of
50,000 images; the others of 60,000). The estimate does not separate good from
very good digits: our conditional GANs have as much likelihood as real images, k-means
far more.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import ganjax
from ganjax import data
from ganjax.data import DataOptions
from ganjax.metrics.nearest_neighbors import find_neighbors
from ganjax.metrics.parzen import parzen_log_likelihood
from ganjax.options import build

PUBLISHED = {
    "DBN": "138 ± 2",
    "stacked CAE": "121 ± 1.6",
    "deep GSN": "214 ± 1.1",
    "adversarial nets (2014)": "225 ± 2",
    "adversarial autoencoder": "340 ± 2",
}
NUM = 10_000


def k_means(images: np.ndarray, k: int, iterations: int) -> np.ndarray:
    """Centroids uint8 [k, ...] by Lloyd's algorithm from random images."""
    rng = np.random.default_rng(0)
    centroids = images[rng.permutation(len(images))[:k]]
    for _ in range(iterations):
        nearest = find_neighbors(images, centroids).indices[:, 0]
        sums = np.zeros((k, images[0].size), np.float32)
        np.add.at(sums, nearest, images.reshape(len(images), -1))
        counts = np.bincount(nearest, minlength=k)[:, None]
        means = np.round(sums / np.maximum(counts, 1)).astype(np.uint8)
        means = means.reshape(k, *images.shape[1:])
        centroids = np.where(counts[:, :, None, None] > 0, means, centroids)
    return centroids


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--workdirs", type=Path, nargs="+", default=[Path("runs/mnist")]
    )
    parser.add_argument("--iterations", type=int, default=3)
    flags = parser.parse_args()

    runs = {workdir.name: ganjax.load_run(workdir) for workdir in flags.workdirs}
    _, _, metadata = next(iter(runs.values()))
    options = build(DataOptions, metadata["config"]["data"], "config.data")
    dataset = data.load(options)
    images = dataset.train["images"]
    train, validation = np.split(images, [len(images) * 5 // 6])
    order = np.random.default_rng(0).permutation(len(train))
    centers = {
        "real training images": train[order[:NUM]],
        f"k-means, {flags.iterations} iterations": k_means(
            train, min(NUM, len(train) // 5), flags.iterations
        ),
    }
    for name, (gan, state, _) in runs.items():
        images = ganjax.sample(gan, state, num=NUM, key=jax.random.key(0))
        centers[f"{name}, step {int(state.step)}"] = images

    print("| model | log-likelihood, nats |\n|---|---:|")
    for name, value in PUBLISHED.items():
        print(f"| {name} | {value} |")
    for name, images in centers.items():
        result = parzen_log_likelihood(images, validation, dataset.test["images"])
        print(
            f"| {name} | {result.value:.1f} ± {result.standard_error:.1f} |", flush=True
        )


if __name__ == "__main__":
    main()
