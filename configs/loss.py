"""Every adversarial loss on the same networks, data and budget, so that they compare.

python -m ganjax.main --config configs/loss.py:wgan_gp

Each has the penalty, the number of critic steps and the optimizer of its paper, except
minimax and non_saturating (Adam 2e-4; the paper used SGD with dropout and maxout) and
r3gan (Adam 2e-3: it tolerates ten times the learning rate of the others, which is part
of its lead). Each takes one to three minutes on 2 cores of an AMD EPYC; docs/results.md
has a table of the results.
"""

from typing import Any

from ml_collections import ConfigDict

from ganjax.configs import default
from ganjax.errors import choose

ADAM = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}
WGAN_ADAM = {"name": "adam", "learning_rate": 1e-4, "b1": 0.0, "b2": 0.9}
RMSPROP = {"name": "rmsprop", "learning_rate": 5e-5}

SETTINGS: dict[str, dict[str, Any]] = {
    "minimax": {"loss": "minimax"},  # arXiv:1406.2661, as in its Algorithm 1
    "non_saturating": {"loss": "non_saturating"},  # arXiv:1406.2661, section 3
    "lsgan": {"loss": "lsgan"},  # arXiv:1611.04076: regression on 1 and 0
    "wgan": {  # arXiv:1701.07875, Algorithm 1
        "loss": "wgan",
        "optimizer": RMSPROP,
        "d_optimizer": RMSPROP | {"clip_weights": 0.01},
        "n_dis": 5,
    },
    "wgan_gp": {  # arXiv:1704.00028, Algorithm 1
        "loss": "wgan",
        "penalties": {"wgan_gp": 10.0},
        "optimizer": WGAN_ADAM,
        "n_dis": 5,
    },
    "dragan": {"loss": "non_saturating", "penalties": {"dragan": 10.0}},  # 1705.07215
    "hinge": {"loss": "hinge", "norm": "spectral"},  # arXiv:1802.05957
    "r3gan": {  # arXiv:2501.05441
        "loss": "relativistic",
        "penalties": {"r1_r2": 1.0},
        "optimizer": {"name": "adam", "learning_rate": 2e-3, "b1": 0.0, "b2": 0.99},
    },
}


def get_config(name: str = "non_saturating") -> ConfigDict:
    setting = choose(SETTINGS, name, "--config=configs/loss.py:NAME")
    c = default.get_config()
    c.num_steps = 2000
    c.loss = setting["loss"]
    c.penalties = default.penalties(**setting.get("penalties", {}))
    g_optimizer = setting.get("optimizer", ADAM)
    c.g_optimizer = default.optimizer(**g_optimizer)
    c.d_optimizer = default.optimizer(**setting.get("d_optimizer", g_optimizer))
    c.n_dis = setting.get("n_dis", 1)
    c.discriminator.norm = setting.get("norm", "none")
    return c
