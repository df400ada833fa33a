"""C-RNN-GAN (arXiv:1611.09904): sequences of notes, on Bach's chorales.

pip install 'ganjax[music]'
python -m ganjax.main --config configs/crnn_gan.py
python -m ganjax.main --config configs/crnn_gan.py:paper
python -m ganjax.main --mode=sample --workdir runs/crnn_gan --out=midi
python -m ganjax.main --mode=evaluate --workdir runs/crnn_gan --num=2000

The generator is a stack of LSTMs that gets z and its previous note at each step; the
discriminator reads the notes in both directions and averages its decision over them.

| the paper says | ganjax does | why |
|---|---|---|
| 3,697 files of classical music from the web | chorales in music21 | license, size |
| frequency, length, intensity, gap | `music.encode`, no intensity | see below |
| two layers of 350 units, D bidirectional | two of 96 | minutes on a CPU |
| probabilities averaged over steps | `:paper`; logits by default | other loss |
| z uniform in [0, 1], of 4 dimensions | `:paper`, unit variance; 16 normal | |
| feature matching of D's last layer | `:paper`, of batch means | 1606.03498, eq. 1 |
| SGD, rate 0.1, batches of 20 | `:paper`; Adam by default | |
| L2 regularization, no weight given | `:paper`, 1e-5 | left open |
| pre-training for 6 epochs on the next note | its weight fades over the run | |
| pre-training from short to long sequences | one length, 64 notes | fixed shapes |
| D or G stops while its loss is 70% of the other's | `:paper`, by gradients of 0 | |
| 1 or 3 tones per step | 1 | |

The default has the same networks with the relativistic loss and R1 + R2 of
arXiv:2501.05441. Intensity is left out since it is constant in this corpus: as a
feature it would only tell real notes, where it is exact, from generated ones.

Held-out pieces and an untrained generator stand beside every statistic. No public
implementation is known to make music that people take for composed.
Results are in docs/gans.md: rhythm is learned in part, keys are not.
"""

from ml_collections import ConfigDict

from ganjax.config import override
from ganjax.configs import default
from ganjax.data import DataOptions
from ganjax.errors import choose
from ganjax.gans.crnn_gan import CRnnGan
from ganjax.models import recurrent
from ganjax.options import options
from ganjax.train import Run

NOTES = 64  # in a sequence: about four bars


def get_config(setting: str = "relativistic") -> ConfigDict:
    c = ConfigDict(options(Run) | options(CRnnGan))
    c.gan = "crnn_gan"
    c.data = ConfigDict(options(DataOptions, name="chorales", image_shape=(NOTES, 3)))
    c.num_steps = 4500
    c.batch_size = 32
    c.sample_num = 8
    c.ema.half_life = 20_000.0
    # From teaching the next note to the adversarial loss alone.
    override(c, "next_note", {"name": "exponential", "start": 1.0, "end": 1e-4})
    c.generator = ConfigDict(options(recurrent.Generator, hidden=(96, 96)))
    c.discriminator = ConfigDict(options(recurrent.Discriminator, hidden=(96, 96)))
    choose(SETTINGS, setting, "--config=configs/crnn_gan.py:SETTING")(c)
    return c


def paper(c: ConfigDict) -> None:
    """The paper's losses and optimizer."""
    c.batch_size = 20
    c.loss = "non_saturating"
    c.adversarial = 0.0
    c.feature_matching = 1.0
    c.freeze = 0.7
    c.prior.distribution = "uniform"
    c.prior.z_dim = 4
    c.penalties = default.penalties()
    # Limits of gradients are those of the authors' program.
    sgd = {"learning_rate": 0.1, "max_grad_norm": 5.0, "weight_decay": 1e-5}
    c.g_optimizer = default.optimizer("sgd", **sgd)
    c.d_optimizer = default.optimizer("sgd", **sgd)


def relativistic(c: ConfigDict) -> None:
    """A loss and penalties with which the discriminator may stay ahead."""
    c.prior.z_dim = 16
    c.discriminator.average = "logits"
    c.penalties = default.penalties(r1_r2=1.0)
    adam = {"learning_rate": 1e-3, "b1": 0.0, "b2": 0.99}
    c.g_optimizer = default.optimizer("adam", **adam)
    c.d_optimizer = default.optimizer("adam", **adam)


SETTINGS = {"paper": paper, "relativistic": relativistic}
