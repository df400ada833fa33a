"""Flags, and nothing else: the work is in train.py. Kept short on purpose.

python -m ganjax.main --config configs/mnist.py [--workdir DIR] [--config.FIELD=VALUE]
python -m ganjax.main --mode=sample --workdir DIR [--num 64] [--out grid.png]
python -m ganjax.main --mode=evaluate --workdir DIR [--num 10000] [--parzen]
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from absl import app, flags
from ml_collections import config_flags

from ganjax.errors import UserError

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file("config", None, "File of the config.")
flags.DEFINE_string("workdir", None, "Folder of the run; default: runs/CONFIG.")
flags.DEFINE_enum("mode", "train", ["train", "sample", "evaluate"], "What to do.")
flags.DEFINE_integer("num", None, "Samples; default: 64, 10,000 to evaluate.", 1)
flags.DEFINE_string("out", "samples.png", "With --mode=sample: .png, .npz or folder.")
flags.DEFINE_string("samples", None, "With --mode=evaluate: an .npz of images instead.")
flags.DEFINE_bool("parzen", False, "With --mode=evaluate: also that, a minute more.")
flags.DEFINE_integer("sample_seed", 0, "Seed of their noise.", 0, 2**32 - 1)


def use_compilation_cache() -> None:
    """A second start compiles nothing; JAX's own variables take precedence."""
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = Path.home() / ".cache" / "ganjax" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def parse(argv: Sequence[str]) -> list[str]:
    """absl's parser; what it dislikes is the user's to fix, hence one line."""
    try:
        rest = FLAGS(list(argv))
        if FLAGS.config is not None:
            FLAGS.config.is_locked  # noqa: B018 - a missing file shows when touched
        return rest
    except (AttributeError, KeyError) as error:
        fail(f"unknown config field {error}: configs/default.py has every field")
    except OSError:
        fail(f"{config_name()} can't be read: run from the root of the checkout")
    except ImportError as error:
        fail(f"{error}: run from the root of the checkout")
    except (flags.Error, TypeError, ValueError) as error:
        fail(str(error).splitlines()[-1])  # the last line of whatever was nested


def config_name() -> str:
    """What stands after --config: FILE.py or FILE.py:ARGUMENT."""
    return FLAGS["config"].config_filename  # type: ignore[attr-defined]


def fail(message: object) -> NoReturn:
    """One line, and a non-zero exit."""
    print(f"error: {' '.join(str(message).split())}", file=sys.stderr)
    sys.exit(1)


def train() -> None:
    """--mode=train."""
    from ganjax.train import train_and_evaluate

    if FLAGS.config is None:
        raise UserError("say what to train, e.g. --config configs/mnist.py")
    file, _, argument = config_name().partition(":")
    name = "-".join(filter(None, (Path(file).stem, argument)))
    train_and_evaluate(FLAGS.config, FLAGS.workdir or f"runs/{name}")


def sample() -> None:
    """--mode=sample."""
    from ganjax.evaluation import sample_run

    out = Path(FLAGS.out).expanduser()
    sample_run(run_folder(), out, FLAGS.num or 64, FLAGS.sample_seed)


def evaluate() -> None:
    """--mode=evaluate, of a run or of --samples."""
    from ganjax import evaluation

    config = None if FLAGS.config is None else FLAGS.config.data
    if not FLAGS.samples:
        num, seed = FLAGS.num or 10_000, FLAGS.sample_seed
        evaluation.evaluate_run(run_folder(), num, seed, FLAGS.parzen, config)
    elif config is None:
        raise UserError("--samples needs the data's --config, e.g. configs/mnist.py")
    else:
        file = Path(FLAGS.samples).expanduser()
        # Not beside the file, which may be in the folder of a run with its own scores.
        workdir = Path(FLAGS.workdir or file.with_name(f"{file.stem}-scores"))
        evaluation.evaluate_samples(file, workdir.expanduser(), config, FLAGS.parzen)


def run_folder() -> Path:
    """--workdir, where a mode can't do without it."""
    if not FLAGS.workdir:
        raise UserError(f"--mode={FLAGS.mode} needs --workdir=FOLDER of a trained run")
    return Path(FLAGS.workdir).expanduser()


def main(argv: Sequence[str]) -> None:
    """Runs one mode; a user's mistake ends in one line."""
    try:
        if argv[1:]:
            raise UserError(f"unexpected argument {argv[1]!r}: flags start with --")
        use_compilation_cache()
        {"train": train, "sample": sample, "evaluate": evaluate}[FLAGS.mode]()
    except UserError as error:
        fail(error)
    except OSError as error:  # a full disk, say
        place = error.filename or FLAGS.workdir or "the work folder"
        fail(f"{place}: {error.strerror}; the newest checkpoint is intact: make room")
    except KeyboardInterrupt:
        fail("interrupted; the newest checkpoint, if there is one, is intact")


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
