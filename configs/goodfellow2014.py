"""Generative Adversarial Nets on MNIST, arXiv:1406.2661, with the values of its code.

python -m ganjax.main --config configs/goodfellow2014.py
python -m ganjax.main --config configs/goodfellow2014.py:minimax

The paper trains for hundreds of epochs; 60,000 steps are 100 epochs and take 20 minutes
on 2 cores of an AMD EPYC. They reach a Parzen estimate of 193 nats (154 after 33
epochs); the paper has 225. The first output bias is the logit of the mean pixel, one
number, where the original has one per pixel. Samples come from an average of the
generator over the last epochs, which training never uses: at a learning rate of 0.1 the
last parameters are noisy.
"""

from ml_collections import ConfigDict

from ganjax.configs import default


def get_config(loss: str = "non_saturating") -> ConfigDict:
    c = default.get_config()
    c.num_steps = 60_000
    c.batch_size = 100
    c.sample_every = 1000
    c.checkpoint_every = 5000
    c.loss = loss
    c.d_weights = (0.5, 0.5)
    c.updates = "simultaneous"
    c.penalties = default.penalties()
    c.prior.distribution = "uniform"
    c.prior.z_dim = 100
    c.ema.half_life = 200_000.0
    c.generator = default.generator(
        "mlp",
        hidden=(1200, 1200),
        norm="none",
        activation="relu",
        output="sigmoid",
        output_bias=-1.9,
        init_scale=0.05,
    )
    c.discriminator = default.discriminator("maxout")
    sgd = {
        # 0.1, divided by 1.000004 at each of the 60,000 steps.
        "learning_rate": {"name": "exponential", "start": 0.1, "end": 0.0787},
        # From 0.5 to 0.7 over 125,000 steps, which are 250 epochs of 50,000 images.
        "momentum": {"name": "linear", "start": 0.5, "end": 0.596},
    }
    c.g_optimizer = default.optimizer("sgd", **sgd)
    c.d_optimizer = default.optimizer("sgd", **sgd)
    return c
