"""Why Wasserstein: transport plans, a divergence without gradient, a trained critic.

Question: (a) Is the cheapest of all plans that move one pile of earth onto another the
one that linear programming finds? (b) Which distance between two distributions without
overlap depends on how far apart they are? (c) Does a WGAN critic, trained on samples,
recover the Wasserstein distance on a line, where it is known?

Command: python -m experiments.divergences [--steps 1000] [--seeds 5]   (1 minute on
two CPU cores)

Result: (a) 87 plans of cost 6 to 18; the one of the linear program costs 6. (b) U[0, 1]
and U[a, a + 1]: from a = 1 on JSD is 0.6931 = log 2 with slope 0, W1 is a with slope 1.
(c) N(0, 1) and N(m, s²), 5 seeds, mean ± sd of the critic's difference of means over
its steepest slope, which is a lower bound of W1:

| pair | W1 | one-sided penalty | two-sided penalty | weight clipping |
|---|---|---|---|---|
| N(0.5, 1) | 0.500 | 0.486 ± 0.003 | 0.351 ± 0.033 | 0.282 ± 0.003 |
| N(1, 1) | 1.000 | 0.970 ± 0.004 | 0.835 ± 0.061 | 0.550 ± 0.005 |
| N(2, 1) | 2.000 | 1.877 ± 0.014 | 1.737 ± 0.044 | 1.020 ± 0.025 |
| N(4, 1) | 4.000 | 3.601 ± 0.078 | 3.387 ± 0.063 | 1.727 ± 0.058 |
| N(0, 2²) | 0.798 | 0.783 ± 0.019 | 0.086 ± 0.645 | 0.542 ± 0.028 |
| N(0, 3²) | 1.596 | 1.582 ± 0.018 | 0.277 ± 1.227 | 1.039 ± 0.037 |

The two-sided penalty, λ = 10, fails for 3 of 5 seeds where the means are equal: to
change the sign of its slope the critic has to pass through f' = 0, where the penalty is
larger than what it gains in W1.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jax.scipy import stats
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import ganjax
from experiments.common import MLP, make_parser, mean_sd, save_figure
from ganjax import TrainState, theory
from ganjax.gans.standard import Standard
from ganjax.losses import LOSSES
from ganjax.optim import make_optimizer
from ganjax.penalties import DiscriminatorFn, Penalty, squared_gradient_norm, wgan_gp
from ganjax.priors import Prior

BATCH_SIZE = 128
P, Q = (3, 1, 0, 1, 2), (1, 2, 2, 2, 0)  # units of earth at 0, 1, 2, 3, 4
# The uniform densities jump half-way between two points of the grid.
X = jnp.arange(-12.005, 14.0, 0.01)
# N(0, 1) against N(mean, std²), and W1 in closed form
PAIRS = {
    (0.5, 1.0): 0.5,
    (1.0, 1.0): 1.0,
    (2.0, 1.0): 2.0,
    (4.0, 1.0): 4.0,
    (0.0, 2.0): 0.797885,
    (0.0, 3.0): 1.595769,
}


# --- (a) transport plans ------------------------------------------------------------


def cheapest_plan() -> tuple[float, np.ndarray, list[float]]:
    """Cost and plan of the linear program for P and Q, and the costs of all plans."""
    places = np.arange(len(P))
    distance = np.abs(places[:, None] - places)
    cost, plan = theory.wasserstein_discrete(P, Q, distance)
    costs = [float((plan * distance).sum()) for plan in theory.moving_plans(P, Q)]
    return cost, plan, costs


# --- (b) disjoint supports ----------------------------------------------------------


def uniforms_apart(shift: jax.Array) -> tuple[jax.Array, jax.Array]:
    """JSD and W1 between U[0, 1] and U[shift, shift + 1]."""
    p, q = stats.uniform.logpdf(X), stats.uniform.logpdf(X, shift)
    cdfs = stats.uniform.cdf(X), stats.uniform.cdf(X, shift)
    return theory.js_divergence(p, q, X), theory.wasserstein_1d(*cdfs, X)


# --- (c) a critic -------------------------------------------------------------------


def one_sided(
    d_fn: DiscriminatorFn, real: jax.Array, fake: jax.Array, key: jax.Array
) -> jax.Array:
    """max(0, ‖∇D(x̂)‖ − 1)², x̂ between real and fake.

    Source: arXiv:1704.00028, section 4, and arXiv:1709.08894.
    """
    t = jax.random.uniform(key, (len(real), 1))
    norm = jnp.sqrt(squared_gradient_norm(d_fn, t * real + (1 - t) * fake) + 1e-12)
    return nn.relu(norm - 1) ** 2


class Constraint(NamedTuple):
    """How a critic is made Lipschitz continuous."""

    penalties: tuple[Penalty, ...] = ()
    clip_weights: float = 0.0


CONSTRAINTS = {
    "two-sided penalty": Constraint((Penalty("two_sided", wgan_gp, 10.0),)),
    "one-sided penalty": Constraint((Penalty("one_sided", one_sided, 10.0),)),
    # The 0.01 of arXiv:1701.07875 is for a far larger critic.
    "weight clipping": Constraint(clip_weights=0.1),
}
CRITIC = MLP((), (64, 64), partial(nn.leaky_relu, negative_slope=0.2))


def make_gan(constraint: Constraint, steps: int) -> Standard:
    """A GAN on points [B, 1] whose generator is not trained and not used."""
    rate = {"name": "cosine", "start": 2e-3, "num_steps": steps}
    adam = {"name": "adam", "learning_rate": rate, "b1": 0.5}
    clip = {"clip_weights": constraint.clip_weights}
    return Standard(
        generator=MLP((1,), (), nn.relu),
        discriminator=CRITIC,
        prior=Prior(z_dim=1),
        loss=LOSSES["wgan"],
        penalties=constraint.penalties,
        g_optimizer=make_optimizer(adam, "g_optimizer"),
        d_optimizer=make_optimizer(adam | clip, "d_optimizer"),
    )


def train_critic(
    constraint: Constraint, steps: int, mean: jax.Array, std: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Trains a critic on samples of N(0, 1) and of N(mean, std²), and measures it.

    Returns:
      E f(real) - E f(fake), by quadrature, and the largest |f'| where 99.7% of either
      distribution lie. By duality W1 is at least their quotient.
    """
    gan = make_gan(constraint, steps)
    init_key, key = jax.random.split(key)

    def step(state: TrainState, key: jax.Array) -> tuple[TrainState, None]:
        real, noise = jax.random.normal(key, (2, BATCH_SIZE, 1))
        return ganjax.d_step(gan, state, real, generated=mean + std * noise)[0], None

    state = ganjax.init_state(gan, init_key)
    state, _ = lax.scan(step, state, jax.random.split(key, steps))

    def critic(x: jax.Array) -> jax.Array:
        return jnp.asarray(CRITIC.apply(state.d.variables, x))

    f, slope = critic(X[:, None]), jnp.sqrt(squared_gradient_norm(critic, X[:, None]))
    real, fake = stats.norm.logpdf(X), stats.norm.logpdf(X, mean, std)
    gap = theory.expectation(real, f, X) - theory.expectation(fake, f, X)
    central = (jnp.abs(X) < 3) | (jnp.abs(X - mean) < 3 * std)
    return gap, jnp.max(jnp.where(central, slope, 0.0))


def measure(
    constraint: Constraint, steps: int, seeds: int
) -> tuple[np.ndarray, np.ndarray]:
    """Gap and slope of every pair and seed, in one program: [pairs, seeds] each."""
    train = partial(train_critic, constraint, steps)
    over_seeds = jax.vmap(train, (None, None, 0))
    over_pairs = jax.jit(jax.vmap(over_seeds, (0, 0, None)))
    keys = jax.vmap(jax.random.key)(jnp.arange(seeds))
    gap, slope = over_pairs(*jnp.array(list(PAIRS)).T, keys)
    return np.asarray(gap), np.asarray(slope)


# --- figure -------------------------------------------------------------------------


def draw_plan(axes: Axes, cost: float, plan: np.ndarray) -> None:
    """The cheapest plan as a table of moved units, with the piles at its sides."""
    axes.imshow(plan, cmap="Greens", vmin=0, vmax=4)
    for (i, j), moved in np.ndenumerate(plan):
        if moved > 0.5:
            axes.text(j, i, f"{moved:.0f}", ha="center", va="center")
    places = range(len(P))
    axes.set_xticks(places, [f"{i}\nQ: {q}" for i, q in enumerate(Q)])
    axes.set_yticks(places, [f"P: {p}   {i}" for i, p in enumerate(P)])
    axes.set(xlabel="to", ylabel="from", title=f"(a) cheapest plan: cost {cost:.0f}")


def draw_costs(axes: Axes, cost: float, costs: list[float]) -> None:
    """A histogram of the costs of all plans."""
    values, counts = np.unique(costs, return_counts=True)
    axes.bar(values, counts, width=1.2, color="0.75")
    axes.axvline(cost, color="tab:green", linewidth=2, label="linear program")
    axes.set(xlabel="cost of the plan", ylabel="number of plans", ylim=(0, 27))
    axes.set_title(f"(a) all {len(costs)} plans")
    axes.legend(frameon=False)


def draw_disjoint(axes: Axes) -> None:
    """Both distances of the uniform distributions against their shift."""
    shifts = jnp.linspace(-3.0, 3.0, 121)
    jsd, w1 = jax.lax.map(uniforms_apart, shifts)
    axes.plot(shifts, w1, color="tab:green", label="Wasserstein-1")
    axes.plot(shifts, jsd, color="tab:red", label="Jensen-Shannon")
    axes.axhline(theory.LOG_2, color="k", linestyle=":", linewidth=1)
    axes.text(-2.9, theory.LOG_2 + 0.06, "log 2", fontsize=9)
    axes.set(xlabel="shift a", title="(b) U[0, 1] against U[a, a + 1]", ylim=(0, 3))
    axes.legend(frameon=False, loc="upper center")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--steps", type=int, default=1000, help="of each critic")
    parser.add_argument("--seeds", type=int, default=5)
    flags = parser.parse_args()
    figure = Figure(figsize=(9, 7.5), layout="constrained")
    panels = figure.subplots(2, 2)

    cost, plan, costs = cheapest_plan()
    print(f"{len(costs)} plans, cost {min(costs):.0f} to {max(costs):.0f}")
    print(f"linear program: {cost:.6f}\n")
    draw_plan(panels[0, 0], cost, plan)
    draw_costs(panels[0, 1], cost, costs)

    print("| shift | JSD, nats | its slope | W1 | its slope |\n|---|---|---|---|---|")
    for shift in (0.25, 0.5, 1.5, 3.0, 6.0):
        values = uniforms_apart(jnp.array(shift))
        apart = uniforms_apart(jnp.array(shift + 0.25))
        slopes = [(b - a) / 0.25 for a, b in zip(values, apart, strict=True)]
        row = [f"{v:.4f} | {s:.3f}" for v, s in zip(values, slopes, strict=True)]
        print(f"| {shift} | {row[0]} | {row[1]} |")
    draw_disjoint(panels[1, 0])

    print("\n| critic | pair | W1 | difference of means | steepest slope | quotient |")
    print("|---|---|---|---|---|---|")
    axes = panels[1, 1]
    for marker, (name, constraint) in zip("so^", CONSTRAINTS.items(), strict=True):
        gap, slope = measure(constraint, flags.steps, flags.seeds)
        lower = gap / slope
        for i, ((mean, std), w1) in enumerate(PAIRS.items()):
            cells = " | ".join(mean_sd(values[i], 3) for values in (gap, slope, lower))
            print(f"| {name} | N({mean:g}, {std:g}²) | {w1:.3f} | {cells} |")
        truth = np.repeat(list(PAIRS.values()), flags.seeds)
        axes.plot(truth, lower.ravel(), marker, label=name, markersize=5, alpha=0.6)
    axes.plot([0, 4.2], [0, 4.2], "k:", linewidth=1)
    axes.set(xlabel="W1, closed form", ylabel="difference of means / steepest slope")
    axes.set_title("(c) a critic trained on samples")
    axes.legend(frameon=False)

    save_figure(figure, flags.out / "divergences.png")


if __name__ == "__main__":
    main()
