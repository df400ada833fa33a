"""Every metric of one set of samples, each beside its floor: real in place of fake."""

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganjax.metrics.classifier import (
    Params,
    cache_folder,
    features_and_logits,
    fingerprint,
    write_atomically,
)
from ganjax.metrics.frechet import frechet_distance, frechet_interval
from ganjax.metrics.kernel import kernel_distances, kernel_interval, subset_size
from ganjax.metrics.manifold import manifold_scores
from ganjax.metrics.memorisation import memorisation_test
from ganjax.metrics.parzen import parzen_log_likelihood
from ganjax.metrics.scores import (
    class_histogram,
    classifier_score,
    count_interval,
    histogram_kl,
    label_accuracy,
)
from ganjax.metrics.stacked import mode_counts, num_modes, uniform_kl

Array = npt.NDArray[Any]
Results = dict[str, dict[str, Any]]

VERSION = 1  # of the protocols below: raise it to discard cached floors
NUM_PIXELS = 1000  # images a side for the memorisation test
T_9 = 2.262  # 97.5 % quantile of Student's t with 9 degrees of freedom
PIXELS = "pixels"


class Sample(NamedTuple):
    """Images with their features; `intended` are the labels that they were made for."""

    images: Array  # uint8 [N, 28, 28, C]
    features: Array  # float32 [N, 128 C]
    logits: Array  # float32 [N, C, 10]
    intended: Array | None = None  # int [N]


class Reference(NamedTuple):
    """The real side, the same for the fakes and for the floor."""

    train: Array  # uint8 [M, 28, 28, C]
    test: Sample
    digits: Array  # int64 [10]: class counts of the data
    name: str  # fingerprint of the classifier


class Estimate(NamedTuple):
    value: float
    interval: tuple[float, float]
    n_real: int
    n_fake: int
    protocol: str
    features: str


def evaluate(
    fake: npt.ArrayLike,
    real: Mapping[str, npt.ArrayLike],
    params: Params,
    fake_labels: npt.ArrayLike | None = None,
    parzen: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Results:
    """Scores `fake` uint8 [N, 28, 28, C] against the test images.

    `real` has `train_images`, `test_images` (uint8 NHWC) and, where known,
    `train_labels`, `test_labels` ([M], digits). C = 1: fid, kid, is, precision, recall,
    density, coverage, class_kl, memorisation; `fake_labels` [N] adds label_accuracy,
    `parzen` parzen_ll. C = 3 (Stacked MNIST): features of the three channels side by
    side, and modes and modes_kl instead of is, class_kl and label_accuracy.

    Each entry: value, floor, ci95 [lo, hi], n_real, n_fake, n_floor, protocol (which
    says what the interval treats as random), features (fingerprint). The floor is the
    metric of as many training images (of the first five sixths: Parzen validates on
    the rest), the memorisation test's that of unused test images. It is cached beside
    the classifier by data, classifier and N. Raises ValueError on wrong input.
    """
    samples, train = _images(fake, "fake"), _images(real["train_images"], "train")
    test = _images(real["test_images"], "test")
    channels = {x.shape[-1] for x in (samples, train, test)}
    if len(channels) != 1:
        raise ValueError(f"fake, train and test differ in channels: {sorted(channels)}")
    if min(len(samples), len(train), len(test)) < 20:
        raise ValueError("evaluation needs 20 images or more of each kind")
    heldout = judge(params, test)
    digits = _digits(real, heldout)
    reference = Reference(train, heldout, digits, fingerprint(params))
    intended = None if fake_labels is None else np.asarray(fake_labels)
    measured = _measure(judge(params, samples, intended), reference, parzen)
    floors = _cached_floors(real, params, reference, measured, cache_folder(cache_dir))
    return {
        name: {
            "value": estimate.value,
            "floor": floors[name],
            "ci95": list(estimate.interval),
            "n_real": estimate.n_real,
            "n_fake": estimate.n_fake,
            "n_floor": int(min(estimate.n_fake, _num_floor(train, test, name))),
            "protocol": estimate.protocol,
            "features": estimate.features,
        }
        for name, estimate in measured.items()
    }


def frechet_to_train(
    fake: npt.ArrayLike, real: Mapping[str, npt.ArrayLike], params: Params
) -> dict[str, Any]:
    """FID of all fakes against all training images: 50k against 60k, say.

    The floor is that of the test images against the same, at their smaller number.
    """
    train = judge(params, _images(real["train_images"], "train")).features
    test = judge(params, _images(real["test_images"], "test")).features
    features = judge(params, _images(fake, "fake")).features
    return {
        "value": frechet_distance(features, train),
        "floor": frechet_distance(test, train),
        "ci95": list(frechet_interval(features, train)),
        "n_real": len(train),
        "n_fake": len(features),
        "n_floor": len(test),
        "protocol": "FID to train, covariance over n-1; ci: jackknife, 20 groups",
        "features": fingerprint(params),
    }


def compare(a: Results, b: Results) -> Results:
    """Differences b - a of shared metrics; `resolved`: the intervals are disjoint.

    Raises ValueError where features, protocol or counts differ: FID, above all, means
    nothing across classifiers and is biased by the number of images.
    """
    differences: Results = {}
    for name in (key for key in a if key in b):
        x, y = a[name], b[name]
        for field in ("features", "protocol", "n_real", "n_fake"):
            if x[field] != y[field]:
                raise ValueError(
                    f"{name} is not comparable: {field} {x[field]!r} and {y[field]!r}"
                )
        (low_x, high_x), (low_y, high_y) = x["ci95"], y["ci95"]
        differences[name] = {
            "difference": y["value"] - x["value"],
            "resolved": bool(high_x < low_y or high_y < low_x),
        }
    return differences


def table(results: Results) -> str:
    """A Markdown table, one metric a line."""
    lines = [
        "| metric | value | 95 % interval | floor (real) | fake / real | features |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for name, r in results.items():
        low, high = r["ci95"]
        lines.append(
            f"| {name} | {r['value']:.4g} | {low:.4g} .. {high:.4g} | {r['floor']:.4g} "
            f"| {r['n_fake']} / {r['n_real']} | {r['features']} |"
        )
    return "\n".join(lines)


def _measure(fake: Sample, real: Reference, parzen: bool) -> dict[str, Estimate]:
    estimates = _distances(fake, real) | _manifold(fake, real)
    estimates |= (
        _stacked(fake, real) if len(fake.logits[0]) == 3 else _digit(fake, real)
    )
    if parzen:
        estimates |= _parzen(fake, real)
    return estimates | _memorisation(_spread(fake.images, NUM_PIXELS), real)


def _distances(fake: Sample, real: Reference) -> dict[str, Estimate]:
    a, b = fake.features, real.test.features
    size = subset_size(len(a), len(b))
    kid = kernel_distances(a, b)
    fid_protocol = "FID, covariance over n-1; ci: jackknife, 20 groups of fakes"
    kid_protocol = f"KID, 100 subsets of {size}; ci: subsampling, fakes and reals"
    return {
        "fid": Estimate(
            frechet_distance(a, b),
            frechet_interval(a, b),
            len(b),
            len(a),
            fid_protocol,
            real.name,
        ),
        "kid": Estimate(
            float(kid.mean()),
            kernel_interval(kid, size, min(len(a), len(b))),
            len(b),
            len(a),
            kid_protocol,
            real.name,
        ),
    }


def _manifold(fake: Sample, real: Reference) -> dict[str, Estimate]:
    a, b = fake.features, real.test.features
    protocols = {
        "precision": "k=3, <=; ci: fakes as independent",
        "recall": "k=3, <=; ci: reals as independent",
        "density": "k=5, <; ci: fakes as independent",
        "coverage": "k=5, <; ci: reals as independent",
    }
    estimates = {}
    for name, terms in manifold_scores(b, a)._asdict().items():
        value, error = float(terms.mean()), float(terms.std() / np.sqrt(len(terms)))
        high = np.inf if name == "density" else 1.0
        interval = max(value - 1.96 * error, 0.0), min(value + 1.96 * error, high)
        estimates[name] = Estimate(
            value, interval, len(b), len(a), protocols[name], real.name
        )
    return estimates


def _digit(fake: Sample, real: Reference) -> dict[str, Estimate]:
    """The metrics of the predicted digits, one channel."""
    n, m = len(fake.images), len(real.test.images)
    logits = fake.logits[:, 0]
    predicted = logits.argmax(1)
    splits = classifier_score(logits)
    score, error = float(splits.mean()), float(splits.std(ddof=1) / np.sqrt(10))
    counts = class_histogram(predicted)
    interval = count_interval(counts, lambda c: histogram_kl(c, real.digits))
    estimates = {
        "is": Estimate(
            score,
            (score - T_9 * error, score + T_9 * error),
            0,
            n,
            "IS, 10 interleaved splits; ci: Student's t over splits",
            real.name,
        ),
        "class_kl": Estimate(
            histogram_kl(counts, real.digits),
            interval,
            int(real.digits.sum()),
            n,
            "KL(predicted digits || the data's), nats; ci: jackknife, fakes",
            real.name,
        ),
    }
    if fake.intended is not None:
        value = label_accuracy(predicted, fake.intended)
        error = float(np.sqrt(value * (1 - value) / n))
        estimates["label_accuracy"] = Estimate(
            value,
            (max(value - 1.96 * error, 0.0), min(value + 1.96 * error, 1.0)),
            m,
            n,
            "predicted digit = intended; ci: fakes as independent",
            real.name,
        )
    return estimates


def _stacked(fake: Sample, real: Reference) -> dict[str, Estimate]:
    """The metrics of the predicted digits, three channels."""
    counts = mode_counts(fake.logits.argmax(-1))
    n = len(fake.images)
    return {
        "modes": Estimate(
            float(num_modes(counts)),
            count_interval(counts, num_modes),
            0,
            n,
            "modes of 1000 with a sample; ci: jackknife, fakes",
            real.name,
        ),
        "modes_kl": Estimate(
            uniform_kl(counts),
            count_interval(counts, uniform_kl),
            0,
            n,
            "KL(predicted modes || uniform), nats; ci: jackknife, fakes",
            real.name,
        ),
    }


def _parzen(fake: Sample, real: Reference) -> dict[str, Estimate]:
    validation = real.train[_split(real.train) :]
    result = parzen_log_likelihood(fake.images, validation, real.test.images)
    spread = 1.96 * result.standard_error
    entry = Estimate(
        result.value,
        (result.value - spread, result.value + spread),
        len(real.test.images),
        len(fake.images),
        "Parzen, nats, sigma of 10 on 1000 held-out; ci: test images",
        PIXELS,
    )
    return {"parzen_ll": entry}


def _memorisation(images: Array, real: Reference) -> dict[str, Estimate]:
    heldout = _spread(real.test.images[::2], NUM_PIXELS)
    result = memorisation_test(images, real.train, heldout)
    rng = np.random.default_rng(0)
    draws = rng.choice(result.fake, (500, len(result.fake)))
    error = float(np.median(draws, 1).std() / np.median(result.heldout))
    entry = Estimate(
        result.ratio,
        (max(result.ratio - 1.96 * error, 0.0), result.ratio + 1.96 * error),
        len(real.train),
        len(images),
        "median distance to train, fake / test (< 1 copies); ci: bootstrap, fakes",
        PIXELS,
    )
    return {"memorisation": entry}


def _cached_floors(
    real: Mapping[str, npt.ArrayLike],
    params: Params,
    reference: Reference,
    measured: Mapping[str, Estimate],
    folder: Path,
) -> dict[str, float]:
    n = measured["fid"].n_fake
    digest = hashlib.sha256(json.dumps([VERSION, reference.name, n]).encode())
    for name in sorted(real):
        array = np.ascontiguousarray(real[name])
        digest.update(f"{name}{array.dtype}{array.shape}".encode() + array.tobytes())
    path = folder / f"floor_{digest.hexdigest()[:12]}.json"
    floors: dict[str, float] = {}
    if path.exists():
        try:
            floors = {k: float(v) for k, v in json.loads(path.read_text()).items()}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            warnings.warn(f"{path} is corrupt ({error}): made anew", stacklevel=3)
    if not set(measured) <= set(floors):
        with_parzen = "parzen_ll" in measured or "parzen_ll" in floors
        floors = _floors(real, params, reference, n, with_parzen)
        floors |= {name: float("nan") for name in set(measured) - set(floors)}
        text = json.dumps(floors, indent=1).encode()
        write_atomically(path, lambda file: file.write(text))
    return floors


def _floors(
    real: Mapping[str, npt.ArrayLike],
    params: Params,
    reference: Reference,
    n: int,
    parzen: bool,
) -> dict[str, float]:
    rows = np.random.default_rng(0).permutation(_split(reference.train))[:n]
    labels = real.get("train_labels")
    intended = None if labels is None else np.asarray(labels)[rows]
    sample = judge(params, reference.train[rows], intended)
    estimates = _measure(sample, reference, parzen)
    fresh = _spread(reference.test.images[1::2], NUM_PIXELS)
    estimates |= _memorisation(fresh, reference)
    return {name: estimate.value for name, estimate in estimates.items()}


def _num_floor(train: Array, test: Array, name: str) -> int:
    return len(test) // 2 if name == "memorisation" else _split(train)


def _split(train: Array) -> int:
    """Where the validation images begin: 50,000 of MNIST's 60,000."""
    return len(train) * 5 // 6


def _spread(images: Array, num: int) -> Array:
    """At most `num` images evenly over the set, which may be in order of labels."""
    rows = np.linspace(0, len(images) - 1, min(num, len(images))).astype(np.int64)
    return images[rows]


def judge(params: Params, images: Array, intended: Array | None = None) -> Sample:
    """Features and logits, channel by channel, of uint8 [N, 28, 28, C]."""
    if intended is not None and len(intended) != len(images):
        raise ValueError(f"{len(intended)} labels for {len(images)} images")
    channels = [
        features_and_logits(params, images[..., c : c + 1])
        for c in range(images.shape[-1])
    ]
    features = np.concatenate([f for f, _ in channels], axis=1)
    return Sample(images, features, np.stack([y for _, y in channels], 1), intended)


def _digits(real: Mapping[str, npt.ArrayLike], test: Sample) -> Array:
    for name in ("train_labels", "test_labels"):
        if name in real:
            return class_histogram(real[name])
    return class_histogram(test.logits.argmax(-1))


def _images(images: npt.ArrayLike, name: str) -> Array:
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.shape[1:-1] != (28, 28):
        raise ValueError(f"{name}: need uint8 [N, 28, 28, C], got {images.shape}")
    if images.shape[-1] not in (1, 3):
        raise ValueError(f"{name}: need 1 or 3 channels, got {images.shape[-1]}")
    return images
