"""Three training steps of the configs that follow tutorials and papers, beside PyTorch.

torch_steps.json holds what PyTorch computed, so that this is also checked where it is
not installed; `GANJAX_RECORD_TORCH=1 pytest tests/test_torch.py` writes it.
"""

import dataclasses
import os
from zlib import crc32

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from helpers import relative_error
from torch_record import (
    distance_to_record,
    initial,
    largest_distance,
    moved,
    movements,
    read_record,
    summarize,
    write_record,
)

import ganjax
from ganjax.configs.loss import SETTINGS, learning_rate
from ganjax.state import TrainState, abstract_state, player

RECORD = "torch_steps.json"
STEPS, BATCH = 3, 8
# Rounding decides on which side of a ReLU's kink a number falls that is almost zero,
# and that changes gradients by a percent. Not in all draws of parameters and data.
DRAWS = 3
VARIANTS = {
    "cnn:minimax",
    "dcgan:non_saturating",
    "goodfellow2014:minimax",
    "loss:dragan",
    "loss:lsgan",
    "loss:minimax",
    "loss:non_saturating",
    "loss:wgan",
}
CASES = {
    "mlp_l1": {},
    "mlp_l1:walkthrough": {},
    "dcgan": {},
    "dcgan:non_saturating": {},
    "cnn": {},
    "cnn:minimax": {},
    "goodfellow2014": {"num_steps": 4},  # so that schedules change at each step
    "goodfellow2014:minimax": {"num_steps": 4},
    # At the rates of the papers: ten times these turn rounding into other steps.
    **{
        f"loss:{name}": {
            f"{player}_optimizer.learning_rate": learning_rate(name, 1)
            for player in "gd"
        }
        for name in SETTINGS
    },
    "mnist": {},
    # Options that none of them uses.
    "mnist, odd kernels": {
        "generator.channels": (8, 4),
        "generator.kernel": 5,
        "discriminator.channels": (4, 8, 8),  # 28, 14, 7, 4 pixels
        "discriminator.kernel": 5,
        "ema.half_life": 20.0,  # the limit from the second step on
        "ema.rampup": 2.0,
    },
    "mlp_l1, other options": {
        "num_steps": 4,
        "generator.hidden": (64, 32),
        "discriminator.hidden": (32,),
        "updates": "alternating",
        "n_dis": 2,
        "l2": 0.1,
        "discriminator.norm": "batch",
        "g_optimizer": {
            "name": "adam",
            "learning_rate": {"name": "cosine", "start": 1e-3, "warmup": 0.5},
            "max_grad_norm": 0.1,
        },
        "d_optimizer": {
            "name": "rmsprop",
            "learning_rate": 1e-4,
            "decay": 0.99,
            "eps": 1e-5,
            "eps_in_sqrt": False,
            "weight_decay": 0.1,
        },
    },
}


def make_case(case):
    """The config of a case, and its GAN.

    The first steps of Adam and RMSProp are almost signs of gradients, which turns
    rounding into full steps: their eps is larger here.
    """
    config = ganjax.load_config(case.partition(",")[0], CASES[case])
    with config.unlocked():
        config.batch_size = BATCH
        for optimizer in (config.g_optimizer, config.d_optimizer):
            if optimizer.name == "adam":
                optimizer.eps = 1000 * optimizer.get("eps", 1e-8)
            elif optimizer.name == "rmsprop":
                optimizer.eps = optimizer.get("eps", 1e-5)
    # Unequal to those of other tests, which must not share programs with fixed masks.
    return config, dataclasses.replace(ganjax.make_gan(config), sample_scale=0.5)


def dropout_mask(shape, rate):
    """A mask that depends on the shape alone, with ones scaled as in training."""
    keep = np.random.default_rng(crc32(str(shape).encode())).random(shape) >= rate
    return (keep / (1 - rate)).astype(np.float32)


def fixed_dropout(layer, inputs):
    """Stands for `nn.Dropout.__call__`."""
    if layer.rate == 0 or layer.deterministic:
        return inputs
    return inputs * dropout_mask(inputs.shape, layer.rate)


# --- ganjax -------------------------------------------------------------------------


def initial_state(gan, draw):
    """A state with random parameters."""
    abstract = abstract_state(gan)
    g = initial_player(abstract.g, gan.g_optimizer, draw)
    d = initial_player(abstract.d, gan.d_optimizer, draw)
    step, key = jnp.zeros((), jnp.int32), jax.random.key(draw)
    return TrainState(step=step, key=key, g=g, d=d, g_ema=g.variables)


def initial_player(abstract, optimizer, draw):
    """A player whose parameters are within the limit of `clip_weights`."""
    limit = optimizer.clip_weights or np.inf

    def fill(tree, limit=np.inf):
        shapes = {path: x.shape for path, x in flatten_dict(tree).items()}
        values = {path: initial(path, shapes[path], draw) for path in shapes}
        clipped = {path: np.clip(x, -limit, limit) for path, x in values.items()}
        return unflatten_dict({k: jnp.float32(x) for k, x in clipped.items()})

    params, stats = fill(abstract.params, limit), fill(abstract.batch_stats)
    return player({"params": params, "batch_stats": stats}, optimizer)


def take_steps(case, draw):
    """(config, GAN, images), and the states before and after training on them."""
    config, gan = make_case(case)
    shape = (STEPS, config.n_dis, BATCH, *config.data.image_shape)
    rng = np.random.default_rng(draw)
    brightness = rng.random((*shape[:3], 1, 1, 1))  # so that logits differ
    images = (brightness * rng.integers(0, 256, shape)).astype(np.uint8)
    first = last = initial_state(gan, draw)
    for batches in images:
        last, _ = ganjax.train_step(gan, last, batches)
    return (config, gan, images), first, last


# --- the comparison -----------------------------------------------------------------


def error_of_average(first, last, expected):
    """Of the averaged generator; relative to its movement, as far as it is not so small
    that its parameters are rounded to it."""
    average, values = last.g_ema["params"], flatten_dict(first.g.params, sep="/")
    movement = optax.tree.norm(moved(first.g.params, expected))
    error = optax.tree.norm(moved(average, expected))
    return float(error / (movement + 1e-3 * optax.tree.norm(values)))


@pytest.fixture
def torch():
    """PyTorch, if it is installed; its settings are restored afterwards."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    yield torch
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


@pytest.fixture
def fixed_masks(monkeypatch):
    monkeypatch.setattr(nn.Dropout, "__call__", fixed_dropout)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_three_steps_are_those_of_pytorch(torch, fixed_masks, case):
    """The whole movement of each player, in the best of the draws."""
    from torch_steps import run_torch

    errors, draws = [], []
    for draw in range(DRAWS):
        setting, first, last = take_steps(case, draw)
        params = run_torch(*setting, first, dropout_mask)
        theirs = {p: moved(getattr(first, p).params, params[p]) for p in "gd"}
        ours = movements(first, last)
        draws.append({p: summarize(theirs[p]) for p in "gd"})
        errors.append(max(relative_error(ours[p], theirs[p]) for p in "gd"))
        if "ema" in params:
            errors[-1] = max(errors[-1], error_of_average(first, last, params["ema"]))
    assert min(errors) < 1e-4
    if os.environ.get("GANJAX_RECORD_TORCH"):
        write_record(RECORD, CASES, case, draws)
    assert min(map(largest_distance, draws, read_record(RECORD)[case])) < 1e-4


@pytest.mark.slow
def test_bfloat16_rounds_the_losses_of_pytorch(torch):
    from experiments.torch_baseline import TorchGan

    images = np.random.default_rng(0).integers(0, 256, (64, 28, 28, 1), np.uint8)
    losses = {}
    for dtype in ("float32", "bfloat16"):
        config = ganjax.load_config("mnist", {"dtype": dtype})
        gan = TorchGan(config, images, "eager", "cpu")
        real = gan.images.float() / 127.5 - 1
        losses[dtype] = float(gan.d_loss(real, real.flip(0)))
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        # Variants differ from another case in their loss or in one layer.
        pytest.param(case, marks=[pytest.mark.long] if case in VARIANTS else [])
        for case in CASES
    ],
)
def test_three_steps_are_those_recorded_of_pytorch(fixed_masks, case):
    """The same where PyTorch is not installed."""
    for draw, recorded in enumerate(read_record(RECORD)[case]):
        _, first, last = take_steps(case, draw)
        if distance_to_record(first, last, recorded) < 3e-4:
            return
    pytest.fail("no draw moves as in PyTorch")
