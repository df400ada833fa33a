"""Which losses and penalties find all modes of a mixture of Gaussians?

Question: 8 thin Gaussians on a ring, 25 on a grid, the classical test of mode collapse
(VEEGAN, arXiv:1705.07761; PacGAN, arXiv:1712.04086). Of 2,500 samples, those within 3σ
of their nearest mean are of high quality (HQ); a mode with one of these is found; KL is
that of their histogram to the uniform one, in nats. Which settings find every mode?

Command: python -m experiments.mixtures [--steps 8000] [--seeds 10]

Result, 10 seeds, mean ± sample standard deviation; ring, then grid:

| setting | modes | HQ, % | KL | modes | HQ, % | KL |
|---|---:|---:|---:|---:|---:|---:|
| true samples | 8.0 | 98.8 ± 0.2 | 0.002 | 25.0 | 98.8 ± 0.2 | 0.005 |
| non_saturating | 6.8 ± 0.9 | 95.8 ± 0.8 | 0.223 | 11.9 ± 2.1 | 73.1 ± 5.8 | 1.095 |
| wgan + wgan_gp | 8.0 | 96.3 ± 1.1 | 0.002 | 22.0 ± 4.1 | 54.4 ± 32.3 | 0.456 |
| non_saturating + r1 | 8.0 | 95.0 ± 0.8 | 0.012 | 25.0 | 86.1 ± 4.0 | 0.024 |
| relativistic + r1_r2 | 8.0 | 92.6 ± 5.5 | 0.023 | 25.0 | 83.4 ± 7.5 | 0.037 |

Without a penalty modes are lost. With R1, or R1 + R2, every seed finds every mode of
both; the Wasserstein critic does so on the ring, but loses rows of the grid for some
seeds. The other samples lie between neighboring modes: a continuous map of one Gaussian
can't avoid the space between them.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import ganjax
from experiments.common import MLP, make_parser, mean_sd, save_figure
from ganjax import TrainState
from ganjax.gans.standard import Standard
from ganjax.losses import LOSSES
from ganjax.metrics.class_kl import histogram_kl
from ganjax.optim import Ema, Schedule, make_optimizer
from ganjax.penalties import PENALTIES, Penalty
from ganjax.priors import Prior

NUM = 2500  # samples that are scored
BATCH_SIZE, HIDDEN, HE_NORMAL = 128, (64, 64, 64, 64), nn.initializers.he_normal()
# modes, HQ in % and KL of the ring, then of the grid: tables of arXiv:1712.04086
PUBLISHED = {
    "GAN": "6.3 | 98.2 | 0.45 | 17.3 | 94.8 | 0.70",
    "VEEGAN": "8.0 | 52.9 | - | 24.6 | 40.0 | -",
    "PacGAN, packs of 2 and 4": "7.9 | 95.6 | 0.07 | 24.8 | 93.6 | 0.04",
}


# --- mixtures and their score -------------------------------------------------------


class Mixture(NamedTuple):
    """Gaussians in the plane, equally likely."""

    means: np.ndarray  # [M, 2]
    std: float

    @property
    def scale(self) -> float:
        """Coordinates are divided by this for training, which gives variance one."""
        return float(np.sqrt(np.mean(self.means**2) + self.std**2))


class Score(NamedTuple):
    """The score of a set of samples."""

    modes: int
    quality: float  # percent
    kl: float  # nats; without a sample of high quality as if all were on one mode


ANGLES = 2 * np.pi * np.arange(8) / 8
LINE = np.arange(-4.0, 5.0, 2.0)
MIXTURES = {
    "ring": Mixture(np.stack([np.cos(ANGLES), np.sin(ANGLES)], -1), 0.01),
    "grid": Mixture(np.stack(np.meshgrid(LINE, LINE), -1).reshape(-1, 2), 0.05),
}


def draw(mixture: Mixture, num: int, key: jax.Array) -> jax.Array:
    """True samples [num, 2]."""
    mode_key, noise_key = jax.random.split(key)
    modes = jax.random.randint(mode_key, (num,), 0, len(mixture.means))
    noise = mixture.std * jax.random.normal(noise_key, (num, 2))
    return jnp.asarray(mixture.means)[modes] + noise


def score(samples: np.ndarray, mixture: Mixture) -> Score:
    """The score of samples [N, 2]."""
    distances = np.linalg.norm(samples[:, None] - mixture.means, axis=2)
    good = distances.min(1) < 3 * mixture.std
    counts = np.bincount(distances.argmin(1)[good], minlength=len(mixture.means))
    kl = histogram_kl(counts, counts * 0 + 1) if good.any() else np.log(len(counts))
    return Score(int((counts > 0).sum()), 100 * float(good.mean()), float(kl))


# --- training -----------------------------------------------------------------------


class Setting(NamedTuple):
    """All that differs between the rows of the table."""

    loss: str
    penalty: str = ""
    weights: tuple[float, float] = (1.0, 1.0)  # of the penalty, first and last step
    learning_rate: float = 4e-3  # at first; a cosine takes it to 0
    n_dis: int = 1


# A large penalty keeps D smooth, and a smooth D spreads the samples over all modes.
# With a small one at the end D can resolve how thin the modes are.
DECAY = (1.0, 1e-3)
SETTINGS = {
    "non_saturating": Setting("non_saturating", learning_rate=1e-3),
    "wgan + wgan_gp": Setting("wgan", "wgan_gp", learning_rate=2e-3, n_dis=3),
    "non_saturating + r1": Setting("non_saturating", "r1", DECAY),
    "relativistic + r1_r2": Setting("relativistic", "r1_r2", DECAY),
}


def make_gan(setting: Setting, steps: int) -> Standard:
    """The GAN on points [B, 2], with schedules over `steps`."""
    rate = {"name": "cosine", "start": setting.learning_rate, "num_steps": steps}
    adam = {"name": "adam", "learning_rate": rate, "b1": 0.5, "b2": 0.99}
    weight = Schedule("exponential", *setting.weights, num_steps=steps)
    name = setting.penalty
    return Standard(
        generator=MLP((2,), HIDDEN, nn.relu, HE_NORMAL),
        discriminator=MLP((), HIDDEN, nn.relu, HE_NORMAL),
        prior=Prior(z_dim=2),
        loss=LOSSES[setting.loss],
        penalties=(Penalty(name, PENALTIES[name], weight),) if name else (),
        g_optimizer=make_optimizer(adam, "g_optimizer"),
        d_optimizer=make_optimizer(adam, "d_optimizer", setting.n_dis),
        n_dis=setting.n_dis,
        ema=Ema(half_life=0.0),
    )


def train(setting: Setting, mixture: Mixture, steps: int, key: jax.Array) -> jax.Array:
    """Samples [NUM, 2] of a generator after so many updates."""
    gan = make_gan(setting, steps)
    init_key, data_key, sample_key = jax.random.split(key, 3)

    def step(state: TrainState, key: jax.Array) -> tuple[TrainState, None]:
        real = draw(mixture, setting.n_dis * BATCH_SIZE, key) / mixture.scale
        batches = real.reshape(setting.n_dis, BATCH_SIZE, 2)
        return ganjax.train_step(gan, state, batches)[0], None

    state = ganjax.init_state(gan, init_key)
    state, _ = lax.scan(step, state, jax.random.split(data_key, steps))
    return mixture.scale * gan.sample(state.g_ema, sample_key, NUM)


# --- table and figure ---------------------------------------------------------------


def row(name: str, *scores: list[Score]) -> str:
    """A line of the table: mean ± standard deviation over seeds, mixture by mixture."""
    cells = [
        mean_sd(values, digits)
        for of_mixture in scores
        for values, digits in zip(zip(*of_mixture, strict=True), (1, 1, 3), strict=True)
    ]
    return " | ".join([f"| {name}", *cells]) + " |"


def draw_panel(axes: Axes, samples: np.ndarray, mixture: Mixture) -> None:
    """Samples over circles at the true means; an empty circle is a lost mode."""
    modes, quality, _ = score(samples, mixture)
    axes.plot(*mixture.means.T, "o", color="tab:orange", markersize=9, fillstyle="none")
    axes.plot(*samples.T, ".", color="tab:blue", markersize=1.5)
    limits = 1.3 * mixture.means.min(), 1.3 * mixture.means.max()
    axes.set(xlim=limits, ylim=limits, xticks=[], yticks=[], aspect="equal")
    axes.set_xlabel(f"{modes} of {len(mixture.means)} modes, HQ {quality:.1f}%")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--steps", type=int, default=8_000, help="generator updates")
    parser.add_argument("--seeds", type=int, default=10)
    flags = parser.parse_args()

    keys = jax.vmap(jax.random.key)(jnp.arange(flags.seeds))
    print("| setting | ring: modes | HQ, % | KL | grid: modes | HQ, % | KL |")
    print("|---|" + "---:|" * 6)
    for name, cells in PUBLISHED.items():
        print(f"| *{name}, published* | {cells} |")
    truth = [
        [score(np.asarray(draw(m, NUM, key)), m) for key in keys]
        for m in MIXTURES.values()
    ]
    print(row("*true samples*", *truth), flush=True)

    figure = Figure(figsize=(10, 5.6), layout="constrained")
    panels = figure.subplots(2, len(SETTINGS))
    for column, (name, setting) in zip(panels.T, SETTINGS.items(), strict=True):
        scores = []
        for axes, mixture in zip(column, MIXTURES.values(), strict=True):
            # All seeds in one program.
            run = jax.jit(jax.vmap(partial(train, setting, mixture, flags.steps)))
            samples = np.asarray(run(keys))
            scores.append([score(s, mixture) for s in samples])
            typical = np.argsort([s.quality for s in scores[-1]])[flags.seeds // 2]
            draw_panel(axes, samples[typical], mixture)
        column[0].set_title(name)
        print(row(name, *scores), flush=True)
    figure.suptitle(
        "2,500 samples of the seed with the median HQ, and circles at the true means"
    )
    save_figure(figure, flags.out / "mixtures.png", colors=32)


if __name__ == "__main__":
    main()
