"""Optimizers of ganjax in PyTorch: limits, schedules, and RMSProp as in Optax."""

from collections.abc import Callable
from math import cos, pi
from typing import Any

import torch
from ml_collections import ConfigDict
from torch import Tensor, nn

from ganjax import optim
from ganjax.options import options


class Optimizer:
    """The optimizer of a config's group.

    `updates` are those of one training step, `num_steps` the length of the run.
    """

    def __init__(
        self, network: nn.Module, spec: ConfigDict, num_steps: int, updates: int = 1
    ):
        self.parameters = list(network.parameters())
        spec = ConfigDict(options(optim.Optimizer) | spec.to_dict())
        self.spec, self.num_steps, self.updates = spec, num_steps, updates
        self.scheduled = [k for k, v in spec.items() if isinstance(v, ConfigDict)]
        numbers = {k: self.value(k, 0) for k in self.scheduled}
        self.optimizer = OPTIMIZERS[spec.name](
            self.parameters, ConfigDict(spec.to_dict() | numbers)
        )
        self.zero_grad = self.optimizer.zero_grad
        self.done = 0  # updates

    def step(self) -> None:
        """One update from the gradients of the parameters."""
        (group,), spec = self.optimizer.param_groups, self.spec
        for name in self.scheduled:
            key = "lr" if name == "learning_rate" else name
            group[key] = self.value(name, self.done // self.updates)
        if spec.max_grad_norm:
            nn.utils.clip_grad_norm_(self.parameters, spec.max_grad_norm)
        if spec.max_grad_value:
            nn.utils.clip_grad_value_(self.parameters, spec.max_grad_value)
        self.optimizer.step()
        if spec.clip_weights:
            with torch.no_grad():
                limit = spec.clip_weights
                torch._foreach_clamp_min_(self.parameters, -limit)
                torch._foreach_clamp_max_(self.parameters, limit)
        self.done += 1

    def value(self, name: str, step: int) -> float:
        """The value of a schedule at a training step."""
        return scheduled(self.spec[name].to_dict(), step / max(self.num_steps, 1))


def scheduled(schedule: dict[str, Any], progress: float) -> float:
    """The same as `ganjax.optim.Schedule`, at a fraction of the run.

    >>> scheduled({"name": "linear", "start": 1.0, "end": 3.0}, 0.5)
    2.0
    """
    start, end = schedule["start"], schedule.get("end", 0.0)
    warmup = schedule.get("warmup", 0.0)
    t = min(max((progress - warmup) / max(1 - warmup, 1e-9), 0.0), 1.0)
    rise = min(progress / warmup, 1.0) if warmup else 1.0
    values = {
        "linear": lambda: start + (end - start) * t,
        "exponential": lambda: start ** (1 - t) * end**t,
        "cosine": lambda: end + (start - end) * (1 + cos(pi * t)) / 2,
    }
    return rise * values[schedule.get("name", "linear")]()


def make_adam(parameters: list[Tensor], spec: ConfigDict) -> torch.optim.Optimizer:
    """Adam, as one fused kernel."""
    return torch.optim.Adam(
        parameters,
        lr=spec.learning_rate,
        betas=(spec.get("b1", 0.9), spec.get("b2", 0.999)),
        eps=spec.get("eps", 1e-8),
        weight_decay=spec.weight_decay,
        fused=True,
        capturable=parameters[0].is_cuda,
    )


def make_sgd(parameters: list[Tensor], spec: ConfigDict) -> torch.optim.Optimizer:
    """Stochastic gradient descent with momentum."""
    return torch.optim.SGD(
        parameters,
        lr=spec.learning_rate,
        momentum=spec.get("momentum", 0.0),
        weight_decay=spec.weight_decay,
    )


class RMSprop(torch.optim.Optimizer):
    """RMSProp as in Optax, which has eps inside the root; PyTorch has it outside."""

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            decay = group["decay"]
            for p in group["params"]:
                gradient = p.grad + group["weight_decay"] * p
                state = self.state[p]
                square = state.setdefault("square", torch.zeros_like(p))
                square.mul_(decay).addcmul_(gradient, gradient, value=1 - decay)
                root = (square + group["eps"]).sqrt()
                p.addcdiv_(gradient, root, value=-group["lr"])


def make_rmsprop(parameters: list[Tensor], spec: ConfigDict) -> torch.optim.Optimizer:
    """RMSProp with the defaults of Optax."""
    decay, eps = spec.get("decay", 0.9), spec.get("eps", 1e-8)
    shared = {"lr": spec.learning_rate, "weight_decay": spec.weight_decay, "eps": eps}
    if spec.get("eps_in_sqrt", True):
        return RMSprop(parameters, shared | {"decay": decay})
    return torch.optim.RMSprop(parameters, alpha=decay, **shared)


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": make_adam,
    "rmsprop": make_rmsprop,
    "sgd": make_sgd,
}
ARGUMENTS = {  # those that each of them has
    "adam": ("learning_rate", "b1", "b2", "eps"),
    "rmsprop": ("learning_rate", "decay", "eps", "eps_in_sqrt"),
    "sgd": ("learning_rate", "momentum"),
}
SCHEDULED = {  # those of them for which a schedule may stand
    "adam": ("learning_rate",),
    "rmsprop": ("learning_rate",),
    "sgd": ("learning_rate", "momentum"),
}
