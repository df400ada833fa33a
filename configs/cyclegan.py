"""CycleGAN (arXiv:1703.10593): digits of one kind as another has them, without pairs.

python -m ganjax.main --config configs/cyclegan.py          UCI's digits <-> MNIST
python -m ganjax.main --config configs/cyclegan.py:styled   MNIST <-> styled digits

| the paper says | ganjax does | why |
|---|---|---|
| G: 2 halvings, 6 or 9 blocks, 7x7 at both ends | 1, 3 and 3x3 | 28x28 pixels |
| D: PatchGAN of 70x70 of 256x256 pixels | 18x18 (38x38) | 28x28 pixels |
| instance norm, reflection padding | instance norm, zero padding | black borders |
| least squares, halved for D | the same | |
| cycle weight 10, identity 5 | 20, 5 (2, .5) | as measured |
| history of 50 generated images | the same | |
| Adam 2e-4, beta1 .5, constant, then linear to 0 | 1e-3 (2e-3), linear | short |
| batches of 1, 200 epochs | batches of 16 | |

In parentheses: `:styled`. Results, and what the weights do, are in docs/gans.md.
"""

from ml_collections import ConfigDict

from ganjax.configs import default
from ganjax.data import DataOptions
from ganjax.errors import choose
from ganjax.gans.cyclegan import CycleGan
from ganjax.models.translation import EncoderDecoder, PatchDiscriminator
from ganjax.options import options
from ganjax.train import Run


def get_config(domains: str = "uci") -> ConfigDict:
    c = ConfigDict(options(Run) | options(CycleGan))
    c.gan = "cyclegan"
    c.data = ConfigDict(options(DataOptions))
    c.generator = ConfigDict(options(EncoderDecoder))
    c.discriminator = ConfigDict(options(PatchDiscriminator))
    c.batch_size = 16
    c.sample_num = 64
    c.updates = "simultaneous"
    c.ema.half_life = 10_000.0
    choose({"uci": uci, "styled": styled}, domains, "--config=configs/cyclegan.py")(c)
    return c


def uci(c: ConfigDict) -> None:
    """UCI's handwritten digits and MNIST."""
    c.data.name = "uci_to_mnist"
    c.num_steps = 4000
    c.cycle = 20.0
    set_rate(c, 1e-3)


def styled(c: ConfigDict) -> None:
    """MNIST and slanted, outlined, colored digits, whose counterparts are known."""
    c.data.name = "styled_mnist"
    c.data.image_shape = (28, 28, 3)
    c.paired_test = True
    c.num_steps = 3500
    c.cycle = 2.0
    c.identity = 0.5
    c.discriminator.channels = (32, 64, 128)
    set_rate(c, 2e-3)


def set_rate(c: ConfigDict, start: float) -> None:
    """Adam with a learning rate from `start` to 0, for both players."""
    rate = {"name": "linear", "start": start, "end": 0.0}
    adam = {"learning_rate": rate, "b1": 0.5, "b2": 0.999}
    c.g_optimizer = default.optimizer("adam", **adam)
    c.d_optimizer = default.optimizer("adam", **adam)
