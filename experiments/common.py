"""Shared by the experiments: flags, runs trained and scored once, networks, figures."""

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from ml_collections import ConfigDict
from PIL import Image

import ganjax
from ganjax import data, files, parallel
from ganjax.config import config_name, to_json
from ganjax.data import DataOptions
from ganjax.evaluate import evaluate_run
from ganjax.options import build
from ganjax.writers import read_jsonl

RESULTS = Path(__file__).parent / "results"
QUIET = {
    "log_every": 50,
    "sample_every": 500,
    "checkpoint_every": 5000,
    "max_to_keep": 1,
}
Metrics = dict[str, Any]


# --- flags --------------------------------------------------------------------------


def make_parser(doc: str) -> argparse.ArgumentParser:
    """A parser for a script with this docstring; --out is the folder of its results."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--out", type=make_folder, default=str(RESULTS), help="folder")
    return parser


def make_folder(name: str) -> Path:
    """A folder, made when the flags are parsed: errors come before training."""
    return files.make_folder(Path(name).expanduser(), "--out")


def parse_study(doc: str, steps: int) -> argparse.Namespace:
    """The flags of a study that trains every row of a table `steps` steps per seed.

    Runs of another number of steps are kept in a folder of their own.
    """
    parser = make_parser(doc)
    parser.add_argument("--steps", type=int, default=steps, help="generator updates")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    flags = parser.parse_args()
    if flags.steps != steps:
        flags.runs /= f"steps{flags.steps}"
    return flags


# --- runs ---------------------------------------------------------------------------


def run_folder(runs: Path, path: str, seed: int = 0) -> Path:
    """The folder of a config's run; of seed 0 the default of the command line."""
    return runs / (config_name(path) + (f"-seed{seed}" if seed else ""))


def train_and_score(
    path: str, overrides: dict[str, Any], workdir: Path, num: int = 10_000
) -> Metrics:
    """Trains a config in `workdir` and scores `num` samples of the result.

    Returns:
      The contents of metrics.json; nothing for images that are no digits.
    """
    config = ganjax.load_config(path, QUIET | overrides)

    def score(_: ganjax.TrainState) -> Metrics:
        if config.data.image_shape[:2] != (28, 28):
            return {}
        evaluate_run(workdir, num, seed=0, parzen=config.data.image_shape[2] == 1)
        return json.loads((workdir / "metrics.json").read_text())

    return run_once(config, workdir, num, score)


def run_once(
    config: ConfigDict,
    workdir: Path,
    num: int,
    score: Callable[[ganjax.TrainState], Metrics],
) -> Metrics:
    """Trains a config and scores `num` samples, unless study.json has the result."""
    if not is_finished(config, workdir, num):
        print(f"\n{workdir}", flush=True)
        state = train(config, workdir)
        save_study(config, workdir, num, score(state))
    return json.loads((workdir / "study.json").read_text())["metrics"]


def save_study(config: ConfigDict, workdir: Path, num: int, metrics: Metrics) -> None:
    """Writes study.json: the scores of `num` samples, or {"diverged": how}."""
    identity = json.loads((workdir / "config.json").read_text())["data"]
    result = {"num": num, "steps": config.num_steps, "data": identity["sha256"]}
    text = json.dumps(result | {"metrics": metrics})
    files.write_text(workdir / "study.json", text + "\n")


def is_finished(config: ConfigDict, workdir: Path, num: int) -> bool:
    """Whether study.json has how this run ended: with scores of `num` samples."""
    paths = [workdir / "study.json", workdir / "config.json"]
    if not all(path.exists() for path in paths):
        return False
    study, saved = (json.loads(path.read_text()) for path in paths)
    rows = read_jsonl(workdir / "metrics.jsonl")
    steps = max((row["step"] for row in rows), default=0)
    return (
        study["steps"] == config.num_steps
        and (steps == config.num_steps or "diverged" in study["metrics"])
        and study["num"] == num
        and saved["config"] == to_json(config)
        and study["data"] == load_data(config).identity.sha256
    )


def train(config: ConfigDict, workdir: Path, **more: Any) -> ganjax.TrainState:
    """Trains a config to its end; exits if the run was stopped before."""
    state = ganjax.train_and_evaluate(config, workdir, **more)
    if int(state.step) < config.num_steps:
        raise SystemExit("stopped; the same command resumes")
    return state


def load_data(config: ConfigDict) -> data.Dataset:
    """The training data of a config."""
    return data.load(build(DataOptions, config.data, "config.data"))


def training_seconds(path: str, overrides: dict[str, Any]) -> float:
    """Seconds that the steps of a config take on this machine, from a few calls.

    Measured separately, since other programs may have slowed the run itself down.
    """
    config = ganjax.load_config(path, overrides)
    gan = ganjax.make_gan(config)
    chunk = config.steps_per_call or parallel.steps_per_call(gan)
    train_chunk = parallel.make_train_chunk(gan, chunk)
    rows = jax.tree.map(lambda x: x[:1000], gan.examples(load_data(config)))
    examples = parallel.replicate(rows)
    shape = (chunk, gan.n_dis, config.batch_size)
    numbers = np.arange(math.prod(shape)).reshape(shape) % 1000
    indices = parallel.shard_indices(numbers, chunk)
    state = parallel.replicate(ganjax.init_state(gan, jax.random.key(0)))
    seconds = []
    for _ in range(22):
        started = time.perf_counter()
        state, _ = jax.block_until_ready(train_chunk(state, examples, indices, chunk))
        seconds.append((time.perf_counter() - started) / chunk)
    return config.num_steps * float(np.median(seconds[2:]))


# --- networks for points ------------------------------------------------------------


class MLP(nn.Module):
    """Points [B, D] -> [B, *image_shape]: a generator, or with () a discriminator.

    The networks of ganjax.models have initializations for images.
    """

    image_shape: tuple[int, ...]
    hidden: tuple[int, ...]
    activation: Callable[[jax.Array], jax.Array]
    kernel_init: Callable[..., jax.Array] = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool = True, labels: None = None
    ) -> jax.Array:
        for features in self.hidden:
            x = self.activation(nn.Dense(features, kernel_init=self.kernel_init)(x))
        x = nn.Dense(math.prod(self.image_shape))(x)
        return x.reshape(-1, *self.image_shape)


# --- results ------------------------------------------------------------------------


def mean_sd(values: Sequence[float] | np.ndarray, digits: int = 2) -> str:
    """`mean ± sd`, the sample standard deviation; `mean` alone for one value."""
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def markdown_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; titles that start with `>` are of columns aligned right."""
    rules = "".join("---:|" if title.startswith(">") else "---|" for title in titles)
    cells = [[title.removeprefix(">") for title in titles], *rows]
    header, *lines = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([header, f"|{rules}", *lines])


def describe_machine() -> dict[str, Any]:
    """Hardware and system."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return {
        "cpu": (models or [platform.processor()])[0],
        "cores": os.cpu_count(),
        "device": jax.local_devices()[0].device_kind,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def plot_seeds(axis: Axes, rows: Mapping[str, Sequence[float]]) -> None:
    """The FID of every seed on a logarithmic axis, a row for each name."""
    for y, fids in enumerate(rows.values()):
        axis.plot(fids, [y] * len(fids), "o", color="black", alpha=0.6)
    axis.set(xscale="log", xlabel="FID", yticks=range(len(rows)), yticklabels=rows)
    axis.invert_yaxis()


def save_table(text: str, path: Path) -> None:
    """Prints and writes a table."""
    print(text)
    files.write_text(path, text + "\n")


def save_figure(
    figure: Figure, path: Path, colors: int = 64, dpi: int = 100, **options: Any
) -> None:
    """Writes a PNG with a palette, which takes a third of the bytes."""
    figure.savefig(path, dpi=dpi, **options)
    image = Image.open(path).convert("RGB").quantize(colors)
    image.save(path, optimize=True)
