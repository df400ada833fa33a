"""Faces of CelebA (arXiv:1411.7766), 64x64 pixels.

python -m ganjax.main --config configs/celeba64.py --config.dtype=bfloat16

The images are cut to their central 178x178 pixels, as in mimicry (arXiv:2005.02494);
--config.data.crop=140 cuts closer (arXiv:1907.05600), and =108 to the face alone. FIDs
of different crops can't be compared. `docs/data.md` tells what to do if Google Drive
refuses the download.

For one GPU: `image_folder.py` with wider networks. Optimizers, gamma and the moving
average are those of R3GAN's code for FFHQ at 64x64 (arXiv:2501.05441). Recommended:
200,000 steps of 64 images. The decoded images take 2.2 GB of disk, from which they are
read while training; with --config.data.device_budget_mb=2000 they are copied to the GPU
instead. Quality and speed are not measured.
"""

from ml_collections import ConfigDict

from ganjax.configs import default, image_folder


def get_config() -> ConfigDict:
    c = image_folder.get_config()
    c.num_steps = 200_000
    c.sample_every = c.checkpoint_every = 5000
    c.data.name, c.data.crop = "celeb_a", 178
    c.generator.channels, c.discriminator.channels = (
        (512, 256, 128, 64),
        (64, 128, 256, 512),
    )
    rate, b2, gamma = (2e-4, 5e-5), (0.9, 0.99), (2.0, 0.2)
    default.schedules(c, "cosine", learning_rate=rate, b2=b2, r1_r2=gamma)
    c.ema.half_life = 500_000.0
    return c
