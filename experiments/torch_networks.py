"""Networks, losses and penalties of ganjax in PyTorch, and which options they have."""

from collections.abc import Callable, Collection
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import Tensor, nn

from ganjax.config import flatten
from ganjax.errors import UserError
from ganjax.gans.standard import Standard
from ganjax.models import DISCRIMINATORS, GENERATORS
from ganjax.optim import Optimizer
from ganjax.options import option_names, options
from ganjax.train import Run

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": partial(nn.LeakyReLU, 0.2, inplace=True),
    "keras_leaky_relu": partial(nn.LeakyReLU, 0.3, inplace=True),
    "gelu": nn.GELU,
}
OUTPUTS = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
Layers = list[nn.Module]


# --- networks: z [B, Z] -> images [B, C, H, W] -> logits [B] ------------------------


def chain(
    widths: tuple[int, ...],
    layer: Callable[[int, int], nn.Module],
    finish: Callable[[int], Layers],
) -> Layers:
    """A layer from each width to the next, each followed by `finish`."""
    return [x for i, o in pairwise(widths) for x in (layer(i, o), *finish(o))]


def make_generator(config: ConfigDict) -> nn.Module:
    """The generator of a config."""
    c, (height, width, channels) = config.generator, config.data.image_shape
    bias = c.norm == "none"  # BatchNorm has a bias of its own
    dense = partial(nn.Linear, bias=bias)

    def finish(features: int, norm: type[nn.Module]) -> Layers:
        norms = [] if bias else [norm(features, momentum=1 - c.momentum)]
        return [*norms, ACTIVATIONS[c.activation]()]

    widths = (config.prior.z_dim, *c.hidden)
    layers = chain(widths, dense, partial(finish, norm=nn.BatchNorm1d))
    if c.name == "mlp":
        layers += [nn.Linear(widths[-1], height * width * channels)]
        layers += [OUTPUTS[c.output](), nn.Unflatten(1, (channels, height, width))]
        return nn.Sequential(*layers)
    shrink = c.stride ** len(c.channels)
    start = (c.channels[0], height // shrink, width // shrink)

    def grow(i: int, o: int, kernel: int = c.kernel, bias: bool = bias) -> nn.Module:
        pad = (kernel - 1) // 2
        left = c.stride + 2 * pad - kernel
        return nn.ConvTranspose2d(i, o, kernel, c.stride, pad, left, bias=bias)

    layers += [dense(widths[-1], prod(start)), nn.Unflatten(1, start)]
    layers += finish(start[0], nn.BatchNorm2d)
    layers += chain(c.channels, grow, partial(finish, norm=nn.BatchNorm2d))
    last = grow(c.channels[-1], channels, c.output_kernel or c.kernel, bias=True)
    return nn.Sequential(*layers, last, OUTPUTS[c.output]())


def make_discriminator(config: ConfigDict) -> nn.Module:
    """The discriminator of a config."""
    c, (height, width, channels) = config.discriminator, config.data.image_shape
    maps = (channels, *c.get("channels", ()))

    def finish(_: int) -> Layers:
        dropout = [nn.Dropout(c.dropout)] if c.dropout else []
        return [ACTIVATIONS[c.activation](), *dropout]

    def shrink(i: int, o: int) -> nn.Module:
        return nn.Conv2d(i, o, c.kernel, c.stride, (c.kernel - 1) // 2)

    layers = chain(maps, shrink, finish)
    scale = c.get("stride", 1) ** (len(maps) - 1)
    widths = (maps[-1] * (height // scale) * (width // scale), *c.hidden)
    layers += [nn.Flatten(), *chain(widths, nn.Linear, finish)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 1), nn.Flatten(0))


# --- losses and penalties -----------------------------------------------------------


def bce(logits: Tensor, target: float) -> Tensor:
    """Binary cross-entropy with one target for the whole batch."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


D_LOSSES = {  # of real and fake logits, and the weights of the two terms
    "non_saturating": lambda r, f, a, b: a * bce(r, 1.0) + b * bce(f, 0.0),
    "relativistic": lambda r, f, a, b: (a + b) / 2 * F.softplus(f - r).mean(),
}
G_LOSSES = {  # of D and images, since not every loss needs D(real)
    "non_saturating": lambda d, real, fake: bce(d(fake), 1.0),
    "relativistic": lambda d, real, fake: F.softplus(d(real) - d(fake)).mean(),
}


def squared_gradient_norm(d: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """D(x) and ‖∇D(x)‖², both [B] and differentiable."""
    if torch.compiler.is_compiling():  # it supports only torch.func.grad twice

        def total(x: Tensor) -> tuple[Tensor, Tensor]:
            logits = d(x)
            return logits.sum(), logits

        gradient, logits = torch.func.grad(total, has_aux=True)(images)
    else:
        logits = d(images.requires_grad_())
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return logits, gradient.square().sum((1, 2, 3))


def r1_r2(d: nn.Module, both: Tensor) -> tuple[Tensor, Tensor]:
    """½ ‖∇D‖² on real and on fake images, from the pass that gives the logits."""
    logits, squares = squared_gradient_norm(d, both)
    return logits, squares.mean()


def wgan_gp(d: nn.Module, both: Tensor) -> tuple[Tensor, Tensor]:
    """(‖∇D(x̂)‖ − 1)², x̂ between real and fake."""
    real, fake = both.chunk(2)
    t = torch.rand(len(real), 1, 1, 1, device=both.device)
    _, squares = squared_gradient_norm(d, t * real + (1 - t) * fake)
    return d(both), ((squares + 1e-12).sqrt() - 1).square().mean()


PENALTIES: dict[str, Callable[[nn.Module, Tensor], tuple[Tensor, Any]]] = {
    # (D, real and fake images) -> their logits, the penalty
    "none": lambda d, both: (d(both), 0.0),
    "r1_r2": r1_r2,
    "wgan_gp": wgan_gp,
}


def make_losses(
    config: ConfigDict, g: nn.Module, d: nn.Module
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """(real, fake) -> D's loss, and (real, z) -> G's loss and its samples."""
    used = {k: v for k, v in config.penalties.items() if v}
    ((name, weight),) = (used or {"none": 0.0}).items()
    penalty, weights, l1 = PENALTIES[name], tuple(config.d_weights), config.l1
    d_criterion, g_criterion = D_LOSSES[config.loss], G_LOSSES[config.loss]

    def d_loss(real: Tensor, fake: Tensor) -> Tensor:
        logits, value = penalty(d, torch.cat([real, fake]))
        return d_criterion(*logits.chunk(2), *weights) + weight * value

    def g_loss(real: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        fake = g(z)
        loss = g_criterion(d, real, fake)
        return (loss + l1 * F.l1_loss(fake, real) if l1 else loss), fake

    return d_loss, g_loss


# --- which options there are ---------------------------------------------------------

# Options with any value, and the values of the others. All other options of a config
# must have their defaults, which turn them off.
NETWORK = ("hidden", "channels", "kernel", "stride")
ADAM = ("learning_rate", "b1", "b2", "weight_decay")
SUPPORTED = {
    *("updates", "d_weights", "l1", "ema.half_life", "ema.rampup", "prior.z_dim"),
    "conv",  # implementations of the same function
    *(f"generator.{x}" for x in (*NETWORK, "norm", "momentum", "output_kernel")),
    *(f"discriminator.{x}" for x in (*NETWORK, "dropout")),
    *(f"{player}_optimizer.{x}" for player in "gd" for x in ADAM),
    *(f"penalties.{x}" for x in PENALTIES),
}
CHOICES: dict[str, Collection[str]] = {
    "gan": ("standard",),
    "loss": D_LOSSES,
    "generator.name": ("mlp", "dcgan"),
    "generator.activation": ACTIVATIONS,
    "generator.output": OUTPUTS,
    "discriminator.name": ("mlp", "dcgan"),
    "discriminator.activation": ACTIVATIONS,
    "g_optimizer.name": ("adam",),
    "d_optimizer.name": ("adam",),
}


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
        "g_optimizer": options(Optimizer),
        "d_optimizer": options(Optimizer),
        "penalties": dict.fromkeys(given["penalties"], 0.0),
    }
    off = flatten(defaults)

    def supported(field: str, value: object) -> bool:
        choices = CHOICES.get(field, ())
        return field in SUPPORTED or value in choices or value == off.get(field)

    about_the_run = option_names(Run) | {"data"}
    used = flatten({k: v for k, v in given.items() if k not in about_the_run})
    lacking = [f"config.{k}={v!r}" for k, v in used.items() if not supported(k, v)]
    penalties = [name for name, weight in given["penalties"].items() if weight]
    if len(penalties) > 1:
        lacking.append(f"config.penalties: {' and '.join(penalties)} together")
    if lacking:
        raise UserError(f"unsupported in PyTorch: {', '.join(lacking)}")


def check_parameters(config: ConfigDict) -> None:
    """Checks that both networks have as many parameters as those of ganjax.

    Raises:
      ValueError: they do not.
    """
    import jax

    from ganjax.gans import make_gan
    from ganjax.state import abstract_state

    state = abstract_state(make_gan(config))
    makers = {make_generator: state.g.params, make_discriminator: state.d.params}
    for make, params in makers.items():
        ours = sum(x.size for x in jax.tree.leaves(params))
        theirs = sum(x.numel() for x in make(config).parameters())
        if ours != theirs:
            raise ValueError(
                f"{make.__name__}: expected {ours:,} parameters, got {theirs:,}"
            )
