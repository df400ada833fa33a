"""A generator's weights in one file of the format safetensors.

The file also holds, as JSON, the config, the step and the version. Reading it runs
nothing: it is a table of names, types and shapes, and the numbers.
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

import ganjax
from ganjax.data.dataset import DataOptions
from ganjax.errors import UserError, printable
from ganjax.files import write_bytes
from ganjax.gan import Gan, Variables
from ganjax.gans import make_gan
from ganjax.state import TrainState, abstract_state, init_state

# What reading any other file raises: one of another format, or other JSON in it.
BAD_FILE = (
    SafetensorError,
    OSError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


def write_weights(
    path: Path,
    g: Variables,
    step: int,
    config: dict[str, Any],
    dtype: str = "float32",
) -> None:
    """Writes generator variables, named as in `params/Dense_0/kernel`.

    In the config that is written, the folders of the training data are the defaults.

    Raises:
      ValueError: a weight is not finite in this type.
    """
    numbers = flatten_dict(jax.device_get(g), sep="/")
    with np.errstate(over="ignore"):  # an error below
        arrays = {name: np.asarray(x).astype(dtype) for name, x in numbers.items()}
    for name, x in arrays.items():
        if not np.isfinite(x).all():
            raise ValueError(f"{name}: expected numbers that are finite in {dtype}")
    folders = {"data_dir": DataOptions.data_dir, "manual_dir": ""}
    config = config | {"data": config["data"] | folders}
    metadata = {"config": config, "step": step, "version": ganjax.__version__}
    # One string: safetensors writes several in an order that differs between processes.
    content = save(arrays, {"ganjax": json.dumps(metadata)})
    write_bytes(path, content)


def read_weights(path: Path, flag: str) -> tuple[Gan, TrainState, dict[str, Any]]:
    """The GAN of a file of weights, a state with its generator, and its config.

    The generator and its average are those of the file; the discriminator, which is not
    in the file, and the optimizers are as before the first step.

    Raises:
      UserError: not such a file, or of another architecture than its config; the
        message names the flag to change.
    """
    expected = f"{flag}={printable(path)}: expected weights written by --mode=export"
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = json.loads((file.metadata() or {})["ganjax"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}
        config = dict(metadata["config"])
        step = jnp.asarray(metadata["step"], jnp.int32)
    except BAD_FILE as error:
        reason = printable(error)[:200]
        raise UserError(f"{expected}, got {type(error).__name__}: {reason}") from error
    gan = make_gan(config)
    like = flatten_dict(abstract_state(gan).g_ema, sep="/")
    shapes = {name: x.shape for name, x in like.items()}
    if {name: x.shape for name, x in arrays.items()} != shapes:
        raise UserError(f"{expected}, got arrays of another architecture")
    floats = {name: x.astype(np.float32) for name, x in arrays.items()}
    g = {"params": {}, "batch_stats": {}} | unflatten_dict(floats, sep="/")
    state = init_state(gan, jax.random.key(0))
    player = state.g.replace(**jax.tree.map(jnp.array, g))
    # Arrays of its own: donating one buffer twice is an error.
    g_ema = jax.tree.map(jnp.array, g)
    return gan, state.replace(step=step, g=player, g_ema=g_ema), config
