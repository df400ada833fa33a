"""ganjax: generative adversarial networks as pure functions of arrays.

The public names and the modules are loaded on first use: `import ganjax` is free.
"""

import importlib
import importlib.util
import time
from typing import TYPE_CHECKING, Any

STARTED = time.perf_counter()  # of the process, to a few milliseconds, for main
__version__ = "0.1.0"

if TYPE_CHECKING:
    from ganjax.checkpoint import load_run as load_run
    from ganjax.config import load_config as load_config
    from ganjax.data import make_dataset as make_dataset
    from ganjax.errors import UserError as UserError
    from ganjax.gan import Gan as Gan
    from ganjax.gan import make_gan as make_gan
    from ganjax.sampling import sample as sample
    from ganjax.state import TrainState as TrainState
    from ganjax.state import init_state as init_state
    from ganjax.steps import d_step as d_step
    from ganjax.steps import g_step as g_step
    from ganjax.steps import train_step as train_step
    from ganjax.train import train_and_evaluate as train_and_evaluate

_HOMES = {
    "checkpoint": ("load_run",),
    "config": ("load_config",),
    "data": ("make_dataset",),
    "errors": ("UserError",),
    "gan": ("Gan", "make_gan"),
    "sampling": ("sample",),
    "state": ("TrainState", "init_state"),
    "steps": ("d_step", "g_step", "train_step"),
    "train": ("train_and_evaluate",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    path = f"ganjax.{_HOME.get(name, name)}"
    if importlib.util.find_spec(path) is None:
        raise AttributeError(f"module 'ganjax' has no attribute {name!r}")
    module = importlib.import_module(path)
    return getattr(module, name) if name in _HOME else module
