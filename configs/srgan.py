"""SRGAN (arXiv:1609.04802): images at four times their resolution.

python -m ganjax.main --config configs/srgan.py          digits, 7x7 -> 28x28
python -m ganjax.main --config configs/srgan.py:photos   photographs, 12x12 -> 48x48

With --config.adversarial=0 the same network is trained by L1 alone, with
--config.l1=0 --config.l2=1 as well by L2 alone. With --config.z_channels=4 there are
several outputs for one input.

| the paper says | ganjax does | why |
|---|---|---|
| G: 16 residual blocks, pixel shuffle | 4, transposed convolutions | small images |
| BatchNorm | none | as in its successor, arXiv:1809.00219 |
| D: 8 convolutions, BatchNorm | 2 (3), none | small images, and a penalty |
| VGG's features or squared error, plus 0.001 adversarial | L1 + .05 (.01) | no VGG |
| learns the whole image | what bicubic interpolation lacks | small networks |
| cross-entropy | relativistic, R1 + R2 | as in mnist.py |
| Adam 1e-4, beta1 .9 | 1e-3, beta1 0 | short training |
experiments/pixel_losses.py compares the three; results are in docs/gans.md.
"""

from ml_collections import ConfigDict

from ganjax.configs import default
from ganjax.data import DataOptions
from ganjax.errors import choose
from ganjax.gans.srgan import SrGan
from ganjax.models.super_resolution import SuperResolution
from ganjax.options import options
from ganjax.train import Run


def get_config(data: str = "digits") -> ConfigDict:
    c = ConfigDict(options(Run) | options(SrGan))
    c.gan = "srgan"
    c.data = ConfigDict(options(DataOptions))
    c.generator = ConfigDict(options(SuperResolution))
    c.discriminator = default.discriminator("dcgan")
    c.penalties = default.penalties(r1_r2=0.5)
    rate = {"name": "cosine", "start": 1e-3, "end": 1e-5}
    c.g_optimizer = default.optimizer("adam", learning_rate=rate, b1=0.0, b2=0.99)
    c.d_optimizer = default.optimizer("adam", learning_rate=rate, b1=0.0, b2=0.99)
    c.num_steps = 8000
    c.batch_size = 32
    c.sample_num = 32
    c.ema.half_life = 20_000.0
    choose({"digits": digits, "photos": photos}, data, "--config=configs/srgan.py")(c)
    return c


def digits(c: ConfigDict) -> None:
    """MNIST."""


def photos(c: ConfigDict) -> None:
    """Patches of photographs."""
    c.data.name = "photos"
    c.data.image_shape = (48, 48, 3)
    c.batch_size = 16
    c.adversarial = 0.01
    c.discriminator.channels = (16, 32, 64)
