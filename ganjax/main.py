"""Flags, and nothing else: the work is in train.py. Kept short on purpose.

python -m ganjax.main --config configs/mnist.py [--workdir DIR] [--config.FIELD=VALUE]
python -m ganjax.main --mode=sample --workdir DIR [--num 64] [--out grid.png]
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
flags.DEFINE_enum("mode", "train", ["train", "sample"], "What to do.")
flags.DEFINE_integer("num", 64, "With --mode=sample: how many.", lower_bound=1)
flags.DEFINE_string("out", "samples.png", "With --mode=sample: .png, .npz or folder.")
flags.DEFINE_integer("sample_seed", 0, "With --mode=sample: seed of the noise.")


def use_compilation_cache() -> None:
    """A second start compiles nothing; JAX's own variables take precedence."""
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = Path.home() / ".cache" / "ganjax" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def parse(argv: Sequence[str]) -> list[str]:
    """absl's parser; what it dislikes is the user's to mend, hence one line."""
    try:
        rest = FLAGS(list(argv))
        if FLAGS.config is not None:
            FLAGS.config.is_locked  # noqa: B018 - a missing file shows when touched
        return rest
    except (AttributeError, KeyError) as error:
        fail(f"unknown config field {error}: configs/default.py has every field")
    except OSError:
        fail(f"{config_file()} can't be read: run from the root of the checkout")
    except (flags.Error, TypeError, ValueError) as error:
        fail(error)


def config_file() -> str:
    """What stands after --config, without the argument of `FILE.py:ARGUMENT`."""
    return FLAGS["config"].config_filename.split(":")[0]  # type: ignore[attr-defined]


def fail(message: object) -> NoReturn:
    """One line, and a non-zero exit."""
    print(f"error: {' '.join(str(message).split())}", file=sys.stderr)
    sys.exit(1)


def main(argv: Sequence[str]) -> None:
    use_compilation_cache()
    from ganjax import train

    try:
        if argv[1:]:
            raise UserError(f"unexpected argument {argv[1]!r}: flags start with --")
        if FLAGS.mode == "sample":
            if not FLAGS.workdir:
                raise UserError("--mode=sample needs --workdir=FOLDER of a trained run")
            train.sample_from(
                Path(FLAGS.workdir), Path(FLAGS.out), FLAGS.num, FLAGS.sample_seed
            )
        elif FLAGS.config is None:
            raise UserError("say what to train, e.g. --config configs/mnist.py")
        else:
            workdir = Path(FLAGS.workdir or f"runs/{Path(config_file()).stem}")
            train.train_and_evaluate(FLAGS.config, workdir.expanduser())
    except UserError as error:
        fail(error)
    except KeyboardInterrupt:
        fail("interrupted; the newest checkpoint, if there is one, is intact")


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
