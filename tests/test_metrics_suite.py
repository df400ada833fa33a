"""Suites on real digits, noise and stacked digits, beside their reference values."""

import importlib
import pkgutil

import numpy as np
import pytest

from ganjax import metrics
from ganjax.metrics import reference
from ganjax.metrics.classifier import Recipe, digit_extractor, train_classifier
from ganjax.metrics.fid import fid, frechet_distance
from ganjax.metrics.nearest_neighbors import nearest_neighbors
from ganjax.metrics.parzen import parzen

pytestmark = pytest.mark.slow

DIGIT_KEYS = {
    "fid",
    "kid",
    "precision",
    "recall",
    "density",
    "coverage",
    "is",
    "class_kl",
    "memorization",
}


@pytest.fixture(scope="module")
def digits(mnist):
    """4,000 training and 1,000 test digits. Shuffled: MNIST's writers change."""
    images = np.concatenate([mnist.train["images"], mnist.test["images"]])
    labels = np.concatenate([mnist.train["labels"], mnist.test["labels"]])
    order = np.random.default_rng(1).permutation(len(labels))[:5000]
    return tuple(
        {"images": images[rows], "labels": labels[rows]}
        for rows in (order[:4000], order[4000:])
    )


@pytest.fixture(scope="module")
def extractor(digits):
    recipe = Recipe(images_seen=30_000)  # a tenth of the real budget
    images, labels = digits[0]["images"], digits[0]["labels"]
    return digit_extractor(train_classifier(images, labels, recipe=recipe))


@pytest.fixture(scope="module")
def real(extractor, digits):
    return metrics.extract_real(extractor, *digits)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.getbasetemp() / "reference_values"
    monkeypatch.setenv("GANJAX_CACHE", str(folder))
    return folder


def evaluate(fake, real, suite=metrics.DIGITS):
    estimates = metrics.score(fake, real, suite)
    references = metrics.reference_values(real, len(fake), suite)
    return metrics.make_results(estimates, references)


def test_suite_separates_digits_from_noise(real, extractor, monkeypatch):
    images, labels = real.train.images[:600], real.train.labels[:600]
    fake = metrics.extract(extractor, images, labels)
    good = evaluate(fake, real, (*metrics.DIGITS, parzen))
    assert set(good) == DIGIT_KEYS | {"label_accuracy", "parzen_ll"}
    for name in ("fid", "precision", "recall", "density", "coverage", "is"):
        entry = good[name]
        assert entry["value"] == pytest.approx(entry["reference"], rel=0.3), name
        assert entry["n_reference"] == 600
    assert good["memorization"]["value"] == 0.0  # training images are copies
    assert good["memorization"]["reference"] == pytest.approx(1.0, abs=0.1)
    assert good["memorization"]["n_reference"] == 500  # half of the test images
    assert good["label_accuracy"]["value"] == pytest.approx(0.985, abs=0.015)
    log_likelihood = good["parzen_ll"]
    value = log_likelihood["value"]
    assert value == pytest.approx(log_likelihood["reference"], abs=20)
    assert log_likelihood["features"] == "pixels"
    assert good["fid"]["features"] == extractor.fingerprint
    assert (good["fid"]["n_fake"], good["fid"]["n_real"]) == (600, 1000)
    expected = frechet_distance(fake.features, real.test.features)
    assert good["fid"]["value"] == pytest.approx(expected, rel=1e-6)
    for name, entry in good.items():
        low, high = entry["ci95"]
        assert low <= entry["value"] <= high, name

    monkeypatch.delattr(reference, "_measure")  # cached by now
    noise = np.random.default_rng(0).integers(0, 256, images.shape, np.uint8)
    bad = evaluate(metrics.extract(extractor, noise), real)
    assert set(bad) == DIGIT_KEYS
    assert bad["fid"]["reference"] == good["fid"]["reference"]
    assert bad["fid"]["value"] > 20 * bad["fid"]["reference"] > 0
    assert bad["recall"]["value"] < 0.05 and bad["coverage"]["value"] < 0.05
    change = metrics.compare(good, bad)
    assert change["fid"]["resolved"] is True and change["recall"]["resolved"] is True
    difference = bad["is"]["value"] - good["is"]["value"]
    assert change["is"]["difference"] == pytest.approx(difference, rel=1e-12)
    assert f"| {bad['fid']['value']:.4g} |" in metrics.table(bad)


def test_data_without_labels(digits, extractor):
    train, test = ({"images": arrays["images"]} for arrays in digits)
    unlabeled = metrics.extract_real(extractor, train, test)
    result = evaluate(unlabeled.train[:100], unlabeled)
    assert set(result) == DIGIT_KEYS
    assert result["class_kl"]["reference"] == pytest.approx(9 / 200, abs=0.05)
    fake = metrics.extract(extractor, train["images"][:100], np.zeros(100, int))
    accuracy = evaluate(fake, unlabeled)["label_accuracy"]
    assert 0 < accuracy["value"] < 0.3  # about 10% are zeros
    assert np.isnan(accuracy["reference"]) and accuracy["n_reference"] == 0


def test_stacked_digits(digits, extractor, real):
    rng = np.random.default_rng(5)

    def stack(arrays, n):
        rows = rng.integers(0, len(arrays["images"]), (n, 3))
        channels = [arrays["images"][rows[:, c]] for c in range(3)]
        return {"images": np.concatenate(channels, -1)}, arrays["labels"][rows]

    train, _ = stack(digits[0], 600)
    test, _ = stack(digits[1], 300)
    generated, labels = stack(digits[0], 500)
    stacked = metrics.extract_real(extractor, train, test)
    fake = metrics.extract(extractor, generated["images"])
    result = evaluate(fake, stacked, metrics.STACKED)
    assert set(result) == DIGIT_KEYS - {"is", "class_kl"} | {"modes", "modes_kl"}
    # The same of the true labels.
    counts = np.unique(labels @ [100, 10, 1], return_counts=True)[1] / 500
    kl = (counts * np.log(1000 * counts)).sum()
    assert result["modes"]["value"] == pytest.approx(len(counts), rel=0.03)
    assert result["modes_kl"]["value"] == pytest.approx(kl, rel=0.03)
    with pytest.raises(ValueError, match=r"expected equal channels, got \[1, 3\]"):
        metrics.score(fake, real, metrics.DIGITS)


def test_reference_values_are_of_other_images_than_the_compared(real):
    """Training images without the last sixth; odd test images beside even ones."""
    seen = {}

    def spy(fake, real):
        seen["images"] = fake.images
        return fid(fake, real)

    metrics.reference_values(real, 100, (spy,))
    train = {image.tobytes() for image in real.train.images[: 4000 * 5 // 6]}
    assert len(seen["images"]) == 100
    assert all(image.tobytes() in train for image in seen["images"])
    values = metrics.reference_values(real, 100, (nearest_neighbors,))
    expected = nearest_neighbors(real.test[1::2], real)["memorization"].value
    assert values["memorization"].value == expected


def test_reference_values_that_cannot_be_cached(real, cache, tmp_path, monkeypatch):
    cached = metrics.reference_values(real, 50, (fid,))
    (tmp_path / "file").touch()
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="is not cached"):
        assert metrics.reference_values(real, 50, (fid,)) == cached


def test_few_images_are_refused(real):
    with pytest.raises(ValueError, match="expected 20 or more, got 19"):
        metrics.score(real.train[:19], real)


def test_compare_refuses_other_classifiers_and_counts():
    entry = {"value": 1.0, "ci95": [0.9, 1.1], "n_real": 10, "n_fake": 10}
    a = {"fid": entry | {"features": "aaa", "protocol": "p"}}
    b = {"fid": entry | {"features": "bbb", "protocol": "p"}}
    with pytest.raises(
        ValueError, match="fid is not comparable: features 'aaa'.*'bbb'"
    ):
        metrics.compare(a, b)
    c = {"fid": a["fid"] | {"n_fake": 20}}
    with pytest.raises(ValueError, match="fid is not comparable: n_fake 10 and 20"):
        metrics.compare(a, c)
    assert metrics.compare(a, a) == {"fid": {"difference": 0.0, "resolved": False}}


def test_no_exported_name_hides_a_file():
    for module in pkgutil.iter_modules(metrics.__path__):
        found = importlib.import_module(f"ganjax.metrics.{module.name}")
        assert getattr(metrics, module.name) is found


def test_damaged_reference_values_are_computed_again(real, cache):
    values = metrics.reference_values(real, 50, (fid,))
    paths = list(cache.glob("reference_*fid*.json"))
    other_number = paths[0].read_text().replace(".", ".1", 1)
    for damage in ("", '{"fid": [1', '{"fid": 3}', "[]", other_number):
        for path in paths:
            path.write_text(damage)
        with pytest.warns(UserWarning, match="is damaged .*: computing again"):
            assert metrics.reference_values(real, 50, (fid,)) == values
