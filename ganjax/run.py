"""What a finished or interrupted run offers: its state, and samples from it."""

import contextlib
from pathlib import Path
from typing import Any

import jax

from ganjax import data, sampling
from ganjax.checkpoint import Checkpoints
from ganjax.data import DataOptions, Dataset
from ganjax.errors import UserError
from ganjax.gan import Gan
from ganjax.gans import make_gan
from ganjax.options import build
from ganjax.state import TrainState, abstract_state


def load_run(workdir: str | Path) -> tuple[Gan, TrainState, dict[str, Any]]:
    """The GAN of a run, its newest state, and the metadata saved with it.

    The metadata are `config`, as nested dictionaries, and `data`, the identity of the
    training data. The state is replicated over the local devices.

    Raises:
      UserError: there is no checkpoint, or it can't be restored.
    """
    folder = Path(workdir).expanduser()
    if not any(p.name.isdigit() for p in (folder / "checkpoints").glob("*")):
        raise UserError(f"--workdir={folder}: expected a folder with a checkpoint")
    with contextlib.closing(Checkpoints(folder, create=False)) as checkpoints:
        metadata = checkpoints.metadata()
        gan = make_gan(metadata["config"])
        state = checkpoints.restore(abstract_state(gan))
        metadata = checkpoints.metadata()  # of this state, if newer ones are damaged
    return gan, state, metadata


def load_data(metadata: dict[str, Any], options: DataOptions | None = None) -> Dataset:
    """The training data of a run.

    `options` say where the data are, if not where they were during training.

    Raises:
      UserError: other data than those of the run.
    """
    saved = build(DataOptions, metadata["config"]["data"], "config.data")
    dataset = data.load(options or saved)
    if dataset.identity.sha256 != metadata["data"]["sha256"]:
        raise UserError(
            f"config.data.name={dataset.identity.name!r}: expected the training data "
            f"of the run, {metadata['data']['source']}, got {dataset.identity.source}: "
            "pass --config and --config.data.manual_dir"
        )
    return dataset


def sample_run(
    loaded: tuple[Gan, TrainState, dict[str, Any]],
    out: Path,
    num: int,
    seed: int,
    caption: str | None = None,
) -> None:
    """Writes samples of a loaded run.

    Training data are only read for GANs that make samples from examples. A caption says
    what to generate, for GANs that take one.

    Raises:
      UserError: `out` can't be written, or a caption that the GAN does not take.
    """
    gan, state, metadata = loaded
    condition = None if caption is None else gan.parse_condition(caption, num)
    dataset = load_data(metadata) if gan.NEEDS_DATA else None
    request = sampling.Request(num, jax.random.key(seed), condition, dataset)
    sampling.export(gan, state, out, request)
    print(f"samples of step {int(state.step)} in {out}")
