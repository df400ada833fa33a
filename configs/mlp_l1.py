"""A fully connected GAN with an L1 term: a widely read PyTorch script, layer for layer.

python -m ganjax.main --config configs/mlp_l1.py              the complete script
python -m ganjax.main --config configs/mlp_l1.py:walkthrough  its earlier version

The generator moves first, and the discriminator then meets the fakes that it was
updated on. The L1 term compares unpaired images. The script's ten tips are fields here:
generator.norm, generator.output, *.activation, l1, discriminator.hidden, both learning
rates, b1 and b2, weight_decay; grids need no min-max scaling, since the range of the
output is known, and the losses are always reported apart. 18,740 steps are 20 epochs of
batches of 64 (the script asks for 200), 10 of the earlier version's 32: two minutes on
2 cores of an AMD EPYC. Half of them end at an FID of 165, score 6.7 (seed 0).
"""

from typing import Any

from ml_collections import ConfigDict

from configs import default

# The script's names for each of its two versions.
VERSIONS: dict[str, dict[str, Any]] = {
    "complete": {
        "latent": 96,
        "batch": 64,
        "g": (128, 256, 512, 1024),
        "d": (512, 256, 128, 64, 32),
        "activation": "gelu",
        "output": "sigmoid",
        "adam": {"learning_rate": 3e-4, "b1": 0.4, "b2": 0.8, "weight_decay": 1e-4},
        "d_weights": (1.0, 1.0),
        "l1": 0.05,
        "sample_every": 400,
    },
    "walkthrough": {
        "latent": 64,
        "batch": 32,
        "g": (64, 128, 256, 512, 1024),
        "d": (1024, 512, 256, 128),
        "activation": "relu",
        "output": "tanh",
        "adam": {"learning_rate": 1e-4, "b1": 0.9, "b2": 0.999, "weight_decay": 0.0},
        "d_weights": (0.5, 0.5),
        "l1": 0.0,
        "sample_every": 1000,
    },
}


def get_config(version: str = "complete") -> ConfigDict:
    if version not in VERSIONS:
        raise ValueError(f"mlp_l1.py:{version}: choose from {', '.join(VERSIONS)}")
    v = VERSIONS[version]
    c = default.get_config()
    c.num_steps = 18_740
    c.batch_size = v["batch"]
    c.log_every = 50
    c.sample_every, c.sample_num = v["sample_every"], 16
    c.checkpoint_every = 4000
    c.loss = "non_saturating"
    c.penalties = default.penalties()
    c.order, c.reuse_fakes = "g_first", True
    c.d_weights, c.l1 = v["d_weights"], v["l1"]
    c.z_dim = v["latent"]
    c.ema_half_life = 0.0
    player = {"name": "mlp", "activation": v["activation"]}
    generator = {"hidden": v["g"], "norm": "batch", "output": v["output"]}
    c.generator = ConfigDict(player | generator)
    c.discriminator = ConfigDict(player | {"hidden": v["d"], "norm": "none"})
    c.g_optimizer = default.optimizer("adam", **v["adam"])
    c.d_optimizer = default.optimizer("adam", **v["adam"])
    return c
