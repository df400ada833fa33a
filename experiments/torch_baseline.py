"""The same GANs in plain PyTorch, built from the same configs, to compare with.

Written as somebody who knows PyTorch well would write them: modules in sequence, fused
Adam, one pass of D over real and fake images together, no gradient that is not used.
They measure neither losses nor gradient norms during training, so they do a little less
than ganjax. From equal weights and noise the updates are those of ganjax up to
rounding, which tests/test_torch.py checks. Two things differ that no update depends on:
the variances that BatchNorm uses for samples are unbiased here, and its statistics also
see the generator's passes for updates of D.

Command: python -m experiments.torch_baseline --config configs/mlp_l1.py --out FOLDER

Trains and writes FOLDER/STEP.npz: 10,000 `images`, and the `seconds` of training until
then. experiments/benchmark.py and speedrun.py compare the speed with that of ganjax.
"""

import argparse
import copy
import os
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from ml_collections import ConfigDict
from torch import Tensor, nn

from experiments.torch_losses import make_losses
from experiments.torch_networks import RANGES, make_discriminator, make_generator
from experiments.torch_optimizers import Optimizer
from experiments.torch_options import check
from ganjax import data
from ganjax.config import load_config
from ganjax.data import DataOptions
from ganjax.errors import UserError
from ganjax.options import build


class TorchGan:
    """A GAN and its training data, uint8 images that are resident on its device."""

    def __init__(self, config: ConfigDict, images: np.ndarray, mode: str, device: str):
        check(config)
        torch.set_num_threads(os.cpu_count() or 1)
        torch.set_flush_denormal(True)  # as XLA does on CPUs
        if device == "cuda":  # as XLA does on GPUs: TF32, and the fastest kernels
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.benchmark = True
        torch.manual_seed(config.seed)
        self.config, self.device = config, device
        self.range = RANGES[config.generator.output]
        self.images = torch.tensor(images.transpose(0, 3, 1, 2), device=device)
        self.rows = self.shuffled()
        self.generator = self.place(make_generator(config))
        self.discriminator = self.place(make_discriminator(config))
        steps, n_dis = config.num_steps, config.n_dis
        self.g_optimizer = Optimizer(self.generator, config.g_optimizer, steps)
        self.d_optimizer = Optimizer(
            self.discriminator, config.d_optimizer, steps, n_dis
        )
        bfloat16 = config.dtype == "bfloat16"
        # Around forward passes, not a step: it keeps the weights that it has cast.
        self.autocast = torch.autocast(device, torch.bfloat16, enabled=bfloat16)
        losses = make_losses(config, self.generator, self.discriminator)
        self.d_loss, self.g_loss = (self.autocast(loss) for loss in losses)
        ema = config.ema.half_life > 0
        self.average = copy.deepcopy(self.generator) if ema else self.generator
        self.averaged = [floats(self.average), floats(self.generator)] if ema else []
        self.seen = torch.zeros((), device=device)  # images; a tensor for CUDA graphs
        MODES[mode](self)

    def place(self, network: nn.Module) -> nn.Module:
        """A network on the device, with channels last."""
        return network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore

    def run(self, steps: int) -> None:
        """Trains `steps` steps; they are done when it returns."""
        for rows in islice(self.rows, steps):
            self.step(rows)
        if self.device == "cuda":
            torch.cuda.synchronize()

    def shuffled(self) -> Iterator[Tensor]:
        """Indices of step after step, epoch after epoch."""
        num, rows = len(self.images), self.config.batch_size * self.config.n_dis
        while True:
            order = torch.randperm(num, device=self.device)
            yield from order[: num - num % rows].split(rows)

    def step(self, rows: Tensor) -> None:
        """`n_dis` updates of D and one of G, on the images of these indices."""
        low, high = self.range
        images = self.images[rows].float() * ((high - low) / 255) + low
        if self.config.updates == "simultaneous":  # D on the samples of G's update
            self.update_d(images, self.update_g(images))
            return
        for real in images.split(self.config.batch_size):
            with torch.no_grad(), self.autocast:
                fake = self.generator(self.noise(len(real)))
            self.update_d(real, fake)
        self.update_g(real)

    def update_d(self, real: Tensor, fake: Tensor) -> None:
        """One update of D."""
        self.d_optimizer.zero_grad()
        self.d_loss(real, fake).backward()
        self.d_optimizer.step()

    def update_g(self, real: Tensor) -> Tensor:
        """One update of G. Returns the samples that it was updated on."""
        self.discriminator.requires_grad_(False)  # its gradients are not used
        self.g_optimizer.zero_grad()
        loss, fake = self.g_loss(real, self.noise(len(real)))
        loss.backward()
        self.g_optimizer.step()
        self.discriminator.requires_grad_(True)
        if self.averaged:
            self.update_average(len(real))
        return fake.detach()

    @torch.no_grad()
    def update_average(self, batch: int) -> None:
        """The same as `ganjax.optim.Ema.update`."""
        self.seen += batch
        half_life = self.config.ema.rampup * self.seen
        keep = 0.5 ** (batch / half_life.clamp(max=self.config.ema.half_life))
        change = torch._foreach_sub(*reversed(self.averaged))
        torch._foreach_mul_(change, 1 - keep)
        torch._foreach_add_(self.averaged[0], change)

    def noise(self, num: int) -> Tensor:
        """z, [num, z_dim]."""
        shape = (num, self.config.prior.z_dim)
        if self.config.prior.distribution == "uniform":  # of unit variance
            return (torch.rand(shape, device=self.device) * 2 - 1) * 3**0.5
        return torch.randn(shape, device=self.device)

    @torch.no_grad()
    def sample(self, num: int, block: int = 500) -> np.ndarray:
        """Images of the averaged generator, uint8 [num, H, W, C]."""
        low, high = self.range
        self.average.eval()
        fakes = [self.average(self.noise(block)) for _ in range(-(-num // block))]
        self.average.train()
        pixels = (torch.cat(fakes)[:num] - low) * (255 / (high - low))
        return pixels.round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


def floats(module: nn.Module) -> list[Tensor]:
    """Parameters and statistics, without BatchNorm's integer counters."""
    return [x for x in module.state_dict().values() if x.is_floating_point()]


def compile_losses(gan: TorchGan) -> None:
    """Compiles both passes of both players; Adam is a fused kernel already."""
    torch._dynamo.reset()  # else a second batch size would be compiled as a variable
    gan.generator.compile()  # for the samples of D's updates
    gan.d_loss, gan.g_loss = torch.compile(gan.d_loss), torch.compile(gan.g_loss)


def capture_step(gan: TorchGan) -> None:
    """Makes the whole step one CUDA graph, which is replayed on other indices.

    Raises:
      UserError: a schedule, which the graph would keep at its first value.
    """
    if gan.g_optimizer.scheduled or gan.d_optimizer.scheduled:
        raise UserError("unsupported in a CUDA graph: schedules of optimizers")
    rows, stream = next(gan.rows).clone(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # allocations and choices of the first steps
        for _ in range(3):
            gan.step(rows)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        gan.step(rows)

    def replay(new: Tensor) -> None:
        rows.copy_(new)
        graph.replay()

    gan.step = replay  # type: ignore


MODES: dict[str, Callable[[TorchGan], None]] = {
    "eager": lambda gan: None,
    "compiled": compile_losses,
    "graph": capture_step,
}


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
    dataset = data.load(build(DataOptions, config.data, "config.data"))
    images = dataset.train["images"][: config.num_examples or None]
    gan = TorchGan(config, images, "eager", device)
    flags.out.mkdir(parents=True, exist_ok=True)
    paused = 0.0  # seconds of sampling, which do not count
    for step in range(flags.every, flags.steps + 1, flags.every):
        gan.run(flags.every)
        now = time.time()
        seconds = now - flags.started - paused
        np.savez(flags.out / f"{step}.npz", images=gan.sample(10_000), seconds=seconds)
        paused += time.time() - now


if __name__ == "__main__":
    main()
