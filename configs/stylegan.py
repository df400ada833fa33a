"""StyleGAN2 (arXiv:1912.04958) on MNIST, or with `:faces` on a folder of images.

python -m ganjax.main --config configs/stylegan.py
python -m ganjax.main --config configs/stylegan.py:faces --config.data.manual_dir=FOLDER
"""

from ml_collections import ConfigDict

from ganjax.configs import default, image_folder, mnist
from ganjax.errors import choose

BASES = {"mnist": mnist, "faces": image_folder}


def get_config(data: str = "mnist") -> ConfigDict:
    c = choose(BASES, data, "--config=configs/stylegan.py:NAME").get_config()
    widths = (8, 16, 32) if data == "mnist" else (8, 16, 32, 64, 64)
    c.generator = default.generator("stylegan", channels=widths[::-1])
    c.discriminator = default.discriminator("stylegan", channels=widths)
    c.prior.distribution = "sphere"
    return c
