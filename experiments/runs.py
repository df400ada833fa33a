"""Trains and scores one config: what every study over configs repeats."""

import json
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

import ganjax
from ganjax import parallel
from ganjax.config import difference
from ganjax.evaluation import evaluate_run
from ganjax.train import plain, steps_per_call
from ganjax.writers import read_jsonl

QUIET = {"log_every": 50, "sample_every": 500, "checkpoint_every": 0, "keep": 1}


def train_and_score(
    name: str, overrides: dict[str, Any], workdir: Path, num: int = 10_000
) -> dict[str, Any]:
    """Trains `configs/NAME` in `workdir` and scores `num` samples of the result.

    A run that is there already is not repeated: a study that was stopped goes on.

    Returns:
      The metrics of `--mode=evaluate`, each with its value and interval.
    """
    config = ganjax.load_config(f"configs/{name}", QUIET | overrides)
    marker = workdir / "metrics.json"
    if not finished(config, marker):
        print(f"\n{name} {overrides} in {workdir}", flush=True)
        train(config, workdir)
        if config.data.image_shape[:2] == (28, 28):  # the judge knows digits only
            evaluate_run(workdir, num, seed=0, parzen=config.data.image_shape[2] == 1)
        else:
            marker.write_text("{}\n")
    return json.loads(marker.read_text())


def finished(config: ConfigDict, marker: Path) -> bool:
    """Whether `marker` holds the scores of this very config at its last step."""
    if not marker.exists():
        return False
    rows = read_jsonl(marker.parent / "metrics.jsonl")
    saved = json.loads((marker.parent / "config.json").read_text())["config"]
    steps = max((row["step"] for row in rows), default=0)
    return steps == config.num_steps and not difference(saved, plain(config))


def training_seconds(name: str, overrides: dict[str, Any]) -> float:
    """What the steps of `configs/NAME` take on this machine now, from a few calls.

    Measured apart from the run, which may have shared the machine.
    """
    config = ganjax.load_config(f"configs/{name}", overrides)
    gan = ganjax.make_gan(config)
    chunk = steps_per_call(config, gan)
    train_chunk = parallel.make_train_chunk(gan, chunk)
    images = np.zeros((1000, *config.data.image_shape), np.uint8)
    labels = np.zeros(1000, np.int32) if gan.num_classes else None
    resident = parallel.replicate((images, labels))
    shape = (chunk, config.n_dis, config.batch_size)
    rows = np.arange(np.prod(shape)).reshape(shape) % len(images)
    indices = parallel.shard_indices(rows, chunk)
    state = parallel.replicate(ganjax.init_state(gan, jax.random.key(0)))
    seconds = []
    for _ in range(7):
        started = time.perf_counter()
        state, _ = jax.block_until_ready(train_chunk(state, resident, indices, chunk))
        seconds.append((time.perf_counter() - started) / chunk)
    return config.num_steps * float(np.median(seconds[2:]))


def train(config: ConfigDict, workdir: Path) -> ganjax.TrainState:
    """A whole run; a run that was asked to stop ends the study with it."""
    state = ganjax.train_and_evaluate(config, workdir)
    if int(state.step) < config.num_steps:
        raise SystemExit("stopped; repeat the command to go on")
    return state


def mean_sd(values: list[float], digits: int = 2) -> str:
    """`mean ± sd`, the sample standard deviation; `mean` alone for one value."""
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"
