"""Why E_z log(1 - D(G(z))) is E_{p_g} log(1 - D(x)): one integral, two variables.

Question: V(D, G) is written with ∫ p_z(z) log(1 - D(G(z))) dz, the proofs use
∫ p_g(x) log(1 - D(x)) dx. Are they equal if p_g is the density of G(z)?

Command: python -m experiments.change_of_variables [--seed 0]   (about 10 s)

Result: yes. z ~ N(0, 1), D optimal for p_data = N(1, 0.6²) and p_g; quadrature over z,
over x with p_g(x) = p_z(z) / |G'(z)|, and the mean of 1,000,000 samples, seed 0:

| G(z) | over z | over x | samples |
|---|---:|---:|---:|
| 1.5 - 0.75 z | -0.631128 | -0.631128 | -0.6313 ± 0.0004 |
| sinh(z) | -0.515675 | -0.515675 | -0.5167 ± 0.0006 |
| log(1 + exp(z)) | -0.628437 | -0.628437 | -0.6286 ± 0.0003 |
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy import stats
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.common import make_parser, save_figure
from ganjax import theory

MEAN, STD = 1.0, 0.6  # p_data; D is optimal for it and for each p_g
SAMPLES = 1_000_000
BASE = -4.5  # of both densities in the figure


class Generator(NamedTuple):
    """A strictly monotone G, its inverse, and an interval that covers p_g."""

    forward: Callable[[jax.Array], jax.Array]
    inverse: Callable[[jax.Array], jax.Array]
    interval: tuple[float, float]

    def log_p_g(self, x: jax.Array) -> jax.Array:
        """The log-density of G(z), z ~ N(0, 1), at points x. [N] -> [N]."""
        z = self.inverse(x)
        return theory.pushforward_log_density(stats.norm.logpdf(z), self.forward, z)

    def log_one_minus_d(self, x: jax.Array) -> jax.Array:
        """log(1 - D*(x)) against N(MEAN, STD²). [N] -> [N]."""
        log_p_data = stats.norm.logpdf(x, MEAN, STD)
        logits = theory.optimal_discriminator_logit(log_p_data, self.log_p_g(x))
        return jax.nn.log_sigmoid(-logits)


GENERATORS = {
    "$G(z) = 1.5 - 0.75 z$": Generator(
        lambda z: 1.5 - 0.75 * z, lambda x: (1.5 - x) / 0.75, (-6.0, 9.0)
    ),
    "$G(z) = \\sinh(z)$": Generator(jnp.sinh, jnp.arcsinh, (-400.0, 400.0)),
    "$G(z) = \\log(1 + e^z)$": Generator(
        jax.nn.softplus, lambda x: x + jnp.log(-jnp.expm1(-x)), (1e-6, 9.0)
    ),
}


def expectations(generator: Generator, seed: int) -> tuple[float, float, str]:
    """E log(1 - D) over z, over x by the density p_g, and over samples ± error."""
    z = jnp.linspace(-9.0, 9.0, 4001)
    over_z = theory.expectation(
        stats.norm.logpdf(z), generator.log_one_minus_d(generator.forward(z)), z
    )
    x = jnp.linspace(*generator.interval, 400_001)
    over_x = theory.expectation(generator.log_p_g(x), generator.log_one_minus_d(x), x)
    noise = jax.random.normal(jax.random.key(seed), (SAMPLES,))
    values = generator.log_one_minus_d(generator.forward(noise))
    error = jnp.std(values) / SAMPLES**0.5
    return float(over_z), float(over_x), f"{jnp.mean(values):.4f} ± {error:.4f}"


def draw(axes: Axes, generator: Generator) -> None:
    """G, with p_z below and p_g on the left; each band has a tenth of the mass."""
    z, x = jnp.linspace(-3.0, 3.0, 601), jnp.linspace(-3.0, 4.0, 1401)
    p_g = jnp.nan_to_num(jnp.exp(generator.log_p_g(x)))  # nan outside of the support
    edges = jnp.clip(stats.norm.ppf(jnp.linspace(0.0, 1.0, 11)), -3.0, 3.0)
    images = generator.forward(edges)
    axes.plot(z, generator.forward(z), "k", linewidth=1.5)
    axes.vlines(edges, BASE, images, color="0.85", linewidth=0.7)
    axes.hlines(images, BASE, edges, color="0.85", linewidth=0.7)
    for i in range(10):
        color = ("tab:blue", "tab:orange")[i % 2]
        band = (z >= edges[i]) & (z <= edges[i + 1])
        axes.fill_between(z, BASE, BASE + 3 * stats.norm.pdf(z), band, color=color)
        low, high = jnp.sort(images[i : i + 2])
        band = (x >= low) & (x <= high)
        axes.fill_betweenx(x, BASE, BASE + 2 * p_g, band, color=color)
    axes.set(xlim=(BASE - 0.1, 3.1), ylim=(BASE - 0.1, 4), xlabel="z", ylabel="x")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the samples")
    flags = parser.parse_args()
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    print("| G | over z | over x | samples |\n|---|---|---|---|")
    for axes, (name, generator) in zip(
        figure.subplots(1, len(GENERATORS)), GENERATORS.items(), strict=True
    ):
        values = expectations(generator, flags.seed)
        print(f"| {name} | {values[0]:.6f} | {values[1]:.6f} | {values[2]} |")
        draw(axes, generator)
        axes.set_title(name)
    save_figure(figure, flags.out / "change_of_variables.png")


if __name__ == "__main__":
    main()
