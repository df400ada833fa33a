"""Networks of ganjax in PyTorch: z [B, Z] -> images [B, C, H, W] -> logits [B]."""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": partial(nn.LeakyReLU, 0.2, inplace=True),
    "keras_leaky_relu": partial(nn.LeakyReLU, 0.3, inplace=True),
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "linear": nn.Identity,
}
OUTPUTS = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
Layers = list[nn.Module]


def chain(
    widths: tuple[int, ...],
    layer: Callable[[int, int], Iterable[nn.Module]],
    finish: Callable[[int], Layers],
) -> Layers:
    """A layer from each width to the next, each followed by `finish`."""
    return [x for i, o in pairwise(widths) for x in (*layer(i, o), *finish(o))]


def activation(name: str) -> Layers:
    """An activation by name; no layer for the identity."""
    return [] if name == "linear" else [ACTIVATIONS[name]()]


# --- generators ---------------------------------------------------------------------


def make_generator(config: ConfigDict) -> nn.Module:
    """The generator of a config."""
    c, (height, width, channels) = config.generator, config.data.image_shape
    between = c.get("dense_activation", "linear")  # a dense layer and its norm

    def dense(i: int, o: int) -> Layers:
        # BatchNorm cancels a bias right before it.
        bias = c.norm == "none" or between != "linear"
        return [nn.Linear(i, o, bias=bias), *activation(between)]

    def finish(features: int, norm: type[nn.Module]) -> Layers:
        options = {"eps": c.get("epsilon", 1e-5), "momentum": 1 - c.momentum}
        norms = [norm(features, **options)] if c.norm == "batch" else []
        return [*norms, *activation(c.activation)]

    widths = (config.prior.z_dim, *c.hidden)
    layers = chain(widths, dense, partial(finish, norm=nn.BatchNorm1d))
    if c.name == "mlp":
        layers += [nn.Linear(widths[-1], height * width * channels)]
        layers += [OUTPUTS[c.output](), nn.Unflatten(1, (channels, height, width))]
        return initialize(nn.Sequential(*layers), c)
    shrink = c.stride ** len(c.channels)
    start = (c.channels[0], height // shrink, width // shrink)
    bias = c.norm == "none"
    layers += [*dense(widths[-1], prod(start)), nn.Unflatten(1, start)]
    layers += finish(start[0], nn.BatchNorm2d)
    grow = partial(transposed, kernel=c.kernel, stride=c.stride, bias=bias)
    layers += chain(c.channels, grow, partial(finish, norm=nn.BatchNorm2d))
    kernel = c.output_kernel or c.kernel
    layers += transposed(c.channels[-1], channels, kernel, c.stride, bias=True)
    return initialize(nn.Sequential(*layers, OUTPUTS[c.output]()), c)


def transposed(i: int, o: int, kernel: int, stride: int, bias: bool) -> Layers:
    """A transposed convolution [B, i, H, W] -> [B, o, sH, sW].

    Where `kernel - stride` is odd, PyTorch would crop one more row at the top; JAX and
    Keras crop it at the bottom.
    """
    low, odd = divmod(kernel - stride, 2)
    layer = nn.ConvTranspose2d(i, o, kernel, stride, low, bias=bias)
    return [layer, nn.ZeroPad2d((0, -1, 0, -1))] if odd else [layer]


# --- discriminators -----------------------------------------------------------------


def make_discriminator(config: ConfigDict) -> nn.Module:
    """The discriminator of a config."""
    c, (height, width, channels) = config.discriminator, config.data.image_shape
    if c.name == "maxout":
        return make_maxout(c, height * width * channels)

    def finish(features: int, norm: type[nn.Module] | None) -> Layers:
        norms = [norm(features, momentum=1 - c.momentum)] if norm else []
        dropout = [nn.Dropout(c.dropout)] if c.dropout else []
        return [*norms, *activation(c.activation), *dropout]

    layers: Layers = []
    for features in c.get("channels", ()):
        norm = nn.BatchNorm2d if c.norm == "batch" and layers else None
        top, bottom = same_padding(height, c.kernel, c.stride)
        left, right = same_padding(width, c.kernel, c.stride)
        padding = (top, left)
        if (top, left) != (bottom, right):
            layers += [nn.ZeroPad2d((left, right, top, bottom))]
            padding = (0, 0)
        conv = nn.Conv2d(channels, features, c.kernel, c.stride, padding, bias=not norm)
        layers += [conv, *finish(features, norm)]
        height, width = -(-height // c.stride), -(-width // c.stride)
        channels = features

    norm = nn.BatchNorm1d if c.norm == "batch" else None

    def dense(i: int, o: int) -> Layers:
        return [nn.Linear(i, o, bias=not norm)]

    widths = (height * width * channels, *c.hidden)
    layers += [nn.Flatten(), *chain(widths, dense, partial(finish, norm=norm))]
    layers += [nn.Linear(widths[-1], 1), nn.Flatten(0)]
    network = initialize(nn.Sequential(*layers), c)
    if c.norm == "spectral":
        for layer in weighted(network):
            register_parametrization(layer, "weight", Spectral(len(layer.weight)))
    return network


def make_maxout(c: ConfigDict, pixels: int) -> nn.Module:
    """The maxout discriminator of a config's group, for images of that many numbers."""

    def dense(i: int, o: int) -> Layers:
        return [nn.Linear(i, o * c.pieces), Maxout(c.pieces)]

    widths = (pixels, *c.hidden)
    layers = chain(widths, dense, lambda _: [nn.Dropout(c.dropout)])
    layers = [nn.Flatten(), nn.Dropout(c.input_dropout), *layers]
    layers += [nn.Linear(widths[-1], 1), nn.Flatten(0)]
    return initialize(nn.Sequential(*layers), c)


class Maxout(nn.Module):
    """The maximum of every `pieces` neighbors: [B, F * pieces] -> [B, F]."""

    def __init__(self, pieces: int):
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (-1, self.pieces)).amax(-1)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis as in JAX and Keras, for ⌈size / stride⌉ outputs.

    >>> same_padding(28, 4, 2), same_padding(28, 5, 2)
    ((1, 1), (1, 2))
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Spectral(nn.Module):
    """A kernel over its largest singular value (arXiv:1802.05957, Algorithm 1).

    Each use is one power iteration. Its result is kept while the kernel is trained, not
    in the generator's updates.
    """

    def __init__(self, outputs: int):
        super().__init__()
        self.register_buffer("u", torch.randn(outputs))

    def forward(self, weight: Tensor) -> Tensor:
        matrix = weight.flatten(1)
        with torch.no_grad():
            v = F.normalize(self.u @ matrix, dim=0)
            u = F.normalize(matrix @ v, dim=0)
        if weight.requires_grad:
            self.u.copy_(u)
        return weight / (u @ matrix @ v)


# --- parameters ---------------------------------------------------------------------


def weighted(network: nn.Module) -> list[Any]:
    """The layers that have a kernel, from input to output."""
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    return [layer for layer in network.modules() if isinstance(layer, kinds)]


def initialize(network: nn.Module, c: ConfigDict) -> nn.Module:
    """Initial parameters of the same kind as those of ganjax.

    Networks without options for it keep the initialization of PyTorch.
    """
    layers = weighted(network)
    for layer in layers:
        if c.get("init_scale", 0.0):
            nn.init.uniform_(layer.weight, -c.init_scale, c.init_scale)
        elif c.get("kernel_init") == "glorot_uniform":
            nn.init.xavier_uniform_(layer.weight)
        elif c.get("kernel_init") == "he_normal":
            is_transposed = isinstance(layer, nn.ConvTranspose2d)
            mode = "fan_out" if is_transposed else "fan_in"
            nn.init.kaiming_normal_(layer.weight, mode=mode)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    if c.get("output_bias", 0.0):
        nn.init.constant_(layers[-1].bias, c.output_bias)
    return network


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
