"""The test of arXiv:1406.2661's aim: can a person tell generated from real images?

The images are shown one at a time by `web/human.js`, which saves the answers as JSON;
`ganjax.metrics.human` scores them.
"""

import hashlib
import json
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import UInt8

import ganjax
from ganjax.data import DataOptions
from ganjax.errors import UserError
from ganjax.gan import Gan
from ganjax.gans.standard import require_standard
from ganjax.images import grid
from ganjax.report.html import embedded_png
from ganjax.run import load_data
from ganjax.sampling import sample
from ganjax.state import TrainState

COLUMNS = 10  # of the sprite
MAX_TRIALS = 1000


def make_test(
    real: UInt8[np.ndarray, "N H W C"], fake: UInt8[np.ndarray, "N H W C"], seed: int
) -> dict[str, Any]:
    """What `startHumanTest` in web/human.js shows: as many real as generated images.

    Returns:
      `sprite`, a PNG with all images as a data URL; `tile`, their height and width;
      `columns` of the sprite; `real`, 1 or 0 for each, in the order of the test, which
      is a random one of this seed; `seed`.

    Raises:
      ValueError: images of different shapes or numbers, or none.
    """
    if real.shape != fake.shape or not len(real):
        raise ValueError(
            f"images: expected two equal shapes, got {real.shape} and {fake.shape}"
        )
    from PIL import Image

    order = np.random.default_rng(seed).permutation(2 * len(real))
    tiles = grid(np.concatenate([real, fake])[order], COLUMNS, gap=0)
    image = Image.fromarray(tiles[..., 0] if tiles.shape[-1] == 1 else tiles)
    return {
        "sprite": embedded_png(image),
        "tile": list(real.shape[1:3]),
        "columns": COLUMNS,
        "real": (order < len(real)).astype(int).tolist(),
        "seed": seed,
    }


class HumanTest(NamedTuple):
    """What the test of a run shows."""

    trials: int = 40  # images, half of which are real
    seed: int = 0  # of their choice and order
    data: DataOptions | None = None  # where the data are, if not where they were

    def check(self) -> None:
        """Raises UserError for an odd number of images, or too many."""
        if self.trials % 2 or not 2 <= self.trials <= MAX_TRIALS:
            raise UserError(
                f"--num={self.trials}: expected an even number from 2 to {MAX_TRIALS}, "
                "half of the human test's images are real"
            )


def make_test_of_run(
    loaded: tuple[Gan, TrainState, dict[str, Any]], name: str, test: HumanTest
) -> dict[str, Any]:
    """The test of a loaded run against random images of its test data.

    Neither are selected. What identifies the generator goes into the saved answers.

    Raises:
      UserError: other data than those of the run, or a GAN or data to which the test
        does not apply.
    """
    gan, state, metadata = loaded
    gan = require_standard(gan, "the test")
    dataset, num, seed = load_data(metadata, test.data), test.trials // 2, test.seed
    images = dataset.test.get("images")
    if images is None or images.ndim != 4 or images.dtype != np.uint8:
        raise UserError("the test data of this run are not images")
    if len(images) < num:
        raise UserError(
            f"the test needs {num} test images, and there are {len(images)}"
        )
    rows = np.random.default_rng(seed).choice(len(images), num, replace=False)
    fake = sample(gan, state, num=num, key=jax.random.key(seed))
    config = json.dumps(metadata["config"], sort_keys=True).encode()
    return make_test(np.asarray(images[rows]), fake, seed) | {
        "name": name,
        "step": int(state.step),
        "config": hashlib.sha256(config).hexdigest()[:12],
        "data": metadata["data"]["sha256"],
        "version": ganjax.__version__,
    }
