"""Predictability minimization (Schmidhuber 1992), the older adversarial objective.

Question: an encoder makes a code of 4 units in (0, 1). For every unit a predictor sees
the other three and minimizes the squared error of its prediction; the encoder maximizes
the same error. Do the units become independent without a loss of information, and do
they find the independent factors of the data?

The standard GAN and its steps fit this game. The generator is the encoder; its input,
z elsewhere, is the data. The discriminator maps a code to the sum of the predictors'
squared errors, which it minimizes and the generator maximizes. There is no real term.

Command: python -m experiments.predictability [--steps 1000] [--seeds 10]   (1 minute)

Result, 10 seeds, mean ± sd, after 1,000 updates of the encoder with 10 of the
predictors before each; codes are rounded to bits, and all values are in bits:

| mixture | H(code) | redundancy | pairs | factor | 4 bits | factors |
|---|---:|---:|---:|---:|---:|---:|
| linear, before | 3.00 ± 0.41 | 1.00 ± 0.41 | 0.17 ± 0.11 | 0.47 ± 0.11 | 0 | 0 |
| linear | 4.00 ± 0.00 | 0.00 ± 0.00 | 0.00 ± 0.00 | 0.88 ± 0.26 | 10 | 8 |
| non-linear, before | 2.62 ± 0.51 | 1.38 ± 0.51 | 0.28 ± 0.17 | 0.43 ± 0.10 | 0 | 0 |
| non-linear | 3.96 ± 0.08 | 0.04 ± 0.08 | 0.00 ± 0.01 | 0.57 ± 0.22 | 8 | 1 |
| non-linear; blind | 1.00 ± 0.00 | 3.00 ± 0.00 | 1.00 ± 0.00 | 0.25 ± 0.00 | 0 | 0 |

Redundancy: sum of the units' entropies minus H(code). Pairs: mutual information of two
units. Factor: information on a factor in the best unit. 4 bits: seeds with independent
units and no loss. Factors: seeds whose units are the 4 factors, or their negations, in
some order. The units become independent and keep the information, but they are not
always the factors: every one-to-one map of the 16 patterns to 16 codes is as good.
Against blind predictors, which predict each unit's mean, the units only become binary
and copy each other: only predictors that see the other units make them independent.
"""

from collections.abc import Callable
from dataclasses import dataclass
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
from experiments.common import make_parser, mean_sd, save_figure
from ganjax.gans.standard import Standard
from ganjax.losses import Loss
from ganjax.optim import Ema, make_optimizer
from ganjax.priors import Prior

UNITS, OBSERVED, HIDDEN, BATCH_SIZE, N_DIS, LEARNING_RATE = 4, 8, 32, 64, 10, 0.01
BITS = jnp.array(list(np.ndindex(*[2] * UNITS)))  # every pattern of the factors
RNG = np.random.default_rng(0)
MIX = jnp.asarray(RNG.normal(size=(UNITS, OBSERVED)), jnp.float32)
REMIX = jnp.asarray(RNG.normal(size=(OBSERVED, OBSERVED)), jnp.float32)
MIXTURES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "linear": lambda bits: (2.0 * bits - 1) @ MIX,
    "non-linear": lambda bits: jnp.tanh((2.0 * bits - 1) @ MIX) @ REMIX,
}
FRAMES = 50

# --- the game -----------------------------------------------------------------------


@dataclass(frozen=True)
class Observations(Prior):
    """What the encoder sees: mixtures of independent fair bits."""

    mixture: str = "linear"

    def sample(self, key: jax.Array, num: int) -> jax.Array:
        bits = jax.random.bernoulli(key, 0.5, (num, UNITS))
        return MIXTURES[self.mixture](bits)


class Encoder(nn.Module):
    """Observations [B, OBSERVED] -> codes [B, UNITS] in (0, 1)."""

    image_shape: tuple[int, ...] = (UNITS,)

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool = True, labels: None = None
    ) -> jax.Array:
        return nn.sigmoid(nn.Dense(UNITS)(nn.tanh(nn.Dense(HIDDEN)(x))))


class Predictors(nn.Module):
    """Codes [B, UNITS] -> sum of the squared errors of predicted units [B].

    If `blind`, they do not see the other units: each predicts its unit's mean.
    """

    blind: bool = False

    @nn.compact
    def __call__(
        self, code: jax.Array, train: bool = True, labels: None = None
    ) -> jax.Array:
        error = jnp.zeros(len(code))
        for i in range(UNITS):
            others = jnp.delete(code, i, axis=1, assume_unique_indices=True)
            others = jnp.zeros_like(others) if self.blind else others
            prediction = nn.Dense(1)(nn.tanh(nn.Dense(HIDDEN)(others)))
            error += (nn.sigmoid(prediction[:, 0]) - code[:, i]) ** 2
        return error


ERROR = Loss(
    real=lambda real, fake: jnp.zeros_like(real),
    fake=lambda real, fake: fake,  # the predictors minimize their errors
    g=lambda real, fake: -fake,  # the encoder maximizes them
)


def make_gan(mixture: str, blind: bool) -> Standard:
    """The encoder of this mixture against its predictors."""
    adam = {"name": "adam", "learning_rate": LEARNING_RATE, "b1": 0.5}
    return Standard(
        generator=Encoder(),
        discriminator=Predictors(blind),
        prior=Observations(z_dim=OBSERVED, mixture=mixture),
        loss=ERROR,
        g_optimizer=make_optimizer(adam, "g_optimizer"),
        d_optimizer=make_optimizer(adam, "d_optimizer", N_DIS),
        n_dis=N_DIS,
        ema=Ema(half_life=0.0),
    )


# Mixture, and whether the predictors are blind.
CASES = {
    "linear": ("linear", False),
    "non-linear": ("non-linear", False),
    "non-linear; blind": ("non-linear", True),
}


def train(mixture: str, blind: bool, steps: int, key: jax.Array) -> jax.Array:
    """Codes of all patterns [FRAMES + 1, 16, UNITS], the first before training."""
    gan = make_gan(mixture, blind)
    unused = jnp.zeros((N_DIS, BATCH_SIZE, UNITS))  # the place of real data
    observations = MIXTURES[mixture](BITS)

    def encode(state: ganjax.TrainState) -> jax.Array:
        return jnp.asarray(gan.generator.apply(state.g.variables, observations))

    def step(state: ganjax.TrainState, _: None) -> tuple[ganjax.TrainState, None]:
        return ganjax.train_step(gan, state, unused)[0], None

    def frame(state: ganjax.TrainState, _: None) -> tuple[ganjax.TrainState, jax.Array]:
        state, _ = lax.scan(step, state, length=steps // FRAMES)
        return state, encode(state)

    first = ganjax.init_state(gan, key)
    _, codes = lax.scan(frame, first, length=FRAMES)
    return jnp.concatenate([encode(first)[None], codes])


# --- measures -----------------------------------------------------------------------


def entropy(symbols: np.ndarray) -> float:
    """The entropy in bits of a column [N] or of rows [N, K], all equally likely."""
    _, counts = np.unique(symbols, axis=0, return_counts=True)
    p = counts / len(symbols)
    return float(-np.sum(p * np.log2(p)))


def mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    """I(a; b) in bits between two columns [N]."""
    return entropy(a) + entropy(b) - entropy(np.stack([a, b], axis=1))


def pairwise(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """I between every column of [N, K] and every column of [N, L]: [K, L]."""
    return np.array([[mutual_information(x, y) for y in b.T] for x in a.T])


class Measures(NamedTuple):
    """Of a code [16, UNITS] that is rounded to bits; everything in bits."""

    information: float  # H(code): 4 if no two patterns have the same code
    redundancy: float  # sum of H(unit) minus H(code): 0 if the units are independent
    pairs: float  # mutual information of two units, averaged over pairs
    factor: float  # information on a factor in the best unit, averaged over factors


def measure(code: np.ndarray) -> Measures:
    """The measures of one code, [16, UNITS]."""
    bits = (code > 0.5).astype(int)
    units = sum(entropy(unit) for unit in bits.T)
    between = pairwise(bits, bits)[~np.eye(UNITS, dtype=bool)]
    best = pairwise(bits, np.asarray(BITS)).max(axis=0)
    kept = entropy(bits)
    return Measures(kept, units - kept, float(between.mean()), float(best.mean()))


# --- figure -------------------------------------------------------------------------


def draw_matrix(axes: Axes, code: np.ndarray, title: str) -> None:
    """The information of every unit on every factor."""
    values = pairwise((code > 0.5).astype(int), np.asarray(BITS))
    axes.imshow(values, cmap="Greens", vmin=0, vmax=1)
    for (i, j), value in np.ndenumerate(values):
        color = "w" if value > 0.6 else "k"
        axes.text(j, i, f"{value:.2f}", ha="center", va="center", color=color)
    axes.set(xlabel="factor", ylabel="unit", title=title)
    axes.set(xticks=range(UNITS), yticks=range(UNITS))


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--steps", type=int, default=1000, help="encoder updates")
    parser.add_argument("--seeds", type=int, default=10)
    flags = parser.parse_args()
    keys = jax.vmap(jax.random.key)(jnp.arange(flags.seeds))

    figure = Figure(figsize=(13, 3.8), layout="constrained")
    panels = figure.subplots(1, 3)
    print("| mixture | H(code) | redundancy | pairs | factor | 4 bits | factors |")
    print("|---|---|---|---|---|---|---|")
    for name, case in CASES.items():
        codes = np.asarray(jax.jit(jax.vmap(partial(train, *case, flags.steps)))(keys))
        measures = [[measure(code) for code in run] for run in codes]
        for when, index in (("before", 0), ("after", -1)):
            rows = [run[index] for run in measures]
            cells = [mean_sd(column) for column in zip(*rows, strict=True)]
            cells.append(str(sum(np.allclose(row[:2], (UNITS, 0)) for row in rows)))
            cells.append(str(sum(np.isclose(row.factor, 1.0) for row in rows)))
            print(f"| {name}, {when} | {' | '.join(cells)} |")
        values = np.array([[m.redundancy for m in run] for run in measures])
        x = np.linspace(0, flags.steps, FRAMES + 1)
        panels[0].plot(x, values.mean(axis=0), label=f"{name}, mean and range")
        panels[0].fill_between(x, values.min(axis=0), values.max(axis=0), alpha=0.15)
        if name == "linear":
            order = np.argsort([run[-1].factor for run in measures])
            for axes, seed in zip(panels[1:], (order[-1], order[0]), strict=True):
                draw_matrix(axes, codes[seed, -1], f"information, linear, seed {seed}")
    panels[0].set(xlabel="encoder updates", title="redundancy of the units, bits")
    panels[0].legend(fontsize=8, loc="center right")
    save_figure(figure, flags.out / "predictability.png", colors=128)


if __name__ == "__main__":
    main()
