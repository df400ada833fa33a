"""Which games find all modes? Mixtures of Gaussians, where one can count.

Question: eight modes on a ring, 25 on a grid, thin and far apart: the classical test of
mode collapse (VEEGAN, arXiv:1705.07761; PacGAN, arXiv:1712.04086). 2,500 samples; one
within 3σ of its nearest mean is of high quality (HQ), and one such sample finds a mode.
KL is that of the histogram of high-quality samples to the uniform one, in nats. Which
of the games below finds every mode, and with its due share of samples?

Command: python -m experiments.mixtures [--steps 10000] [--seeds 10]

RESULT_HERE
"""

import argparse
import functools
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from PIL import Image

from experiments.runs import mean_sd
from ganjax.losses import LOSSES, Loss
from ganjax.metrics.scores import histogram_kl
from ganjax.penalties import PENALTIES, DiscriminatorFn, PenaltyFn

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

RESULTS = Path(__file__).parent / "results"
NUM = 2500  # samples that are scored
BATCH_SIZE, Z_DIM, WIDTH, DEPTH = 128, 2, 64, 4


# ---- The data and the score -------------------------------------------------


class Mixture(NamedTuple):
    """Equally likely Gaussians in the plane."""

    means: np.ndarray  # [M, 2]
    std: float

    @property
    def scale(self) -> float:
        """Root mean square of a coordinate: the players see data of variance one."""
        return float(np.sqrt(np.mean(self.means**2) + self.std**2))


class Score(NamedTuple):
    modes: int
    quality: float  # percent
    kl: float  # nats; log M, that of a single mode, if no sample is of high quality


angles = 2 * np.pi * np.arange(8) / 8
line = np.arange(-4.0, 5.0, 2.0)
MIXTURES = {
    "ring": Mixture(np.stack([np.cos(angles), np.sin(angles)], 1), 0.01),
    "grid": Mixture(np.stack(np.meshgrid(line, line), -1).reshape(-1, 2), 0.05),
}
# modes, HQ % and KL on the ring, then on the grid: PacGAN's tables 1 and 2
PUBLISHED = {
    "GAN": "6.3 | 98.2 | .45 | 17.3 | 94.8 | .70",
    "VEEGAN": "8 | 52.9 | | 24.6 | 40 |",
    "PacGAN2 (ring), PacGAN4 (grid)": "7.9 | 95.6 | .07 | 24.8 | 93.6 | .04",
}


def draw(mixture: Mixture, num: int, key: jax.Array) -> jax.Array:
    """True samples [num, 2]."""
    mode_key, noise_key = jax.random.split(key)
    modes = jax.random.randint(mode_key, (num,), 0, len(mixture.means))
    noise = mixture.std * jax.random.normal(noise_key, (num, 2))
    return jnp.asarray(mixture.means)[modes] + noise


def score(samples: np.ndarray, mixture: Mixture) -> Score:
    """Modes, high quality and KL of samples [N, 2]."""
    distances = np.linalg.norm(samples[:, None] - mixture.means, axis=2)
    good = distances.min(1) < 3 * mixture.std
    counts = np.bincount(distances.argmin(1)[good], minlength=len(mixture.means))
    uniform = np.ones(len(mixture.means))
    kl = histogram_kl(counts, uniform) if good.any() else np.log(len(mixture.means))
    return Score(int((counts > 0).sum()), 100 * float(good.mean()), float(kl))


# ---- The games --------------------------------------------------------------


def no_penalty(
    d_fn: DiscriminatorFn, real: jax.Array, fake: jax.Array, key: jax.Array
) -> jax.Array:
    return jnp.zeros(len(real))


class Game(NamedTuple):
    """Everything in which the rows of the table differ."""

    loss: Loss
    penalty: PenaltyFn = no_penalty
    weights: tuple[float, float] = (1.0, 1.0)  # of the penalty: first and last step
    learning_rate: float = 4e-3  # first step; a cosine takes it to 0
    n_dis: int = 1  # updates of D for each of G


# A large penalty keeps D smooth, and a smooth D spreads the fakes over all modes; a
# small one at the end lets it draw the modes as thin as they are.
GAMMA = (0.2, 2e-4)
GAMES = {
    "non_saturating": Game(LOSSES["non_saturating"], learning_rate=1e-3),
    "wgan + wgan_gp": Game(LOSSES["wgan"], PENALTIES["wgan_gp"], (1.0, 1.0), 2e-3, 3),
    "non_saturating + r1": Game(LOSSES["non_saturating"], PENALTIES["r1"], GAMMA),
    "relativistic + r1_r2": Game(LOSSES["relativistic"], PENALTIES["r1_r2"], GAMMA),
}


class MLP(nn.Module):
    """Both players: points [B, …] to [B, features]."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(DEPTH):
            x = nn.relu(nn.Dense(WIDTH, kernel_init=nn.initializers.he_normal())(x))
        return nn.Dense(self.features)(x)


def generate(g_params: optax.Params, num: int, key: jax.Array) -> jax.Array:
    """Fakes [num, 2] from Gaussian noise."""
    return jnp.asarray(MLP(2).apply(g_params, jax.random.normal(key, (num, Z_DIM))))


def discriminate(d_params: optax.Params, x: jax.Array) -> jax.Array:
    """Logits [B] of points [B, 2]."""
    return jnp.asarray(MLP(1).apply(d_params, x))[:, 0]


class Players(NamedTuple):
    g_params: optax.Params
    g_opt: optax.OptState
    d_params: optax.Params
    d_opt: optax.OptState


def play(game: Game, mixture: Mixture, steps: int, key: jax.Array) -> jax.Array:
    """Samples [NUM, 2] of a generator after so many updates of it."""
    g_tx, d_tx = (
        optax.adam(optax.cosine_decay_schedule(game.learning_rate, n), b1=0.5, b2=0.99)
        for n in (steps, steps * game.n_dis)
    )
    first, last = game.weights

    def batch(g_params: optax.Params, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        real_key, z_key = jax.random.split(key)
        real = draw(mixture, BATCH_SIZE, real_key) / mixture.scale
        return real, generate(g_params, BATCH_SIZE, z_key)

    def d_loss(
        d_params: optax.Params,
        g_params: optax.Params,
        weight: jax.Array,
        key: jax.Array,
    ) -> jax.Array:
        batch_key, penalty_key = jax.random.split(key)
        real, fake = batch(g_params, batch_key)
        d_fn = functools.partial(discriminate, d_params)
        real_logits, fake_logits = jnp.split(d_fn(jnp.concatenate([real, fake])), 2)
        penalty = weight * game.penalty(d_fn, real, fake, penalty_key)
        return jnp.mean(game.loss.d(real_logits, fake_logits) + penalty)

    def g_loss(
        g_params: optax.Params, d_params: optax.Params, key: jax.Array
    ) -> jax.Array:
        # the real logits are for relativistic losses; for others the compiler drops them
        logits = [discriminate(d_params, x) for x in batch(g_params, key)]
        return jnp.mean(game.loss.g(*logits))

    def step(
        players: Players, now: tuple[jax.Array, jax.Array]
    ) -> tuple[Players, None]:
        progress, key = now
        weight = first * (last / first) ** progress
        g_params, g_opt, d_params, d_opt = players
        g_key, *d_keys = jax.random.split(key, 1 + game.n_dis)
        for d_key in d_keys:
            gradient = jax.grad(d_loss)(d_params, g_params, weight, d_key)
            update, d_opt = d_tx.update(gradient, d_opt)
            d_params = optax.apply_updates(d_params, update)
        gradient = jax.grad(g_loss)(g_params, d_params, g_key)
        update, g_opt = g_tx.update(gradient, g_opt)
        return Players(
            optax.apply_updates(g_params, update), g_opt, d_params, d_opt
        ), None

    g_key, d_key, end_key, key = jax.random.split(key, 4)
    g_params = MLP(2).init(g_key, jnp.zeros((1, Z_DIM)))
    d_params = MLP(1).init(d_key, jnp.zeros((1, 2)))
    players = Players(g_params, g_tx.init(g_params), d_params, d_tx.init(d_params))
    schedule = jnp.linspace(0.0, 1.0, steps), jax.random.split(key, steps)
    players, _ = jax.lax.scan(step, players, schedule)
    return mixture.scale * generate(players.g_params, NUM, end_key)


# ---- The table and the picture ----------------------------------------------


def row(name: str, scores: dict[str, list[Score]]) -> str:
    """One line of the table: mean ± standard deviation over seeds."""
    columns = [column for m in MIXTURES for column in zip(*scores[m], strict=True)]
    cells = [
        mean_sd(c, digits) for c, digits in zip(columns, [1, 1, 3] * 2, strict=True)
    ]
    return "| " + " | ".join([name, *cells]) + " |"


def panel(axes: plt.Axes, samples: np.ndarray, mixture: Mixture) -> None:
    """Samples in blue over circles around the true means."""
    result = score(samples, mixture)
    axes.plot(*mixture.means.T, "o", color="tab:orange", markersize=9, fillstyle="none")
    axes.plot(*samples.T, ".", color="tab:blue", markersize=1.5)
    limit = 1.3 * float(np.abs(mixture.means).max())
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(
        f"{result.modes}/{len(mixture.means)} modes, HQ {result.quality:.1f} %"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10_000, help="updates of G")
    parser.add_argument("--seeds", type=int, default=10)
    flags = parser.parse_args()

    keys = jax.vmap(jax.random.key)(jnp.arange(flags.seeds))
    samplers = {name: functools.partial(play, game) for name, game in GAMES.items()}
    print("| game | ring: modes | HQ % | KL | grid: modes | HQ % | KL |")
    print("|---|" + "---:|" * 6)
    for name, cells in PUBLISHED.items():
        print(f"| *{name}, published* | {cells} |")
    truth = {
        m: [score(np.asarray(draw(mixture, NUM, key)), mixture) for key in keys]
        for m, mixture in MIXTURES.items()
    }
    print(row("*true samples*", truth), flush=True)

    figure, panels = plt.subplots(
        len(MIXTURES), len(GAMES), figsize=(10, 5.6), layout="constrained"
    )
    for column, (name, sampler) in zip(panels.T, samplers.items(), strict=True):
        scores = {}
        for axes, (m, mixture) in zip(column, MIXTURES.items(), strict=True):
            # all seeds are one program
            train = jax.jit(jax.vmap(functools.partial(sampler, mixture, flags.steps)))
            samples = np.asarray(train(keys))
            scores[m] = [score(s, mixture) for s in samples]
            panel(axes, samples[0], mixture)
        column[0].set_title(name)
        print(row(name, scores), flush=True)
    figure.suptitle("2,500 samples of seed 0; circles: the true modes")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "mixtures.png"
    figure.savefig(path, dpi=100)
    Image.open(path).convert("RGB").quantize(32).save(path)


if __name__ == "__main__":
    main()
