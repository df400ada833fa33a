"""Scores of a run or of anyone's samples: between checkpoints, data and the metrics."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import jax
import numpy as np

from ganjax import data, sampling
from ganjax.checkpoint import load_run
from ganjax.errors import UserError
from ganjax.metrics.classifier import load_classifier
from ganjax.metrics.evaluate import evaluate, frechet_to_train, judge, table
from ganjax.metrics.frechet import frechet_distance
from ganjax.metrics.memorisation import memorisation_test, nearest_neighbours
from ganjax.metrics.scores import classifier_score
from ganjax.metrics.stacked import mode_counts, num_modes
from ganjax.writers import make_folder

NUM_TEST = 10_000  # of anyone's samples against the test images
NUM_TRAIN = 50_000  # samples against the training images, as far as data reach


def sample_run(workdir: Path, out: Path, num: int, seed: int) -> None:
    """Samples from the newest checkpoint; needs neither data nor flags of training.

    Raises:
      UserError: nothing to restore, or a place that can't be written to.
    """
    gan, state, _ = load_run(workdir)
    sampling.export(gan, state, out, num, jax.random.key(seed))
    print(f"samples of step {int(state.step)} in {out}")


def evaluate_run(
    workdir: Path,
    num: int,
    seed: int,
    parzen: bool,
    data_config: Mapping[str, Any] | None = None,
) -> None:
    """Scores the newest checkpoint: a table, metrics.json and neighbours.png.

    `data_config`, the fields `data.*`, says where the data are now, if not where they
    were.

    Raises:
      UserError: nothing to restore, or other data than the run was trained on.
    """
    gan, state, metadata = load_run(workdir)
    dataset = data.load(data_config or metadata["config"]["data"])
    if dataset.identity["sha256"] != metadata["data"]["sha256"]:
        raise UserError(
            f"{workdir} was trained on {metadata['data']['source']}, at hand is "
            f"{dataset.identity['source']}: pass --config and --config.data.manual_dir"
        )

    print(f"step {int(state.step)} of {workdir}")
    total = max(num, min(NUM_TRAIN, len(dataset.images)))
    labels = sampling.balanced_labels(gan, total)
    key = jax.random.key(seed)
    images = sampling.sample(gan, state, num=total, key=key, labels=labels)
    report(images, labels, num, dataset, workdir, parzen)


def evaluate_samples(
    file: Path, workdir: Path, data_config: Mapping[str, Any], parzen: bool
) -> None:
    """Scores samples that anyone made: an .npz with uint8 NHWC `images`.

    Where it has `labels` too, int [N], the classes that were meant, so does the table.
    Of more than 10,000 images every so many-th is scored against the test images, since
    they may come sorted.

    Raises:
      UserError: not such a file.
    """
    try:
        with np.load(file) as arrays:
            images, labels = arrays["images"], arrays.get("labels")
        num = len(images)
        if labels is not None and labels.shape != (num,):
            raise ValueError(f"labels {labels.shape} for {num} images")
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise UserError(
            f"--samples={file} can't be read: it must be an .npz with one uint8 array "
            f"'images' of shape [N, H, W, C] ({error})"
        ) from error
    make_folder(workdir)
    print(f"{num} samples of {file}")
    first = np.argsort(np.arange(num) % -(-num // NUM_TEST), kind="stable")
    images, labels = images[first], None if labels is None else labels[first]
    dataset = data.load(data_config)
    report(images, labels, min(num, NUM_TEST), dataset, workdir, parzen)


def report(
    images: np.ndarray,
    labels: np.ndarray | None,
    num: int,
    dataset: data.Dataset,
    workdir: Path,
    parzen: bool,
) -> None:
    """Prints the table; writes metrics.json and two pictures into the folder.

    The first `num` images are scored against the test images, all of them against the
    training images.
    """
    params = classifier(dataset)
    meant = None if labels is None else labels[:num]
    real = {"train_images": dataset.images, "test_images": dataset.test_images}
    if dataset.labels.ndim == 1:
        real |= {"train_labels": dataset.labels, "test_labels": dataset.test_labels}
    try:
        results = evaluate(images[:num], real, params, meant, parzen)
        if len(images) > num:
            results["fid_train"] = frechet_to_train(images, real, params)
    except ValueError as error:
        raise UserError(f"these images can't be scored: {error}") from error
    print(table(results))
    (workdir / "metrics.json").write_text(json.dumps(results, indent=2) + "\n")
    sampling.save_png(workdir / "neighbours.png", neighbours(images, dataset), scale=2)
    plot_distances(workdir / "distances.png", images, dataset)
    print(
        f"in {workdir}: metrics.json; neighbours.png, samples each followed by the "
        "nearest training images; distances.png, how near those are"
    )


def neighbours(images: np.ndarray, dataset: data.Dataset, rows: int = 8) -> np.ndarray:
    """A picture: two columns of samples, each followed by its five nearest digits."""
    queries = images[: 2 * rows]
    found = nearest_neighbours(queries, dataset.images, k=5).indices
    tiles = np.concatenate([queries[:, None], dataset.images[found]], axis=1)
    return sampling.grid(tiles.reshape(-1, *queries.shape[1:]), columns=12)


def plot_distances(path: Path, images: np.ndarray, dataset: data.Dataset) -> None:
    """Distances to the nearest training image: samples beside unseen test images.

    A generator that memorises piles up at zero; one that is blind to the data lies to
    the right of the test images.
    """
    from matplotlib.figure import Figure

    found = memorisation_test(images[:1000], dataset.images, dataset.test_images[:1000])
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axis = figure.subplots()
    bins = np.linspace(0, max(found.fake.max(), found.heldout.max()), 50).tolist()
    for distances, label in ((found.fake, "samples"), (found.heldout, "test images")):
        axis.hist(distances, bins, alpha=0.5, label=label)
    axis.set(xlabel="L2 distance to the nearest training image", ylabel="images")
    axis.legend()
    figure.savefig(path, dpi=120)


def classifier(dataset: data.Dataset) -> Any:
    """The judge for a data set of digits, trained once a machine.

    Stacked digits are judged channel by channel, by a classifier of the first.

    Raises:
      UserError: images that are not of 28x28 pixels, or have not two to ten classes.
    """
    if dataset.images.shape[1:3] != (28, 28) or not 0 < dataset.labels.max() < 10:
        raise UserError(
            f"{dataset.identity['name']} can't be scored: the judge is a classifier of "
            "28x28 images of two to ten classes; leave config.evaluate_every at 0"
        )
    labels = dataset.labels if dataset.labels.ndim == 1 else dataset.labels[:, 0]
    identity = dataset.identity["sha256"]
    return load_classifier(dataset.images[..., :1], labels, identity)


def make_scorer(dataset: data.Dataset) -> Callable[[np.ndarray], dict[str, float]]:
    """`images -> {"fid": …, "is": …}`, cheap enough for use while training.

    Of stacked digits, the number of `modes` found instead of "is".
    """
    params = classifier(dataset)
    real = judge(params, dataset.test_images).features

    def score(images: np.ndarray) -> dict[str, float]:
        fake = judge(params, images)
        values = {"fid": frechet_distance(fake.features, real)}
        if images.shape[-1] == 3:
            modes = num_modes(mode_counts(fake.logits.argmax(-1)))
            return values | {"modes": float(modes)}
        return values | {"is": float(classifier_score(fake.logits[:, 0]).mean())}

    return score
