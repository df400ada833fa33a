"""Scores of runs and files: what is written, what is refused, what is kept."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from conftest import small_config

import ganjax
from ganjax import data, evaluation, train, writers
from ganjax.metrics.classifier import Recipe, train_classifier


@pytest.fixture(autouse=True)
def quick_classifier(monkeypatch, mnist, tmp_path_factory):
    """A judge of small budget; the real one is for real results."""
    params = train_classifier(
        mnist.images[:2000], mnist.labels[:2000], recipe=Recipe(images_seen=4000)
    )
    monkeypatch.setattr(evaluation, "load_classifier", lambda *args: params)
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path_factory.mktemp("floors")))


@pytest.fixture
def config(data_place):
    return lambda **overrides: small_config(**data_place | overrides)


def test_evaluating_while_training_keeps_the_best(config, tmp_path, mnist):
    c = config(num_steps=12, evaluate_every=4, evaluate_num=200)
    train.train_and_evaluate(c, tmp_path)
    rows = writers.read_jsonl(tmp_path / "metrics.jsonl")
    fids = {row["step"]: row["fid"] for row in rows if "fid" in row}
    assert list(fids) == [4, 8, 12]
    (kept,) = [int(p.name) for p in (tmp_path / "best/checkpoints").glob("[0-9]*")]
    assert kept == min(fids, key=fids.get)
    # What a run that starts again left there is not its best.
    shutil.rmtree(tmp_path / "checkpoints")
    train.train_and_evaluate(
        config(num_steps=2, evaluate_every=2, evaluate_num=200), tmp_path
    )
    (kept,) = [int(p.name) for p in (tmp_path / "best/checkpoints").glob("[0-9]*")]
    assert kept == 2
    evaluation.sample_run(tmp_path / "best", tmp_path / "best.npz", num=3, seed=0)
    assert np.load(tmp_path / "best.npz")["images"].shape == (3, 28, 28, 1)


def test_the_best_survives_a_crash(config, tmp_path, monkeypatch, mnist):
    """Step 6 was the best; the run dies there, resumes at 4, and fares worse."""
    fids = iter([5.0, 9.0, 3.0, 4.0, 6.0])

    def score(images):
        return {"fid": next(fids), "is": 1.0}

    monkeypatch.setattr(train, "make_scorer", lambda dataset: score)
    c = config(num_steps=8, evaluate_every=2, checkpoint_every=4, evaluate_num=20)

    def die(self, step):
        if step == 7:
            raise RuntimeError("power failure")

    with monkeypatch.context() as power:
        power.setattr(writers.Writer, "publish", die)
        c.log_every = 7
        with pytest.raises(RuntimeError):
            train.train_and_evaluate(c, tmp_path)
    assert int(train.train_and_evaluate(c, tmp_path).step) == 8
    (kept,) = [int(p.name) for p in (tmp_path / "best/checkpoints").glob("[0-9]*")]
    assert kept == 6
    assert ganjax.load_run(tmp_path / "best")[2]["fid"] == 3.0


def test_a_run_is_scored_beside_its_floor(config, tmp_path, mnist, capsys):
    train.train_and_evaluate(config(num_steps=2), tmp_path)
    evaluation.evaluate_run(tmp_path, num=300, seed=0, parzen=False)
    results = json.loads((tmp_path / "metrics.json").read_text())
    wanted = {"fid", "kid", "is", "precision", "recall", "density", "coverage"}
    assert wanted | {"class_kl", "memorisation", "fid_train"} == set(results)
    for name, entry in results.items():
        fields = {"value", "floor", "ci95", "n_real", "n_fake", "protocol", "features"}
        assert fields <= set(entry), name
    assert results["fid"]["n_fake"] == 300
    # Two steps of training: far from the floor, in every sense.
    assert results["fid"]["value"] > 5 * results["fid"]["floor"]
    assert 5 * results["coverage"]["value"] < results["coverage"]["floor"]
    for picture in ("neighbours.png", "distances.png"):
        assert (tmp_path / picture).stat().st_size > 1000
    assert "| fid |" in capsys.readouterr().out


def test_anyones_samples_are_scored(config, tmp_path, mnist):
    file = tmp_path / "real.npz"
    np.savez(file, images=mnist.images[:400])
    evaluation.evaluate_samples(file, tmp_path, config().data, parzen=True)
    results = json.loads((tmp_path / "metrics.json").read_text())
    assert results["precision"]["value"] > 0.5
    low, high = results["fid"]["ci95"]
    assert low <= results["fid"]["floor"] <= 2 * high
    assert results["memorisation"]["value"] == 0  # they are the training images
    assert np.isfinite(results["parzen_ll"]["value"])


def test_samples_that_come_sorted_are_scored_all_through(
    config, tmp_path, mnist, monkeypatch
):
    monkeypatch.setattr(evaluation, "NUM_TEST", 200)
    order = np.argsort(mnist.labels[:2000], kind="stable")
    images, labels = mnist.images[:2000][order], mnist.labels[:2000][order]
    np.savez(tmp_path / "sorted.npz", images=images, labels=labels)
    evaluation.evaluate_samples(tmp_path / "sorted.npz", tmp_path, config().data, False)
    results = json.loads((tmp_path / "metrics.json").read_text())
    assert results["fid"]["n_fake"] == 200
    assert results["class_kl"]["value"] < 0.1  # of one class alone: log 10
    assert results["label_accuracy"]["value"] > 0.5


def test_what_cannot_be_scored_is_refused_in_one_line(config, tmp_path, mnist):
    def score(**arrays):
        np.savez(tmp_path / "x.npz", **arrays)
        evaluation.evaluate_samples(tmp_path / "x.npz", tmp_path, config().data, False)

    with pytest.raises(ganjax.UserError, match="one uint8 array 'images'"):
        score(pictures=mnist.images[:100])
    with pytest.raises(ganjax.UserError, match="need uint8"):
        score(images=mnist.images[:100].astype(np.float32))
    for labels in (np.zeros(50, int), np.int64(3)):
        with pytest.raises(ganjax.UserError, match="labels .* for 100 images"):
            score(images=mnist.images[:100], labels=labels)
    with pytest.raises(ganjax.UserError, match="20 images or more"):
        score(images=mnist.images[:10])
    with pytest.raises(ganjax.UserError, match="can't be read"):
        evaluation.evaluate_samples(tmp_path / "no", tmp_path, config().data, False)
    whole = (tmp_path / "x.npz").read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"\x93NUMPY nothing"):
        (tmp_path / "y.npz").write_bytes(content)
        with pytest.raises(ganjax.UserError, match="can't be read"):
            evaluation.evaluate_samples(
                tmp_path / "y.npz", tmp_path, config().data, False
            )
    np.save(tmp_path / "z.npy", mnist.images[:100])
    with pytest.raises(ganjax.UserError, match="can't be read"):
        evaluation.evaluate_samples(tmp_path / "z.npy", tmp_path, config().data, False)
    with pytest.raises(ganjax.UserError, match="holds no checkpoint"):
        evaluation.evaluate_run(tmp_path / "no", num=100, seed=0, parzen=False)
    (tmp_path / "cut/checkpoints/500.orbax-checkpoint-tmp").mkdir(parents=True)
    with pytest.raises(ganjax.UserError, match="holds no checkpoint"):
        evaluation.sample_run(tmp_path / "cut", tmp_path / "x.png", num=4, seed=0)


def test_a_conditional_run_is_asked_for_its_digits(config, tmp_path, mnist):
    train.train_and_evaluate(config(num_steps=2, num_classes=10), tmp_path)
    evaluation.evaluate_run(tmp_path, num=300, seed=0, parzen=False)
    results = json.loads((tmp_path / "metrics.json").read_text())
    accuracy = results["label_accuracy"]
    # Two steps of training: at chance, where real images are near 1.
    assert abs(accuracy["value"] - 0.1) < 0.07
    assert accuracy["floor"] > 0.8
    out = tmp_path / "samples.npz"
    evaluation.sample_run(tmp_path, out, num=50, seed=0)
    np.testing.assert_array_equal(np.bincount(np.load(out)["labels"]), [5] * 10)
    evaluation.evaluate_samples(out, tmp_path / "again", config().data, parzen=False)
    again = json.loads((tmp_path / "again/metrics.json").read_text())
    assert again["label_accuracy"]["n_fake"] == 50


def test_classes_must_be_those_of_the_data(config, tmp_path, mnist):
    for classes in (3, 20):
        message = f"num_classes = {classes}, but mnist has labels: 10"
        with pytest.raises(ganjax.UserError, match=message):
            train.train_and_evaluate(config(num_classes=classes), tmp_path)


def test_images_that_are_no_digits_are_not_scored(mnist):
    faces = dataclasses.replace(mnist, images=np.zeros((30, 64, 64, 3), np.uint8))
    with pytest.raises(ganjax.UserError, match="can't be scored"):
        evaluation.make_scorer(faces)
    letters = dataclasses.replace(mnist, labels=mnist.labels + 1)
    with pytest.raises(ganjax.UserError, match="of two to ten classes"):
        evaluation.make_scorer(letters)


def test_stacked_digits_are_scored_while_training(config):
    place = {"data__name": "stacked_mnist", "data__image_shape": (28, 28, 3)}
    dataset = data.load(config(**place).data)
    score = evaluation.make_scorer(dataset)
    real, grey = score(dataset.images[:500]), score(dataset.images[:500, ..., [0] * 3])
    assert set(real) == {"fid", "modes"}
    # Three times the same digit is ten modes, and far from the data.
    assert 300 < real["modes"] <= 500 and grey["modes"] == 10
    assert grey["fid"] > 3 * real["fid"]
