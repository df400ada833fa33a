"""What each `--mode` of the command line does, with the values of the flags."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from ganjax.config import config_name
from ganjax.errors import UserError

if TYPE_CHECKING:
    from ganjax.data import DataOptions

FLAGS = flags.FLAGS
LATENT_TOOLS = ("walk", "morph", "project", "directions", "truncation")


def train() -> None:
    """--mode=train."""
    from ganjax.distributed import initialize
    from ganjax.train import train_and_evaluate

    coordinator = FLAGS.coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    if coordinator:
        initialize(coordinator, FLAGS.num_processes, FLAGS.process_id)
    if not FLAGS.config_path:
        raise UserError("--config is missing: expected e.g. --config configs/mnist.py")
    workdir = FLAGS.workdir or f"runs/{config_name(FLAGS.config_path)}"
    train_and_evaluate(FLAGS.config, workdir)


def sample() -> None:
    """--mode=sample."""
    from ganjax.run import Wanted, sample_run

    out = Path(FLAGS.out or "samples.png").expanduser()
    wanted = Wanted(FLAGS.caption, FLAGS.labels, FLAGS.scale)
    num, seed = number(FLAGS.labels) or 64, FLAGS.sample_seed
    sample_run(run_folder(), out, num, seed, wanted)


def latent() -> None:
    """--mode=latent: paths, projections and directions in the space of z."""
    from ganjax.explore import Task, explore

    if not FLAGS.tool:
        tools = ", ".join(LATENT_TOOLS)
        raise UserError(f"--mode=latent needs --tool=NAME, one of {tools}")
    workdir = run_folder()
    task = Task(
        out=Path(FLAGS.out or workdir / "latent").expanduser(),
        num=number(None if FLAGS.tool == "morph" else FLAGS.labels),
        seed=FLAGS.sample_seed,
        labels=FLAGS.labels,
        images=FLAGS.images and Path(FLAGS.images).expanduser(),
        data=data_options(),
    )
    explore(FLAGS.tool, workdir, task, FLAGS.scale)


def evaluate() -> None:
    """--mode=evaluate, of a run or of --samples."""
    from ganjax import evaluate

    data = data_options()
    if not FLAGS.samples:
        num, seed = FLAGS.num or 10_000, FLAGS.sample_seed
        flags = FLAGS.parzen, data, FLAGS.projection
        evaluate.evaluate_run(run_folder(), num, seed, *flags)
    elif FLAGS.projection:
        raise UserError("--projection: expected a run, got --samples")
    elif data is None:
        raise UserError("--samples needs --config for its data: configs/mnist.py, e.g.")
    else:
        file = Path(FLAGS.samples).expanduser()
        # Not beside the file: its folder may be that of a run with scores of its own.
        workdir = Path(FLAGS.workdir or file.with_name(f"{file.stem}-scores"))
        evaluate.evaluate_samples(file, workdir.expanduser(), data, FLAGS.parzen)


def summary() -> None:
    """--mode=summary: the config with all its fields, and both networks."""
    from ganjax.gans import make_gan

    if not FLAGS.config_path:
        raise UserError("--mode=summary needs --config, e.g. --config configs/mnist.py")
    print(FLAGS.config)
    print(make_gan(FLAGS.config).summary())


def run_folder() -> Path:
    """--workdir, which all modes of a trained run need, or best/ in it.

    That is the folder of a run with one checkpoint.
    """
    if not FLAGS.workdir:
        raise UserError(f"--mode={FLAGS.mode} needs --workdir=FOLDER of a trained run")
    folder = Path(FLAGS.workdir).expanduser()
    if FLAGS.best and not (folder / "best").is_dir():
        raise UserError(
            f"--best: expected {folder / 'best'}, which runs with "
            "--config.evaluate_every=STEPS have"
        )
    return folder / "best" if FLAGS.best else folder


def number(labels: list[str] | None) -> int | None:
    """--num, or the number of labels; None if there is neither."""
    if labels is not None and FLAGS.num not in (None, len(labels)):
        raise UserError(
            f"--num={FLAGS.num}: expected {len(labels)}, the number of --labels"
        )
    return FLAGS.num if labels is None else len(labels)


def data_options() -> DataOptions | None:
    """Where --config says that the data are; None without one."""
    from ganjax.data import DataOptions
    from ganjax.options import build

    if not FLAGS.config_path:
        return None
    return build(DataOptions, FLAGS.config.to_dict()["data"], "config.data")


MODES: dict[str, Callable[[], None]] = {
    "train": train,
    "sample": sample,
    "evaluate": evaluate,
    "latent": latent,
    "summary": summary,
}
