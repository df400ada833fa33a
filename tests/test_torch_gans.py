"""Three training steps of the GANs in gans/, beside PyTorch.

torch_gans.json holds what PyTorch computed, so that this is also checked where it is
not installed; `GANJAX_RECORD_TORCH=1 pytest tests/test_torch_gans.py` writes it.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from helpers import SMALL_TEXT_TO_IMAGE, relative_error
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
from ganjax.gans.cyclegan import Pair
from ganjax.gans.text_to_image import Captioned

pytestmark = pytest.mark.slow

RECORD = "torch_gans.json"
STEPS, BATCH, WORDS = 3, 4, 5  # words in a sentence
DRAWS = 2  # as in test_torch.py: for the kinks of ReLU and of absolute values
SMOOTH = {"crnn_gan", "crnn_gan:paper"}  # without kinks one draw is enough
IMAGES = {
    "data.image_shape": (8, 8, 3),
    "generator.features": 4,
    "generator.blocks": 1,
    "discriminator.channels": (3, 4),
}
NOTES = {
    "num_steps": 4,  # so that the weight of the next note changes at each step
    "data.image_shape": (8, 3),
    "generator.hidden": (5, 4),
    "discriminator.hidden": (6, 4),
    "prior.z_dim": 2,
    "g_optimizer.learning_rate": 0.2,
    "d_optimizer.learning_rate": 0.2,
}
CASES = {
    "cyclegan": IMAGES
    | {
        "history": 4,  # full after the first step
        "cycle": 2.0,
        "identity": 1.5,
    },
    "stargan": IMAGES
    | {
        "generator.blocks": 2,
        "n_dis": 2,
        "num_domains": 3,
        "classification": 2.0,
        "reconstruction": 3.0,
        "penalties.wgan_gp": 1.0,
    },
    "srgan": IMAGES
    | {
        "discriminator.hidden": (6,),
        "factor": 2,
        "adversarial": 0.5,
    },
    "srgan, with noise": IMAGES
    | {
        "generator.blocks": 2,
        "discriminator.hidden": (6,),
        "z_channels": 2,
        "l1": 0.5,
        "l2": 0.25,
        "adversarial": 2.0,
        "penalties": {"r1": 0.5, "r2": 0.3},
        "updates": "simultaneous",
    },
    "text_to_image": SMALL_TEXT_TO_IMAGE
    | {
        "l1": 0.3,
        "l2": 0.2,
    },
    "crnn_gan": NOTES
    | {
        "adversarial": 0.7,
        "freeze": 0.9,  # stops the discriminator in the third step
    },
    "crnn_gan:paper": NOTES
    | {
        "adversarial": 0.3,
        "freeze": 0.98,  # stops both adversarial losses at times
    },
}
SGD = {"name": "sgd", "learning_rate": 0.02}


def make_case(case):
    """The config of a case."""
    shared = {"batch_size": BATCH, "g_optimizer": SGD, "d_optimizer": SGD}
    return ganjax.load_config(case.partition(",")[0], shared | CASES[case])


def make_batches(config, draw):
    """A batch for each update of the discriminator, arrays [STEPS, n_dis, B, ...]."""
    shape, rng = (STEPS, config.n_dis, BATCH), np.random.default_rng(draw)
    if config.gan == "crnn_gan":
        return rng.normal(size=(*shape, *config.data.image_shape)).astype(np.float32)
    images = rng.integers(0, 256, (2, *shape, *config.data.image_shape), np.uint8)
    if config.gan == "cyclegan":
        return Pair(*images)
    if config.gan == "stargan":
        labels = rng.integers(0, config.num_domains, shape, np.int32)
        return ganjax.Batch(images[0], labels)
    if config.gan == "text_to_image":
        tokens = rng.integers(1, 20, (*shape, 2, WORDS), np.int32)
        lengths = rng.integers(1, WORDS + 1, (*shape, 2, 1))
        return Captioned(images[0], tokens * (np.arange(WORDS) < lengths))
    return images[0]


def take_steps(case, draw):
    """(config, batches of each step), and the states before and after training."""
    config = make_case(case)
    gan, batches = ganjax.make_gan(config), make_batches(config, draw)
    steps = [jax.tree.map(lambda x, i=i: x[i], batches) for i in range(STEPS)]
    state = ganjax.init_state(gan, jax.random.key(draw))
    g, d = (x.replace(params=random(x.params, draw)) for x in (state.g, state.d))
    first = last = state.replace(g=g, d=d)
    for group in steps:
        last, _ = ganjax.train_step(gan, last, group)
    return (config, steps), first, last


def random(params, draw):
    """Parameters like these, none of which is zero."""
    flat = flatten_dict(params)
    values = {path: initial(path, x.shape, draw) for path, x in flat.items()}
    return unflatten_dict({path: jnp.float32(x) for path, x in values.items()})


@pytest.mark.parametrize("case", CASES)
def test_three_steps_are_those_of_pytorch(case):
    """The whole movement of each player, in the best of the draws."""
    pytest.importorskip("torch")
    from torch_gans import run_torch

    errors, draws = [], []
    for draw in range(1 if case in SMOOTH else DRAWS):
        (config, steps), first, last = take_steps(case, draw)
        params = run_torch(config, first, steps)
        theirs = {p: moved(getattr(first, p).params, params[p]) for p in "gd"}
        ours = movements(first, last)
        draws.append({p: summarize(theirs[p]) for p in "gd"})
        errors.append(max(relative_error(ours[p], theirs[p]) for p in "gd"))
    assert min(errors) < 1e-4
    if os.environ.get("GANJAX_RECORD_TORCH"):
        write_record(RECORD, CASES, case, draws)
    assert min(map(largest_distance, draws, read_record(RECORD)[case])) < 1e-4


@pytest.mark.parametrize("case", CASES)
def test_three_steps_are_those_recorded_of_pytorch(case):
    """The same where PyTorch is not installed."""
    for draw, recorded in enumerate(read_record(RECORD)[case]):
        _, first, last = take_steps(case, draw)
        if distance_to_record(first, last, recorded) < 3e-4:
            return
    pytest.fail("no draw moves as in PyTorch")
