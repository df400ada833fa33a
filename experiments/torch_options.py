"""Which options of a config the PyTorch version has."""

from collections.abc import Collection
from typing import Any

from ml_collections import ConfigDict

from experiments.torch_losses import D_LOSSES, PENALTIES
from experiments.torch_networks import ACTIVATIONS, OUTPUTS
from experiments.torch_optimizers import ARGUMENTS, OPTIMIZERS, SCHEDULED
from ganjax.config import flatten
from ganjax.errors import UserError
from ganjax.gans.standard import Standard
from ganjax.models import DISCRIMINATORS, GENERATORS
from ganjax.optim import Optimizer, Schedule
from ganjax.options import option_names, options
from ganjax.train import Run

# Options with any value, and the values of the others. All other options of a config
# must have their defaults, which turn them off.
LAYERS = ("hidden", "channels", "kernel", "stride", "norm", "momentum")
INITIAL = ("kernel_init", "init_scale", "output_bias")
SUPPORTED = {
    *("updates", "n_dis", "d_weights", "l1", "l2", "ema.half_life", "ema.rampup"),
    *("prior.z_dim", "conv"),
    *(f"generator.{x}" for x in (*LAYERS, *INITIAL, "epsilon", "output_kernel")),
    *(f"discriminator.{x}" for x in (*LAYERS, *INITIAL, "dropout")),
    *(f"discriminator.{x}" for x in ("pieces", "input_dropout")),
    *(f"{p}_optimizer.{x}" for p in "gd" for x in option_names(Optimizer) - {"freeze"}),
    *(f"penalties.{x}" for x in PENALTIES),
}
CHOICES: dict[str, Collection[str]] = {
    "gan": ("standard",),
    "dtype": ("float32", "bfloat16"),
    "loss": D_LOSSES,
    "prior.distribution": ("normal", "uniform"),
    "generator.name": ("mlp", "dcgan"),
    "generator.activation": ACTIVATIONS,
    "generator.dense_activation": ACTIVATIONS,
    "generator.output": OUTPUTS,
    "discriminator.name": ("mlp", "dcgan", "maxout"),
    "discriminator.activation": ACTIVATIONS,
    "g_optimizer.name": OPTIMIZERS,
    "d_optimizer.name": OPTIMIZERS,
}


def optimizer_fields(player: str, name: str) -> set[str]:
    """The fields of a player's optimizer that it has, schedules included."""
    numbers = set(ARGUMENTS.get(name, ()))
    scheduled = {
        f"{number}.{field}"
        for number in SCHEDULED.get(name, ())
        for field in option_names(Schedule)
    }
    return {f"{player}_optimizer.{field}" for field in numbers | scheduled}


def check(config: ConfigDict) -> None:
    """Checks that the PyTorch version has all options that a config uses.

    An option that is added to ganjax is reported until it is also added here.

    Raises:
      UserError: a list of the options that it does not have.
    """
    given = config.to_dict()
    defaults = options(Standard) | {
        "generator": options(GENERATORS[given["generator"]["name"]]),
        "discriminator": options(DISCRIMINATORS[given["discriminator"]["name"]]),
        "penalties": dict.fromkeys(given["penalties"], 0.0),
        "g_optimizer": options(Optimizer),
        "d_optimizer": options(Optimizer),
    }
    off, known = flatten(defaults), set(SUPPORTED)
    for player in "gd":
        known |= optimizer_fields(player, given[f"{player}_optimizer"]["name"])

    def supported(field: str, value: object) -> bool:
        choices = CHOICES.get(field, ())
        return field in known or value in choices or value == off.get(field)

    about_the_run = option_names(Run) | {"data"}
    used = flatten({k: v for k, v in given.items() if k not in about_the_run})
    lacking = [f"config.{k}={v!r}" for k, v in used.items() if not supported(k, v)]
    lacking += combinations(given)
    if lacking:
        raise UserError(f"unsupported in PyTorch: {', '.join(lacking)}")


def combinations(given: dict[str, Any]) -> list[str]:
    """Options of a config that it has, but not together."""
    penalties = [name for name, weight in given["penalties"].items() if weight]
    lacking = []
    if len(penalties) > 1:
        lacking.append(f"config.penalties: {' and '.join(penalties)} together")
    if penalties and given["discriminator"].get("norm") == "spectral":
        lacking.append("config.discriminator.norm='spectral' with config.penalties")
    return lacking
