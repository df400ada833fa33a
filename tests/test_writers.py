"""Timing, JSON lines and TensorBoard events."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import ganjax
from ganjax import writers
from ganjax.images import save_png


def test_the_clock_counts_training_only(tmp_path, monkeypatch):
    """A step takes a second; samples and checkpoints take a hundred."""
    now = 0.0
    monkeypatch.setattr(writers.time, "perf_counter", lambda: now)
    metrics = {"d_loss": 1.0, "d_real": 0.5}
    with writers.Writer(tmp_path, 0, num_steps=20, batch_size=8) as writer:
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


def test_tensorboard_reads_the_events(tmp_path):
    """Events after the last checkpoint of a stopped run are superseded."""
    picture = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    save_png(tmp_path / "grid.png", picture)
    for last, loss in ((0, 2.0), (10, 3.0)):
        board = writers.TensorBoardWriter(tmp_path, last)
        for step in range(last + 5, 21, 5):
            board.scalars(step, {"Loss/real": loss, "Speed": step})
        board.image(20, "samples", tmp_path / "grid.png")
        board.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    rows = [(row.step, row.value) for row in events.Scalars("Loss/real")]
    assert rows == [(5, 2.0), (10, 2.0), (15, 3.0), (20, 3.0)]
    assert [row.value for row in events.Scalars("Speed")] == [5, 10, 15, 20]
    (image,) = events.Images("samples")
    with Image.open(io.BytesIO(image.encoded_image_string)) as shown:
        np.testing.assert_array_equal(np.asarray(shown), picture)


def test_metrics_that_are_not_finite_stop_the_run(tmp_path):
    with writers.Writer(tmp_path, 0, num_steps=2, batch_size=8) as writer:
        writer.add(1, 1, {"d_loss": float("nan")})
        with pytest.raises(ganjax.UserError, match="d_loss is nan by step 1"):
            writer.flush()


def test_rows_after_the_checkpoint_are_dropped_on_resuming(tmp_path):
    rows = [{"step": step, "d_loss": 1.0} for step in (5, 10, 15)]
    text = "".join(json.dumps(row) + "\n" for row in rows) + '{"step": 20, "d_lo'
    (tmp_path / "metrics.jsonl").write_text(text)
    for step in (10, 15):
        save_png(
            tmp_path / f"samples/step_{step:06d}.png", np.zeros((2, 2, 1), np.uint8)
        )
    writers.Writer(tmp_path, 10, num_steps=20, batch_size=8).__exit__()
    assert writers.read_jsonl(tmp_path / "metrics.jsonl") == rows[:2]
    assert [p.name for p in (tmp_path / "samples").iterdir()] == ["step_000010.png"]
