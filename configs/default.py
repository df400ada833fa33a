"""The config that all others start from.

A field's default, comment and check are in the dataclass that uses it:

    seed, num_steps, batch_size, *_every ...   ganjax/train.py, Run
    data.*                                     ganjax/data, DataOptions
    updates, n_dis, ema.*, dtype               ganjax/gan.py, Gan
    loss, prior.*, num_classes, l1 ...         ganjax/gans/standard.py, Standard
    augment.*                                  ganjax/augment.py, Augment
    generator.*, discriminator.*               ganjax/models, the module of that name
    g_optimizer.*, d_optimizer.*               ganjax/optim.py, and optax

`python -m ganjax.main --config FILE --mode=summary` prints them all. A config calls
`get_config()` and changes what differs. Where a number may change over the run, a
schedule can stand for it: `{"name": "exponential", "start": 0.5, "end": 0.05}`.
"""

from typing import Any

from ml_collections import ConfigDict

from ganjax.config import override
from ganjax.data import DataOptions
from ganjax.gans import Standard
from ganjax.models import DISCRIMINATORS, GENERATORS
from ganjax.optim import Optimizer
from ganjax.options import options
from ganjax.penalties import PENALTIES
from ganjax.train import Run


def get_config() -> ConfigDict:
    c = ConfigDict(options(Run) | options(Standard))
    c.gan = "standard"  # ganjax/gans
    c.data = ConfigDict(options(DataOptions))
    c.penalties = penalties(r1_r2=1.0)  # gamma of arXiv:2501.05441
    c.generator = generator("dcgan")
    c.discriminator = discriminator("dcgan")
    c.g_optimizer = optimizer("adam", learning_rate=2e-3, b1=0.0, b2=0.99)
    c.d_optimizer = optimizer("adam", learning_rate=2e-3, b1=0.0, b2=0.99)
    return c


def generator(name: str, **changes: Any) -> ConfigDict:
    """The options of a generator by name, with changes to their defaults."""
    return ConfigDict({"name": name} | options(GENERATORS[name], **changes))


def discriminator(name: str, **changes: Any) -> ConfigDict:
    """The options of a discriminator by name, with changes to their defaults."""
    return ConfigDict({"name": name} | options(DISCRIMINATORS[name], **changes))


def optimizer(name: str, **arguments: Any) -> ConfigDict:
    """A key of `ganjax.optim.OPTIMIZERS` with the arguments of the optax function."""
    return ConfigDict({"name": name} | options(Optimizer) | arguments)


def schedules(c: ConfigDict, name: str, **fields: tuple[float, float]) -> None:
    """Sets penalties, and options of both optimizers, to schedules of a kind.

    Each has its value at the first step and that at the end of the run.
    """
    for field, (start, end) in fields.items():
        groups = ("g_optimizer", "d_optimizer")
        if field in PENALTIES:
            groups = ("penalties",)
        for group in groups:
            schedule = {"name": name, "start": start, "end": end}
            override(c, f"{group}.{field}", schedule)


def penalties(**weights: Any) -> ConfigDict:
    """Weights of penalties by name; the others are 0 and cost nothing."""
    return ConfigDict({name: weights.pop(name, 0.0) for name in PENALTIES} | weights)
