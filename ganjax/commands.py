"""What each `--mode` of the command line does, with the values of the flags."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from ganjax.config import config_name
from ganjax.errors import UserError

if TYPE_CHECKING:
    from ganjax.gan import Gan
    from ganjax.state import TrainState

FLAGS = flags.FLAGS


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
    """--mode=sample, of a run or of --pretrained."""
    from ganjax.run import sample_run

    out = Path(FLAGS.out or "samples.png").expanduser()
    num, seed = FLAGS.num or 64, FLAGS.sample_seed
    sample_run(load(), out, num, seed, FLAGS.caption)


def export() -> None:
    """--mode=export, of a run or of --pretrained."""
    from ganjax.export import export_generator

    gan, state, metadata = load()
    out = Path(FLAGS.out) if FLAGS.out else Path(FLAGS.workdir or "", "export")
    export_generator(gan, state, metadata["config"], out.expanduser())


def page() -> None:
    """--mode=page, of a run or of --pretrained: an export and a page that runs it."""
    from ganjax.export import export_generator
    from ganjax.human_test import make_test_of_run
    from ganjax.web.page import write_page

    gan, state, metadata = load()
    name = FLAGS.pretrained or run_folder().resolve().name
    out = Path(FLAGS.out) if FLAGS.out else Path(FLAGS.workdir or "", "page")
    export_generator(gan, state, metadata["config"], out.expanduser())
    human = None
    if FLAGS.workdir:  # a pretrained generator must not wait for its data
        try:
            human = make_test_of_run(run_folder(), name, FLAGS.num or 40, 0)
        except UserError as error:
            print(f"without the test of whether people see a difference: {error}")
    write_page(out.expanduser(), gan, state.g_ema, name, human)


def evaluate() -> None:
    """--mode=evaluate, of a run or of --samples."""
    from ganjax import evaluate
    from ganjax.data import DataOptions
    from ganjax.options import build

    config = FLAGS.config.to_dict() if FLAGS.config_path else {}
    data = build(DataOptions, config["data"], "config.data") if config else None
    if not FLAGS.samples:
        num, seed = FLAGS.num or 10_000, FLAGS.sample_seed
        evaluate.evaluate_run(run_folder(), num, seed, FLAGS.parzen, data)
    elif data is None:
        raise UserError("--samples needs --config for its data: configs/mnist.py, e.g.")
    else:
        file = Path(FLAGS.samples).expanduser()
        # Not beside the file: its folder may be that of a run with scores of its own.
        workdir = Path(FLAGS.workdir or file.with_name(f"{file.stem}-scores"))
        evaluate.evaluate_samples(file, workdir.expanduser(), data, FLAGS.parzen)


def report(*others: str) -> None:
    """--mode=report, of --workdir and of the folders after it."""
    from ganjax.report import write_report

    folders = [run_folder(), *(Path(other).expanduser() for other in others)]
    out = Path(FLAGS.out or "report.html").expanduser()
    write_report(folders, out, FLAGS.num or 40, FLAGS.sample_seed)


def summary() -> None:
    """--mode=summary: the config with all its fields, and both networks."""
    from ganjax.gans import make_gan

    if not FLAGS.config_path:
        raise UserError("--mode=summary needs --config, e.g. --config configs/mnist.py")
    print(FLAGS.config)
    print(make_gan(FLAGS.config).summary())


def load() -> tuple["Gan", "TrainState", dict[str, Any]]:
    """The run in --workdir, or the generator --pretrained."""
    if not FLAGS.pretrained:
        from ganjax.run import load_run

        return load_run(run_folder(", or --pretrained=NAME"))
    from ganjax import pretrained

    if FLAGS.workdir:
        raise UserError(f"--workdir={FLAGS.workdir}: expected none with --pretrained")
    return pretrained.load(FLAGS.pretrained)


def run_folder(alternative: str = "") -> Path:
    """--workdir, which modes need that read a run and get nothing else to read."""
    if not FLAGS.workdir:
        needs = f"needs --workdir=FOLDER of a trained run{alternative}"
        raise UserError(f"--mode={FLAGS.mode} {needs}")
    return Path(FLAGS.workdir).expanduser()


MODES: dict[str, Callable[..., None]] = {
    "train": train,
    "sample": sample,
    "export": export,
    "page": page,
    "evaluate": evaluate,
    "report": report,
    "summary": summary,
}
