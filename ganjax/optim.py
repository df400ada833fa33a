"""Optimizers, schedules and the generator's moving average, as hashable values."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from ganjax.errors import OptionsError, UserError, choose
from ganjax.options import (
    Count,
    Depth,
    Fraction,
    NonNegative,
    Rate,
    build,
    convert,
    given,
    option_names,
)

OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "adam": optax.adam,
    "rmsprop": optax.rmsprop,
    "sgd": optax.sgd,
}


@dataclass(frozen=True)
class Schedule:
    """A number that goes from `start` to `end` over the run.

    In a config it is written `{"name": "cosine", "start": 1.0}`, wherever a number may
    be a schedule; a shorter run has the same schedule in less time.
    """

    name: Literal["linear", "exponential", "cosine"] = "linear"
    start: NonNegative = math.nan  # must be given
    end: NonNegative = 0.0
    warmup: Fraction = 0.0  # first fraction of the run, in which it rises from 0
    num_steps: Count = 0  # length of the run; make_gan fills it in

    def __post_init__(self) -> None:
        if math.isnan(self.start):
            raise OptionsError("expected a schedule with a start")
        if self.name == "exponential" and 0 in (self.start, self.end):
            raise OptionsError("expected positive numbers for an exponential schedule")

    def __call__(self, step: Array) -> Array:
        """The value at a training step, int32 [] -> float32 []."""
        progress = step / max(self.num_steps, 1)
        t = (progress - self.warmup) / max(1 - self.warmup, 1e-9)
        t = jnp.clip(t, 0.0, 1.0)
        if self.name == "linear":
            value = self.start + (self.end - self.start) * t
        elif self.name == "cosine":
            value = self.end + (self.start - self.end) * (1 + jnp.cos(jnp.pi * t)) / 2
        else:
            value = self.start * (self.end / self.start) ** t
        rise = jnp.minimum(progress / self.warmup, 1.0) if self.warmup else 1.0
        return rise * value


Number = NonNegative | Schedule
# Types of the arguments of optax functions, where not `Number`.
ARGUMENTS: dict[str, Any] = {
    "b1": Rate | Schedule,
    "b2": Rate | Schedule,
    "decay": Rate | Schedule,
    "momentum": Fraction | Schedule,
}


def value_at(number: float | Schedule, step: Array) -> Any:
    """A number as it is, or the value of a schedule at this training step."""
    return number(step) if isinstance(number, Schedule) else number


def resolve_schedules(config: Any, num_steps: int) -> Any:
    """A nested config with the length of the run written into every schedule.

    >>> resolve_schedules({"l1": {"name": "linear", "start": 1.0}}, 9)
    {'l1': {'name': 'linear', 'start': 1.0, 'num_steps': 9}}
    """
    if not isinstance(config, Mapping):
        return config
    resolved = {k: resolve_schedules(v, num_steps) for k, v in config.items()}
    return resolved | {"num_steps": num_steps} if "start" in config else resolved


@dataclass(frozen=True)
class Optimizer:
    """One of `OPTIMIZERS`, and what is done to gradients before and weights after it.

    In a config: `{"name": "adam", "learning_rate": ..., ...}` with the arguments of the
    optax function beside these fields. Each number among those arguments may be a
    schedule.
    """

    make: Callable[..., optax.GradientTransformation]
    arguments: tuple[tuple[str, Any], ...]
    updates: int  # of this player per training step; schedules are over steps
    max_grad_norm: NonNegative = 0.0  # of all gradients together; 0: no limit
    max_grad_value: NonNegative = 0.0  # of each number in the gradients; 0: no limit
    weight_decay: NonNegative = 0.0  # L2 inside the gradient, as in PyTorch's Adam
    clip_weights: NonNegative = 0.0  # of every parameter; 0: no limit
    freeze: Depth = 0  # layers nearest the image whose parameters stay: gans/freeze.py
    frozen: tuple[str, ...] = given(())  # their names; make_gan fills them in

    def transformation(self) -> optax.GradientTransformation:
        """The optax transformation; built where it is used, since it holds closures."""
        arguments, make = dict(self.arguments), self.make
        for name, value in self.arguments:
            if isinstance(value, Schedule):
                arguments[name] = self._per_update(value)
                make = optax.inject_hyperparams(self.make)
        # Limits apply to the gradient of the loss alone, as in PyTorch; decay comes on
        # top. Weights are clipped after the update: arXiv:1701.07875, Algorithm 1.
        stages = [
            (optax.clip_by_global_norm, self.max_grad_norm),
            (optax.clip, self.max_grad_value),
            (optax.add_decayed_weights, self.weight_decay),
            (lambda _: make(**arguments), True),
            (clip_weights, self.clip_weights),
        ]
        tx = optax.chain(*(stage(value) for stage, value in stages if value))
        if not self.freeze:
            return tx
        # Frozen parameters have no part in limits, decay or the optimizer's averages.
        return optax.partition({"train": tx, "freeze": optax.set_to_zero()}, self.label)

    def label(self, params: Mapping[str, Any]) -> dict[str, str]:
        """Which part of the optimizer each entry of a player's parameters gets.

        Raises:
          ValueError: layers are to be frozen, but not known.
        """
        if not self.frozen:
            raise ValueError(f"freeze={self.freeze}: expected a GAN from make_gan")
        return {name: "freeze" if name in self.frozen else "train" for name in params}

    def _per_update(self, schedule: Schedule) -> optax.Schedule:
        return lambda count: schedule(count // self.updates)


def clip_weights(limit: float) -> optax.GradientTransformation:
    """Keeps every parameter within ±limit: arXiv:1701.07875, Algorithm 1."""

    def update(updates: Any, state: Any, params: Any) -> tuple[Any, Any]:
        def project(u: Array, p: Array) -> Array:
            return jnp.clip(p + u, -limit, limit) - p

        return jax.tree.map(project, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def make_optimizer(spec: Mapping[str, Any], where: str, updates: int = 1) -> Optimizer:
    """The optimizer that a group of a config describes.

    Args:
      spec: `name`, the fields of `Optimizer`, arguments of the optax function.
      where: name of the group, for error messages.
      updates: this player's updates per training step.

    Raises:
      UserError: an unknown name or argument, or a value out of range.
    """
    fields = option_names(Optimizer)
    own = {k: v for k, v in spec.items() if k in fields}
    make = choose(OPTIMIZERS, spec.get("name", ""), f"{where}.name")
    parameters = inspect.signature(make).parameters
    arguments = {}
    for name in spec.keys() - fields - {"name"}:
        flag = name in parameters and isinstance(parameters[name].default, bool)
        hint = bool if flag else ARGUMENTS.get(name, Number)
        arguments[name] = convert(spec[name], hint, f"{where}.{name}")
    if not arguments.get("learning_rate"):
        rate = arguments.get("learning_rate")
        raise UserError(f"{where}.learning_rate={rate}: expected a number > 0")
    parts = {
        "make": make,
        "arguments": tuple(sorted(arguments.items())),
        "updates": updates,
    }
    optimizer = build(Optimizer, own, where, **parts)
    try:
        optimizer.transformation()
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error
    return optimizer


def make_optimizers(config: Mapping[str, Any]) -> dict[str, Any]:
    """The optimizers of both players of a config, by the name of their group."""
    g, d = (config[name] for name in ("g_optimizer", "d_optimizer"))
    return {
        "g_optimizer": make_optimizer(g, "config.g_optimizer"),
        "d_optimizer": make_optimizer(d, "config.d_optimizer", config["n_dis"]),
    }


@dataclass(frozen=True)
class Ema:
    """Exponential moving average of the generator (arXiv:2006.06676, appendix D).

    The half-life grows with the images seen, so that early samples show early progress.
    """

    half_life: NonNegative = 10_000.0  # images; 0: no averaging
    rampup: NonNegative = 0.06  # upper bound of the half-life: fraction of images seen

    def update(self, average: PyTree, new: PyTree, step: Array, batch: int) -> PyTree:
        """The average after training step `step`, int32 [], of `batch` images."""
        if not self.half_life:
            return new
        seen = (step + 1).astype(jnp.float32) * batch  # int32 would overflow
        keep = 0.5 ** (batch / jnp.minimum(self.half_life, self.rampup * seen))
        return jax.tree.map(lambda old, x: keep * old + (1 - keep) * x, average, new)
