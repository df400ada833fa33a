"""What a finished or interrupted run offers: its state, and samples from it."""

import contextlib
from pathlib import Path
from typing import Any

import jax

from ganjax import parallel, sampling
from ganjax.checkpoint import Checkpoints
from ganjax.errors import UserError
from ganjax.gan import Gan
from ganjax.gans import make_gan
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
        sharding = parallel.replicated_sharding()
        state = checkpoints.restore(abstract_state(gan), sharding)
    return gan, state, metadata


def sample_run(workdir: Path, out: Path, num: int, seed: int) -> None:
    """Writes samples of the newest checkpoint; needs no training data.

    Raises:
      UserError: there is nothing to restore, or `out` can't be written.
    """
    gan, state, _ = load_run(workdir)
    sampling.export(gan, state, out, num, jax.random.key(seed))
    print(f"samples of step {int(state.step)} in {out}")
