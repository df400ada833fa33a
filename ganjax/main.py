"""The command line: flags and errors; `commands.py` has what each mode does.

python -m ganjax.main --config configs/mnist.py [--workdir DIR] [--config.FIELD=VALUE]
python -m ganjax.main --config configs/mnist.py --init_from DIR [--workdir DIR]
python -m ganjax.main --mode=sample --workdir DIR [--num 64] [--out grid.png]
python -m ganjax.main --mode=sample --pretrained mnist_best [--num 64] [--out grid.png]
python -m ganjax.main --mode=latent --tool=walk --workdir DIR [--out walk.mp4]
python -m ganjax.main --mode=evaluate --workdir DIR [--num 10000] [--features random]
python -m ganjax.main --mode=report --workdir DIR [DIR ...] [--out report.html]
python -m ganjax.main --mode=export --workdir DIR [--out FOLDER]
python -m ganjax.main --mode=summary --config configs/mnist.py
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from ganjax.commands import LATENT_TOOLS, MODES
from ganjax.config import load_config
from ganjax.errors import UserError
from ganjax.files import cache_folder

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of the run; default: runs/CONFIG.")
flags.DEFINE_enum("mode", "train", list(MODES), "What to do.")
flags.DEFINE_integer(
    "num",
    None,
    "Samples; default: 64; to evaluate 10,000; in the human test of a report 40.",
    1,
)
flags.DEFINE_string(
    "out",
    None,
    "Output: a file or a folder; see the documentation of the mode for which.",
)
flags.DEFINE_string(
    "pretrained", None, "Sample or export this trained generator instead of a run's."
)
flags.DEFINE_string(
    "init_from",
    None,
    "Train from the networks of another run, of its folder or of a pretrained name.",
)
flags.DEFINE_string(
    "coordinator",
    None,
    "Train in several processes: HOST:PORT of the first; auto on Slurm and Cloud TPU.",
)
flags.DEFINE_integer("num_processes", None, "Processes of the job.", 1)
flags.DEFINE_integer("process_id", None, "Number of this process, from 0.", 0)
flags.DEFINE_string("caption", None, "What to generate, for GANs that take a sentence.")
flags.DEFINE_list("labels", None, "Classes of the samples: 7,7,3.")
flags.DEFINE_float("scale", None, "Scale of z in place of config.sample_scale.", 0.0)
flags.DEFINE_bool("real", False, "Write training images in place of samples.")
flags.DEFINE_bool("best", False, "The checkpoint of the lowest FID, in best/.")
flags.DEFINE_enum("tool", None, LATENT_TOOLS, "What --mode=latent does.")
flags.DEFINE_string("images", None, "Images to project: .npz, .png, folder.")
flags.DEFINE_string("samples", None, "Evaluate the images of this .npz instead.")
flags.DEFINE_string(
    "features",
    None,
    "Of metrics: auto, digits, random or FILE.onnx; default: config.features.",
)
flags.DEFINE_bool("parzen", False, "Also compute the Parzen log-likelihood (a minute).")
flags.DEFINE_bool("projection", False, "Also project images of the data (a minute).")
flags.DEFINE_integer("sample_seed", 0, "Seed of the sampling noise.", 0, 2**32 - 1)


def parse(argv: Sequence[str]) -> list[str]:
    """Parses flags; a bad flag is reported in one line.

    `--config FILE` is loaded first, so that its fields are flags for the rest. An error
    inside the file keeps its traceback.
    """
    path, rest = split_config(list(argv))
    try:
        config = load_config(path) if path else ConfigDict()
    except UserError as error:
        fail(error)
    try:
        config_flags.DEFINE_config_dict("config", config, sys_argv=rest)
        flags.DEFINE_string("config_path", path, "The config file.")
        FLAGS.set_gnu_getopt()  # flags may follow the folders of --mode=report
        return FLAGS(rest)
    except (AttributeError, KeyError) as error:  # of the flags --config.FIELD
        field = str(error.args[0]).strip("'\"")
        fail(f"--config.{field}: unknown; configs/default.py tells where fields are")
    except (flags.Error, TypeError, ValueError) as error:
        fail(str(error).splitlines()[-1])  # the last of nested errors


def split_config(argv: list[str]) -> tuple[str | None, list[str]]:
    """The value of `--config`, and all other arguments.

    >>> split_config(["main", "--config", "mnist", "--config.seed=1"])
    ('mnist', ['main', '--config.seed=1'])
    """
    for i, argument in enumerate(argv):
        name, equals, value = argument.partition("=")
        if name in ("--config", "-config"):
            if equals:
                return value, argv[:i] + argv[i + 1 :]
            return (argv[i + 1] if i + 1 < len(argv) else ""), argv[:i] + argv[i + 2 :]
    return None, argv


def fail(message: object) -> NoReturn:
    """Prints one line and exits with 1."""
    print(f"error: {' '.join(str(message).split())}", file=sys.stderr, flush=True)
    if "jax" in sys.modules:
        from ganjax.distributed import exit_now

        exit_now(1)
    sys.exit(1)


def use_compilation_cache() -> None:
    """Enables JAX's persistent compilation cache, unless configured already."""
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "xla"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def main(argv: Sequence[str]) -> None:
    """Runs one mode; user errors are reported in one line."""
    if not FLAGS["verbosity"].present:
        logging.set_verbosity(logging.ERROR)  # Orbax and JAX log a lot at INFO
    try:
        if argv[1:] and FLAGS.mode != "report":
            raise UserError(f"unexpected argument {argv[1]!r}: flags start with --")
        use_compilation_cache()
        MODES[FLAGS.mode](*argv[1:])
    except UserError as error:
        fail(error)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise  # not of the operating system
        fail(f"{error.filename or FLAGS.workdir or '.'}: {error.strerror}")
    except RuntimeError as error:
        import jax

        if not jax.distributed.is_initialized():
            raise
        reason = str(error).strip().splitlines()[0][:200]
        fail(f"the job lost a process ({reason}): start all with the same commands")
    except KeyboardInterrupt:
        fail("interrupted")


def run() -> None:
    """The console command `ganjax`."""
    app.run(main, flags_parser=parse)


if __name__ == "__main__":
    run()
