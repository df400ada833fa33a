"""Convolutional GAN on MNIST.

python -m ganjax.main --config configs/mnist.py

8,000 steps take two minutes on 2 cores of an AMD EPYC and reach FID 5.17 and score 8.93
by the classifier of `--mode=evaluate`; real images have 2.32 and 9.78 (seed 0).
"""

from ml_collections import ConfigDict

from ganjax.configs import default


def get_config() -> ConfigDict:
    c = default.get_config()
    c.num_steps = 8000
    # Without BatchNorm FID falls to 17 in 24 s instead of 40 s; with it 8,000 steps end
    # at 4.4 instead of 4.9 (means of 3 seeds).
    c.generator.norm = "none"
    # At these learning rates gamma = 1 over-regularizes D, and its gradients vanish; at
    # 6e-3 the generator wins outright.
    c.g_optimizer.learning_rate = c.d_optimizer.learning_rate = 3e-3
    c.penalties.r1_r2 = 0.5
    c.ema.half_life = 50_000.0
    return c
