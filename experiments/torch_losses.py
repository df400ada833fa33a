"""Losses and penalties of ganjax in PyTorch."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import Tensor, nn


def bce(logits: Tensor, target: float) -> Tensor:
    """Binary cross-entropy with one target for the whole batch."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def squares(logits: Tensor, target: float) -> Tensor:
    """Half the mean square of the distance to a target."""
    return F.mse_loss(logits, torch.full_like(logits, target)) / 2


D_LOSSES = {  # of real and fake logits, and the weights of the two terms
    "minimax": lambda r, f, a, b: a * bce(r, 1.0) + b * bce(f, 0.0),
    "non_saturating": lambda r, f, a, b: a * bce(r, 1.0) + b * bce(f, 0.0),
    "lsgan": lambda r, f, a, b: a * squares(r, 1.0) + b * squares(f, 0.0),
    "wgan": lambda r, f, a, b: b * f.mean() - a * r.mean(),
    "hinge": lambda r, f, a, b: a * F.relu(1 - r).mean() + b * F.relu(1 + f).mean(),
    "relativistic": lambda r, f, a, b: (a + b) / 2 * F.softplus(f - r).mean(),
}
G_LOSSES = {  # of D and images, since not every loss needs D(real)
    "minimax": lambda d, real, fake: -bce(d(fake), 0.0),
    "non_saturating": lambda d, real, fake: bce(d(fake), 1.0),
    "lsgan": lambda d, real, fake: squares(d(fake), 1.0),
    "wgan": lambda d, real, fake: -d(fake).mean(),
    "hinge": lambda d, real, fake: -d(fake).mean(),
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


def unit_gradient_norm(d: nn.Module, images: Tensor) -> Tensor:
    """The mean of (‖∇D(x)‖ − 1)²."""
    _, square = squared_gradient_norm(d, images)
    return ((square + 1e-12).sqrt() - 1).square().mean()


def random_like(images: Tensor, *shape: int) -> Tensor:
    """Uniform numbers in [0, 1): [B, *shape]."""
    return torch.rand(len(images), *shape, device=images.device)


def r1_r2(d: nn.Module, both: Tensor) -> tuple[Tensor, Tensor]:
    """½ ‖∇D‖² on real and on fake images, from the pass that gives the logits."""
    logits, square = squared_gradient_norm(d, both)
    return logits, square.mean()


def wgan_gp(d: nn.Module, both: Tensor) -> tuple[Tensor, Tensor]:
    """(‖∇D(x̂)‖ − 1)², x̂ between real and fake."""
    real, fake = both.chunk(2)
    t = random_like(real, 1, 1, 1)
    return d(both), unit_gradient_norm(d, t * real + (1 - t) * fake)


def dragan(d: nn.Module, both: Tensor) -> tuple[Tensor, Tensor]:
    """(‖∇D(x̂)‖ − 1)², x̂ around real images."""
    real, _ = both.chunk(2)
    noise = random_like(real, *real.shape[1:]) * real.std(correction=0) / 2
    scale = random_like(real, 1, 1, 1)
    return d(both), unit_gradient_norm(d, real + scale * noise)


def two_passes(d: nn.Module, both: Tensor) -> tuple[Tensor, float]:
    """No penalty, for a D with BatchNorm, which would mix real and fake images."""
    return torch.cat([d(images) for images in both.chunk(2)]), 0.0


PENALTIES: dict[str, Callable[[nn.Module, Tensor], tuple[Tensor, Any]]] = {
    # (D, real and fake images) -> their logits, the penalty
    "none": lambda d, both: (d(both), 0.0),
    "r1_r2": r1_r2,
    "wgan_gp": wgan_gp,
    "dragan": dragan,
}


def make_losses(
    config: ConfigDict, g: nn.Module, d: nn.Module
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """(real, fake) -> D's loss, and (real, z) -> G's loss and its samples."""
    used = {k: v for k, v in config.penalties.items() if v}
    ((name, weight),) = (used or {"none": 0.0}).items()
    penalty, weights = PENALTIES[name], tuple(config.d_weights)
    if config.discriminator.get("norm", "none") != "none":
        penalty = two_passes
    l1, l2 = config.l1, config.l2
    d_criterion, g_criterion = D_LOSSES[config.loss], G_LOSSES[config.loss]

    def d_loss(real: Tensor, fake: Tensor) -> Tensor:
        logits, value = penalty(d, torch.cat([real, fake]))
        return d_criterion(*logits.chunk(2), *weights) + weight * value

    def g_loss(real: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        fake = g(z)
        loss = g_criterion(d, real, fake)
        loss = loss + l1 * F.l1_loss(fake, real) if l1 else loss
        return (loss + l2 * F.mse_loss(fake, real) if l2 else loss), fake

    return d_loss, g_loss
