"""The same GANs in plain PyTorch, built from the same configs, to compare against.

Question: what would somebody who knows PyTorch well have written? Modules in a row,
fused Adam, one pass of D over reals and fakes together, no gradient that nobody needs.
A twin measures nothing on its way, no losses, no gradient norms, so it does a little
less than ganjax; its weights start as PyTorch starts them. From equal weights and noise
its updates are those of ganjax up to rounding; only odd kernels lie one pixel off.

Command: python -m experiments.twins --config configs/mlp_l1.py --out FOLDER

trains a twin and writes FOLDER/STEP.npz: 10,000 `images`, and the `seconds` from the
start until training could make them. experiments/benchmark.py and speedrun.py measure.
"""

import argparse
import copy
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, pairwise
from math import prod
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import Tensor, nn

from ganjax import data
from ganjax.config import flatten, load_config
from ganjax.errors import UserError

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": partial(nn.LeakyReLU, 0.2, inplace=True),
    "keras_leaky_relu": partial(nn.LeakyReLU, 0.3, inplace=True),
    "gelu": nn.GELU,
}
OUTPUTS = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
# What a twin can't do, and the value of each that switches it off.
OFF = {"n_dis": 1, "prior": "normal", "dtype": "float32", "sample_scale": 1.0}
OFF |= {"discriminator.norm": "none", "discriminator.softmax": False}
OFF |= dict.fromkeys(("label_smoothing", "label_flip", "instance_noise"), 0.0)
OFF |= dict.fromkeys(("d_warmup", "g_warmup", "num_classes"), 0)
LIMITS = ("clip_weights", "max_grad_norm")
OFF |= {f"{player}_optimizer.{limit}": 0.0 for player in "dg" for limit in LIMITS}

# --- networks: z [B, Z] -> images [B, C, H, W] -> logits [B] ------------------------

Layers = list[nn.Module]


def chain(widths: tuple[int, ...], layer: Callable, finish: Callable) -> Layers:
    """A layer from each width to the next, and what comes after each."""
    return [x for i, o in pairwise(widths) for x in (layer(i, o), *finish(o))]


def make_generator(config: ConfigDict) -> nn.Module:
    c, (height, width, colours) = config.generator, config.data.image_shape
    free = c.norm == "none"  # or a norm follows, and has a bias of its own
    dense = partial(nn.Linear, bias=free)

    def finish(features: int, norm: type[nn.Module]) -> Layers:
        momentum = 1 - c.get("momentum", 0.9)
        norms = [] if free else [norm(features, momentum=momentum)]
        return [*norms, ACTIVATIONS[c.activation]()]

    widths = (config.z_dim, *c.hidden)
    layers = chain(widths, dense, partial(finish, norm=nn.BatchNorm1d))
    if "channels" not in c:
        layers += [nn.Linear(widths[-1], height * width * colours)]
        layers += [OUTPUTS[c.output](), nn.Unflatten(1, (colours, height, width))]
        return nn.Sequential(*layers)
    shrink = c.stride ** len(c.channels)
    start = (c.channels[0], height // shrink, width // shrink)

    def grow(i: int, o: int, kernel: int = c.kernel, bias: bool = free) -> nn.Module:
        pad = (kernel - 1) // 2
        left = c.stride + 2 * pad - kernel
        return nn.ConvTranspose2d(i, o, kernel, c.stride, pad, left, bias=bias)

    layers += [dense(widths[-1], prod(start)), nn.Unflatten(1, start)]
    layers += finish(start[0], nn.BatchNorm2d)
    layers += chain(c.channels, grow, partial(finish, norm=nn.BatchNorm2d))
    last = grow(c.channels[-1], colours, c.output_kernel or c.kernel, bias=True)
    return nn.Sequential(*layers, last, OUTPUTS[c.output]())


def make_discriminator(config: ConfigDict) -> nn.Module:
    c, (height, width, colours) = config.discriminator, config.data.image_shape
    channels = (colours, *c.get("channels", ()))

    def finish(_: int) -> Layers:
        dropout = [nn.Dropout(c.dropout)] if c.get("dropout") else []
        return [ACTIVATIONS[c.activation](), *dropout]

    def shrink(i: int, o: int) -> nn.Module:
        return nn.Conv2d(i, o, c.kernel, c.stride, (c.kernel - 1) // 2)

    layers = chain(channels, shrink, finish)
    scale = c.get("stride", 1) ** (len(channels) - 1)
    widths = (channels[-1] * (height // scale) * (width // scale), *c.hidden)
    layers += [nn.Flatten(), *chain(widths, nn.Linear, finish)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 1), nn.Flatten(0))


# --- the game -----------------------------------------------------------------------


def bce(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


D_LOSSES = {  # of both logits, and the weights of reals and of fakes
    "non_saturating": lambda r, f, a, b: a * bce(r, 1.0) + b * bce(f, 0.0),
    "relativistic": lambda r, f, a, b: (a + b) / 2 * F.softplus(f - r).mean(),
}
G_LOSSES = {  # of D and images, since not every loss needs D(real)
    "non_saturating": lambda d, real, fake: bce(d(fake), 1.0),
    "relativistic": lambda d, real, fake: F.softplus(d(real) - d(fake)).mean(),
}


def logits_and_slopes(d: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """D(x) and ‖∇D(x)‖², both [B] and differentiable."""
    if torch.compiler.is_compiling():  # which takes torch.func.grad alone twice

        def total(x: Tensor) -> tuple[Tensor, Tensor]:
            logits = d(x)
            return logits.sum(), logits

        gradient, logits = torch.func.grad(total, has_aux=True)(images)
    else:
        logits = d(images.requires_grad_())
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return logits, gradient.square().sum((1, 2, 3))


def r1_r2(d: nn.Module, both: Tensor) -> tuple[Tensor, Tensor]:
    """½ ‖∇D‖² at reals and at fakes, from the very pass that gives the logits."""
    logits, slopes = logits_and_slopes(d, both)
    return logits, slopes.mean()


def wgan_gp(d: nn.Module, both: Tensor) -> tuple[Tensor, Tensor]:
    """(‖∇D(x̂)‖ − 1)², x̂ between real and fake."""
    real, fake = both.chunk(2)
    t = torch.rand(len(real), 1, 1, 1, device=both.device)
    _, slopes = logits_and_slopes(d, t * real + (1 - t) * fake)
    return d(both), ((slopes + 1e-12).sqrt() - 1).square().mean()


PENALTIES = {  # (D, reals and fakes) -> their logits, the penalty
    "none": lambda d, both: (d(both), 0.0),
    "r1_r2": r1_r2,
    "wgan_gp": wgan_gp,
}


class Twin:
    """A GAN, and uint8 images to train on, resident on its device."""

    def __init__(self, config: ConfigDict, images: np.ndarray, mode: str, device: str):
        check(config)
        torch.set_num_threads(os.cpu_count() or 1)
        torch.set_flush_denormal(True)  # as XLA does on CPUs
        if device == "cuda":  # and on GPUs: TF32, and the fastest of the kernels
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.benchmark = True
        torch.manual_seed(config.seed)
        self.config, self.device = config, device
        self.range = RANGES[config.generator.output]
        self.images = torch.tensor(images.transpose(0, 3, 1, 2), device=device)
        self.rows = self.shuffled()
        place = {"device": device, "memory_format": torch.channels_last}
        self.generator = make_generator(config).to(**place)
        self.discriminator = make_discriminator(config).to(**place)
        self.g_adam = make_adam(self.generator, config.g_optimizer)
        self.d_adam = make_adam(self.discriminator, config.d_optimizer)
        losses = make_losses(config, self.generator, self.discriminator)
        self.d_loss, self.g_loss = losses
        ema = config.ema_half_life > 0
        self.average = copy.deepcopy(self.generator) if ema else self.generator
        self.averaged = (floats(self.average), floats(self.generator)) if ema else ()
        self.seen = torch.zeros((), device=device)  # images, where CUDA graphs find it
        MODES[mode](self)

    def run(self, steps: int) -> None:
        """So many training steps; done when it returns."""
        for rows in islice(self.rows, steps):
            self.step(rows)
        if self.device == "cuda":
            torch.cuda.synchronize()

    def shuffled(self) -> Iterator[Tensor]:
        """Rows of batch after batch, epoch after epoch."""
        num, batch = len(self.images), self.config.batch_size
        while True:
            order = torch.randperm(num, device=self.device)
            yield from order[: num - num % batch].split(batch)

    def step(self, rows: Tensor) -> None:
        """One update of each player, D on these rows."""
        low, high = self.range
        real = self.images[rows].float() * ((high - low) / 255) + low
        if self.config.order == "g_first":  # D then meets the fakes of G as it was
            self.update_d(real, self.update_g(real))
        else:
            with torch.no_grad():
                fake = self.generator(self.noise(len(real)))
            self.update_d(real, fake)
            self.update_g(real)

    def update_d(self, real: Tensor, fake: Tensor) -> None:
        self.d_adam.zero_grad()
        self.d_loss(real, fake).backward()
        self.d_adam.step()

    def update_g(self, real: Tensor) -> Tensor:
        """Returns the fakes that G was updated on."""
        self.discriminator.requires_grad_(False)  # nobody would use its gradients
        self.g_adam.zero_grad()
        loss, fake = self.g_loss(real, self.noise(len(real)))
        loss.backward()
        self.g_adam.step()
        self.discriminator.requires_grad_(True)
        if self.averaged:
            self.update_average(len(real))
        return fake.detach()

    @torch.no_grad()
    def update_average(self, batch: int) -> None:
        """As `ganjax.steps.update_ema`."""
        self.seen += batch
        half_life = self.config.ema_rampup * self.seen
        keep = 0.5 ** (batch / half_life.clamp(max=self.config.ema_half_life))
        change = torch._foreach_sub(*reversed(self.averaged))
        torch._foreach_mul_(change, 1 - keep)
        torch._foreach_add_(self.averaged[0], change)

    def noise(self, num: int) -> Tensor:
        return torch.randn(num, self.config.z_dim, device=self.device)

    @torch.no_grad()
    def sample(self, num: int, block: int = 500) -> np.ndarray:
        """Images of the averaged generator, uint8 [num, H, W, C]."""
        low, high = self.range
        self.average.eval()
        fakes = [self.average(self.noise(block)) for _ in range(-(-num // block))]
        self.average.train()
        pixels = (torch.cat(fakes)[:num] - low) * (255 / (high - low))
        return pixels.round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


def make_losses(
    config: ConfigDict, g: nn.Module, d: nn.Module
) -> tuple[Callable, Callable]:
    """(real, fake) -> D's loss, and (real, z) -> G's loss and its fakes."""
    used = {k: v for k, v in config.penalties.items() if v}
    ((name, weight),) = (used or {"none": 0.0}).items()
    penalty, weights, l1 = PENALTIES[name], tuple(config.d_weights), config.l1
    d_game, g_game = D_LOSSES[config.loss], G_LOSSES[config.loss]

    def d_loss(real: Tensor, fake: Tensor) -> Tensor:
        logits, value = penalty(d, torch.cat([real, fake]))
        return d_game(*logits.chunk(2), *weights) + weight * value

    def g_loss(real: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        fake = g(z)
        loss = g_game(d, real, fake)
        return (loss + l1 * F.l1_loss(fake, real) if l1 else loss), fake

    return d_loss, g_loss


def make_adam(player: nn.Module, spec: ConfigDict) -> torch.optim.Adam:
    options = {"lr": spec.learning_rate, "weight_decay": spec.get("weight_decay", 0.0)}
    options |= {"fused": True, "capturable": next(player.parameters()).is_cuda}
    return torch.optim.Adam(player.parameters(), betas=(spec.b1, spec.b2), **options)


def floats(module: nn.Module) -> list[Tensor]:
    """Parameters and statistics, but not the integers in which BatchNorm counts."""
    return [x for x in module.state_dict().values() if x.is_floating_point()]


# --- ways to run --------------------------------------------------------------------


def compile_losses(twin: Twin) -> None:
    """Both passes of both players; Adam is a fused kernel as it is."""
    twin.generator.compile()  # for D's fakes
    twin.d_loss, twin.g_loss = torch.compile(twin.d_loss), torch.compile(twin.g_loss)


def capture_step(twin: Twin) -> None:
    """The whole step as one CUDA graph, replayed on other rows."""
    rows, stream = next(twin.rows).clone(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # what is allocated and chosen at first
        for _ in range(3):
            twin.step(rows)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        twin.step(rows)

    def replay(new: Tensor) -> None:
        rows.copy_(new)
        graph.replay()

    twin.step = replay  # type: ignore[method-assign]


MODES: dict[str, Callable[[Twin], None]] = {
    "eager": lambda twin: None,
    "compiled": compile_losses,
    "graph": capture_step,
}


# --- checks and the command ---------------------------------------------------------


def check(config: ConfigDict) -> None:
    """A twin that left something out would be no twin.

    Raises:
      UserError: the config asks for what twins can't do.
    """
    given = flatten(config.to_dict())
    if config.reuse_fakes != (config.order == "g_first"):
        raise UserError("a twin reuses fakes if and only if G moves first")
    for field in given:  # a schedule is a mapping where a number could be
        if field.count(".") > 1:
            raise UserError(f"a twin can't do schedules: {field.rpartition('.')[0]}")
    for field, off in OFF.items():
        if given.get(field, off) != off:
            raise UserError(f"a twin can't do config.{field} = {given[field]!r}")


def check_parameters(config: ConfigDict) -> None:
    """As many parameters as ganjax has, player by player.

    Raises:
      ValueError: not so.
    """
    import jax

    from ganjax.gan import make_gan
    from ganjax.state import abstract_state

    state = abstract_state(make_gan(config))
    makers = {make_generator: state.g_params, make_discriminator: state.d_params}
    for make, params in makers.items():
        ours = sum(x.size for x in jax.tree.leaves(params))
        theirs = sum(x.numel() for x in make(config).parameters())
        if ours != theirs:
            raise ValueError(f"{make.__name__}: {theirs:,} parameters, not {ours:,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="configs/mlp_l1.py")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=18_740)
    parser.add_argument("--every", type=int, default=937, help="steps between samples")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--started", type=float, default=time.time(), help="Unix time")
    flags = parser.parse_args()

    config = load_config(flags.config, {"seed": flags.seed})
    device = "cuda" if torch.cuda.is_available() else "cpu"
    twin = Twin(config, data.load(config.data).images, "eager", device)
    flags.out.mkdir(parents=True, exist_ok=True)
    paused = 0.0  # sampling stops the clock
    for step in range(flags.every, flags.steps + 1, flags.every):
        twin.run(flags.every)
        now = time.time()
        seconds = now - flags.started - paused
        np.savez(flags.out / f"{step}.npz", images=twin.sample(10_000), seconds=seconds)
        paused += time.time() - now


if __name__ == "__main__":
    main()
