"""Figure 1 of "Generative Adversarial Nets", from a real training run.

Question: do two fully connected networks, trained as in arXiv:1406.2661 on data on a
line, end where theorem 1 says, at p_g = p_data and D = 1/2?

Command: python -m experiments.figure1 [--steps 3000] [--seed 0]   (19 s on two CPU
cores)

Result: yes. After a warm-up D differs from 1/2 by up to 0.486 on the central 99% of the
data; at the end of training by 0.052 (seed 0; the median of 24 seeds is 0.020). JSD
falls from 0.598 to 0.0010 nats (median 0.0047) and W1 from 1.50 to 0.027 (0.060).
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jax.scipy import stats
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

import ganjax
from experiments.common import MLP, make_parser, save_figure
from ganjax import TrainState, theory
from ganjax.gans.standard import Standard
from ganjax.losses import LOSSES
from ganjax.optim import Ema, make_optimizer
from ganjax.penalties import Penalty, r1
from ganjax.priors import Prior

MEAN, STD = 1.5, 0.75  # of p_data; z is N(0, 1)
X = jnp.linspace(-3.0, 5.0, 401)
LOG_P_DATA = stats.norm.logpdf(X, MEAN, STD)
SUPPORT = jnp.abs(X - MEAN) < 2.576 * STD  # the central 99% of the data
# D is first trained alone for WARM_UP steps, so that panel (b) shows it at its best.
# Without R1 both players circle around the solution: see ganjax/theory/dirac.py.
BATCH_SIZE, N_DIS, WARM_UP, GAMMA, LEARNING_RATE = 256, 3, 300, 0.02, 5e-3
FRAMES = 50
# Small weights keep tanh nearly linear, so that p_g starts as one bump.
SMALL = nn.initializers.variance_scaling(0.4, "fan_in", "normal")
GENERATOR = MLP((1,), (32, 32), nn.tanh, SMALL)
DISCRIMINATOR = MLP((), (32, 32), nn.tanh, SMALL)


# --- training -----------------------------------------------------------------------


def make_gan(steps: int) -> Standard:
    """The GAN on points [B, 1], with learning rates that decay over `steps`."""

    def adam(num_steps: int) -> dict[str, Any]:
        rate = {"name": "cosine", "start": LEARNING_RATE, "num_steps": num_steps}
        return {"name": "adam", "learning_rate": rate, "b1": 0.5}

    # The schedule of D counts the updates of D, so it includes those of the warm-up.
    d_steps = steps + WARM_UP // N_DIS
    return Standard(
        generator=GENERATOR,
        discriminator=DISCRIMINATOR,
        prior=Prior(z_dim=1),
        loss=LOSSES["non_saturating"],
        penalties=(Penalty("r1", r1, GAMMA),),
        g_optimizer=make_optimizer(adam(steps), "g_optimizer"),
        d_optimizer=make_optimizer(adam(d_steps), "d_optimizer", N_DIS),
        n_dis=N_DIS,
        ema=Ema(half_life=0.0),
    )


def draw_real(key: jax.Array, *shape: int) -> jax.Array:
    """Samples of p_data, float32 [*shape, BATCH_SIZE, 1]."""
    return MEAN + STD * jax.random.normal(key, (*shape, BATCH_SIZE, 1))


def train(steps: int, key: jax.Array) -> tuple[TrainState, TrainState, TrainState]:
    """The initial state, the one after the warm-up of D, and [FRAMES] later ones."""
    gan = make_gan(steps)
    init_key, warm_up_key, key = jax.random.split(key, 3)

    def warm_up(state: TrainState, key: jax.Array) -> tuple[TrainState, None]:
        return ganjax.d_step(gan, state, draw_real(key))[0], None

    def step(state: TrainState, key: jax.Array) -> tuple[TrainState, None]:
        return ganjax.train_step(gan, state, draw_real(key, N_DIS))[0], None

    def frame(state: TrainState, keys: jax.Array) -> tuple[TrainState, TrainState]:
        state, _ = lax.scan(step, state, keys)
        return state, state

    first = ganjax.init_state(gan, init_key)
    warm, _ = lax.scan(warm_up, first, jax.random.split(warm_up_key, WARM_UP))
    keys = jax.random.split(key, (FRAMES, steps // FRAMES))
    return first, warm, lax.scan(frame, warm, keys)[1]


# --- figures ------------------------------------------------------------------------


class Curves(NamedTuple):
    """The contents of a panel: arrays on X [401], and the ends of the arrows."""

    log_p_g: jax.Array
    d: jax.Array
    z: jax.Array  # [19], evenly spaced in probability
    g_of_z: jax.Array


def generate(state: TrainState, z: jax.Array) -> jax.Array:
    """G(z), [N] -> [N]."""
    return jnp.asarray(GENERATOR.apply(state.g.variables, z[:, None]))[:, 0]


def curves(state: TrainState) -> Curves:
    """p_g by a kernel density estimate (bandwidth 0.05) at 2,001 quantiles of z."""
    quantiles = stats.norm.ppf((jnp.arange(2001) + 0.5) / 2001)
    points = generate(state, quantiles)
    kernels = stats.norm.logpdf(X[:, None], points[None], 0.05)
    z = stats.norm.ppf(jnp.arange(1, 20) / 20)
    return Curves(
        jax.nn.logsumexp(kernels, axis=1) - math.log(len(points)),
        nn.sigmoid(jnp.asarray(DISCRIMINATOR.apply(state.d.variables, X[:, None]))),
        z,
        generate(state, z),
    )


def measure(now: Curves) -> tuple[float, float, float]:
    """max |D - 1/2| on the support, JSD(p_data || p_g) in nats, W1."""
    error = jnp.max(jnp.where(SUPPORT, jnp.abs(now.d - 0.5), 0.0))
    jsd = theory.js_divergence(LOG_P_DATA, now.log_p_g, X)
    cdfs = theory.cdf(LOG_P_DATA, X), theory.cdf(now.log_p_g, X)
    return float(error), float(jsd), float(theory.wasserstein_1d(*cdfs, X))


def draw(axes: Axes, now: Curves, title: str) -> None:
    """One panel: the densities and D above, the arrows from z to x below."""
    axes.plot(X, jnp.exp(LOG_P_DATA), "k:", linewidth=2, label="$p_{data}$")
    axes.plot(X, jnp.exp(now.log_p_g), "g-", linewidth=1.8, label="$p_g$")
    axes.plot(X, now.d, "b--", linewidth=1.5, label="$D$")
    for z, x in zip(now.z, now.g_of_z, strict=True):
        arrow = {"arrowstyle": "->", "color": "0.4", "linewidth": 0.7}
        axes.annotate("", (float(x), -0.15), (float(z), -0.5), arrowprops=arrow)
    for height, name in ((-0.15, "x"), (-0.5, "z")):
        axes.axhline(height, color="k", linewidth=1)
        axes.text(-2.9, height + 0.02, f"${name}$", fontsize=11)
    axes.set(xlim=(-3, 5), ylim=(-0.55, 1.25), title=title)
    axes.set(xticks=[], yticks=[0, 0.5, 1])
    axes.legend(loc="upper left", frameon=False, fontsize=9)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--steps", type=int, default=3000, help="generator updates")
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()

    first, warm, film = jax.jit(train, static_argnums=0)(
        flags.steps, jax.random.key(flags.seed)
    )
    frames = [jax.tree.map(lambda leaf, i=i: leaf[i], film) for i in range(FRAMES)]
    per_frame = flags.steps // FRAMES
    stages = {
        "(a) at the start": first,
        f"(b) after {WARM_UP} steps of D alone": warm,
        f"(c) after {per_frame} steps of G": frames[0],  # G moves fast at first
        f"(d) after {FRAMES * per_frame} steps of G": frames[-1],
    }

    figure = Figure(figsize=(14, 3.6), layout="constrained")
    panels = figure.subplots(1, 4)
    print("| stage | max abs(D - 1/2) | JSD, nats | W1 |\n|---|---|---|---|")
    for axes, (title, state) in zip(panels, stages.items(), strict=True):
        now = curves(state)
        error, jsd, w1 = measure(now)
        print(f"| {title} | {error:.4f} | {jsd:.4f} | {w1:.4f} |")
        draw(axes, now, title)
    save_figure(figure, flags.out / "figure1.png")

    film_stages = {"start": first, "D alone": warm}
    film_stages |= {f"G step {(i + 1) * per_frame}": s for i, s in enumerate(frames)}
    images = []
    figure = Figure(figsize=(4.4, 3.4), dpi=80, layout="constrained")
    axes, canvas = figure.subplots(), FigureCanvasAgg(figure)
    for title, state in film_stages.items():
        axes.clear()
        draw(axes, curves(state), title)
        canvas.draw()
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        # One palette without dithering takes few bytes.
        images.append(image.quantize(32, dither=Image.Dither.NONE))
    milliseconds = [1500, 1500] + [120] * (FRAMES - 1) + [3000]
    images[0].save(
        flags.out / "figure1.gif",
        save_all=True,
        append_images=images[1:],
        duration=milliseconds,
        loop=0,
    )


if __name__ == "__main__":
    main()
