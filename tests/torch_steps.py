"""Training steps in PyTorch from the state of ganjax, with the same random numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax.traverse_util import flatten_dict
from torch.nn.modules.batchnorm import _BatchNorm

from experiments.torch_baseline import TorchGan
from experiments.torch_networks import weighted
from ganjax.steps import D_TAGS, G_TAGS, update_keys

LAYERS = ("Conv", "Dense", "ConvTranspose", "Logit", "Norm")  # from input to output


def run_torch(config, gan, images, state, mask):
    """Parameters by player and name after steps from a state, as ganjax has them.

    `images` are uint8 [steps, n_dis, B, H, W, C]; `mask(shape, rate)` is that of
    dropout. Also "ema", the averaged generator, where there is one.
    """
    steps, _, batch = images.shape[:3]
    z, uniform = random_numbers(gan, state, steps, batch)

    def dropout(layer, x):
        maps = x.movedim(1, -1)
        return (maps * tensor(mask(tuple(maps.shape), layer.p))).movedim(-1, 1)

    def rand(*shape, device):
        numbers = tensor(uniform.pop(0))
        assert numbers.shape == shape
        return numbers

    baseline = TorchGan(config, np.concatenate(np.concatenate(images)), "eager", "cpu")
    baseline.noise = lambda num: tensor(z.pop(0))
    networks = {"g": baseline.generator, "d": baseline.discriminator}
    params = {"g": state.g.params, "d": state.d.params, "ema": state.g.params}
    if config.ema.half_life:
        networks["ema"] = baseline.average
    pairs = {name: pair_up(params[name], x) for name, x in networks.items()}
    for name in networks:
        load_parameters(params[name], pairs[name])
    load_singular_vectors(state.d.batch_stats, networks["d"])
    originals = torch.nn.Dropout.forward, torch.rand
    torch.nn.Dropout.forward, torch.rand = dropout, rand
    try:
        for rows in torch.arange(len(baseline.images)).chunk(steps):
            baseline.step(rows)
    finally:
        torch.nn.Dropout.forward, torch.rand = originals
    assert not z and not uniform
    return {
        player: {name: change(x.detach().numpy()) for name, x, change in tensors}
        for player, tensors in pairs.items()
    }


def tensor(x):
    return torch.tensor(np.asarray(x))


# --- the random numbers of ganjax ---------------------------------------------------


def random_numbers(gan, state, steps, batch):
    """All that ganjax draws in the steps, in order: z, and numbers of penalties."""
    z, uniform = [], []
    for step in range(steps):
        first = step * gan.n_dis
        alternating = gan.updates == "alternating"
        for update in range(first, first + gan.n_dis if alternating else first):
            keys = update_keys(state.key, jnp.int32(update), D_TAGS)
            z.append(gan.prior.sample(keys.z, batch))
            for penalty in gan.penalties:
                key = jax.random.fold_in(keys.penalty, 0)
                shape = (batch, *gan.generator.image_shape)
                uniform += penalty_numbers(penalty.name, key, shape)
        keys = update_keys(state.key, jnp.int32(step), G_TAGS)
        z.append(gan.prior.sample(keys.z, batch))
    return z, uniform


def penalty_numbers(name, key, shape):
    """The numbers of one penalty, for images [B, H, W, C]."""
    per_image = (shape[0], 1, 1, 1)
    if name == "wgan_gp":
        return [jax.random.uniform(key, per_image)]
    if name == "dragan":
        noise, scale = jax.random.split(key)
        pixels = jax.random.uniform(noise, shape).transpose(0, 3, 1, 2)
        return [pixels, jax.random.uniform(scale, per_image)]
    return []


# --- parameters ---------------------------------------------------------------------


def pair_up(params, network):
    """(name in ganjax, tensor, layout) of every parameter of a PyTorch network.

    The layout is a function from PyTorch's order of the axes to that of ganjax, which
    flattens feature maps in another order, too.
    """
    names = flatten_dict(params, sep="/")
    paths = sorted({name.rpartition("/")[0] for name in names}, key=place)
    norms = [x for x in network.modules() if isinstance(x, _BatchNorm)]
    layers = [*layouts(weighted(network)), *((x, unchanged, unchanged) for x in norms)]
    pairs = []
    for path, (layer, bias, kernel) in zip(paths, layers, strict=True):
        for name, x in layer.named_parameters():
            if name == "bias":
                pairs.append((f"{path}/bias", x, bias))
            else:
                kind = "scale" if path.startswith("Norm") else "kernel"
                pairs.append((f"{path}/{kind}", x, kernel))
    assert {name for name, _, _ in pairs} == names.keys()
    return pairs


def place(path):
    """Where a layer of ganjax stands in its network."""
    kind, index = path.partition("/")[0].split("_")
    return LAYERS.index(kind), int(index)


def layouts(layers):
    """(layer, layout of its bias, layout of its kernel) of layers with kernels."""
    for i, layer in enumerate(layers):
        if isinstance(layer, torch.nn.ConvTranspose2d):  # flipped
            yield layer, unchanged, lambda w: w.transpose(2, 3, 0, 1)[::-1, ::-1]
        elif isinstance(layer, torch.nn.Conv2d):
            yield layer, unchanged, lambda w: w.transpose(2, 3, 1, 0)
        else:  # from and to flattened maps of these channels
            before, after = layers[i - 1] if i else None, [*layers, None][i + 1]
            inputs = getattr(before, "out_channels", 1)
            outputs = getattr(after, "in_channels", 1)
            yield layer, *dense_layout(inputs, outputs)


def dense_layout(inputs, outputs):
    def bias(b):
        return b.reshape(outputs, -1).T.ravel()

    def kernel(w):
        o, i = w.shape
        maps = w.reshape(outputs, o // outputs, inputs, i // inputs)
        return maps.transpose(3, 2, 1, 0).reshape(i, o)

    return bias, kernel


def unchanged(x):
    return x.copy()


@torch.no_grad()
def load_parameters(params, pairs):
    """Copies parameters of ganjax to PyTorch."""
    values = flatten_dict(params, sep="/")
    for name, x, change in pairs:
        order = change(np.arange(x.numel()).reshape(x.shape)).ravel()
        flat = np.empty(x.numel(), np.float32)
        flat[order] = np.asarray(values[name]).ravel()
        x.copy_(tensor(flat.reshape(x.shape)))


def load_singular_vectors(batch_stats, discriminator):
    """Copies the vectors of spectral normalization, if it has them."""
    vectors = {
        path[-1].partition("/")[0] + "/" + path[-1]: u
        for path, u in flatten_dict(batch_stats).items()
        if path[-1].endswith("/u")
    }
    if vectors:
        layers = weighted(discriminator)
        for path, layer in zip(sorted(vectors, key=place), layers, strict=True):
            layer.parametrizations.weight[0].u.copy_(tensor(vectors[path])[0])
