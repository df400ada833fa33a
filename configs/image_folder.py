"""Color images of 64x64 pixels from a folder of your own, e.g. faces.

python -m ganjax.main --config configs/image_folder.py --config.data.manual_dir=FOLDER

Image files of any size, also in sub-folders, are cropped at their center and resized;
files that can't be read are named and skipped. For another resolution pass
--config.data.image_shape="(32, 32, 3)" and remove one entry of both `channels`.

Learning rates and penalty decay over the run, as in arXiv:2501.05441. A shorter run has
the same schedules: 1,000 steps (`--config.num_steps=1000`) take under three minutes on
2 cores of an AMD EPYC. 10,000 steps on 4,500 cartoon faces (seed 0) reach `fid_random`
0.11, SWD 33, precision 0.71 and recall 0.78, where real images have 0.02, 8, 0.90 and
0.89 (2,000 samples).
"""

from ml_collections import ConfigDict

from ganjax.configs import default


def get_config() -> ConfigDict:
    c = default.get_config()
    c.num_steps = 10_000
    c.data.name = "image_folder"
    c.data.image_shape = (64, 64, 3)
    c.prior.z_dim = 64
    c.generator.channels = (128, 64, 32, 16)
    c.discriminator.channels = (16, 32, 64, 128)
    default.schedules(c, "exponential", r1_r2=(2.0, 0.2), learning_rate=(2e-3, 1e-4))
    c.ema.half_life = 50_000.0
    return c
