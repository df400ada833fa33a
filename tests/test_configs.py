"""Every config: it trains to finite numbers, and has the layers of its source."""

import jax
import numpy as np
import pytest
from helpers import ROOT, parameter_counts
from test_torch import CASES

import ganjax

pytestmark = pytest.mark.slow

CONFIGS = [
    "conditional.py",
    "image_folder.py",
    "mnist_best.py",
    "stacked_mnist.py",
]
# Those of the tutorials take three steps beside PyTorch in test_torch.py.
COMPARED = {
    "cnn.py",
    "dcgan.py",
    "goodfellow2014.py",
    "loss.py",
    "mlp_l1.py",
    "mnist.py",
}
# Configs of other data, which test_presets.py trains on data of their shapes.
PRESETS = {"celeba64.py", "cifar10.py", "fashion_mnist.py"}
# Networks with a test of their own, since they take long to compile.
TRACED = {"r3gan.py", "sngan.py", "stylegan.py"}
# Configs of other GANs, which have tests of their own.
OTHER_GANS = {
    "crnn_gan.py",
    "cyclegan.py",
    "srgan.py",
    "stargan.py",
    "text_to_image.py",
}


def test_every_config_is_listed_here():
    files = {path.name for path in (ROOT / "configs").glob("*.py")} - {
        "default.py",
        "__init__.py",
    }
    assert files == {*CONFIGS, *COMPARED, *PRESETS, *TRACED, *OTHER_GANS}
    compared = {f"{case.split(',')[0].split(':')[0]}.py" for case in CASES}
    assert compared == COMPARED


@pytest.mark.parametrize(
    "name",
    [  # mnist_best.py is conditional.py with other numbers
        pytest.param(name, marks=[pytest.mark.long] if "best" in name else [])
        for name in CONFIGS
    ],
)
def test_config_trains(name):
    # Narrow convolutions keep the compiler short; other networks stay as they are.
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


def dense(*widths):
    """Weights and biases of layers of these widths."""
    return sum((a + 1) * b for a, b in zip(widths, widths[1:], strict=False))


def conv(inputs, outputs, kernel=4):
    """Weights of a convolution, without biases."""
    return kernel**2 * inputs * outputs


# BatchNorm has a scale and a shift for each feature; the layer before it has no bias.
HIDDEN = (128, 256, 512, 1024)
MLP_L1 = dense(96, *HIDDEN, 784) + sum(HIDDEN), dense(784, 512, 256, 128, 64, 32, 1)
WALKTHROUGH = dense(64, 64, *HIDDEN, 784), dense(784, 1024, 512, 256, 128, 1)
MAXOUT = dense(784, 5 * 240) + dense(240, 5 * 240) + dense(240, 1)
GOODFELLOW = dense(100, 1200, 1200, 784), MAXOUT
# The dense layer of G has a bias, since a ReLU is between it and its BatchNorm.
DCGAN = (
    dense(100, 7 * 7 * 256) + 2 * 256 + conv(256, 128) + 2 * 128 + conv(128, 1, 7) + 1,
    conv(1, 64) + 64 + conv(64, 128) + 128 + dense(7 * 7 * 128, 1),
)
CNN_G = (
    (32 * 128 + 2 * 128)
    + (128 * 7 * 7 * 32 + 2 * 32)
    + (conv(32, 16) + 2 * 16)
    + (conv(16, 1) + 1)
)
CNN_D = conv(1, 16) + 16 + conv(16, 32) + 32 + dense(7 * 7 * 32, 128, 1)
CNN = CNN_G, CNN_D + 32 + 128  # BatchNorm in D, but not after its first layer
PARAMETERS = {
    "mlp_l1.py": MLP_L1,
    "mlp_l1.py:walkthrough": WALKTHROUGH,
    "goodfellow2014.py": GOODFELLOW,
    "goodfellow2014.py:minimax": GOODFELLOW,
    "dcgan.py": DCGAN,
    "dcgan.py:non_saturating": DCGAN,
    "cnn.py": CNN,
    "cnn.py:minimax": CNN,
    "loss.py:minimax": CNN,
    "loss.py:non_saturating": CNN,
    "loss.py:lsgan": CNN,
    "loss.py:wgan": CNN,
    "loss.py:wgan_gp": (CNN_G, CNN_D),
    "loss.py:dragan": (CNN_G, CNN_D),
    "loss.py:hinge": (CNN_G, CNN_D),
    "loss.py:r3gan": (CNN_G, CNN_D),
    # By hand in test_models_resnet.py; D of R3GAN has a vector for each class there.
    "sngan.py:cifar10": (4_276_739, 1_053_825),
    "r3gan.py:cifar10": (20_732_160 + 64 * 768 + 640, 20_683_776 + 767 * 768 + 7680),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_networks_have_the_layers_of_their_source(name):
    """Numbers of parameters from the widths that the sources give."""
    gan = ganjax.make_gan(ganjax.load_config(f"{ROOT}/configs/{name}"))
    assert parameter_counts(gan) == PARAMETERS[name]
