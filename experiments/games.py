"""Two players and gradient steps: matching pennies, prisoner's dilemma, Dirac-GAN.

Question: where do two players end who both follow the gradient of their own payoff, and
does it matter whether they move at once or in turns?

Command: python -m experiments.games   (about 10 s)

Result: the Nash equilibria are (1/2, 1/2) for both in matching pennies, with payoff 0,
and (defect, defect) in the prisoner's dilemma, with payoff 1 where cooperation pays 3.

| game | updates | factor | measured | distance at the end | of the mean |
|---|---|---:|---:|---|---:|
| matching pennies | simultaneous | 1.003195 | 1.003195 | 0.49 to 0.53 | 0.012 |
| | alternating | 1 | 1.000041 | 0.098 to 0.10 | 0.0037 |
| prisoner's dilemma | simultaneous | | | 0 | 0.13 |
| | alternating | | | 0 | 0.13 |
| Dirac-GAN | simultaneous | 1.004988 | 1.004988 | 2.5 to 2.9 | 0.30 |
| | alternating | 1 | 1.000024 | 1.3 to 1.4 | 0.082 |
| Dirac-GAN with R1 | simultaneous | 0.974679 | 0.974670 | 0.00065 to 0.0080 | 0.097 |
| | alternating | 0.969536 | 0.969824 | 0.00013 to 0.0028 | 0.080 |

Factor: of the distance to the equilibrium, per step and close to it, predicted from the
Jacobian and measured over 500 steps. Distances are those of the last 100 steps of the
paths in the figure, which start 0.1 (pennies) and 1.4 (Dirac-GAN) away. Matching
pennies and the minimax Dirac-GAN spiral out if both move at once, until probabilities
are at their limits, and circle if they move in turns; the mean of the path is close to
the equilibrium all the same. The prisoners go straight to defection, the equilibrium
that neither of them wants. R1 makes the Dirac-GAN converge. No random numbers: no
seeds.
"""

from collections.abc import Callable
from typing import NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.common import make_parser, save_figure
from ganjax import theory
from ganjax.theory import GAMES, Updates

Field = Callable[[jax.Array], jax.Array]


def clip(point: jax.Array) -> jax.Array:
    """The nearest pair of probabilities."""
    return jnp.clip(point, 0.0, 1.0)


def unbounded(point: jax.Array) -> jax.Array:
    """The point itself: any two numbers are allowed."""
    return point


class Setting(NamedTuple):
    """Two players, each with one number."""

    name: str
    field: Field  # directions of both players, [2] -> [2]
    start: tuple[float, float]
    equilibrium: tuple[float, float]
    rate: float
    steps: int
    project: Callable[[jax.Array], jax.Array] = unbounded
    labels: tuple[str, str] = ("θ (generator)", "ψ (discriminator)")
    limits: tuple[float, float] = (-2.2, 2.2)

    def path(self, updates: Updates) -> np.ndarray:
        """The points of all steps, [steps + 1, 2]."""
        start = jnp.array(self.start)
        arguments = self.field, start, self.rate, self.steps, updates, self.project
        return np.asarray(theory.trajectory(*arguments))

    def radii(self, path: np.ndarray) -> np.ndarray:
        """Distances to the equilibrium. [T, 2] -> [T]."""
        return np.linalg.norm(path - np.array(self.equilibrium), axis=1)

    def predicted_factor(self, updates: Updates) -> float:
        """The distance's factor per step close to an equilibrium inside the limits.

        The Jacobian is [[0, a], [b, c]]. A step at once multiplies by |1 + rate λ| of
        its eigenvalues λ; one in turns has the determinant 1 + rate c.
        """
        jacobian = np.asarray(jax.jacfwd(self.field)(jnp.array(self.equilibrium)))
        if updates == "alternating":
            return float(np.sqrt(1 + self.rate * jacobian[1, 1]))
        return float(np.abs(1 + self.rate * np.linalg.eigvals(jacobian)).max())

    def measured_factor(self, updates: Updates, steps: int = 500) -> float:
        """The geometric mean of the factors of `steps` steps close to it."""
        start = self.equilibrium[0] + 1e-4, self.equilibrium[1]
        path = self._replace(start=start, steps=steps, project=unbounded).path(updates)
        first, last = self.radii(path[[0, -1]])
        return float((last / first) ** (1 / steps))

    def factors(self, updates: Updates) -> tuple[str, str]:
        """Predicted and measured factor; empty for an equilibrium in a corner."""
        field = self.field(jnp.array(self.equilibrium))
        if float(jnp.abs(field).max()) > 1e-6:
            return "", ""
        factors = self.predicted_factor(updates), self.measured_factor(updates)
        return f"{factors[0]:.6f}", f"{factors[1]:.6f}"


def matrix_game(
    name: str, action: str, start: tuple[float, float], steps: int
) -> Setting:
    """A 2x2 game in which both players move the probability of their first action."""
    ((x, y),) = theory.nash_equilibria(GAMES[name])
    return Setting(
        name.replace("_", " ").replace("prisoners", "prisoner's"),
        theory.payoff_field(GAMES[name]),
        start,
        (float(x[0]), float(y[0])),
        rate=0.02,
        steps=steps,
        project=clip,
        labels=(f"P({action}), row player", f"P({action}), column player"),
        limits=(-0.05, 1.05),
    )


def dirac_gan(name: str, penalty: str, weight: float) -> Setting:
    field = theory.dirac_field("minimax", penalty, weight)
    return Setting(name, field, (1.0, 1.0), (0.0, 0.0), rate=0.2, steps=300)


SETTINGS = (
    matrix_game("matching_pennies", "heads", (0.6, 0.5), 600),
    matrix_game("prisoners_dilemma", "cooperate", (0.95, 0.8), 150),
    dirac_gan("Dirac-GAN", "none", 0.0),
    dirac_gan("Dirac-GAN with R1, γ = 0.3", "r1", 0.3),
)


def draw(axes: Axes, setting: Setting, path: np.ndarray) -> None:
    """The directions of both players and one path over them."""
    line = jnp.linspace(*setting.limits, 15)
    grid = jnp.stack(jnp.meshgrid(line, line), -1)
    field = np.asarray(jax.vmap(jax.vmap(setting.field))(grid))
    unit = field / (np.linalg.norm(field, axis=-1, keepdims=True) + 1e-9)
    arrows = *np.moveaxis(np.asarray(grid), -1, 0), *np.moveaxis(unit, -1, 0)
    axes.quiver(*arrows, color="0.7", scale=22, width=0.005, pivot="mid")
    axes.plot(*path.T, color="tab:red", linewidth=0.9)
    axes.plot(*path[0], "o", color="tab:red", markersize=5, label="start")
    axes.plot(*path.mean(axis=0), "D", color="tab:blue", markersize=5, label="mean")
    axes.plot(*setting.equilibrium, "k*", markersize=11, label="equilibrium")
    axes.set(xlim=setting.limits, ylim=setting.limits, aspect="equal")
    axes.set(xlabel=setting.labels[0], ylabel=setting.labels[1])


def main() -> None:
    flags = make_parser(__doc__).parse_args()
    jax.config.update("jax_enable_x64", True)
    for name, game in GAMES.items():
        for x, y in theory.nash_equilibria(game):
            print(f"{name}: Nash equilibrium {x}, {y}, {theory.payoffs(game, x, y)}")
    figure = Figure(figsize=(15, 8), layout="constrained")
    panels = figure.subplots(2, len(SETTINGS))
    print(
        "\n| game | updates | factor | measured | distance at the end | of the mean |"
    )
    print("|---|---|---|---|---|---|")
    for row, updates in zip(panels, get_args(Updates), strict=True):
        for axes, setting in zip(row, SETTINGS, strict=True):
            path = setting.path(updates)
            draw(axes, setting, path)
            axes.set_title(f"{setting.name}\n{updates}", fontsize=10)
            radii = setting.radii(path[-100:])
            mean = setting.radii(path.mean(axis=0, keepdims=True))[0]
            cells = [setting.name, updates, *setting.factors(updates)]
            cells += [f"{radii.min():.2g} to {radii.max():.2g}", f"{mean:.2g}"]
            print(f"| {' | '.join(cells)} |")
    panels[0, 1].legend(fontsize=8, loc="lower right")
    save_figure(figure, flags.out / "games.png", colors=128)


if __name__ == "__main__":
    main()
