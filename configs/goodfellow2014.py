"""Generative Adversarial Nets on MNIST, arXiv:1406.2661, with the figures of its code.

python -m ganjax.main --config configs/goodfellow2014.py
python -m ganjax.main --config configs/goodfellow2014.py:minimax

The paper trains for hundreds of epochs; 60,000 steps are 100, in 20 minutes on 2 cores
of an AMD EPYC: Parzen estimate 193 nats, 154 after 33 epochs, where the paper has 225.
The first output bias is the mean pixel's logit, a scalar, where the original has one
per pixel. Samples come from an average of the generator over the last epochs, which
training never sees: at a learning rate of .1 the last parameters are a snapshot in the
middle of a storm.
"""

from ml_collections import ConfigDict

from configs import default

SGD = {
    "name": "sgd",
    # 0.1, divided by 1.000004 each step.
    "learning_rate": {"name": "exponential", "init_value": 0.1}
    | {"transition_steps": 1, "decay_rate": 1 / 1.000004, "end_value": 1e-6},
    # From .5 to .7 over 250 epochs of 500 steps.
    "momentum": {"name": "linear", "init_value": 0.5}
    | {"end_value": 0.7, "transition_steps": 125_000},
}


def get_config(loss: str = "non_saturating") -> ConfigDict:
    c = default.get_config()
    c.num_steps = 60_000
    c.batch_size = 100
    c.sample_every = 1000
    c.checkpoint_every = 5000
    c.loss = loss
    c.d_weights = (0.5, 0.5)
    c.order, c.reuse_fakes = "g_first", True  # both players at once, on one batch
    c.penalties = default.penalties()
    c.prior = "uniform"
    c.z_dim = 100
    c.ema_half_life = 200_000.0
    c.generator = ConfigDict(
        {"name": "mlp", "hidden": (1200, 1200), "norm": "none", "activation": "relu"}
        | {"output": "sigmoid", "output_bias": -1.9, "init_scale": 0.05}
    )
    c.discriminator = ConfigDict({"name": "maxout", "hidden": (240, 240), "pieces": 5})
    c.g_optimizer = default.optimizer(**SGD)
    c.d_optimizer = default.optimizer(**SGD)
    return c
