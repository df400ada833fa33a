"""What a finished or interrupted run offers: its state, and samples from it."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from ganjax import data, sampling
from ganjax.checkpoint import Checkpoints
from ganjax.data import DataOptions, Dataset
from ganjax.errors import UserError
from ganjax.gan import Gan
from ganjax.gans import make_gan
from ganjax.gans.standard import require_standard
from ganjax.options import NonNegative, build, convert
from ganjax.state import TrainState, abstract_state


def load_run(
    workdir: str | Path, flag: str = "--workdir"
) -> tuple[Gan, TrainState, dict[str, Any]]:
    """The GAN of a run, its newest state, and the metadata saved with it.

    The metadata are `config`, as nested dictionaries, and `data`, the identity of the
    training data. The state is replicated over the local devices. Messages name the
    flag to change.

    Raises:
      UserError: there is no checkpoint, or it can't be restored.
    """
    folder = Path(workdir).expanduser()
    if not any(p.name.isdigit() for p in (folder / "checkpoints").glob("*")):
        raise UserError(f"{flag}={folder}: expected a folder with a checkpoint")
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


@dataclass(frozen=True)
class Wanted:
    """What a user asks a generator for; without anything, what it makes by itself."""

    caption: str | None = None
    labels: Sequence[str] | None = None  # of each sample
    scale: float | None = None  # of z, in place of config.sample_scale

    def condition(self, gan: Gan, num: int) -> PyTree:
        """The condition of `num` samples; None: the GAN's own.

        Raises:
          UserError: the GAN takes no such condition.
        """
        if self.caption is not None:
            return gan.parse_condition(self.caption, num)
        return None if self.labels is None else gan.parse_labels(self.labels)

    def scaled(self, gan: Gan) -> Gan:
        """The GAN with this scale of z.

        Raises:
          UserError: its samples are not made from a z with a scale.
        """
        if self.scale is None:
            return gan
        gan = require_standard(gan, f"--scale={self.scale}")
        return replace(gan, sample_scale=convert(self.scale, NonNegative, "--scale"))


def real_images(
    workdir: Path, out: Path, num: int, options: DataOptions | None = None
) -> None:
    """Writes `num` evenly spaced training images of a run, as if they were samples.

    Raises:
      UserError: data without so many images, or `out` can't be written.
    """
    gan, _, metadata = load_run(workdir)
    dataset = load_data(metadata, options)
    images = dataset.train.get("images", ())
    if num > len(images):
        raise UserError(f"--num={num}: expected at most {len(images)} images")
    rows = np.arange(num) * len(images) // num
    sampling.save(gan, out, images[rows])
    print(f"training images of {dataset.identity.name} in {out}")


def sample_run(
    loaded: tuple[Gan, TrainState, dict[str, Any]],
    out: Path,
    num: int,
    seed: int,
    wanted: Wanted = Wanted(),
    options: DataOptions | None = None,
) -> None:
    """Writes samples of a loaded run.

    Training data are only read for GANs that make samples from examples, from where
    `options` say.

    Raises:
      UserError: `out` can't be written, or the GAN does not take what is wanted.
    """
    gan, state, metadata = loaded
    condition, gan = wanted.condition(gan, num), wanted.scaled(gan)
    dataset = load_data(metadata, options) if gan.NEEDS_DATA else None
    request = sampling.Request(num, jax.random.key(seed), condition, dataset)
    sampling.export(gan, state, out, request)
    print(f"samples of step {int(state.step)} in {out}")
