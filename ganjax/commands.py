"""What each `--mode` of the command line does, with the values of the flags."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from ganjax.config import config_name
from ganjax.errors import UserError

if TYPE_CHECKING:
    from ganjax.data import DataOptions
    from ganjax.gan import Gan
    from ganjax.human_test import HumanTest
    from ganjax.state import TrainState

FLAGS = flags.FLAGS
LATENT_TOOLS = ("walk", "morph", "project", "directions", "truncation", "mix")


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
    train_and_evaluate(FLAGS.config, workdir, init_from=FLAGS.init_from)


def sample() -> None:
    """--mode=sample, of a run or of --pretrained."""
    from ganjax.run import Wanted, real_images, sample_run

    out = Path(FLAGS.out or "samples.png").expanduser()
    if FLAGS.real:
        real_images(run_folder(), out, FLAGS.num or 64, data_options())
        return
    wanted = Wanted(FLAGS.caption, FLAGS.labels, FLAGS.scale)
    num, seed = number(FLAGS.labels) or 64, FLAGS.sample_seed
    sample_run(load(), out, num, seed, wanted, data_options())


def export() -> None:
    """--mode=export, of a run or of --pretrained."""
    from ganjax.export import export_generator
    from ganjax.run import Wanted

    gan, state, metadata = load()
    gan = Wanted(scale=FLAGS.scale).scaled(gan)
    export_generator(gan, state, metadata["config"], out_folder("export"))


def page() -> None:
    """--mode=page, of a run or of --pretrained: an export and a page that runs it."""
    from ganjax.export import export_generator
    from ganjax.gans.standard import require_standard
    from ganjax.human_test import make_test_of_run
    from ganjax.run import Wanted
    from ganjax.web.page import write_page

    test = human_test()
    test.check()
    gan, state, metadata = load()
    gan = require_standard(Wanted(scale=FLAGS.scale).scaled(gan), "--mode=page")
    if FLAGS.workdir:
        name = Path(FLAGS.workdir).expanduser().resolve().name
    else:
        name = Path(FLAGS.pretrained).name.removesuffix(".safetensors")
    out = out_folder("page")
    export_generator(gan, state, metadata["config"], out)
    human = None
    if FLAGS.workdir:  # a pretrained generator must not wait for its data
        try:
            loaded = gan, state, metadata
            human = make_test_of_run(loaded, name, test)
        except UserError as error:
            print(f"without the test of whether people see a difference: {error}")
    write_page(out, gan, state.g_ema, name, human)


def latent() -> None:
    """--mode=latent: paths, projections and directions in the space of z."""
    from ganjax.explore import Task, explore

    if not FLAGS.tool:
        tools = ", ".join(LATENT_TOOLS)
        raise UserError(f"--mode=latent needs --tool=NAME, one of {tools}")
    workdir = run_folder()
    task = Task(
        out=out_folder("latent"),
        num=number(None if FLAGS.tool == "morph" else FLAGS.labels),
        seed=FLAGS.sample_seed,
        labels=FLAGS.labels,
        images=Path(FLAGS.images).expanduser() if FLAGS.images else None,
        data=data_options(),
    )
    explore(FLAGS.tool, workdir, task, FLAGS.scale)


def evaluate() -> None:
    """--mode=evaluate, of a run or of --samples."""
    from ganjax import evaluate
    from ganjax.features import Features
    from ganjax.options import convert

    if FLAGS.scale is not None:
        raise UserError(
            "--scale: expected none with --mode=evaluate, which scores the scale of "
            "the run, config.sample_scale; see --mode=latent --tool=truncation"
        )
    data = data_options()
    if FLAGS.features:
        convert(FLAGS.features, Features, "--features")
    if not FLAGS.samples:
        num, seed = FLAGS.num or 10_000, FLAGS.sample_seed
        override = evaluate.Override(data, FLAGS.features)
        flags = FLAGS.parzen, override, FLAGS.projection
        evaluate.evaluate_run(run_folder(), num, seed, *flags)
    elif FLAGS.projection:
        raise UserError("--projection: expected a run, got --samples")
    elif data is None:
        raise UserError("--samples needs --config for its data: configs/mnist.py, e.g.")
    else:
        file = Path(FLAGS.samples).expanduser()
        # Not beside the file: its folder may be that of a run with scores of its own.
        workdir = Path(FLAGS.workdir or file.with_name(f"{file.stem}-scores"))
        features = FLAGS.features or FLAGS.config.get("features", "auto")
        evaluate.evaluate_samples(
            file, workdir.expanduser(), data, FLAGS.parzen, features
        )


def report(*others: str) -> None:
    """--mode=report, of --workdir and of the folders after it."""
    from ganjax.report import write_report

    folders = [run_folder(), *(Path(other).expanduser() for other in others)]
    out = Path(FLAGS.out or "report.html").expanduser()
    write_report(folders, out, human_test())


def summary() -> None:
    """--mode=summary: the config with all its fields, and both networks."""
    from ganjax.gans import make_gan

    if not FLAGS.config_path:
        raise UserError("--mode=summary needs --config, e.g. --config configs/mnist.py")
    print(FLAGS.config)
    print(make_gan(FLAGS.config).summary())


def load() -> tuple[Gan, TrainState, dict[str, Any]]:
    """The run in --workdir, or the generator --pretrained."""
    if not FLAGS.pretrained:
        from ganjax.run import load_run

        return load_run(run_folder(", or --pretrained=NAME"))
    from ganjax import pretrained

    if FLAGS.workdir or FLAGS.best:
        flag = f"--workdir={FLAGS.workdir}" if FLAGS.workdir else "--best"
        raise UserError(f"{flag}: expected none with --pretrained")
    return pretrained.load(FLAGS.pretrained)


def run_folder(alternative: str = "") -> Path:
    """--workdir, which modes need that read a run and get nothing else to read.

    With --best, the folder best/ in it, which is that of a run with one checkpoint.
    """
    if not FLAGS.workdir:
        needs = f"needs --workdir=FOLDER of a trained run{alternative}"
        raise UserError(f"--mode={FLAGS.mode} {needs}")
    folder = Path(FLAGS.workdir).expanduser()
    if FLAGS.best and not (folder / "best").is_dir():
        raise UserError(
            f"--best: expected {folder / 'best'}, which runs with "
            "--config.evaluate_every=STEPS have"
        )
    return folder / "best" if FLAGS.best else folder


def out_folder(name: str) -> Path:
    """--out; by default a folder of that name in the run."""
    run = run_folder() if FLAGS.workdir else Path()
    return Path(FLAGS.out or run / name).expanduser()


def number(labels: list[str] | None) -> int | None:
    """--num, or the number of labels; None if there is neither."""
    if labels is not None and FLAGS.num not in (None, len(labels)):
        raise UserError(
            f"--num={FLAGS.num}: expected {len(labels)}, the number of --labels"
        )
    return FLAGS.num if labels is None else len(labels)


def human_test() -> HumanTest:
    """The human test that the flags describe."""
    from ganjax.human_test import HumanTest

    return HumanTest(FLAGS.num or 40, FLAGS.sample_seed, data_options())


def data_options() -> DataOptions | None:
    """Where --config says that the data are; None without one."""
    from ganjax.data import DataOptions
    from ganjax.options import build

    if not FLAGS.config_path:
        return None
    return build(DataOptions, FLAGS.config.to_dict()["data"], "config.data")


MODES: dict[str, Callable[..., None]] = {
    "train": train,
    "sample": sample,
    "export": export,
    "page": page,
    "evaluate": evaluate,
    "report": report,
    "latent": latent,
    "summary": summary,
}
