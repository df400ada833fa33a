"""Generative Adversarial Nets on MNIST, arXiv:1406.2661, with the values of its code.

python -m ganjax.main --config configs/goodfellow2014.py
python -m ganjax.main --config configs/goodfellow2014.py:minimax

| the paper or its code says | ganjax does | why |
|---|---|---|
| G: two ReLU layers of 1200, sigmoid; U(+-.05) | the same | |
| D: two maxout layers of 240x5; U(+-.005) | the same | |
| dropout in D: .2 of the input, .5 of the rest | the same | |
| first output bias: logit of each mean pixel | -1.9 for all | G sees no data at start |
| z uniform, of 100 dimensions and unit variance | the same | |
| k = 1, both players updated from one state | `updates="simultaneous"` | |
| D's two terms halved; G maximizes log D(G(z)) | the same | |
| Algorithm 1: G minimizes log(1 - D(G(z))) | `:minimax` | |
| SGD, batches of 100, the first 50,000 images | `num_examples=50_000` | |
| rate .1, divided by 1.000004 at each step | .1 to .0607, exponential | |
| momentum .5 to .7 over 250 epochs | the same, over the run | |
| stops by hand | after these 250 epochs | no number is given |
| samples of the last parameters | of an average of G | see below |

At a learning rate of 0.1 the last parameters are noisy; samples come from an average
over the last epochs, which training never uses.
250 epochs reach a Parzen estimate of 212 nats, FID 16.8 and score 8.79 (seed 0); the
paper has 225 nats. They took 94 minutes on one core of an Intel Xeon beside other
programs. More steps help little: `--config.num_steps=300000` reaches 217 ± 2 nats, FID
10.3 and score 9.03. The paper does not say when it stopped or how many runs it chose
from, and samples here are of one run's averaged generator.
"""

from ml_collections import ConfigDict

from ganjax.configs import default


def get_config(loss: str = "non_saturating") -> ConfigDict:
    c = default.get_config()
    c.num_steps = 125_000
    c.num_examples = 50_000
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
        # 0.1, divided by 1.000004 at each of the 125,000 steps.
        "learning_rate": {"name": "exponential", "start": 0.1, "end": 0.0607},
        "momentum": {"name": "linear", "start": 0.5, "end": 0.7},
    }
    c.g_optimizer = default.optimizer("sgd", **sgd)
    c.d_optimizer = default.optimizer("sgd", **sgd)
    return c
