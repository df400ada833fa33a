"""Figure 1 of "Generative Adversarial Nets", from a training and not by hand.

Question: do two multilayer perceptrons that play the game of arXiv:1406.2661 on a line
end where theorem 1 says, at p_g = p_data and D = 1/2?

Command: python -m experiments.figure1 [--steps 3000] [--seed 0]   (19 s on two CPU
cores)

Result, seed 0: yes. On the central 99 % of the data D stays within .025 of 1/2 at the
end, where a D trained alone reaches .48; JSD falls from .537 to .0009 nats and W1 from
1.50 to .014.
"""

import math
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy import stats
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from experiments.runs import make_parser, save_figure
from ganjax import theory
from ganjax.losses import LOSSES
from ganjax.penalties import r1

MEAN, STD = 1.5, 0.75  # p_data; the noise is N(0, 1)
X = jnp.linspace(-3.0, 5.0, 401)
LOG_P_DATA = stats.norm.logpdf(X, MEAN, STD)
SUPPORT = jnp.abs(X - MEAN) < 2.576 * STD  # the central 99 % of the data
# D plays WARM_UP steps alone, so that stage b shows it at its best, then N_DIS for
# each of G. R1 with γ = .02 because without it the players circle: theory.py
BATCH_SIZE, N_DIS, WARM_UP, GAMMA, LR = 256, 3, 300, 0.02, 5e-3
FRAMES = 50


# ---- The game ---------------------------------------------------------------


# small, so that the tanh starts near its linear part and p_g as one bump
SMALL = nn.initializers.variance_scaling(0.4, "fan_in", "normal")


class MLP(nn.Module):
    """A number to a number: the generator and the discriminator are both this."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x[:, None]
        for _ in range(2):
            x = nn.tanh(nn.Dense(32, kernel_init=SMALL)(x))
        return nn.Dense(1)(x)[:, 0]


def apply(params: optax.Params, x: jax.Array) -> jax.Array:
    """Either player: G(z) from the noise [B], or D's logits from points [B]. -> [B]"""
    return jnp.asarray(MLP().apply(params, x))


class Players(NamedTuple):
    g_params: optax.Params
    g_opt: optax.OptState
    d_params: optax.Params
    d_opt: optax.OptState


def d_loss(d_params: optax.Params, g_params: optax.Params, key: jax.Array) -> jax.Array:
    """-V(D, G) + R1, on a fresh batch."""
    real_key, z_key = jax.random.split(key)
    real = MEAN + STD * jax.random.normal(real_key, (BATCH_SIZE,))
    fake = apply(g_params, jax.random.normal(z_key, (BATCH_SIZE,)))
    d_fn = partial(apply, d_params)
    loss = LOSSES["minimax"].d(d_fn(real), d_fn(fake))
    return jnp.mean(loss + GAMMA * r1(d_fn, real, fake, key))


def g_loss(g_params: optax.Params, d_params: optax.Params, key: jax.Array) -> jax.Array:
    """-log D(G(z)), the non-saturating form, on fresh noise."""
    fake = apply(g_params, jax.random.normal(key, (BATCH_SIZE,)))
    return -jnp.mean(jax.nn.log_sigmoid(apply(d_params, fake)))


def play(steps: int, key: jax.Array) -> tuple[Players, Players, Players]:
    """The players at the start, with D warmed up, and [FRAMES] times after that."""
    g_key, d_key, warm_key, key = jax.random.split(key, 4)
    g_tx = optax.adam(optax.cosine_decay_schedule(LR, steps), b1=0.5)
    d_tx = optax.adam(
        # constant in the warm-up, then in step with G's
        optax.join_schedules(
            [
                optax.constant_schedule(LR),
                optax.cosine_decay_schedule(LR, steps * N_DIS),
            ],
            [WARM_UP],
        ),
        b1=0.5,
    )

    def d_step(players: Players, key: jax.Array) -> tuple[Players, None]:
        gradient = jax.grad(d_loss)(players.d_params, players.g_params, key)
        update, d_opt = d_tx.update(gradient, players.d_opt)
        d_params = optax.apply_updates(players.d_params, update)
        return players._replace(d_params=d_params, d_opt=d_opt), None

    def step(players: Players, key: jax.Array) -> tuple[Players, None]:
        g_key, d_key = jax.random.split(key)
        players, _ = jax.lax.scan(d_step, players, jax.random.split(d_key, N_DIS))
        gradient = jax.grad(g_loss)(players.g_params, players.d_params, g_key)
        update, g_opt = g_tx.update(gradient, players.g_opt)
        g_params = optax.apply_updates(players.g_params, update)
        return players._replace(g_params=g_params, g_opt=g_opt), None

    def frame(players: Players, keys: jax.Array) -> tuple[Players, Players]:
        players, _ = jax.lax.scan(step, players, keys)
        return players, players

    g_params, d_params = (MLP().init(k, jnp.zeros(1)) for k in (g_key, d_key))
    start = Players(g_params, g_tx.init(g_params), d_params, d_tx.init(d_params))
    warm, _ = jax.lax.scan(d_step, start, jax.random.split(warm_key, WARM_UP))
    keys = jax.random.split(key, (FRAMES, steps // FRAMES))
    return start, warm, jax.lax.scan(frame, warm, keys)[1]


# ---- The picture ------------------------------------------------------------


class Curves(NamedTuple):
    """What a panel shows. Arrays on X [401], and the ends of the arrows."""

    log_p_g: jax.Array
    d: jax.Array
    z: jax.Array  # [19], evenly spaced in probability
    g_of_z: jax.Array


def curves(players: Players) -> Curves:
    """p_g by a kernel estimate (bandwidth .05) over 2,001 quantiles of the noise."""
    quantiles = stats.norm.ppf((jnp.arange(2001) + 0.5) / 2001)
    points = apply(players.g_params, quantiles)
    kernels = stats.norm.logpdf(X[:, None], points[None], 0.05)
    z = stats.norm.ppf(jnp.arange(1, 20) / 20)
    return Curves(
        jax.nn.logsumexp(kernels, axis=1) - math.log(len(points)),
        jax.nn.sigmoid(apply(players.d_params, X)),
        z,
        apply(players.g_params, z),
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

    run = jax.jit(play, static_argnums=0)
    start, warm, film = run(flags.steps, jax.random.key(flags.seed))
    frames = [jax.tree.map(lambda leaf, i=i: leaf[i], film) for i in range(FRAMES)]
    per_frame = flags.steps // FRAMES
    half_way = 1  # of FRAMES: G moves fast at first
    stages = {
        "(a) at the start": start,
        f"(b) after {WARM_UP} steps of D alone": warm,
        f"(c) after {half_way * per_frame} steps of G": frames[half_way - 1],
        f"(d) after {FRAMES * per_frame} steps of G": frames[-1],
    }

    figure = Figure(figsize=(14, 3.6), layout="constrained")
    panels = figure.subplots(1, 4)
    print("| stage | max abs(D - 1/2) | JSD, nats | W1 |\n|---|---|---|---|")
    for axes, (title, players) in zip(panels, stages.items(), strict=True):
        now = curves(players)
        error, jsd, w1 = measure(now)
        print(f"| {title} | {error:.4f} | {jsd:.4f} | {w1:.4f} |")
        draw(axes, now, title)
    save_figure(figure, flags.out / "figure1.png")

    film_stages = {"start": start, "D alone": warm}
    film_stages |= {f"G step {(i + 1) * per_frame}": p for i, p in enumerate(frames)}
    pictures = []
    figure = Figure(figsize=(4.4, 3.4), dpi=80, layout="constrained")
    axes, canvas = figure.subplots(), FigureCanvasAgg(figure)
    for title, players in film_stages.items():
        axes.clear()
        draw(axes, curves(players), title)
        canvas.draw()
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        # one palette without dithering: few bytes
        pictures.append(picture.quantize(32, dither=Image.Dither.NONE))
    milliseconds = [1500, 1500] + [120] * (FRAMES - 1) + [3000]
    pictures[0].save(
        flags.out / "figure1.gif",
        save_all=True,
        append_images=pictures[1:],
        duration=milliseconds,
        loop=0,
    )


if __name__ == "__main__":
    main()
