"""Scores of runs and of files: what is written, what is refused, what is kept."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from helpers import smallest_config
from PIL import Image

import ganjax
from ganjax import data, evaluate, explore, metrics, resume, train, writers
from ganjax.data import DataOptions, stacked
from ganjax.features import load_extractor
from ganjax.metrics import nearest_neighbors, projection
from ganjax.metrics.classifier import Recipe, digit_extractor, train_classifier
from ganjax.metrics.prdc import prdc
from ganjax.projection import Search
from ganjax.run import load_run, sample_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def mnist(mnist):
    """Some digits: the features and neighbors of all of them would take minutes."""
    train, test = (
        {name: array[:num] for name, array in split.items()}
        for split, num in ((mnist.train, 6000), (mnist.test, 1000))
    )
    source = mnist.identity.source
    return data.make_arrays_dataset(train, test, name="some_digits", source=source)


@pytest.fixture(scope="module")
def quick_classifier(mnist):
    """A classifier of small budget."""
    images, labels = mnist.train["images"][:2000], mnist.train["labels"][:2000]
    return train_classifier(images, labels, recipe=Recipe(images_seen=4000))


@pytest.fixture(scope="module")
def real(quick_classifier, mnist):
    extractor = digit_extractor(quick_classifier)
    return metrics.extract_real(extractor, mnist.train, mnist.test)


@pytest.fixture(autouse=True)
def quick_evaluation(monkeypatch, mnist, quick_classifier, real, cache):
    """Features of real images are computed once, and few samples are drawn."""
    monkeypatch.setitem(data.SOURCES, "some_digits", lambda options: mnist)
    monkeypatch.setattr(metrics, "load_classifier", lambda *args: quick_classifier)
    monkeypatch.setattr(metrics, "extract_real", lambda *args: real)
    monkeypatch.setattr(evaluate, "NUM_TRAIN", 2000)
    monkeypatch.setenv("GANJAX_CACHE", str(cache))


@pytest.fixture
def config():
    return lambda **overrides: smallest_config(data__name="some_digits", **overrides)


@pytest.fixture
def options():
    return DataOptions(name="some_digits")


def read_results(folder):
    return json.loads((folder / "metrics.json").read_text())


def best_step(workdir):
    (kept,) = [int(p.name) for p in (workdir / "best/checkpoints").glob("[0-9]*")]
    return kept


def test_evaluation_during_training_keeps_the_best(config, tmp_path):
    c = config(num_steps=12, evaluate_every=4, evaluate_num=200)
    train.train_and_evaluate(c, tmp_path)
    rows = writers.read_jsonl(tmp_path / "metrics.jsonl")
    fids = {row["step"]: row["fid"] for row in rows if "fid" in row}
    assert list(fids) == [4, 8, 12]
    assert best_step(tmp_path) == min(fids, key=fids.get)
    # A run that starts again ignores the best of the deleted run.
    shutil.rmtree(tmp_path / "checkpoints")
    train.train_and_evaluate(
        config(num_steps=2, evaluate_every=2, evaluate_num=200), tmp_path
    )
    assert best_step(tmp_path) == 2
    sample_run(load_run(tmp_path / "best"), tmp_path / "best.npz", num=3, seed=0)
    assert np.load(tmp_path / "best.npz")["images"].shape == (3, 28, 28, 1)


def test_truncation_trades_precision_for_recall(
    config, tmp_path, real, quick_classifier, monkeypatch
):
    """Scores of G(s z) are those of samples of a run with this scale."""
    monkeypatch.setattr(explore, "SCALES", (0.0, 0.5))
    folder = tmp_path / "run"
    train.train_and_evaluate(config(num_steps=2, sample_scale=0.8), folder)
    out = tmp_path / "out"
    explore.explore("truncation", folder, explore.Task(out, num=60))
    results = json.loads((out / "truncation.json").read_text())
    assert list(results) == ["0", "0.5", "0.8"]
    gan, state, _ = ganjax.load_run(folder)
    samples = ganjax.sample(gan, state, num=60, key=jax.random.key(0))
    wanted = prdc(metrics.extract(digit_extractor(quick_classifier), samples), real)
    assert set(results["0.8"]) == set(wanted)
    for name, estimate in wanted.items():
        got = results["0.8"][name]
        assert got["value"] == pytest.approx(estimate.value, abs=0.02)
        assert got["n_real"] == len(real.test)
    assert results["0"]["recall"]["value"] == 0
    scales = np.asarray(Image.open(out / "scales.png").convert("L"))[30:90, 90:]
    row = scales[4:60].reshape(56, -1)
    cells = [row[:, 4 + 60 * i : 60 + 60 * i] for i in range(10)]
    assert all((cell == cells[0]).all() for cell in cells)  # scale 0
    with pytest.raises(ganjax.UserError, match="expected none with --tool=truncation"):
        explore.explore("truncation", folder, explore.Task(out, labels=["1"]))


def test_best_checkpoint_survives_a_crash(config, tmp_path, monkeypatch):
    """Step 6 is the best; the run crashes, resumes at 4, and gets worse scores."""
    fids = iter([5.0, 9.0, 3.0, 4.0, 6.0])

    def score(images):
        return {"fid": next(fids), "is": 1.0}

    monkeypatch.setattr(resume, "make_scorer", lambda *args: score)
    c = config(num_steps=8, evaluate_every=2, checkpoint_every=4, evaluate_num=20)

    def crash(self, step):
        if step == 7:
            raise RuntimeError("power failure")

    with monkeypatch.context() as power:
        power.setattr(writers.Writer, "publish", crash)
        c.log_every = 7
        with pytest.raises(RuntimeError):
            train.train_and_evaluate(c, tmp_path)
    assert int(train.train_and_evaluate(c, tmp_path).step) == 8
    assert best_step(tmp_path) == 6
    assert ganjax.load_run(tmp_path / "best")[2]["fid"] == 3.0


def test_run_is_scored_beside_reference_values(
    config, tmp_path, mnist, capsys, monkeypatch
):
    monkeypatch.setattr(projection, "NUM_IMAGES", 12)
    monkeypatch.setattr(projection, "SEARCH", Search(pool=40, starts=1, steps=2))
    projected, original = [], projection.project

    def record(gan, g, images, *rest):
        projected.append(images)
        return original(gan, g, images, *rest)

    monkeypatch.setattr(projection, "project", record)
    train.train_and_evaluate(config(num_steps=2, num_examples=50), tmp_path)
    evaluate.evaluate_run(tmp_path, num=300, seed=0, parzen=False, projection=True)
    results = read_results(tmp_path)
    wanted = {"fid", "kid", "is", "precision", "recall", "density", "coverage"}
    wanted |= {"projection"}
    assert wanted | {"class_kl", "memorization", "fid_train"} == set(results)
    fields = {"value", "reference", "ci95", "n_real", "n_fake", "n_reference"}
    for name, entry in results.items():
        assert set(entry) == fields | {"protocol", "features"}, name
    assert results["fid"]["n_fake"] == results["fid"]["n_reference"] == 300
    # Two steps of training: every value is far from the reference.
    assert results["fid"]["value"] > 5 * results["fid"]["reference"]
    assert 5 * results["coverage"]["value"] < results["coverage"]["reference"]
    # Nothing is memorized; only images that were trained on count.
    entry = results["projection"]
    assert entry["ci95"][0] < 1 < entry["ci95"][1]
    assert (entry["n_fake"], entry["n_real"], entry["n_reference"]) == (12, 12, 6)
    assert entry["reference"] == pytest.approx(1.0, abs=0.5)
    first = mnist.train["images"][:50]
    assert all((first == image).all((1, 2, 3)).any() for image in projected[0])
    for figure in ("neighbors.png", "distances.png"):
        assert (tmp_path / figure).stat().st_size > 1000
    assert "| fid |" in capsys.readouterr().out


def test_fid_to_train_is_of_all_samples(config, tmp_path, mnist, monkeypatch):
    monkeypatch.setattr(evaluate, "NUM_TRAIN", 350)
    train.train_and_evaluate(config(num_steps=2), tmp_path)
    evaluate.evaluate_run(tmp_path, num=300, seed=0, parzen=False)
    entry = read_results(tmp_path)["fid_train"]
    assert entry["n_fake"] == 350
    assert entry["n_real"] == len(mnist.train["images"])
    assert entry["n_reference"] == len(mnist.test["images"])
    evaluate.evaluate_run(tmp_path, num=350, seed=0, parzen=False)
    assert "fid_train" not in read_results(tmp_path)


def test_neighbors_are_computed_once(options, tmp_path, mnist, monkeypatch):
    found = []
    original = nearest_neighbors.find_neighbors

    def count(queries, references, k):
        found.append(len(queries))
        return original(queries, references, k)

    monkeypatch.setattr(nearest_neighbors, "find_neighbors", count)
    np.savez(tmp_path / "real.npz", images=mnist.train["images"][:40])
    evaluate.evaluate_samples(tmp_path / "real.npz", tmp_path, options, parzen=False)
    heldout = min(1000, len(mnist.test["images"]) // 2)
    # Of the samples, and of the test images that are the reference.
    assert found == [40 + heldout, 2 * heldout]


def test_samples_of_a_file_are_scored(options, tmp_path, mnist):
    file = tmp_path / "real.npz"
    np.savez(file, images=mnist.train["images"][:400])
    evaluate.evaluate_samples(file, tmp_path, options, parzen=True)
    results = read_results(tmp_path)
    assert results["precision"]["value"] > 0.5
    low, high = results["fid"]["ci95"]
    assert low <= results["fid"]["reference"] <= 2 * high
    assert results["memorization"]["value"] == 0  # they are the training images
    assert np.isfinite(results["parzen_ll"]["value"])


def test_sorted_samples_are_scored_from_the_whole_range(
    options, tmp_path, mnist, monkeypatch
):
    monkeypatch.setattr(evaluate, "NUM_TEST", 200)
    images, labels = mnist.train["images"][:300], mnist.train["labels"][:300]
    order = np.argsort(labels, kind="stable")
    np.savez(tmp_path / "sorted.npz", images=images[order], labels=labels[order])
    evaluate.evaluate_samples(tmp_path / "sorted.npz", tmp_path, options, False)
    results = read_results(tmp_path)
    assert results["fid"]["n_fake"] == 200
    # log 10 for a single class, 0.16 if two of three come from the first half
    assert results["class_kl"]["value"] < 0.05
    assert results["label_accuracy"]["value"] > 0.5


def test_unusable_samples_are_refused_in_one_line(options, tmp_path, mnist):
    images = mnist.train["images"]

    def score(**arrays):
        np.savez(tmp_path / "x.npz", **arrays)
        evaluate.evaluate_samples(tmp_path / "x.npz", tmp_path, options, False)

    expected = r"expected an .npz with 'images' uint8 \[N >= 20, 28, 28, 1\]"
    with pytest.raises(ganjax.UserError, match=expected):
        score(samples=images[:100])
    with pytest.raises(ganjax.UserError, match=expected + ", got float32"):
        score(images=images[:100].astype(np.float32))
    with pytest.raises(ganjax.UserError, match=expected + r", got uint8 \[100, 28, 28"):
        score(images=images[:100].repeat(3, -1))
    for labels in (np.zeros(50, int), np.int64(3)):
        with pytest.raises(ganjax.UserError, match=r"expected labels \[100\], got"):
            score(images=images[:100], labels=labels)
    with pytest.raises(ganjax.UserError, match=expected + r", got uint8 \[10, 28"):
        score(images=images[:10])
    with pytest.raises(ganjax.UserError, match=expected):
        evaluate.evaluate_samples(tmp_path / "no", tmp_path, options, False)
    whole = (tmp_path / "x.npz").read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"\x93NUMPY nothing"):
        (tmp_path / "y.npz").write_bytes(content)
        with pytest.raises(ganjax.UserError, match=expected):
            evaluate.evaluate_samples(tmp_path / "y.npz", tmp_path, options, False)
    np.save(tmp_path / "z.npy", images[:100])
    with pytest.raises(ganjax.UserError, match=expected):
        evaluate.evaluate_samples(tmp_path / "z.npy", tmp_path, options, False)


def test_runs_without_a_checkpoint_are_refused(tmp_path):
    with pytest.raises(ganjax.UserError, match="expected a folder with a checkpoint"):
        evaluate.evaluate_run(tmp_path / "no", num=100, seed=0, parzen=False)
    (tmp_path / "cut/checkpoints/500.orbax-checkpoint-tmp").mkdir(parents=True)
    with pytest.raises(ganjax.UserError, match="expected a folder with a checkpoint"):
        sample_run(load_run(tmp_path / "cut"), tmp_path / "x.png", num=4, seed=0)
    with pytest.raises(ganjax.UserError, match="--num=19: expected at least 20"):
        evaluate.evaluate_run(tmp_path, num=19, seed=0, parzen=False)


def test_other_data_than_in_training_are_refused(config, tmp_path, monkeypatch, mnist):
    train.train_and_evaluate(config(num_steps=2), tmp_path)
    identity = dataclasses.replace(mnist.identity, sha256="other", source="elsewhere")
    other = dataclasses.replace(mnist, identity=identity)
    monkeypatch.setattr(data, "load", lambda options: other)
    with pytest.raises(ganjax.UserError, match="expected the training data.*elsewhere"):
        evaluate.evaluate_run(tmp_path, num=100, seed=0, parzen=False)


def test_conditional_run_is_scored_by_its_labels(config, options, tmp_path):
    train.train_and_evaluate(config(num_steps=2, num_classes=10), tmp_path)
    evaluate.evaluate_run(tmp_path, num=300, seed=0, parzen=False)
    accuracy = read_results(tmp_path)["label_accuracy"]
    # Two steps of training: at chance, where real images are near 1.
    assert abs(accuracy["value"] - 0.1) < 0.07
    assert accuracy["reference"] > 0.8
    out = tmp_path / "samples.npz"
    sample_run(load_run(tmp_path), out, num=50, seed=0)
    np.testing.assert_array_equal(np.bincount(np.load(out)["labels"]), [5] * 10)
    evaluate.evaluate_samples(out, tmp_path / "again", options, parzen=False)
    assert read_results(tmp_path / "again")["label_accuracy"]["n_fake"] == 50


def test_classes_must_be_those_of_the_data(config, tmp_path):
    for classes in (3, 20):
        message = f"config.num_classes={classes}: expected 10"
        with pytest.raises(ganjax.UserError, match=message):
            train.train_and_evaluate(config(num_classes=classes), tmp_path)


def test_only_digits_have_a_classifier(mnist):
    """Without one, images get other features, and all else is refused."""

    def with_train(**arrays):
        return dataclasses.replace(mnist, train=arrays)

    labels = mnist.train["labels"]
    wanted = "expected uint8 images of 28x28 pixels in two to ten classes"
    for dataset in (
        with_train(images=np.zeros((30, 64, 64, 3), np.uint8), labels=labels[:30]),
        with_train(images=mnist.train["images"], labels=labels + 1),
        with_train(images=mnist.train["images"], labels=0 * labels),
        with_train(images=mnist.train["images"]),
        with_train(points=np.zeros((30, 2), np.float32)),
    ):
        with pytest.raises(ganjax.UserError, match=wanted):
            evaluate.make_scorer(dataset, "digits")
        if "images" in dataset.train:
            assert load_extractor(dataset).fingerprint.startswith("random ")
        else:
            message = "expected uint8 images of 8x8 pixels or more.*evaluate_every=0"
            with pytest.raises(ganjax.UserError, match=message):
                evaluate.make_scorer(dataset)


def test_stacked_digits_are_scored_during_training(mnist):
    dataset = stacked.stack(mnist)
    images = dataset.train["images"][:500]
    score = evaluate.make_scorer(dataset)
    real, gray = score(images), score(images[..., [0] * 3])
    assert set(real) == {"fid", "modes"}
    # Three times the same digit is ten modes, and far from the data.
    assert 300 < real["modes"] <= 500 and gray["modes"] == 10
    assert gray["fid"] > 3 * real["fid"]


def test_scores_during_training_are_those_of_the_suite(mnist, options, tmp_path):
    images = mnist.train["images"][:100]
    scores = evaluate.make_scorer(mnist)(images)
    np.savez(tmp_path / "real.npz", images=images)
    evaluate.evaluate_samples(tmp_path / "real.npz", tmp_path, options, parzen=False)
    results = read_results(tmp_path)
    assert set(scores) == {"fid", "is", "class_kl"}
    for name, value in scores.items():
        assert value == pytest.approx(results[name]["value"], rel=1e-6)
