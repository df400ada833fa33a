"""Images from sentences (arXiv:1605.05396): "a thin slanted red seven".

python -m ganjax.main --config configs/text_to_image.py
python -m ganjax.main --mode=sample --workdir=runs/text_to_image --caption="a thick 3"

MNIST's digits in five colors, with other strokes and slants, which are then measured;
the sentences say what was measured (ganjax/data/captions.py). Ten of fifty combinations
of digit and color never occur in training. With --config.adversarial=0 --config.l1=1
(or l2) the same network is trained without an adversary.

| the paper says | ganjax does | why |
|---|---|---|
| a text encoder, trained beforehand on images and text | a GRU in each player | |
| G: DCGAN of z and the code | the same, of mnist.py's size | 28x28 pixels |
| D: the code beside the last feature map | its product with features | 1802.05637 |
| a real image with the wrong sentence counts as generated | the same | |
| cross-entropy | relativistic, R1 + R2 | as in mnist.py |
Results are in docs/gans.md; experiments/pixel_losses.py compares the three losses.
"""

from ml_collections import ConfigDict

from ganjax.configs import default
from ganjax.data import DataOptions
from ganjax.gans.text_to_image import TextToImage
from ganjax.models.text import TextDiscriminator, TextEncoder
from ganjax.options import options
from ganjax.train import Run


def get_config() -> ConfigDict:
    c = ConfigDict(options(Run) | options(TextToImage))
    c.gan = "text_to_image"
    image_shape = (28, 28, 3)
    c.data = ConfigDict(
        options(DataOptions, name="captioned_digits", image_shape=image_shape)
    )
    c.generator = default.generator(
        "dcgan", norm="none", hidden=(256,), channels=(64, 32)
    )
    c.discriminator = ConfigDict(options(TextDiscriminator))
    c.encoder = ConfigDict(options(TextEncoder))
    c.penalties = default.penalties(r1_r2=0.5)
    c.g_optimizer = default.optimizer("adam", learning_rate=2e-3, b1=0.0, b2=0.99)
    c.d_optimizer = default.optimizer("adam", learning_rate=2e-3, b1=0.0, b2=0.99)
    c.num_steps = 7000
    c.sample_num = 100
    c.prior.z_dim = 64
    c.ema.half_life = 50_000.0
    return c
