"""StyleGAN2 (arXiv:1912.04958) on MNIST, or with `:faces` on a folder of images.

python -m ganjax.main --config configs/stylegan.py
python -m ganjax.main --config configs/stylegan.py:faces --config.data.manual_dir=FOLDER

The networks of the paper with few features. Batch size, optimizer and learning rates
are the paper's; the loss and its penalty are those of mnist.py and of image_folder.py.
On MNIST 5,000 steps take 25 minutes on one core of an Intel Xeon beside other programs
and reach FID 106 and score 6.7 (seed 0, 10,000 samples; real images: 2.3, 9.8): half of
the samples are no digits yet, and more steps are needed. `:faces` is not measured.
"""

from ml_collections import ConfigDict

from ganjax.configs import default, image_folder, mnist
from ganjax.errors import choose

BASES = {"mnist": mnist, "faces": image_folder}


def get_config(data: str = "mnist") -> ConfigDict:
    c = choose(BASES, data, "--config=configs/stylegan.py:NAME").get_config()
    c.batch_size = 32
    c.num_steps = 5000
    widths = (8, 16, 32) if data == "mnist" else (8, 16, 32, 64, 64)
    c.generator = default.generator("stylegan", channels=widths[::-1])
    c.discriminator = default.discriminator("stylegan", channels=widths)
    c.prior.distribution = "sphere"  # so that samples have a truncation of 1
    adam = {"learning_rate": 2e-3, "b1": 0.0, "b2": 0.99}
    c.g_optimizer = default.optimizer("adam", **adam)
    c.d_optimizer = default.optimizer("adam", **adam)
    return c
