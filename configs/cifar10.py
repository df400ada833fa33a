"""Class-conditional CIFAR-10: 32x32 color images of ten kinds of objects.

python -m ganjax.main --config configs/cifar10.py --config.dtype=bfloat16

For one GPU; on a CPU leave out the dtype. With --config.num_classes=0 unconditional.
Optimizers and gamma are those of R3GAN's code for CIFAR-10 (arXiv:2501.05441); the
networks are DCGAN's (arXiv:1511.06434), smaller than the paper's. Recommended: 200,000
steps of 64 images, two thirds of the images of the paper's schedules. Quality and speed
are not measured.
"""

from ml_collections import ConfigDict

from ganjax.configs import default


def get_config() -> ConfigDict:
    c = default.get_config()
    c.num_steps = 200_000
    c.sample_every = c.checkpoint_every = 5000
    c.data.name = "cifar10"
    c.data.image_shape = (32, 32, 3)
    c.num_classes, c.sample_num = 10, 100
    c.prior.z_dim = 64
    c.generator.channels, c.discriminator.channels = (512, 256, 128), (128, 256, 512)
    c.generator.norm = "none"
    c.generator.hidden = c.discriminator.hidden = ()
    rate, b2, gamma = (2e-4, 5e-5), (0.9, 0.99), (0.05, 0.005)
    default.schedules(c, "cosine", learning_rate=rate, b2=b2, r1_r2=gamma)
    c.ema.half_life = 500_000.0
    return c
