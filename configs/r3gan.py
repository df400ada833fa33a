"""R3GAN's networks with its loss (arXiv:2501.05441).

python -m ganjax.main --config configs/r3gan.py             digits, narrow networks
python -m ganjax.main --config configs/r3gan.py:cifar10     the paper's networks

mnist.py is its loss, too, with DCGAN's networks. `:cifar10` is for GPUs and class-
conditional, with 20.8 million parameters in G and 21.3 in D. Its batches and schedules
are those of the paper's code, but that the half-life of the moving average rises in
proportion to the images seen, not as a cosine; images are not mirrored or otherwise
augmented. Quality is not measured.
"""

from ml_collections import ConfigDict

from ganjax.configs import default
from ganjax.errors import choose


def get_config(variant: str = "mnist") -> ConfigDict:
    variants = dict.fromkeys(("mnist", "cifar10"))
    choose(variants, variant, "--config=configs/r3gan.py:NAME")
    c = default.get_config()
    c.num_steps = 2000
    c.penalties.r1_r2 = 0.5  # as in mnist.py
    c.generator = default.generator("r3gan")
    c.discriminator = default.discriminator("r3gan")
    if variant == "cifar10":
        use_paper(c)
    return c


def use_paper(c: ConfigDict) -> None:
    """The settings of the paper for 32x32 pixels."""
    c.num_steps, c.batch_size = 39_062, 512  # the length of its schedules
    c.data.name, c.data.image_shape, c.num_classes = "cifar10", (32, 32, 3), 10
    c.sample_num, c.prior.z_dim = 100, 64
    c.ema.half_life, c.ema.rampup = 5e6, 0.25
    for network in (c.generator, c.discriminator):
        network.channels, network.blocks = (768,) * 4, 2
    rate, b2, gamma = (2e-4, 5e-5), (0.9, 0.99), (0.05, 0.005)
    default.schedules(c, "cosine", learning_rate=rate, b2=b2, r1_r2=gamma)
