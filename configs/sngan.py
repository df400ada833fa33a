"""Residual networks, the hinge loss and spectral norm: SNGAN (arXiv:1802.05957).

python -m ganjax.main --config configs/sngan.py               digits, narrow networks
python -m ganjax.main --config configs/sngan.py:attention     digits, SAGAN
python -m ganjax.main --config configs/sngan.py:cifar10       the paper's networks

Adam, five updates of D for one of G and batches of 64 are the paper's; its code has
batches of 128 for G. `:attention` has what SAGAN (arXiv:1805.08318) adds:
self-attention, spectral norm in G too, one update of D with four times G's learning
rate. `:cifar10` is for a GPU: 50,000 steps and a learning rate that falls to 0, as in
the code; G of 4.3 million parameters, D of 1.1. Samples are those of a moving average
of G, which neither paper has. Quality is not measured.
"""

from typing import Any

from ml_collections import ConfigDict

from ganjax.configs import default
from ganjax.errors import choose

Pair = tuple[dict[str, Any], dict[str, Any]]  # options of G and of D

WIDE: Pair = {"channels": (256,) * 4}, {"channels": (128,) * 2, "blocks": (128,) * 2}
NARROW: Pair = {"channels": (32, 32, 16)}, {"channels": (16, 32), "blocks": (32,)}
VARIANTS = {"mnist": NARROW, "attention": NARROW, "cifar10": WIDE}


def get_config(variant: str = "mnist") -> ConfigDict:
    g, d = choose(VARIANTS, variant, "--config=configs/sngan.py:NAME")
    c = default.get_config()
    c.num_steps = 2000
    c.loss, c.n_dis = "hinge", 5
    c.penalties = default.penalties()
    c.generator = default.generator("resnet", **g)
    c.discriminator = default.discriminator("resnet", **d)
    adam = {"learning_rate": 2e-4, "b1": 0.0, "b2": 0.9}
    c.g_optimizer = default.optimizer("adam", **adam)
    c.d_optimizer = default.optimizer("adam", **adam)
    if variant == "attention":
        c.n_dis, c.generator.spectral = 1, True
        c.generator.attention = c.discriminator.attention = 14
        c.g_optimizer.learning_rate, c.d_optimizer.learning_rate = 1e-4, 4e-4
    if variant == "cifar10":
        c.num_steps, c.prior.z_dim = 50_000, 128
        c.data.name, c.data.image_shape = "cifar10", (32, 32, 3)
        default.schedules(c, "linear", learning_rate=(2e-4, 0.0))
    return c
