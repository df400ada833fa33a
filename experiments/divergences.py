"""Why Wasserstein: moving plans, a divergence without slope, a critic that measures.

Question: (a) Is the cheapest of all plans that move one pile of earth onto another
what a linear programme finds? (b) Two distributions without overlap: which distance
tells how far apart they are? (c) Does a WGAN critic, which sees samples only, recover
the Wasserstein distance on a line, where it is known?

Command: python -m experiments.divergences [--steps 1000] [--seeds 5]   (1 minute on
two CPU cores)

Result: (a) 87 plans of cost 6 to 18; the linear programme's costs 6. (b) U[0, 1] and
U[a, a + 1]: from a = 1 on JSD is .6931 = log 2 with slope 0, W1 is a with slope 1. (c)
N(0, 1) and N(m, s²), 5 seeds, mean ± sd of the gap over the steepest slope, which is a
lower bound of W1:

| pair | W1 | one-sided penalty | two-sided penalty | weight clipping |
|---|---|---|---|---|
| N(.5, 1) | .500 | .486 ± .006 | .337 ± .051 | .282 ± .005 |
| N(1, 1) | 1.000 | .971 ± .013 | .740 ± .149 | .544 ± .014 |
| N(2, 1) | 2.000 | 1.894 ± .021 | 1.801 ± .033 | .993 ± .048 |
| N(4, 1) | 4.000 | 3.540 ± .081 | 3.282 ± .291 | 1.676 ± .124 |
| N(0, 2²) | .798 | .756 ± .033 | -.377 ± .371 | .525 ± .097 |
| N(0, 3²) | 1.596 | 1.553 ± .057 | -.623 ± .699 | 1.013 ± .145 |

The two-sided penalty, λ = 10, fails where the distributions overlap: to turn the sign
of its slope the critic has to pass through f' = 0, and that costs more than W1 earns.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.nn import relu
from jax.scipy import stats
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.runs import make_parser, mean_sd, save_figure
from ganjax import theory

BATCH_SIZE = 128
P, Q = (3, 1, 0, 1, 2), (1, 2, 2, 2, 0)  # shovels of earth at 0, 1, 2, 3, 4
# the jumps of the uniforms fall half-way between its points
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


# ---- (a) Moving plans -------------------------------------------------------


def cheapest_plan() -> tuple[float, np.ndarray, list[float]]:
    """The linear programme's cost and plan for P and Q, and the cost of every plan."""
    places = np.arange(len(P))
    distance = np.abs(places[:, None] - places)
    cost, plan = theory.wasserstein_discrete(P, Q, distance)
    everything = [float((plan * distance).sum()) for plan in theory.moving_plans(P, Q)]
    return cost, plan, everything


# ---- (b) Disjoint supports --------------------------------------------------


def uniforms_apart(shift: jax.Array) -> tuple[jax.Array, jax.Array]:
    """JSD and W1 between U[0, 1] and U[shift, shift + 1]."""
    p, q = stats.uniform.logpdf(X), stats.uniform.logpdf(X, shift)
    cdfs = stats.uniform.cdf(X), stats.uniform.cdf(X, shift)
    return theory.js_divergence(p, q, X), theory.wasserstein_1d(*cdfs, X)


# ---- (c) A critic -----------------------------------------------------------


class Critic(nn.Module):
    """A number to a number, without a bound. [B] -> [B]"""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x[:, None]
        for _ in range(2):
            x = nn.leaky_relu(nn.Dense(64)(x), 0.2)
        return nn.Dense(1)(x)[:, 0]


def apply(params: optax.Params, x: jax.Array) -> jax.Array:
    """The critic f at each point. [B] -> [B]"""
    return jnp.asarray(Critic().apply(params, x))


def steepness(params: optax.Params, x: jax.Array) -> jax.Array:
    """|f'| of the critic at each point. [B] -> [B]"""
    values, vjp = jax.vjp(lambda x: apply(params, x), x)
    return jnp.abs(vjp(jnp.ones_like(values))[0])


def clip(params: optax.Params) -> optax.Params:
    """Every weight into [-.1, .1]: arXiv:1701.07875's .01 suits a far larger critic."""
    return jax.tree.map(lambda weight: jnp.clip(weight, -0.1, 0.1), params)


class Constraint(NamedTuple):
    """How a critic is kept from being too steep."""

    penalty: Callable[[jax.Array], jax.Array] = lambda steepness: 0.0 * steepness
    project: Callable[[optax.Params], optax.Params] = lambda params: params


CONSTRAINTS = {
    # arXiv:1704.00028, equation 3, λ = 10
    "two-sided penalty": Constraint(lambda steepness: 10 * (steepness - 1) ** 2),
    # the same paper's section 4 and arXiv:1709.08894: only too steep is wrong
    "one-sided penalty": Constraint(lambda steepness: 10 * relu(steepness - 1) ** 2),
    "weight clipping": Constraint(project=clip),
}


def train_critic(
    constraint: Constraint, mean: jax.Array, std: jax.Array, steps: int, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """A critic between samples of N(0, 1) and of N(mean, std²), measured.

    Returns its gap E f(real) - E f(fake), by quadrature, and its largest |f'| where
    99.7 % of either distribution lie. By duality W1 >= gap / steepness.
    """
    tx = optax.adam(optax.cosine_decay_schedule(2e-3, steps), b1=0.5)
    init_key, key = jax.random.split(key)

    def loss(params: optax.Params, key: jax.Array) -> jax.Array:
        real_key, fake_key, mix_key = jax.random.split(key, 3)
        real = jax.random.normal(real_key, (BATCH_SIZE,))
        fake = mean + std * jax.random.normal(fake_key, (BATCH_SIZE,))
        mix = jax.random.uniform(mix_key, (BATCH_SIZE,))
        steep = steepness(params, mix * real + (1 - mix) * fake)
        gap = apply(params, real) - apply(params, fake)
        return jnp.mean(-gap + constraint.penalty(steep))

    def step(
        carry: tuple[optax.Params, optax.OptState], key: jax.Array
    ) -> tuple[tuple[optax.Params, optax.OptState], None]:
        params, opt = carry
        update, opt = tx.update(jax.grad(loss)(params, key), opt)
        params = constraint.project(optax.apply_updates(params, update))
        return (params, opt), None

    params = Critic().init(init_key, jnp.zeros(1))
    keys = jax.random.split(key, steps)
    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), keys)
    f = apply(params, X)
    real, fake = stats.norm.logpdf(X), stats.norm.logpdf(X, mean, std)
    gap = theory.expectation(real, f, X) - theory.expectation(fake, f, X)
    central = (jnp.abs(X) < 3) | (jnp.abs(X - mean) < 3 * std)
    return gap, jnp.max(jnp.where(central, steepness(params, X), 0.0))


def measure(
    constraint: Constraint, steps: int, seeds: int
) -> tuple[np.ndarray, np.ndarray]:
    """Gap and steepness of every pair and seed, in one program: [pairs, seeds] each."""

    def train(
        mean: jax.Array, std: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        return train_critic(constraint, mean, std, steps, key)

    over_seeds = jax.vmap(train, (None, None, 0))
    over_pairs = jax.jit(jax.vmap(over_seeds, (0, 0, None)))
    keys = jax.vmap(jax.random.key)(jnp.arange(seeds))
    gap, steep = over_pairs(*jnp.array(list(PAIRS)).T, keys)
    return np.asarray(gap), np.asarray(steep)


# ---- The picture ------------------------------------------------------------


def draw_plan(axes: Axes, cost: float, plan: np.ndarray) -> None:
    """The cheapest plan as a table of shovels, piles along its sides."""
    axes.imshow(plan, cmap="Greens", vmin=0, vmax=4)
    for (i, j), moved in np.ndenumerate(plan):
        if moved > 0.5:
            axes.text(j, i, f"{moved:.0f}", ha="center", va="center")
    places = range(len(P))
    axes.set_xticks(places, [f"{i}\nQ: {q}" for i, q in enumerate(Q)])
    axes.set_yticks(places, [f"P: {p}   {i}" for i, p in enumerate(P)])
    axes.set(
        xlabel="to", ylabel="from", title=f"(a) the cheapest plan: cost {cost:.0f}"
    )


def draw_costs(axes: Axes, cost: float, everything: list[float]) -> None:
    values, counts = np.unique(everything, return_counts=True)
    axes.bar(values, counts, width=1.2, color="0.75")
    axes.axvline(cost, color="tab:green", linewidth=2, label="linear programme")
    axes.set(xlabel="cost of the plan", ylabel="number of plans", ylim=(0, 27))
    axes.set_title(f"(a) all {len(everything)} plans")
    axes.legend(frameon=False)


def draw_disjoint(axes: Axes) -> None:
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

    cost, plan, everything = cheapest_plan()
    print(
        f"{len(everything)} plans, cost {min(everything):.0f} to {max(everything):.0f}"
    )
    print(f"the linear programme's: {cost:.6f}\n")
    draw_plan(panels[0, 0], cost, plan)
    draw_costs(panels[0, 1], cost, everything)

    print("| shift | JSD, nats | its slope | W1 | its slope |\n|---|---|---|---|---|")
    for shift in (0.25, 0.5, 1.5, 3.0, 6.0):
        values = uniforms_apart(jnp.array(shift))
        apart = uniforms_apart(jnp.array(shift + 0.25))
        slopes = [(b - a) / 0.25 for a, b in zip(values, apart, strict=True)]
        row = [f"{v:.4f} | {s:.3f}" for v, s in zip(values, slopes, strict=True)]
        print(f"| {shift} | {row[0]} | {row[1]} |")
    draw_disjoint(panels[1, 0])

    print("\n| critic | pair | W1 | gap | steepest slope | gap / slope |")
    print("|---|---|---|---|---|---|")
    axes = panels[1, 1]
    for marker, (name, constraint) in zip("so^", CONSTRAINTS.items(), strict=True):
        gap, steep = measure(constraint, flags.steps, flags.seeds)
        lower = gap / steep
        for i, ((mean, std), w1) in enumerate(PAIRS.items()):
            cells = " | ".join(mean_sd(values[i], 3) for values in (gap, steep, lower))
            print(f"| {name} | N({mean:g}, {std:g}²) | {w1:.3f} | {cells} |")
        truth = np.repeat(list(PAIRS.values()), flags.seeds)
        axes.plot(truth, lower.ravel(), marker, label=name, markersize=5, alpha=0.6)
    axes.plot([0, 4.2], [0, 4.2], "k:", linewidth=1)
    axes.set(xlabel="W1, closed form", ylabel="critic's gap / its steepest slope")
    axes.set_title("(c) a critic measures from samples")
    axes.legend(frameon=False)

    save_figure(figure, flags.out / "divergences.png")


if __name__ == "__main__":
    main()
