"""Scores of a run, or of samples from a file, with the metrics of its data set."""

import json
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from ganjax import data, files, metrics, plots, sampling
from ganjax.data.dataset import DataOptions, Dataset
from ganjax.errors import UserError, printable
from ganjax.gans.standard import Standard
from ganjax.images import save_png
from ganjax.metrics.class_kl import class_histogram, histogram_kl
from ganjax.metrics.classifier import Params
from ganjax.metrics.fid import fid_train, frechet_distance
from ganjax.metrics.inception_score import classifier_score
from ganjax.metrics.parzen import parzen as parzen_metric
from ganjax.metrics.projection import Comparison
from ganjax.metrics.projection import projection as projection_metric
from ganjax.metrics.stacked import mode_counts, num_modes
from ganjax.metrics.suite import MIN_IMAGES
from ganjax.metrics.types import Evaluation
from ganjax.run import load_data, load_run
from ganjax.samples import read_samples

NUM_TEST = 10_000  # samples of a file that are compared with the test images
NUM_TRAIN = 50_000  # samples of a run that are compared with the training images


def evaluate_run(
    workdir: Path,
    num: int,
    seed: int,
    parzen: bool,
    data_options: DataOptions | None = None,
    projection: bool = False,
) -> None:
    """Scores the newest checkpoint: prints a table; writes metrics.json and figures.

    `num` samples are compared with the test images, 50,000 with the training images.
    `data_options` say where the data are, if not where they were during training;
    `projection` adds the metric of that name.

    Raises:
      UserError: no checkpoint, other data than those of the run, or a folder that
        can't be written to.
    """
    if num < MIN_IMAGES:
        raise UserError(f"--num={num}: expected at least {MIN_IMAGES}")
    gan, state, metadata = load_run(workdir)
    files.make_folder(workdir)  # so that minutes of work can be written down
    dataset = load_data(metadata, data_options)
    print(f"step {int(state.step)} of {workdir}")
    evaluation = gan.evaluate(state.g_ema, dataset.in_memory(), num, seed)
    if evaluation is not None:
        write_evaluation(evaluation, workdir)
        return
    total = max(num, min(NUM_TRAIN, len(dataset.train["images"])))
    labels, key = gan.condition(total), jax.random.key(seed)
    images = sampling.sample(gan, state, num=total, key=key, condition=labels)
    found = None
    if projection and isinstance(gan, Standard):
        trained_on = metadata["config"]["num_examples"]
        found = projection_metric(gan, state.g_ema, dataset, trained_on, seed)
    report((images, labels), num, dataset, workdir, parzen, found)


def evaluate_samples(
    file: Path, workdir: Path, data_options: DataOptions, parzen: bool
) -> None:
    """Scores an .npz of uint8 NHWC `images`, with or without the `labels` int [N].

    `labels` are the classes that the images were generated for. Of more than 10,000
    images, which may be sorted, a strided subset is compared with the test images.

    Raises:
      UserError: the file is not of this form, or has fewer than 20 images.
    """
    images, labels = read_samples(file, tuple(data_options.image_shape))
    num = len(images)
    dataset = data.load(data_options)
    files.make_folder(workdir)
    print(f"{num} samples of {printable(file)}")
    first = np.argsort(np.arange(num) % -(-num // NUM_TEST), kind="stable")
    samples = images[first], None if labels is None else labels[first]
    report(samples, min(num, NUM_TEST), dataset, workdir, parzen)


def report(
    samples: tuple[np.ndarray, np.ndarray | None],
    num: int,
    dataset: Dataset,
    workdir: Path,
    parzen: bool,
    projection: Comparison | None = None,
) -> None:
    """Prints the table; writes metrics.json, neighbors.png and distances.png.

    `samples` are images and their labels. The first `num` are compared with the test
    images and, if there are more, all of them with the training images. `projection` is
    the metric of that name.
    """
    classifier, dataset = load_classifier(dataset), dataset.in_memory()
    suite = suite_for(dataset) + ((parzen_metric,) if parzen else ())
    real = metrics.extract_real(classifier, dataset.train, dataset.test)
    fake = metrics.extract(classifier, *samples)
    estimates = metrics.score(fake[:num], real, suite)
    references = metrics.reference_values(real, num, suite)
    if len(fake) > num:
        estimates.update(fid_train(fake, real))
        references.update(fid_train(real.test, real))
    if projection:
        estimates["projection"], references["projection"] = projection
    found = estimates["memorization"].details
    figures = {"neighbors.png": plots.neighbors_grid(found, dataset.train["images"])}
    write_evaluation(Evaluation(estimates, references, figures), workdir)
    plots.plot_distances(workdir / "distances.png", found)
    print(
        f"in {workdir}: metrics.json; neighbors.png, samples each followed by the "
        "nearest training images; distances.png, their distances"
    )


def write_evaluation(evaluation: Evaluation, workdir: Path) -> None:
    """Prints the table; writes metrics.json and figures."""
    results = metrics.make_results(evaluation.estimates, evaluation.references)
    print(metrics.table(results))
    files.write_text(workdir / "metrics.json", json.dumps(results, indent=2) + "\n")
    for name, figure in evaluation.figures.items():
        save_png(workdir / name, figure, scale=2)


def suite_for(dataset: Dataset) -> metrics.Suite:
    """The metrics of a data set of digits or of stacked digits."""
    stacked = dataset.train["images"].shape[-1] == 3
    return metrics.STACKED if stacked else metrics.DIGITS


def load_classifier(dataset: Dataset) -> Params:
    """The digit classifier for a data set, from the cache or trained now.

    Of stacked digits it is trained on the first channel and applied to each.

    Raises:
      UserError: images that are not of 28x28 pixels, or have not two to ten classes.
    """
    images, labels = (dataset.train.get(k, np.zeros(0)) for k in ("images", "labels"))
    digits = images.dtype == np.uint8 and images.shape[1:3] == (28, 28)
    if not digits or not 0 < labels.max(initial=0) < 10:
        raise UserError(
            f"config.data.name={dataset.identity.name!r}: expected uint8 images of "
            "28x28 pixels in two to ten classes, which the metrics' classifier needs; "
            "to train without metrics, pass --config.evaluate_every=0"
        )
    train, sha256 = dataset.in_memory().train, dataset.identity.sha256
    images, labels = train["images"], train["labels"]
    first = labels if labels.ndim == 1 else labels[:, 0]
    return metrics.load_classifier(images[..., :1], first, sha256)


def make_scorer(dataset: Dataset) -> Callable[[np.ndarray], dict[str, float]]:
    """`images -> {"fid": ..., "is": ...}`, cheap enough to use during training.

    Of stacked digits, the number of "modes" found instead of "is".
    """
    classifier, suite = load_classifier(dataset), suite_for(dataset)
    dataset = dataset.in_memory()
    real = metrics.extract(classifier, dataset.test["images"])
    data = class_histogram(dataset.train["labels"])

    def score(images: np.ndarray) -> dict[str, float]:
        fake = metrics.extract(classifier, images)
        values = {"fid": frechet_distance(fake.features, real.features)}
        if suite is metrics.STACKED:
            values["modes"] = num_modes(mode_counts(fake.logits.argmax(-1)))
        else:
            values["is"] = float(classifier_score(fake.digit_logits).mean())
            classes = class_histogram(fake.digit_logits.argmax(-1))
            values["class_kl"] = histogram_kl(classes, data)
        return values

    return score
