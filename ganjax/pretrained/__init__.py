"""Trained generators that are installed with ganjax.

NAME.safetensors has the weights in float16, NAME.md says what they are.
`python -m experiments.pretrain RUN` writes both.
"""

from pathlib import Path
from typing import Any

from ganjax.errors import choose
from ganjax.gan import Gan
from ganjax.state import TrainState
from ganjax.weights import read_weights

FOLDER = Path(__file__).parent


def load_pretrained(name: str) -> tuple[Gan, TrainState]:
    """A trained generator, to sample from: `ganjax.sample(gan, state, ...)`.

    Args:
      name: `mnist`, `mnist_best` or `conditional`, or a file that --mode=export wrote,
        ending in `.safetensors`.

    Returns:
      The GAN, and a state whose generator is trained. The discriminator and the
      optimizers are not: they are as before the first step.

    Raises:
      UserError: an unknown name, or not such a file.
    """
    gan, state, _ = load(name)
    return gan, state


def load(
    name: str, flag: str = "--pretrained"
) -> tuple[Gan, TrainState, dict[str, Any]]:
    """The same with its metadata, as `ganjax.load_run` returns a run."""
    own = name.endswith(".safetensors")
    path = Path(name).expanduser() if own else choose(files(), name, flag)
    gan, state, config = read_weights(path, flag)
    return gan, state, {"config": config}


def files() -> dict[str, Path]:
    """The files of the trained generators by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}
