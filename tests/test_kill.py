"""Training killed while it writes: what is left behind is used or removed."""

import os
import signal

import numpy as np
import pytest
from helpers import ROOT, assert_identical, run_python, smallest_config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import ganjax
from ganjax.files import remove_scratch
from ganjax.writers import read_jsonl

CHILD = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import conftest
from test_kill import train

from ganjax.checkpoint import Checkpoints

folder, moment = sys.argv[2:]
move, save = os.replace, Checkpoints.save

def move_or_die(source, target):
    if str(target).endswith(moment):
        os.kill(os.getpid(), signal.SIGKILL)
    move(source, target)

def save_and_die(self, step, *args):
    save(self, step, *args)  # which goes on in the background
    if moment == f"checkpoint of step {step}":
        os.kill(os.getpid(), signal.SIGKILL)

os.replace, Checkpoints.save = move_or_die, save_and_die
train(folder)
"""


def noise():
    """40 images of noise."""
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1), np.uint8)
    arrays = images, np.zeros(40, int), images, np.zeros(40, int)
    return ganjax.make_dataset(*arrays, name="noise", source="rng")


def train(workdir):
    """12 steps of small networks on noise."""
    config = smallest_config(
        num_steps=12, log_every=2, sample_every=4, checkpoint_every=4
    )
    return ganjax.train_and_evaluate(config, workdir, noise())


def temporary_files(workdir):
    hidden = [path for path in workdir.rglob(".*") if path.name != ".lock"]
    return [*hidden, *workdir.rglob("*orbax-checkpoint-tmp*")]


@pytest.mark.slow
@pytest.mark.subprocess
def test_killed_training_ends_as_if_it_had_not_been_killed(tmp_path):
    workdir = tmp_path / "killed"
    for moment in ("samples/step_000008.png", "checkpoint of step 8"):
        result = run_python("-c", CHILD, ROOT / "tests", workdir, moment)
        assert result.returncode == -signal.SIGKILL, result.stderr
        if moment.endswith("png"):
            assert temporary_files(workdir)  # the test ends while a file is written
        assert not (workdir / "checkpoints/12").exists()
    killed, whole = train(workdir), train(tmp_path / "whole")
    assert_identical(killed, whole)
    _, state, _ = ganjax.load_run(workdir)
    assert_identical(state, whole)
    assert not temporary_files(workdir)
    steps = [2, 4, 6, 8, 10, 12]
    assert [row["step"] for row in read_jsonl(workdir / "metrics.jsonl")] == steps
    events = EventAccumulator(str(workdir)).Reload()
    assert [event.step for event in events.Scalars("Loss/real")] == steps
    pictures = sorted(path.name for path in (workdir / "samples").iterdir())
    assert pictures == [f"step_{step:06d}.png" for step in (0, 4, 8, 12)]


def test_only_scratch_files_are_removed(tmp_path):
    kept = [
        "a.png",
        ".a.png",
        ".a-b",
        ".a.png-0123456",
        ".a.png-0123456g",
        "a-01234567",
    ]
    for name in [*kept, ".a.png-01234567", ".metrics.jsonl-89abcdef"]:
        (tmp_path / name).touch()
    remove_scratch(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(kept)
    remove_scratch(tmp_path / "missing")
