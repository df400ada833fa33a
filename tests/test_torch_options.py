"""Which configs the PyTorch version builds, and which options it refuses."""

import pytest

pytest.importorskip("torch")

import ganjax  # noqa: E402
from experiments.torch_networks import check_parameters  # noqa: E402
from experiments.torch_options import check  # noqa: E402
from ganjax.configs.loss import SETTINGS  # noqa: E402

CONFIGS = [
    "mlp_l1",
    "mlp_l1:walkthrough",
    "mnist",
    "dcgan",
    "dcgan:non_saturating",
    "cnn",
    "cnn:minimax",
    "goodfellow2014",
    "goodfellow2014:minimax",
    *(f"loss:{name}" for name in SETTINGS),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_networks_have_as_many_parameters(config):
    check(ganjax.load_config(config))
    check_parameters(ganjax.load_config(config))


@pytest.mark.parametrize(
    "config,overrides,expected",
    [
        ("conditional", {}, "config.num_classes=10"),
        ("mnist", {"prior.distribution": "sphere"}, "prior.distribution='sphere'"),
        ("mnist", {"instance_noise": 0.5}, "config.instance_noise=0.5"),
        ("mnist", {"label_smoothing": 0.1}, "config.label_smoothing=0.1"),
        ("mnist", {"generator.output": "linear"}, "generator.output='linear'"),
        ("mnist", {"d_optimizer.freeze": 1}, "config.d_optimizer.freeze=1"),
        ("mnist", {"discriminator.softmax": True}, "discriminator.softmax=True"),
        (
            "mnist",
            {"discriminator.norm": "spectral"},
            "discriminator.norm='spectral' with config.penalties",
        ),
        ("mnist", {"penalties.r1": 1.0}, "config.penalties.r1=1.0"),
        ("mnist", {"penalties.wgan_gp": 1.0}, "r1_r2 and wgan_gp together"),
        (
            "mnist",
            {"g_optimizer": {"name": "rmsprop", "learning_rate": 1.0, "momentum": 0.5}},
            "config.g_optimizer.momentum=0.5",
        ),
        (
            "mnist",
            {"g_optimizer.b1": {"name": "linear", "start": 0.5}},
            "config.g_optimizer.b1.start=0.5",
        ),
        ("mnist_best", {}, "config.penalties.r1_r2.start=0.5"),
    ],
)
def test_unsupported_options_are_listed(config, overrides, expected):
    with pytest.raises(ganjax.UserError, match="unsupported in PyTorch") as error:
        check(ganjax.load_config(config, overrides))
    assert expected in str(error.value)
