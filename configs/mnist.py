"""Convolutional GAN on MNIST.

python -m ganjax.main --config configs/mnist.py

8,000 steps, two minutes on 2 cores of an AMD EPYC: FID 5.17 and score 8.93
by the classifier of `--mode=evaluate`, where real images have 2.32 and 9.78 (seed 0).
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    c = default.get_config()
    c.num_steps = 8000
    # Without batch statistics, noise that samples lack, FID falls to 17 in 24 s instead
    # of 40; with them 8,000 steps end lower, at 4.4 instead of 4.9 (means of 3 seeds).
    c.generator.norm = "none"
    # Fast players need a D that is held less: with gamma 1 its slope slowly dies at
    # these rates, and at 6e-3 G wins outright.
    c.g_optimizer.learning_rate = c.d_optimizer.learning_rate = 3e-3
    c.penalties.r1_r2 = 0.5
    c.ema_half_life = 50_000.0
    return c
