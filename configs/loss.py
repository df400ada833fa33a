"""Every adversarial loss on the same networks, data and budget, so that they compare.

python -m ganjax.main --config configs/loss.py:wgan_gp

Each has the penalty, the norm of D, the number of critic steps and the optimizer of its
paper; only the learning rate is searched: `factor` is the best of 1, 3, 10 and 30 times
the paper's (FID after these 10,000 steps, seed 0; experiments/loss_table.py). It is 10
or 30 for every loss, since 10,000 steps are few. The paper of minimax and
non_saturating has SGD, maxout and dropout (goodfellow2014.py); here they have the
optimizer and the BatchNorm of DCGAN (arXiv:1511.06434).
"""

from typing import Any

from ml_collections import ConfigDict

from ganjax.configs import default
from ganjax.errors import choose

ADAM = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}
WGAN_ADAM = {"name": "adam", "learning_rate": 1e-4, "b1": 0.0, "b2": 0.9}
R3GAN_ADAM = {"name": "adam", "learning_rate": 2e-4, "b1": 0.0, "b2": 0.99}
# PyTorch's defaults, as in the authors' code. optax's, with epsilon inside of the root,
# divide by 1e-4 at least, and the gradients of a clipped critic are far smaller.
RMSPROP = {
    "name": "rmsprop",
    "learning_rate": 5e-5,
    "decay": 0.99,
    "eps_in_sqrt": False,
}

SETTINGS: dict[str, dict[str, Any]] = {
    "minimax": {  # arXiv:1406.2661, Algorithm 1
        "loss": "minimax",
        "norm": "batch",
        "optimizer": ADAM,
        "factor": 10,
    },
    "non_saturating": {  # arXiv:1406.2661, section 3
        "loss": "non_saturating",
        "norm": "batch",
        "optimizer": ADAM,
        "factor": 10,
    },
    "lsgan": {  # arXiv:1611.04076: regression on 1 and 0
        "loss": "lsgan",
        "norm": "batch",
        "optimizer": ADAM,
        "factor": 30,
    },
    "wgan": {  # arXiv:1701.07875, Algorithm 1
        "loss": "wgan",
        "norm": "batch",
        "n_dis": 5,
        "clip_weights": 0.01,
        "optimizer": RMSPROP,
        "factor": 10,
    },
    "wgan_gp": {  # arXiv:1704.00028, Algorithm 1
        "loss": "wgan",
        "penalties": {"wgan_gp": 10.0},
        "n_dis": 5,
        "optimizer": WGAN_ADAM,
        "factor": 30,
    },
    "dragan": {  # arXiv:1705.07215
        "loss": "non_saturating",
        "penalties": {"dragan": 10.0},
        "optimizer": ADAM,
        "factor": 10,
    },
    "hinge": {  # arXiv:1802.05957
        "loss": "hinge",
        "norm": "spectral",
        "optimizer": ADAM,
        "factor": 30,
    },
    "r3gan": {  # arXiv:2501.05441
        "loss": "relativistic",
        "penalties": {"r1_r2": 1.0},
        "optimizer": R3GAN_ADAM,
        "factor": 10,
    },
}


def learning_rate(name: str, factor: int) -> float:
    """`factor` times the learning rate of the paper, without rounding errors."""
    return float(f"{factor * SETTINGS[name]['optimizer']['learning_rate']:.6g}")


def get_config(name: str = "non_saturating") -> ConfigDict:
    setting = choose(SETTINGS, name, "--config=configs/loss.py:NAME")
    c = default.get_config()
    c.num_steps = 10_000
    c.ema.half_life = 50_000.0
    c.loss = setting["loss"]
    c.n_dis = setting.get("n_dis", 1)
    c.penalties = default.penalties(**setting.get("penalties", {}))
    c.discriminator.norm = setting.get("norm", "none")
    rate = learning_rate(name, setting["factor"])
    optimizer = setting["optimizer"] | {"learning_rate": rate}
    c.g_optimizer = default.optimizer(**optimizer)
    c.d_optimizer = default.optimizer(**optimizer)
    c.d_optimizer.clip_weights = setting.get("clip_weights", 0.0)
    return c
