"""Every config: it builds, trains to finite numbers, and has its source's layers."""

import jax
import numpy as np
import pytest
from helpers import ROOT

import ganjax
from ganjax.configs.loss import SETTINGS

pytestmark = pytest.mark.slow

CONFIGS = [
    "conditional.py",
    "dcgan.py",
    "goodfellow2014.py",
    "goodfellow2014.py:minimax",
    "image_folder.py",
    "mlp_l1.py",
    "mlp_l1.py:walkthrough",
    "mnist.py",
    "mnist_best.py",
    "stacked_mnist.py",
    *(f"loss.py:{name}" for name in SETTINGS),
]


def test_every_config_is_listed_here():
    files = {path.name for path in (ROOT / "configs").glob("*.py")} - {
        "default.py",
        "__init__.py",
    }
    assert files == {name.split(":")[0] for name in CONFIGS}


@pytest.mark.parametrize("name", CONFIGS)
def test_config_trains(name):
    # Narrow convolutions keep the compiler short; dense networks stay as they are.
    config = ganjax.load_config(f"{ROOT}/configs/{name}", {"batch_size": 8})
    for player, channels in (("generator", (8, 4)), ("discriminator", (4, 8))):
        if config[player].name == "dcgan":
            more = len(config[player].channels) - 2
            config[player].channels = channels + (4,) * more
    gan = ganjax.make_gan(config)
    state = ganjax.init_state(gan, jax.random.key(0))
    shape = (config.n_dis, 8, *config.data.image_shape)
    batches = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    if config.num_classes:
        labels = np.arange(config.n_dis * 8, dtype=np.int32) % 10
        batches = ganjax.Batch(batches, labels.reshape(config.n_dis, 8))
    for _ in range(2):
        state, metrics = ganjax.train_step(gan, state, batches)
    for metric, value in metrics.items():
        assert np.isfinite(value), metric
    assert int(state.step) == 2 and int(state.d.updates) == 2 * config.n_dis
    images = ganjax.sample(gan, state, num=2, key=jax.random.key(1))
    assert images.shape == (2, *config.data.image_shape)
    assert (images[0] != images[1]).any()  # z matters


def num_params(config_name, player):
    gan = ganjax.make_gan(ganjax.load_config(f"{ROOT}/configs/{config_name}"))
    state = jax.eval_shape(lambda: ganjax.init_state(gan, jax.random.key(0)))
    return sum(x.size for x in jax.tree.leaves(getattr(state, player).params))


def dense(*widths):
    return sum((a + 1) * b for a, b in zip(widths, widths[1:], strict=False))


def test_layers_are_those_of_the_sources():
    """Parameter counts from the published layer widths, by hand."""
    # A norm brings scale and bias, and replaces the dense layer's bias: + width each.
    widths = (128, 256, 512, 1024)
    expected = dense(96, *widths, 784) + sum(widths)
    assert num_params("mlp_l1.py", "g") == expected
    expected = dense(784, 512, 256, 128, 64, 32, 1)
    assert num_params("mlp_l1.py", "d") == expected
    expected = dense(100, 1200, 1200, 784)
    assert num_params("goodfellow2014.py", "g") == expected
    expected = dense(784, 1200) + dense(240, 1200) + dense(240, 1)
    assert num_params("goodfellow2014.py", "d") == expected
    conv = 100 * 7 * 7 * 256 + 2 * 256 + 16 * 256 * 128 + 2 * 128 + 49 * 128 + 1
    assert num_params("dcgan.py", "g") == conv
    conv = 16 * 64 + 64 + 16 * 64 * 128 + 128 + 7 * 7 * 128 + 1
    assert num_params("dcgan.py", "d") == conv
