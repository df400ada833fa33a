"""Scores of images that are no digits: a run from training to its table."""

import dataclasses
import json
from functools import partial

import jax
import numpy as np
import pytest
from helpers import assert_identical, smallest_config
from PIL import Image
from test_metrics_onnx_features import KERNEL, write

import ganjax
from ganjax import data, evaluate, features, metrics, resume, writers
from ganjax.errors import UserError
from ganjax.metrics.fid import frechet_distance
from ganjax.metrics.random_features import Design, random_extractor
from ganjax.options import build, option_names
from ganjax.run import load_run, real_images, sample_run
from ganjax.train import Run, run_metadata

pytestmark = pytest.mark.slow


def squares(seed, n, size=8):
    """A bright square at a random place on a dark image, uint8 [N, size, size, 3]."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (n, size, size, 3), np.uint8)
    for image, (x, y) in zip(images, rng.integers(0, size - 4, (n, 2)), strict=True):
        image[x : x + 4, y : y + 4] = rng.integers(150, 256, 3)
    return images


def make_data(num_train, num_test):
    train, test = squares(0, num_train), squares(1, num_test)
    labels = np.zeros(num_train, int), np.zeros(num_test, int)
    return data.make_dataset(
        train, labels[0], test, labels[1], name="squares", source="a test"
    )


@pytest.fixture(scope="module")
def few():
    return make_data(72, 28)


@pytest.fixture(autouse=True)
def place(monkeypatch, few, tmp_path):
    monkeypatch.setitem(data.SOURCES, "squares", lambda options: few)
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(metrics.sliced_wasserstein, "PATCHES", 8)
    narrow = partial(random_extractor, design=Design(width=16))  # 32 features
    monkeypatch.setattr(features, "random_extractor", narrow)


def config(**overrides):
    shape = {"data__name": "squares", "data__image_shape": (8, 8, 3)}
    return smallest_config(**shape | {"num_steps": 2, "sample_every": 0} | overrides)


def read_results(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_few_images_are_compared_with_one_half(tmp_path, few, capsys, monkeypatch):
    """The other half is the reference, so that all numbers of images are the same."""
    workdir = tmp_path / "run"
    ganjax.train_and_evaluate(config(), workdir)
    evaluate.evaluate_run(workdir, num=60, seed=0, parzen=False)
    results = read_results(workdir)
    names = {"fid_random", "kid_random", "precision", "recall", "density", "coverage"}
    assert set(results) == names | {"swd", "memorization"}
    for name in (*names, "swd"):
        entry = results[name]
        counts = [entry[f"n_{kind}"] for kind in ("fake", "real", "reference")]
        assert counts == [50, 50, 50], name
        assert "; reals: half of train and test" in entry["protocol"]
        low, high = entry["ci95"]
        assert low <= entry["value"] <= high
    fid = results["fid_random"]
    assert fid["value"] > 3 * fid["reference"] > 0  # two steps of training
    assert results["swd"]["value"] > 2 * results["swd"]["reference"] > 0
    assert results["kid_random"]["features"].startswith("random ")
    assert results["memorization"]["n_real"] == 72
    assert (workdir / "neighbors.png").exists()

    # The reference by hand: FID of the halves, which are all images.
    extractor = features.load_extractor(few)
    real = features.load_real(extractor, few)
    own = np.concatenate([few.train["images"], few.test["images"]])
    parts = [x.images for x in real.halves]
    joined = np.concatenate(parts)
    assert sorted(x.tobytes() for x in joined) == sorted(x.tobytes() for x in own)
    pair = [metrics.extract(extractor, x).features for x in parts]
    expected = frechet_distance(pair[1], pair[0])
    assert fid["reference"] == pytest.approx(expected, rel=1e-6)

    # Fewer than features: no covariance. And few test images are not held out.
    capsys.readouterr()
    less = dataclasses.replace(
        few, train={"images": squares(2, 45)}, test={"images": squares(3, 5)}
    )
    monkeypatch.setattr(evaluate, "load_data", lambda *args: less)
    evaluate.evaluate_run(workdir, num=60, seed=0, parzen=False)
    assert set(read_results(workdir)) == names - {"fid_random"} | {"swd"}
    printed = capsys.readouterr().out
    assert "fid_random: not computed, since 25 images do not determine" in printed
    assert "memorization: not computed, since 5 test images are too few" in printed


def test_enough_test_images_are_compared_with(monkeypatch):
    monkeypatch.setattr(features, "MIN_TEST", 60)
    dataset = make_data(90, 60)
    extractor = features.load_extractor(dataset)
    real = features.load_real(extractor, dataset)
    assert real.halves is None and real.against == ""
    samples = squares(5, 80)
    score = evaluate.make_scorer(dataset, "random")(samples)
    fake = metrics.extract(extractor, samples).features
    expected = frechet_distance(fake, real.test.features)
    assert score == {"fid_random": pytest.approx(expected, rel=1e-6)}
    # Too few for a covariance of 32 features.
    assert set(evaluate.make_scorer(dataset)(samples[:30])) == {"kid_random"}


def test_images_that_no_features_apply_to_are_refused(few):
    small = dataclasses.replace(few, train={"images": squares(0, 30)[:, :6]})
    for dataset in (small, dataclasses.replace(few, train={"points": np.zeros(3)})):
        with pytest.raises(UserError, match="expected uint8 images of 8x8 pixels"):
            features.load_extractor(dataset)
    with pytest.raises(UserError, match="28x28 pixels in two to ten classes"):
        features.load_extractor(few, "digits")
    with pytest.raises(UserError, match="features='no.onnx': expected an ONNX file"):
        features.load_extractor(few, "no.onnx")
    with pytest.raises(UserError, match="expected 40 images or more.*got 30 and 9"):
        less = make_data(30, 9)
        features.load_real(features.load_extractor(less), less)
    wanted = "expected a string that is auto, digits, random or FILE.onnx"
    with pytest.raises(UserError, match=f"config.features='inception': {wanted}"):
        ganjax.train_and_evaluate(config(features="inception"), "nowhere")


def test_features_of_a_run_and_of_the_flag(tmp_path, few):
    """The run's own unless told otherwise; results of different ones don't compare."""
    network = write(tmp_path / "net.onnx", ["b", 3, 4, 4])
    workdir = tmp_path / "run"
    ganjax.train_and_evaluate(config(features=str(network)), workdir)
    evaluate.evaluate_run(workdir, num=50, seed=0, parzen=False)
    own = read_results(workdir)
    override = evaluate.Override(features="random")
    evaluate.evaluate_run(workdir, 50, 0, parzen=False, override=override)
    other = read_results(workdir)
    assert {"fid_onnx", "kid_onnx", "swd"} < set(own)
    assert {"fid_random", "kid_random", "swd"} < set(other)
    assert own["swd"] == other["swd"]  # of patches
    with pytest.raises(ValueError, match="precision is not comparable: features 'onnx"):
        metrics.compare(own, other)


def test_best_checkpoint_of_images(tmp_path, capsys):
    """Chosen by the features' own score, and again after a change of features."""

    def best():
        _, state, metadata = ganjax.load_run(tmp_path / "run/best")
        (name,) = (k for k in metadata if k in resume.SCORES)
        return int(state.step), name, metadata[name]

    c = config(num_steps=6, evaluate_every=2, evaluate_num=60, max_to_keep=9)
    ganjax.train_and_evaluate(c, tmp_path / "run")
    rows = writers.read_jsonl(tmp_path / "run/metrics.jsonl")
    scores = {row["step"]: row["fid_random"] for row in rows if "fid_random" in row}
    assert list(scores) == [2, 4, 6]
    step = min(scores, key=scores.get)
    assert best() == (step, "fid_random", scores[step])
    # The last network makes larger distances of the same images.
    networks = [("a.onnx", KERNEL), ("b.onnx", 10 * KERNEL)]
    for step, (name, kernel) in zip((8, 10), networks, strict=True):
        path = write(tmp_path / name, ["b", 3, 4, 4], kernel)
        c.update({"num_steps": step, "features": str(path)})
        ganjax.train_and_evaluate(c, tmp_path / "run")  # resumes
        assert best()[:2] == (step, "fid_onnx")
    c.update({"num_steps": 12, "evaluate_num": 30})  # more bias, or no FID at all
    ganjax.train_and_evaluate(c, tmp_path / "run")
    assert best()[0] == 12


def test_a_better_state_of_the_same_step_replaces_the_best(tmp_path, few, monkeypatch):
    """As after a rollback, when a step is reached a second time."""
    scores = iter([3.0, 2.0, 2.5])
    monkeypatch.setattr(
        resume, "make_scorer", lambda *_: lambda _: {"fid_random": next(scores)}
    )
    c = config()
    state = ganjax.init_state(ganjax.make_gan(c), jax.random.key(0))
    run = build(Run, {name: c[name] for name in option_names(Run)}, init_from=None)
    best = resume.BestCheckpoint(tmp_path, few, state, run)
    states = [
        state.replace(step=state.step + 5, key=jax.random.key(i)) for i in range(3)
    ]
    for one in states:
        best.update(squares(0, 4), one, run_metadata(c, few))
    best.close()
    _, kept, metadata = ganjax.load_run(tmp_path / "best")
    assert metadata["fid_random"] == 2.0
    assert_identical(kept, states[1])


def test_real_images_for_other_programs(tmp_path, few):
    """As many RGB files as samples, of the same size, with the pixels of the data."""
    ganjax.train_and_evaluate(config(), tmp_path / "run")
    sample_run(load_run(tmp_path / "run"), tmp_path / "fake", num=24, seed=0)
    real_images(tmp_path / "run", tmp_path / "real", num=24)
    found = {}
    for name in ("fake", "real"):
        paths = sorted((tmp_path / name).iterdir())
        images = [Image.open(path) for path in paths]
        assert [path.name for path in paths] == [f"{i:06d}.png" for i in range(24)]
        assert {(x.mode, x.size) for x in images} == {("RGB", (8, 8))}
        found[name] = np.stack([np.asarray(x) for x in images])
    np.testing.assert_array_equal(found["real"], few.train["images"][::3])
    assert (found["fake"] != found["real"]).any()
    with pytest.raises(UserError, match="--num=73: expected at most 72 images"):
        real_images(tmp_path / "run", tmp_path / "other", num=73)
