"""A run of 10^6 steps: what it records costs as much at the end as at the start."""

import json
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from ganjax import rows, writers
from ganjax.images import save_png
from ganjax.run_folder import sample_files
from ganjax.writers import Writer

NUM_STEPS, NUM_ROWS = 1_000_000, 100_000
VALUES = {
    "d_loss": 0.5,
    "real_loss": 0.3,
    "fake_loss": 0.2,
    "d_real": 0.7,
    "d_fake": 0.3,
}
IMAGE = np.zeros((2, 2, 1), np.uint8)


def publish(writer, step):
    """What a row adds to metrics.jsonl and to the events, in bytes."""
    (events,) = writer.workdir.glob("events*")
    files = (writer.jsonl, events)
    before = [file.stat().st_size for file in files]
    writer.add(step, 1, {name: np.float32(x) for name, x in VALUES.items()})
    writer._seconds = 1.0  # so that the speed has as many digits
    writer._clock = writers.time.perf_counter()
    writer.publish(step)
    return [file.stat().st_size - b for file, b in zip(files, before, strict=True)]


def test_a_row_adds_as_much_after_a_hundred_thousand_others(tmp_path):
    added = {}
    for last in (0, 10 * NUM_ROWS):
        workdir = tmp_path / str(last)
        workdir.mkdir()
        steps = range(10, last + 1, 10)
        text = "".join(json.dumps({"step": step, **VALUES}) + "\n" for step in steps)
        (workdir / "metrics.jsonl").write_text(text)
        tracemalloc.start()
        with Writer(workdir, last, 2 * NUM_STEPS, 8) as writer:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < 2**20 and writer.jsonl.read_text() == text
            added[last] = np.array([publish(writer, last + i) for i in (1, 2, 3)])
    difference = added[10 * NUM_ROWS] - added[0]
    assert (added[0] > 100).all() and (abs(difference) < 60).all()  # digits of numbers


def test_figures_of_a_long_run_are_bounded(tmp_path, monkeypatch, capsys):
    plotted = []
    monkeypatch.setattr(
        "ganjax.plots.plot_curves", lambda _, rows: plotted.extend(rows)
    )
    for i in range(4000):
        save_png(tmp_path / f"samples/step_{250 * i:07d}.png", IMAGE)
    lines = [json.dumps({"step": 10 * i, **VALUES, "d_real": i}) for i in range(25_001)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    with Writer(tmp_path, NUM_STEPS, NUM_STEPS, 8) as writer:
        used, save = [], writers.save_gif
        monkeypatch.setattr(
            writers,
            "save_gif",
            lambda path, frames: [used.extend(frames), save(path, frames)],
        )
        writer.finish("noise")
    steps = [int(path.stem[5:]) for path in used]
    assert len(steps) == 300 and (steps[0], steps[-1]) == (0, 250 * 3999)
    assert set(np.diff(steps)) == {250 * 13, 250 * 14}  # evenly spaced
    with Image.open(tmp_path / "progress.gif") as animation:
        assert animation.format == "GIF"
    assert len(plotted) == 962  # of 26 rows each; the last has the 15 that are left
    assert plotted[0] == pytest.approx(
        {
            "step": 125,
            "d_real": 12.5,
            **{k: x for k, x in VALUES.items() if k not in ("d_loss", "d_real")},
        }
    )
    assert plotted[-1]["step"] == pytest.approx(10 * (24_986 + 25_000) / 2)


def test_names_of_samples_sort_by_step(tmp_path):
    steps = [0, 999_999, 1_000_000, 10]
    with Writer(tmp_path, 0, NUM_STEPS, 8) as writer:
        for step in steps:
            writer.samples(step, IMAGE, IMAGE)
        assert list(sample_files(tmp_path)) == sorted(steps)
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == [f"step_{step:07d}.png" for step in sorted(steps)]


def test_short_lists_are_kept():
    assert rows.evenly_spaced([1, 2, 3], 3) == [1, 2, 3]
    assert rows.evenly_spaced(range(101), 3) == [0, 50, 100]
    few = [{"step": 1.0, "x": 2.0}, {"step": 2.0, "x": 4.0}]
    assert rows.averaged(few, 2) == few
    assert rows.averaged(few, 1) == [{"step": 1.5, "x": 3.0}]
