"""A fully connected GAN with an L1 term: a widely read PyTorch script, layer for layer.

python -m ganjax.main --config configs/mlp_l1.py              the complete script
python -m ganjax.main --config configs/mlp_l1.py:walkthrough  its earlier version

| the script says | ganjax does | why |
|---|---|---|
| Linear, BatchNorm1d, GELU; D without a norm | the same | |
| a bias in each Linear before a BatchNorm | no bias there | BatchNorm cancels it |
| sigmoid at the end of D, BCE clamped at log -100 | BCE of logits | no clamp needed |
| Adam(3e-4, (.4, .8), weight_decay=1e-4) | the same, L2 in the gradient | |
| G's update first, D on the same samples | `updates="simultaneous"` | same result |
| .05 mean abs(G(z) - x), unpaired images | `l1=0.05` | |
| 200 epochs of batches of 64 | 187,400 steps | the rest of an epoch is dropped |
| prints every 50 steps, a 4x4 grid every 400 | the same | |
| min-max scaling of saved grids | none | G's range is known |

The walkthrough has no norm anywhere, ReLU, tanh, wider D, z of 64, batches of 32, Adam
1e-4, each of D's terms halved and no L1 term. Its D step detaches the wrong tensor, so
that D learns nothing from generated images; here D learns from both.

The script's ten tips are fields: generator.norm, generator.output, *.activation, l1 (or
l2), discriminator.hidden, both learning rates, b1 and b2, weight_decay; real and fake
loss are always reported separately. experiments/tips.py measures each.
Both run for the 200 epochs of the source. The script then has FID 186 and score 5.88:
clean digits, most of them 0, 1 and 9 (seed 0, 10,000 samples; real images: 2.32 and
9.78). After 20 epochs it has 216 ± 103 and 6.15 ± 0.98 (3 seeds,
`--config.num_steps=18740`, under three minutes on 2 CPU cores). The walkthrough fails:
without a norm or an L1 term D separates real from generated images perfectly, its loss
is 0 after 20,000 steps, and G makes one image of noise (FID 896).
"""

from ml_collections import ConfigDict

from ganjax.configs import default
from ganjax.errors import choose


def get_config(version: str = "complete") -> ConfigDict:
    c = default.get_config()
    c.log_every = 50
    c.sample_num = 16
    c.checkpoint_every = 4000
    c.loss = "non_saturating"
    c.penalties = default.penalties()
    c.updates = "simultaneous"
    c.ema.half_life = 0.0
    versions = {"complete": complete, "walkthrough": walkthrough}
    choose(versions, version, "--config=configs/mlp_l1.py:VERSION")(c)
    return c


def complete(c: ConfigDict) -> None:
    """The complete script."""
    c.num_steps = 187_400
    c.batch_size = 64
    c.sample_every = 400
    c.l1 = 0.05
    c.prior.z_dim = 96
    c.generator = default.generator("mlp")  # the default sizes are this script's
    c.discriminator = default.discriminator("mlp")
    adam = {"learning_rate": 3e-4, "b1": 0.4, "b2": 0.8, "weight_decay": 1e-4}
    c.g_optimizer = default.optimizer("adam", **adam)
    c.d_optimizer = default.optimizer("adam", **adam)


def walkthrough(c: ConfigDict) -> None:
    """The earlier version, which the script's text builds up step by step."""
    c.num_steps = 375_000
    c.batch_size = 32
    c.sample_every = 1000
    c.d_weights = (0.5, 0.5)
    c.prior.z_dim = 64
    c.generator = default.generator(
        "mlp",
        hidden=(64, 128, 256, 512, 1024),
        norm="none",
        activation="relu",
        output="tanh",
    )
    c.discriminator = default.discriminator(
        "mlp", hidden=(1024, 512, 256, 128), activation="relu"
    )
    adam = {"learning_rate": 1e-4, "b1": 0.9, "b2": 0.999}
    c.g_optimizer = default.optimizer("adam", **adam)
    c.d_optimizer = default.optimizer("adam", **adam)
