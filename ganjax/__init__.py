"""ganjax: generative adversarial networks as pure functions of arrays.

The public names load what they need on first use, so that `import ganjax` is free.
"""

import importlib
import time
from typing import TYPE_CHECKING, Any

STARTED = time.perf_counter()  # of the process, to a few milliseconds, for main
__version__ = "0.1.0"

if TYPE_CHECKING:
    from ganjax.config import load_config
    from ganjax.errors import UserError
    from ganjax.gan import Gan, make_gan
    from ganjax.sampling import sample
    from ganjax.state import TrainState, init_state
    from ganjax.steps import d_step, g_step, train_step
    from ganjax.train import train_and_evaluate

_HOMES = {
    "Gan": "gan",
    "TrainState": "state",
    "UserError": "errors",
    "d_step": "steps",
    "g_step": "steps",
    "init_state": "state",
    "load_config": "config",
    "make_gan": "gan",
    "sample": "sampling",
    "train_and_evaluate": "train",
    "train_step": "steps",
}
__all__ = [
    "Gan",
    "TrainState",
    "UserError",
    "d_step",
    "g_step",
    "init_state",
    "load_config",
    "make_gan",
    "sample",
    "train_and_evaluate",
    "train_step",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ganjax' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ganjax.{_HOMES[name]}"), name)
