"""StarGAN (arXiv:1711.09020): one generator for nine domains of digits.

python -m ganjax.main --config configs/stargan.py

The domains are red, green and blue ink, each thin, medium and thick. The network
sees each digit in one domain only.

| the paper says | ganjax does | why |
|---|---|---|
| G: 2 halvings, 6 blocks, 7x7 at both ends | 1, 3 and 3x3 | 28x28 pixels |
| instance norm in every layer | but the first | it cancels constant channels |
| D: PatchGAN without norm, with a classifier | the same, 2 layers of 6 | 28x28 pixels |
| Wasserstein loss, gradient penalty 10, 5 updates of D | the same | |
| classification 1, reconstruction 10 | the same | |
| Adam 1e-4, betas .5 and .999, then linear to 0 | 1e-3, linear to 0 | short training |
Results are in docs/gans.md.
"""

from ml_collections import ConfigDict

from ganjax.configs import default
from ganjax.data import DataOptions
from ganjax.gans.stargan import StarGan
from ganjax.models.translation import EncoderDecoder, PatchDiscriminator
from ganjax.options import options
from ganjax.train import Run


def get_config() -> ConfigDict:
    c = ConfigDict(options(Run) | options(StarGan))
    c.gan = "stargan"
    image_shape = (28, 28, 3)
    c.data = ConfigDict(
        options(DataOptions, name="colored_strokes", image_shape=image_shape)
    )
    c.generator = ConfigDict(options(EncoderDecoder, first_norm="none"))
    c.discriminator = ConfigDict(options(PatchDiscriminator, norm="none"))
    c.penalties = default.penalties(wgan_gp=10.0)
    rate = {"name": "linear", "start": 1e-3, "end": 0.0}
    c.g_optimizer = default.optimizer("adam", learning_rate=rate, b1=0.5, b2=0.999)
    c.d_optimizer = default.optimizer("adam", learning_rate=rate, b1=0.5, b2=0.999)
    c.num_steps = 2500
    c.batch_size = 16
    c.sample_num = 90
    c.n_dis = 5
    c.ema.half_life = 10_000.0
    return c
