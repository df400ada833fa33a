"""What the experiments share: flags, training and scoring once, figures, numbers."""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict
from PIL import Image

import ganjax
from ganjax import data, parallel
from ganjax.config import difference, plain
from ganjax.evaluation import evaluate_run
from ganjax.train import steps_per_call
from ganjax.writers import read_jsonl

RESULTS = Path(__file__).parent / "results"
QUIET = {"log_every": 50, "sample_every": 500, "checkpoint_every": 0, "keep": 1}


def make_parser(doc: str) -> argparse.ArgumentParser:
    """For a script of this docstring that writes into a folder."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--out", type=make_folder, default=str(RESULTS), help="folder")
    return parser


def make_folder(name: str) -> Path:
    """Made when the flags are read: what fails should fail before training."""
    folder = Path(name).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def train_and_score(
    name: str, overrides: dict[str, Any], workdir: Path, num: int = 10_000
) -> dict[str, Any]:
    """Trains `configs/NAME` in `workdir` and scores `num` samples of the result.

    Returns:
      The metrics of `--mode=evaluate`, each with its value and interval.
    """
    config = ganjax.load_config(f"configs/{name}", QUIET | overrides)

    def score(_: ganjax.TrainState) -> dict[str, Any]:
        if config.data.image_shape[:2] != (28, 28):  # the judge knows digits only
            return {}
        evaluate_run(workdir, num, seed=0, parzen=config.data.image_shape[2] == 1)
        return json.loads((workdir / "metrics.json").read_text())

    return run_once(config, workdir, num, score)


def run_once(
    config: ConfigDict,
    workdir: Path,
    num: int,
    score: Callable[[ganjax.TrainState], dict[str, Any]],
) -> dict[str, Any]:
    """What `score` says of `num` samples of a trained state, kept in study.json.

    A study that was stopped goes on: neither training nor scoring is repeated.
    """
    marker = workdir / "study.json"
    if not finished(config, workdir, num):
        print(f"\n{workdir}", flush=True)
        state = train(config, workdir)
        identity = json.loads((workdir / "config.json").read_text())["data"]
        study = {"num": num, "steps": config.num_steps, "data": identity["sha256"]}
        marker.write_text(json.dumps(study | {"metrics": score(state)}) + "\n")
    return json.loads(marker.read_text())["metrics"]


def finished(config: ConfigDict, workdir: Path, num: int) -> bool:
    """Whether study.json scores `num` samples of this very run, at its last step."""
    files = [workdir / "study.json", workdir / "config.json"]
    if not all(file.exists() for file in files):
        return False
    study, saved = (json.loads(file.read_text()) for file in files)
    rows = read_jsonl(workdir / "metrics.jsonl")
    steps = max((row["step"] for row in rows), default=0)
    return (
        steps == study["steps"] == config.num_steps
        and study["num"] == num
        and not difference(saved["config"], plain(config))
        and study["data"] == data.load(config.data).identity["sha256"]
    )


def training_seconds(name: str, overrides: dict[str, Any]) -> float:
    """What the steps of `configs/NAME` take on this machine now, from some calls.

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
    for _ in range(22):
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


def save_figure(
    figure: Figure, path: Path, colours: int = 64, dpi: int = 100, **options: Any
) -> None:
    """A PNG of so few colours takes a third of the bytes."""
    figure.savefig(path, dpi=dpi, **options)
    picture = Image.open(path).convert("RGB").quantize(colours)
    picture.save(path, optimize=True)


def mean_sd(values: Sequence[float] | np.ndarray, digits: int = 2) -> str:
    """`mean ± sd`, the sample standard deviation; `mean` alone for one value."""
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"
