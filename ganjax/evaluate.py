"""Scores of a run, or of samples from a file, with the metrics of its data set."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from ganjax import data, files, metrics, plots, sampling
from ganjax.data.dataset import DataOptions, Dataset
from ganjax.errors import UserError, printable
from ganjax.features import check_number, comparable, load_extractor, load_real
from ganjax.gans.standard import Standard
from ganjax.images import save_png
from ganjax.metrics.class_kl import class_histogram, histogram_kl
from ganjax.metrics.features import Extractor
from ganjax.metrics.fid import fid, fid_train, frechet_distance
from ganjax.metrics.inception_score import classifier_score
from ganjax.metrics.kid import kid
from ganjax.metrics.parzen import parzen as parzen_metric
from ganjax.metrics.projection import Comparison
from ganjax.metrics.projection import projection as projection_metric
from ganjax.metrics.stacked import mode_counts, num_modes
from ganjax.metrics.suite import MIN_IMAGES, computable
from ganjax.metrics.types import Evaluation, FeatureSet, RealData
from ganjax.run import load_data, load_run
from ganjax.samples import read_samples

NUM_TEST = 10_000  # samples of a file that are compared with the test images
NUM_TRAIN = 50_000  # samples of a run that are compared with the training images


@dataclass(frozen=True)
class Override:
    """What to use in place of what a run has in its config."""

    data: DataOptions | None = None  # where its data are
    features: str | None = None  # of the metrics


def evaluate_run(
    workdir: Path,
    num: int,
    seed: int,
    parzen: bool,
    override: Override = Override(),
    projection: bool = False,
) -> None:
    """Scores the newest checkpoint: prints a table; writes metrics.json and figures.

    `num` samples are compared with the test images; by the digit classifier also 50,000
    with the training images. `projection` adds the metric of that name.

    Raises:
      UserError: no checkpoint, other data than those of the run, features that do not
        apply to them, or a folder that can't be written to.
    """
    if num < MIN_IMAGES:
        raise UserError(f"--num={num}: expected at least {MIN_IMAGES}")
    gan, state, metadata = load_run(workdir)
    files.make_folder(workdir)  # so that minutes of work can be written down
    dataset = load_data(metadata, override.data).in_memory()
    print(f"step {int(state.step)} of {workdir}")
    evaluation = gan.evaluate(state.g_ema, dataset, num, seed)
    if evaluation is not None:
        write_evaluation(evaluation, workdir)
        return
    names = override.features, metadata["config"].get("features"), "auto"
    extractor = load_extractor(dataset, next(name for name in names if name))
    real = load_real(extractor, dataset)
    if real.halves:
        num = min(num, len(real.halves.reference))
    total = num
    if not extractor.suffix:
        total = max(num, min(NUM_TRAIN, len(dataset.train["images"])))
    labels, key = gan.condition(total), jax.random.key(seed)
    images = sampling.sample(gan, state, num=total, key=key, condition=labels)
    extra = {}
    if projection and isinstance(gan, Standard):
        trained_on = metadata["config"]["num_examples"]
        found = projection_metric(gan, state.g_ema, dataset, trained_on, seed)
        extra["projection"] = found
    fake = metrics.extract(extractor, images, labels)
    suite = (parzen_metric,) if parzen else ()
    report(fake, num, real, workdir, suite, extra)


def evaluate_samples(
    file: Path,
    workdir: Path,
    data_options: DataOptions,
    parzen: bool,
    features: str = "auto",
) -> None:
    """Scores an .npz of uint8 NHWC `images`, with or without the `labels` int [N].

    `labels` are the classes that the images were generated for. Of more than 10,000
    images, which may be sorted, evenly spaced ones are compared with the test images.

    Raises:
      UserError: the file is not of this form, or has fewer than 20 images.
    """
    images, labels = read_samples(file, tuple(data_options.image_shape))
    num = len(images)
    dataset = data.load(data_options)
    files.make_folder(workdir)
    print(f"{num} samples of {printable(file)}")
    kept = min(num, NUM_TEST)
    order = np.arange(kept) * num // kept
    extractor = load_extractor(dataset, features)
    if not extractor.suffix:
        order = np.concatenate([order, np.setdiff1d(np.arange(num), order)])
    samples = images[order], None if labels is None else labels[order]
    fake = metrics.extract(extractor, *samples)
    suite = (parzen_metric,) if parzen else ()
    report(fake, kept, load_real(extractor, dataset), workdir, suite, {})


def report(
    fake: FeatureSet,
    num: int,
    real: RealData,
    workdir: Path,
    more: metrics.Suite,
    extra: dict[str, Comparison],
) -> None:
    """Prints the table; writes metrics.json, neighbors.png and distances.png.

    The first `num` samples are compared with the test images and, if there are more,
    all of them with the training images. `more` are metrics beside those of the suite,
    `extra` are values of others beside their references.
    """
    fake = comparable(fake, real)
    num = min(num, len(fake))
    suite, lines = computable(suite_for(real) + more, num, real)
    print("".join(f"{line}\n" for line in lines), end="")
    estimates = metrics.score(fake[:num], real, suite)
    references = metrics.reference_values(real, num, suite)
    if len(fake) > num:
        estimates.update(fid_train(fake, real))
        references.update(fid_train(real.test, real))
    for name, (value, reference) in extra.items():
        estimates[name], references[name] = value, reference
    evaluation = Evaluation(estimates, references, {})
    written = "metrics.json"
    if "memorization" in estimates:
        found = estimates["memorization"].details
        grid = plots.neighbors_grid(found, real.train.images)
        evaluation = evaluation._replace(figures={"neighbors.png": grid})
        plots.plot_distances(workdir / "distances.png", found)
        written += (
            "; neighbors.png, samples each followed by the nearest training images; "
            "distances.png, their distances"
        )
    write_evaluation(evaluation, workdir)
    print(f"in {workdir}: {written}")


def write_evaluation(evaluation: Evaluation, workdir: Path) -> None:
    """Prints the table; writes metrics.json and figures."""
    results = metrics.make_results(evaluation.estimates, evaluation.references)
    print(metrics.table(results))
    files.write_text(workdir / "metrics.json", json.dumps(results, indent=2) + "\n")
    for name, figure in evaluation.figures.items():
        save_png(workdir / name, figure, scale=2)


def suite_for(real: RealData) -> metrics.Suite:
    """The metrics of digits, of stacked digits, or of any images."""
    if real.suffix:
        return metrics.IMAGES
    stacked = real.train.images.shape[-1] == 3
    return metrics.STACKED if stacked else metrics.DIGITS


def make_scorer(
    dataset: Dataset, features: str = "auto"
) -> Callable[[np.ndarray], dict[str, float]]:
    """`images -> {"fid": ..., "is": ...}`, cheap enough to use during training.

    The first is what the best checkpoint is chosen by, the lowest. Of stacked digits,
    the number of "modes" found instead of "is"; of other features, "fid_random" or
    "kid_random" alone, "kid_random" if the images are too few for the former.
    """
    extractor = load_extractor(dataset, features)
    if extractor.suffix:
        return image_scorer(extractor, load_real(extractor, dataset))
    check_number(extractor, dataset)
    dataset = dataset.in_memory()
    real = metrics.extract(extractor, dataset.test["images"])
    data = class_histogram(dataset.train["labels"])
    stacked = real.images.shape[-1] == 3

    def score(images: np.ndarray) -> dict[str, float]:
        fake = metrics.extract(extractor, images)
        values = {"fid": frechet_distance(fake.features, real.features)}
        if stacked:
            values["modes"] = num_modes(mode_counts(fake.channel_logits.argmax(-1)))
        else:
            values["is"] = float(classifier_score(fake.digit_logits).mean())
            classes = class_histogram(fake.digit_logits.argmax(-1))
            values["class_kl"] = histogram_kl(classes, data)
        return values

    return score


def image_scorer(
    extractor: Extractor, real: RealData
) -> Callable[[np.ndarray], dict[str, float]]:
    """The same for any images."""

    def score(images: np.ndarray) -> dict[str, float]:
        fake = metrics.extract(extractor, comparable(images, real))
        (metric, *_), _ = computable((fid, kid), len(fake), real)
        if metric is kid:
            return {name: x.value for name, x in kid(fake, real).items()}
        value = frechet_distance(fake.features, real.compared.features)
        return {f"fid{real.suffix}": value}

    return score
