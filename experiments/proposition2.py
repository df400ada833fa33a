"""Proposition 2 of "Generative Adversarial Nets" on a finite space, where it is exact.

Question: if D is optimal before every update of p_g, do small updates along the
gradient of V(D, p_g), with D held fixed, take p_g to p_data (arXiv:1406.2661,
proposition 2)? What changes if D is optimal for the p_g of a few updates ago?

Command: python -m experiments.proposition2   (about 10 s)

Result: yes. C(p_g) + log 4 = 2 JSD falls at every update if D is up to date. From
p_g = (0.02, 0.08, 0.9) to p_data = (0.5, 0.3, 0.2):

| update of p_g | after 20 | after 80 | after 300 | updates that raise C |
|---|---:|---:|---:|---:|
| projected, rate 0.02 | 1.6e-1 | 5.7e-3 | 1.6e-8 | 0 |
| mirror, rate 0.1 | 1.1e-1 | 2.6e-4 | 4.0e-14 | 0 |
| mirror, rate 0.5 | 9.2e-6 | 0 | 0 | 0 |
| mirror, rate 1 | 7.0e-13 | 0 | 0 | 0 |
| mirror, rate 1, D behind by 1 | 1.4e-6 | 0 | 0 | 13 |
| mirror, rate 0.3, D behind by 5 | 2.5e-2 | 4.9e-6 | 0 | 67 |

With D optimal for an earlier p_g, C rises and falls while both players circle around
the solution. Small rates still converge; the largest that does is 4 with D up to date,
2 with D behind by one update, 1.24 by two and 0.57 by five (4 sin(π/(4k + 2)) for k).
At these rates the distance to p_data, 240 updates later, is 1.0 to 1.1 times that of
the start. Predicted and measured factors of the error per update differ by at most
0.0012. No random numbers: no seeds.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.common import make_parser, save_figure
from ganjax import theory
from ganjax.theory import LOG_4, mirror_step, projected_step

P_DATA = np.array([0.5, 0.3, 0.2])
STARTS = np.array([[0.02, 0.08, 0.9], [0.05, 0.9, 0.05], [0.94, 0.02, 0.04]])
DIRECTION = np.array([1.0, -0.5, -0.5])
# Corners of the triangle in which p_g is drawn: p_g @ CORNERS is a point in the plane.
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
DELAYS = (0, 1, 2, 5)
UPDATES = 300


class Descent(NamedTuple):
    """How p_g is updated."""

    name: str
    step: Callable[..., jax.Array]
    rate: float
    delay: int = 0
    steps: int = UPDATES

    def path(self, start: np.ndarray) -> np.ndarray:
        """p_g before the first and after every update, [steps + 1, 3]."""
        update = partial(self.step, rate=self.rate)
        ends = jnp.asarray(P_DATA), jnp.asarray(start)
        path = theory.generator_path(*ends, update, self.steps, self.delay)
        return np.asarray(path)


DESCENTS = (
    Descent("projected, rate 0.02", projected_step, 0.02),
    Descent("mirror, rate 0.1", mirror_step, 0.1),
    Descent("mirror, rate 0.5", mirror_step, 0.5),
    Descent("mirror, rate 1", mirror_step, 1.0),
    Descent("mirror, rate 1, D behind by 1", mirror_step, 1.0, delay=1),
    Descent("mirror, rate 0.3, D behind by 5", mirror_step, 0.3, delay=5),
)


def excess(path: np.ndarray) -> np.ndarray:
    """C(p_g) + log 4 = 2 JSD(p_data || p_g) along a path. [T, 3] -> [T]."""
    criterion = partial(theory.finite_criterion, jnp.asarray(P_DATA))
    return np.asarray(jax.vmap(criterion)(jnp.asarray(path))) + LOG_4


def distance(path: np.ndarray) -> np.ndarray:
    """Σ |p_g - p_data| along a path. [T, 3] -> [T]."""
    return np.abs(path - P_DATA).sum(axis=1)


def measured_factor(rate: float, delay: int) -> float:
    """The factor per update of the distance to p_data, close to p_data.

    The slope of the logarithm of the distance's largest value in a moving window, since
    the distance oscillates. The window is the period at `theory.largest_rate`.
    """
    path = Descent("", mirror_step, rate, delay).path(P_DATA + 1e-5 * DIRECTION)
    windows = np.lib.stride_tricks.sliding_window_view(distance(path), 4 * delay + 2)
    envelope = windows.max(axis=1)
    small = (envelope > 1e-12) & (envelope < 1e-3)
    updates = np.flatnonzero(small)[delay:]
    return float(np.exp(np.polyfit(updates, np.log(envelope[updates]), 1)[0]))


# --- figure -------------------------------------------------------------------------


def draw_simplex(axes: Axes) -> None:
    """Level lines of C and the paths of two descents from three starts."""
    line = np.linspace(0.003, 0.994, 120)
    first, second = np.meshgrid(line, line)
    inside = first + second < 0.997
    masses = np.stack([first, second, 1 - first - second], -1)[inside]
    levels = np.array([0.001, 0.01, 0.03, 0.1, 0.2, 0.4, 0.6])
    x, y = (masses @ CORNERS).T
    values = excess(masses)
    axes.tricontour(x, y, values, levels=levels, colors="0.75", linewidths=0.8)
    axes.plot(*CORNERS[[0, 1, 2, 0]].T, "k-", linewidth=1)
    for i, descent in enumerate(DESCENTS[:2]):
        for start in STARTS:
            path = descent.path(start) @ CORNERS
            axes.plot(*path.T, f"C{i}.-", markersize=3, linewidth=1)
        axes.plot([], [], f"C{i}.-", label=descent.name)
    axes.plot(*(P_DATA @ CORNERS), "k*", markersize=11, label="$p_{data}$")
    axes.set(aspect="equal", title="(a) $p_g$ on the simplex, level lines of $C(p_g)$")
    axes.axis("off")
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def draw_criterion(axes: Axes) -> None:
    for descent in DESCENTS:
        style = "--" if descent.delay else "-"
        values = excess(descent.path(STARTS[0]))
        axes.semilogy(values[values > 1e-12][:81], style, label=descent.name)
    axes.set(xlabel="updates of $p_g$", ylim=(1e-10, 3))
    axes.set_title("(b) $C(p_g) + \\log 4$")
    axes.legend(frameon=False, fontsize=8)


def draw_cycle(axes: Axes) -> None:
    """Both players at the first point: p_g, and D that is one update behind."""
    limit = theory.largest_rate(1)
    for fraction, color in ((1.05, "tab:red"), (1.0, "k"), (0.9, "tab:blue")):
        descent = Descent("", mirror_step, fraction * limit, delay=1, steps=60)
        path = descent.path(P_DATA + 0.01 * DIRECTION)
        behind = np.concatenate([path[:1], path[:-1]])
        d = P_DATA / (P_DATA + behind)
        factor = theory.mirror_factor(descent.rate, 1)
        label = f"rate {descent.rate:.1f}, predicted factor {factor:.3f}"
        axes.plot(path[:, 0], d[:, 0], ".-", color=color, linewidth=0.6, label=label)
    axes.plot(P_DATA[0], 0.5, "k*", markersize=11)
    axes.set(xlabel="$p_g(x_1)$", ylabel="$D(x_1)$")
    axes.set_title("(c) D behind by 1: 60 updates from close to $p_{data}$")
    axes.legend(frameon=False, fontsize=8)


def draw_factors(axes: Axes) -> float:
    """Predicted and measured factors; returns their largest difference."""
    errors = []
    rates = np.linspace(0.02, 4.3, 400)
    for delay in DELAYS:
        predicted = [theory.mirror_factor(rate, delay) for rate in rates]
        (line,) = axes.plot(rates, predicted, linewidth=1)
        dots = theory.largest_rate(delay) * np.array([0.1, 0.3, 0.4, 0.7, 0.9, 1.05])
        measured = [measured_factor(rate, delay) for rate in dots]
        label = f"D behind by {delay}"
        axes.plot(
            dots, measured, "o", color=line.get_color(), markersize=4, label=label
        )
        differences = [
            abs(m - theory.mirror_factor(rate, delay))
            for m, rate in zip(measured, dots, strict=True)
        ]
        errors.append(max(differences))
    axes.axhline(1.0, color="k", linestyle=":", linewidth=1)
    axes.set(xlabel="rate (lines: predicted, dots: measured)", ylim=(0, 1.3))
    axes.set_title("(d) factor of the error per update")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return max(errors)


def main() -> None:
    flags = make_parser(__doc__).parse_args()
    jax.config.update("jax_enable_x64", True)
    print("| update of p_g | C + log 4 after 20 | after 80 | after 300 | C rises |")
    print("|---|---|---|---|---|")
    for descent in DESCENTS:
        values = excess(descent.path(STARTS[0]))
        raised = int((np.diff(values) > 1e-14).sum())
        cells = " | ".join(f"{max(values[i], 0):.1e}" for i in (20, 80, 300))
        print(f"| {descent.name} | {cells} | {raised} |")
    print("\n| D behind by | largest rate | distance / first after 60 and 240 |")
    print("|---|---|---|")
    for delay in DELAYS[1:]:
        limit = theory.largest_rate(delay)
        path = Descent("", mirror_step, limit, delay).path(P_DATA + 0.001 * DIRECTION)
        relative = distance(path) / distance(path)[0]
        ends = [relative[i : i + 40].max() for i in (60, 240)]
        print(f"| {delay} | {limit:.3f} | {ends[0]:.2f} and {ends[1]:.2f} |")

    figure = Figure(figsize=(11, 9), layout="constrained")
    panels = figure.subplots(2, 2)
    draw_simplex(panels[0, 0])
    draw_criterion(panels[0, 1])
    draw_cycle(panels[1, 0])
    error = draw_factors(panels[1, 1])
    print(f"\nlargest difference of predicted and measured factors: {error:.1e}")
    save_figure(figure, flags.out / "proposition2.png")


if __name__ == "__main__":
    main()
