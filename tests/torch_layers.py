"""Networks, losses and penalties of the GANs in gans/ in PyTorch.

Networks are functions of ganjax's parameters: nested dictionaries of tensors with the
names and the layout of Flax. Images are [B, C, H, W].
"""

from functools import partial

import jax
import numpy as np
import torch
from torch.nn import functional as F

# The losses of both players, as functions of real and fake logits.
LOSSES = {
    "lsgan": (lambda r, f: ((r - 1) ** 2 + f**2) / 2, lambda r, f: (f - 1) ** 2 / 2),
    "wgan": (lambda r, f: f - r, lambda r, f: -f),
    "relativistic": (lambda r, f: F.softplus(f - r), lambda r, f: F.softplus(r - f)),
    "non_saturating": (
        lambda r, f: F.softplus(-r) + F.softplus(f),
        lambda r, f: F.softplus(-f),
    ),
}
leaky_relu = partial(F.leaky_relu, negative_slope=0.2)


def tensor(x):
    return torch.tensor(np.asarray(x))


# --- penalties ----------------------------------------------------------------------


def squared_gradient_norm(d_fn, x):
    """[B]."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(d_fn(x).sum(), x, create_graph=True)
    return (gradient**2).flatten(1).sum(1)


def penalize(config, d_fn, real, fake, keys):
    """The weighted sum of the penalties of a config."""
    total = 0.0
    used = sorted(name for name, weight in config.penalties.items() if weight)
    for i, name in enumerate(used):
        key = jax.random.fold_in(keys.penalty, i)
        if name == "wgan_gp":
            t = tensor(jax.random.uniform(key, (len(real), 1, 1, 1)))
            norm = squared_gradient_norm(d_fn, t * real + (1 - t) * fake).sqrt()
            value = (norm - 1) ** 2
        else:
            at = {"r1": [real], "r2": [fake], "r1_r2": [real, fake]}[name]
            value = sum(squared_gradient_norm(d_fn, x) for x in at) / 2
        total += config.penalties[name] * value.mean()
    return total


# --- layers -------------------------------------------------------------------------


def conv(p, x, stride=1):
    weight = p["kernel"].permute(3, 2, 0, 1)
    padding = (weight.shape[-1] - stride) // 2
    return F.conv2d(x, weight, p.get("bias"), stride, padding)


def conv_transpose(p, x):
    """Of stride 2. PyTorch's is an adjoint convolution, with flipped kernels."""
    weight = p["kernel"].flip(0, 1).permute(2, 3, 0, 1)
    padding = (weight.shape[-1] - 2) // 2
    return F.conv_transpose2d(x, weight, p.get("bias"), 2, padding)


def dense(p, x):
    return F.linear(x, p["kernel"].T, p["bias"])


def flatten(x):
    """Feature maps as vectors, in the order of Flax."""
    return x.permute(0, 2, 3, 1).flatten(1)


def identity(x):
    return x


# --- images to images ---------------------------------------------------------------


def block(p, x, layer=conv, norm=True, activation=F.relu):
    """A convolution, instance norm and an activation."""
    transpose = layer is conv_transpose
    x = layer(p["ConvTranspose_0" if transpose else "Conv_0"], x)
    if norm:
        affine = p["InstanceNorm_0"]
        x = F.instance_norm(x, weight=affine["scale"], bias=affine["bias"], eps=1e-6)
    return activation(x)


def residual(p, x, norm=True):
    y = block(p["ConvBlock_0"], x, norm=norm)
    return x + block(p["ConvBlock_1"], y, norm=norm, activation=identity)


def encoder_decoder(p, x, options):
    """`options` are the group `generator` of a config."""
    halvings, down = options.halvings, partial(conv, stride=2)
    x = block(p["ConvBlock_0"], x, norm=options.first_norm == "instance")
    for i in range(1, halvings + 1):
        x = block(p[f"ConvBlock_{i}"], x, down)
    for i in range(options.blocks):
        x = residual(p[f"ResidualBlock_{i}"], x)
    for i in range(halvings + 1, 2 * halvings + 1):
        x = block(p[f"ConvBlock_{i}"], x, conv_transpose)
    return torch.tanh(conv(p["Conv_0"], x))


def patch_discriminator(p, x, norm):
    """Logits of patches [B, h, w], and features; two layers."""
    down = partial(conv, stride=2)
    x = block(p["ConvBlock_0"], x, down, norm=False, activation=leaky_relu)
    x = block(p["ConvBlock_1"], x, down, norm, leaky_relu)
    return conv(p["Conv_0"], x)[:, 0], x


def super_resolution(p, x, z, options, factor):
    """`options` are the group `generator` of a config."""
    h = block(p["ConvBlock_0"], torch.cat([x, z], 1), norm=False)
    for i in range(options.blocks):
        h = residual(p[f"ResidualBlock_{i}"], h, norm=False)
    for i in range(1, {2: 1, 4: 2}[factor] + 1):
        h = block(p[f"ConvBlock_{i}"], h, conv_transpose, norm=False)
    # With antialiasing PyTorch's kernel is that of Keys, with a parameter of -0.5.
    enlarged = F.interpolate(x, scale_factor=factor, mode="bicubic", antialias=True)
    return enlarged + conv(p["Conv_0"], h)


def dcgan_generator(p, z, start):
    """`start` is the shape [C, H, W] of the first feature map; no norm."""
    channels, height, width = start
    x = leaky_relu(dense(p["Dense_0"], z))
    x = dense(p["Dense_1"], x).unflatten(1, (height, width, channels))
    x = leaky_relu(x.permute(0, 3, 1, 2))
    x = leaky_relu(conv_transpose(p["ConvTranspose_0"], x))
    return torch.tanh(conv_transpose(p["ConvTranspose_1"], x))


def dcgan_discriminator(p, x):
    """Logits [B]."""
    return dense(p["Logit_0"]["Dense_0"], dcgan_features(p, x))[:, 0]


def dcgan_features(p, x):
    """Two convolutions and a dense layer: [B, F]."""
    for i in range(2):
        x = leaky_relu(conv(p[f"Conv_{i}"], x, 2))
    return leaky_relu(dense(p["Dense_0"], flatten(x)))


# --- sentences ----------------------------------------------------------------------


def text_encoder(p, tokens):
    """The last state [B, F] of a GRU; sentences are padded with zeros."""
    words = F.embedding(tokens, p["Embed_0"]["embedding"])
    cell = p["GRUCell_0"]
    inputs, hidden = (
        torch.cat([cell[f"{kind}{gate}"]["kernel"].T for gate in "rzn"])
        for kind in "ih"
    )
    input_bias = torch.cat([cell[f"i{gate}"]["bias"] for gate in "rzn"])
    bias = cell["hn"]["bias"]
    hidden_bias = torch.cat([torch.zeros(2 * len(bias)), bias])
    state = torch.zeros(len(tokens), len(bias))
    for t in range(tokens.shape[1]):
        new = torch.gru_cell(
            words[:, t], state, inputs, hidden, input_bias, hidden_bias
        )
        state = torch.where(tokens[:, t, None] > 0, new, state)
    return state


def text_discriminator(p, x, tokens):
    """Logits [B]."""
    features = dcgan_features(p, x)
    code = dense(p["Dense_1"], text_encoder(p["encoder"], tokens))
    return dense(p["Dense_2"], features)[:, 0] + (code * features).sum(1)


# --- sequences of notes -------------------------------------------------------------


def lstm_step(cell, x, state):
    """The new (output, memory)."""
    inputs, hidden = (
        torch.cat([cell[f"{kind}{gate}"]["kernel"].T for gate in "ifgo"])
        for kind in "ih"
    )
    bias = torch.cat([cell[f"h{gate}"]["bias"] for gate in "ifgo"])
    return torch.lstm_cell(x, state, inputs, hidden, torch.zeros_like(bias), bias)


def zero_state(cell, batch):
    width = len(cell["hi"]["bias"])
    return torch.zeros(batch, width), torch.zeros(batch, width)


def notes_generator(p, z, given=None):
    """Notes [B, T, F]; each from the generated or from the given note before it."""
    p = p["step"]
    cells = [p["OptimizedLSTMCell_0"], p["OptimizedLSTMCell_1"]]
    states = [zero_state(cell, len(z)) for cell in cells]
    notes = [torch.zeros(len(z), len(p["Dense_0"]["bias"]))]
    for t in range(z.shape[1]):
        before = notes[-1] if given is None or t == 0 else given[:, t - 1]
        x = torch.cat([z[:, t], before], 1)
        for i, cell in enumerate(cells):
            states[i] = lstm_step(cell, x, states[i])
            x = states[i][0]
        notes.append(dense(p["Dense_0"], x))
    return torch.stack(notes[1:], 1)


def notes_discriminator(p, notes, average):
    """Logits [B], and the outputs [B, T, H] of the last layer."""
    x = notes
    for i in range(2):
        layer, outputs = p[f"layers_{i}"], []
        for direction in ("forward", "backward"):
            sequence = x if direction == "forward" else x.flip(1)
            cell = layer[f"{direction}_rnn"]["cell"]
            state, states = zero_state(cell, len(x)), []
            for t in range(x.shape[1]):
                state = lstm_step(cell, sequence[:, t], state)
                states.append(state[0])
            result = torch.stack(states, 1)
            outputs.append(result if direction == "forward" else result.flip(1))
        x = torch.cat(outputs, 2)
    logits = dense(p["decision"], x)[..., 0]
    if average == "probabilities":
        return torch.logit(torch.sigmoid(logits).mean(1)), x
    return logits.mean(1), x
