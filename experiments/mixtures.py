"""Which games find all modes? Mixtures of Gaussians, where modes can be counted.

Question: 8 thin Gaussians on a ring, 25 on a grid, the classical test of mode collapse
(VEEGAN, arXiv:1705.07761; PacGAN, arXiv:1712.04086). 2,500 samples; those within 3σ of
their nearest mean are of high quality (HQ); a mode with one of these is found; KL is
that of their histogram to the uniform one, in nats. Which games find every mode?

Command: python -m experiments.mixtures [--steps 8000] [--seeds 10]

Result, 10 seeds, mean ± sample standard deviation; ring, then grid:

| game | modes | HQ % | KL | modes | HQ % | KL |
|---|---:|---:|---:|---:|---:|---:|
| true samples | 8.0 | 98.8 ± .2 | .002 | 25.0 | 98.8 ± .2 | .005 |
| non_saturating | 7.2 ± .6 | 95.9 ± .5 | .175 | 13.7 ± 1.3 | 70.0 ± 7.1 | .995 |
| wgan + wgan_gp | 8.0 | 96.7 ± .7 | .002 | 23.5 ± 3.7 | 60.1 ± 23.2 | .314 |
| non_saturating + r1 | 8.0 | 93.9 ± 1.2 | .013 | 25.0 | 86.4 ± 4.2 | .023 |
| relativistic + r1_r2 | 8.0 | 94.5 ± 1.2 | .004 | 25.0 | 83.9 ± 2.4 | .025 |

Without a penalty modes are lost. With R1, or R1 + R2, every seed finds every mode of
both; the Wasserstein critic does so on the ring, but loses a row of the grid now and
then. What misses the modes lies between neighbours: a continuous map of one Gaussian
can't avoid the way from one to the next.
"""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.runs import make_parser, mean_sd, save_figure
from ganjax.losses import LOSSES, Loss
from ganjax.metrics.scores import histogram_kl
from ganjax.penalties import PENALTIES, PenaltyFn

NUM = 2500  # samples that are scored
BATCH_SIZE, WIDTH, DEPTH = 128, 64, 4
# modes, HQ % and KL of the ring, then of the grid: tables of arXiv:1712.04086
PUBLISHED = {
    "GAN": "6.3 | 98.2 | .45 | 17.3 | 94.8 | .70",
    "VEEGAN": "8.0 | 52.9 | - | 24.6 | 40.0 | -",
    "PacGAN, packs of 2 and 4": "7.9 | 95.6 | .07 | 24.8 | 93.6 | .04",
}


# ---- Mixtures and their score -----------------------------------------------


class Mixture(NamedTuple):
    """Gaussians in the plane, equally likely."""

    means: np.ndarray  # [M, 2]
    std: float

    @property
    def scale(self) -> float:
        """Divided by this, the coordinates have variance one: what the players see."""
        return float(np.sqrt(np.mean(self.means**2) + self.std**2))


class Score(NamedTuple):
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
    """Modes found, share of high quality and KL of samples [N, 2]."""
    distances = np.linalg.norm(samples[:, None] - mixture.means, axis=2)
    good = distances.min(1) < 3 * mixture.std
    counts = np.bincount(distances.argmin(1)[good], minlength=len(mixture.means))
    kl = histogram_kl(counts, counts * 0 + 1) if good.any() else np.log(len(counts))
    return Score(int((counts > 0).sum()), 100 * float(good.mean()), float(kl))


# ---- The games --------------------------------------------------------------


class Game(NamedTuple):
    """All that differs between the rows of the table."""

    loss: Loss
    penalty: PenaltyFn = lambda d_fn, real, fake, key: jnp.zeros(len(real))
    weights: tuple[float, float] = (1.0, 1.0)  # of the penalty, first and last step
    learning_rate: float = 4e-3  # at first; a cosine takes it to 0
    n_dis: int = 1  # updates of D for each of G


# Much penalty keeps D smooth, and a smooth D spreads the fakes over all modes; with
# little of it at the end D can see how thin the modes are.
GAMMA = (1.0, 1e-3)
GAMES = {
    "non_saturating": Game(LOSSES["non_saturating"], learning_rate=1e-3),
    "wgan + wgan_gp": Game(LOSSES["wgan"], PENALTIES["wgan_gp"], (1.0, 1.0), 2e-3, 3),
    "non_saturating + r1": Game(LOSSES["non_saturating"], PENALTIES["r1"], GAMMA),
    "relativistic + r1_r2": Game(LOSSES["relativistic"], PENALTIES["r1_r2"], GAMMA),
}


class MLP(nn.Module):
    """Either player: points [B, 2] to [B, features]."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(DEPTH):
            x = nn.relu(nn.Dense(WIDTH, kernel_init=nn.initializers.he_normal())(x))
        return nn.Dense(self.features)(x)


def generate(params: optax.Params, num: int, key: jax.Array) -> jax.Array:
    """Fakes [num, 2] from Gaussian noise."""
    return jnp.asarray(MLP(2).apply(params, jax.random.normal(key, (num, 2))))


def discriminate(params: optax.Params, x: jax.Array) -> jax.Array:
    """Logits [B] of points [B, 2]."""
    return jnp.asarray(MLP(1).apply(params, x))[:, 0]


def new_player(features: int, schedule: optax.Schedule, key: jax.Array) -> TrainState:
    mlp = MLP(features)
    tx = optax.adam(schedule, b1=0.5, b2=0.99)
    params = mlp.init(key, jnp.zeros((1, 2)))
    return TrainState.create(apply_fn=mlp.apply, params=params, tx=tx)


def play(game: Game, mixture: Mixture, steps: int, key: jax.Array) -> jax.Array:
    """Samples [NUM, 2] of a generator after so many updates."""

    def batch(g_params: optax.Params, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        real_key, z_key = jax.random.split(key)
        real = draw(mixture, BATCH_SIZE, real_key) / mixture.scale
        return real, generate(g_params, BATCH_SIZE, z_key)

    def d_loss(
        params: optax.Params, g: TrainState, weight: jax.Array, key: jax.Array
    ) -> jax.Array:
        batch_key, penalty_key = jax.random.split(key)
        real, fake = batch(g.params, batch_key)
        d_fn = partial(discriminate, params)
        logits = jnp.split(d_fn(jnp.concatenate([real, fake])), 2)
        penalty = game.penalty(d_fn, real, fake, penalty_key)
        return jnp.mean(game.loss.d(*logits) + weight * penalty)

    def g_loss(params: optax.Params, d: TrainState, key: jax.Array) -> jax.Array:
        logits = [discriminate(d.params, x) for x in batch(params, key)]
        return jnp.mean(game.loss.g(*logits))

    def step(
        players: tuple[TrainState, TrainState], now: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[TrainState, TrainState], None]:
        (g, d), (progress, key) = players, now
        first, last = game.weights
        weight = first * (last / first) ** progress
        g_key, *d_keys = jax.random.split(key, 1 + game.n_dis)
        for d_key in d_keys:
            d = d.apply_gradients(grads=jax.grad(d_loss)(d.params, g, weight, d_key))
        return (g.apply_gradients(grads=jax.grad(g_loss)(g.params, d, g_key)), d), None

    g_key, d_key, end_key, key = jax.random.split(key, 4)
    decay = partial(optax.cosine_decay_schedule, game.learning_rate)
    g = new_player(2, decay(steps), g_key)
    d = new_player(1, decay(steps * game.n_dis), d_key)
    moments = jnp.linspace(0.0, 1.0, steps), jax.random.split(key, steps)
    (g, _), _ = jax.lax.scan(step, (g, d), moments)
    return mixture.scale * generate(g.params, NUM, end_key)


# ---- The table and the picture ----------------------------------------------


def row(name: str, *scores: list[Score]) -> str:
    """A line of the table: mean ± standard deviation over seeds, mixture by mixture."""
    columns = [column for of_mixture in scores for column in zip(*of_mixture)]  # noqa: B905
    digits = [1, 1, 3] * len(scores)
    return " | ".join([f"| {name}", *map(mean_sd, columns, digits)]) + " |"


def draw_panel(axes: Axes, samples: np.ndarray, mixture: Mixture) -> None:
    """Samples over circles around the true means; an empty circle is a lost mode."""
    modes, quality, _ = score(samples, mixture)
    axes.plot(*mixture.means.T, "o", color="tab:orange", markersize=9, fillstyle="none")
    axes.plot(*samples.T, ".", color="tab:blue", markersize=1.5)
    limits = 1.3 * mixture.means.min(), 1.3 * mixture.means.max()
    axes.set(xlim=limits, ylim=limits, xticks=[], yticks=[], aspect="equal")
    axes.set_xlabel(f"{modes} of {len(mixture.means)} modes, HQ {quality:.1f} %")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--steps", type=int, default=8_000, help="updates of G")
    parser.add_argument("--seeds", type=int, default=10)
    flags = parser.parse_args()

    keys = jax.vmap(jax.random.key)(jnp.arange(flags.seeds))
    print("| game | ring: modes | HQ % | KL | grid: modes | HQ % | KL |")
    print("|---|" + "---:|" * 6)
    for name, cells in PUBLISHED.items():
        print(f"| *{name}, published* | {cells} |")
    truth = [[score(draw(m, NUM, key), m) for key in keys] for m in MIXTURES.values()]
    print(row("*true samples*", *truth), flush=True)

    figure = Figure(figsize=(10, 5.6), layout="constrained")
    panels = figure.subplots(2, len(GAMES))
    for column, (name, game) in zip(panels.T, GAMES.items(), strict=True):
        scores = []
        for axes, mixture in zip(column, MIXTURES.values(), strict=True):
            train = jax.jit(jax.vmap(partial(play, game, mixture, flags.steps)))
            samples = np.asarray(train(keys))  # all seeds in one program
            scores.append([score(s, mixture) for s in samples])
            draw_panel(axes, samples[0], mixture)
        column[0].set_title(name)
        print(row(name, *scores), flush=True)
    figure.suptitle(
        "2,500 samples of seed 0, not selected, and circles at the true means"
    )
    save_figure(figure, flags.out / "mixtures.png", colours=32)


if __name__ == "__main__":
    main()
