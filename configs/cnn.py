"""The GAN of a widely read TensorFlow lesson: a CNN against transposed convolutions.

python -m ganjax.main --config configs/cnn.py           loss of the lesson's code
python -m ganjax.main --config configs/cnn.py:minimax   loss of the lesson's text

| the lesson says | ganjax does | why |
|---|---|---|
| D: a CNN classifier, 28x28x1 -> one logit | the same, two convolutions | |
| G: noise -> feature maps -> transposed convolutions | the same, two of them | |
| z normal "or another distribution" | normal; `prior.distribution` | |
| cross-entropy from logits, G maximizes log D(G(z)) | the default | its code |
| G minimizes log(1 - D(G(z))) | `:minimax` | its text |
| D is updated "some number of times" per update of G | `n_dis`, once | left open |
| no penalty | none | |
| no widths, norm, learning rates or number of steps | as below | left open |

With these losses and nothing else, BatchNorm in D decides: without it D separates real
from generated images after a few hundred steps and the generator's gradient vanishes.
6,000 steps take 100 s on 2 cores of an AMD EPYC and reach FID 7.3 ± 0.6 and score
8.76 ± 0.05; `:minimax` reaches 9.1 ± 1.1 and 8.66 ± 0.03 (3 seeds, 10,000 samples, mean
± sample standard deviation; real images: 2.32 and 9.78).
"""

from ml_collections import ConfigDict

from ganjax.configs import default


def get_config(loss: str = "non_saturating") -> ConfigDict:
    c = default.get_config()
    c.num_steps = 6000
    c.loss = loss
    c.penalties = default.penalties()
    c.discriminator.norm = "batch"
    c.ema.half_life = 50_000.0
    c.g_optimizer = default.optimizer("adam", learning_rate=1e-3, b1=0.5, b2=0.999)
    c.d_optimizer = default.optimizer("adam", learning_rate=1e-3, b1=0.5, b2=0.999)
    return c
