"""The best digits after half an hour on 2 CPU cores.

python -m ganjax.main --config configs/mnist_best.py

`conditional.py` with twice the width, more dimensions of z, and a penalty and learning
rates that decay over the run, as in arXiv:2501.05441. 46,000 steps take half an hour on
2 cores of an AMD EPYC, and two minutes on an NVIDIA H100. There they reach FID 2.81,
score 9.78, precision 0.851 and recall 0.844 (real images: 2.32, 9.78, 0.849, 0.872);
99.3% of the samples show the digit that was asked for (seed 0, 10,000 samples).
"""

from ml_collections import ConfigDict

from ganjax.configs import conditional, default


def get_config() -> ConfigDict:
    c = conditional.get_config()
    c.num_steps = 46_000
    c.sample_every = c.checkpoint_every = 2000
    c.generator.channels = (64, 32)
    c.discriminator.channels = (32, 64)
    c.generator.hidden, c.discriminator.hidden = (512,), (256,)
    c.prior.z_dim = 256
    c.sample_scale = 1.04  # trades precision (0.87 at 1.0) for recall
    default.schedules(c, "exponential", r1_r2=(0.5, 0.05), learning_rate=(3e-3, 1.5e-4))
    c.ema.half_life = 200_000.0
    return c
