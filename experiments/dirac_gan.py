"""Which GANs converge? Eigenvalues of the Dirac-GAN, predicted and measured.

Question: p_data is a point at 0, p_g a point at θ, D(x) = ψ·x (arXiv:1801.04406). Do
both players, descending their own losses at once, reach the equilibrium (0, 0)? The
eigenvalues of the vector field's Jacobian there decide: negative real parts converge,
zero ones circle and, in steps of finite size, spiral out.

Command: python -m experiments.dirac_gan   (20 s on two CPU cores)

Result: the 20 pairs of eigenvalues that exist agree with theory to all digits printed.
Without a penalty nothing converges: 4,000 steps of 0.05 from radius 1.4 end at radius
2.7 (minimax), 1.5 (hinge), 210 (wgan) and 0.33 (non_saturating and relativistic, whose
predicted limit cycle is r² = 2h = 0.1, r = 0.32). R1 0.3 and R1 + R2 0.3 take every
loss below 1e-9. Instance noise takes the logistic losses to 4e-8, but not wgan (210)
and hinge (0.63). The WGAN-GP penalty ends on a cycle of radius 1.2 to 1.5 with every
loss. No random numbers: no seeds.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.common import make_parser, save_figure
from ganjax import theory

# Losses with a row in the figure. The relativistic loss has the same field as the
# non-saturating one, because D(0) = 0; hinge that of WGAN as long as |ψθ| < 1.
DRAWN = ["minimax", "non_saturating", "wgan"]
# Weights below the critical ones, γ = 1 and σ² = 2, so that paths still oscillate.
PENALTIES = {
    "none": 0.0,
    "r1": 0.3,
    "r1_r2": 0.3,
    "instance_noise": 0.6,
    "wgan_gp": 0.3,
}
SYMBOL = {"r1": "γ", "r1_r2": "γ", "instance_noise": "σ²", "wgan_gp": "weight"}
START, EXTENT = (1.0, 1.0), 2.2


def measured_eigenvalues(loss: str, penalty: str, weight: float) -> np.ndarray:
    """Eigenvalues of the autodiff Jacobian at (0, 0), ordered as the predicted. [2]"""
    jacobian = jax.jacfwd(theory.dirac_field(loss, penalty, weight))(jnp.zeros(2))
    values = np.linalg.eigvals(np.asarray(jacobian, np.float64))
    return values[np.lexsort((-values.real, -values.imag))]


def descend(
    loss: str, penalty: str, weight: float, h: float, steps: int
) -> tuple[np.ndarray, float]:
    """Simultaneous gradient descent from START: the path [steps + 1, 2], a radius.

    The radius is the largest of the last tenth of the steps, as the path may circle.
    """
    field = theory.dirac_field(loss, penalty, weight)
    path = np.asarray(theory.trajectory(field, jnp.array(START), h, steps))
    return path, float(np.linalg.norm(path[-steps // 10 :], axis=1).max())


def show(eigenvalues: tuple[complex, complex] | np.ndarray) -> str:
    """A pair of eigenvalues as text: `-0.15 ± 0.48i`."""
    first, second = eigenvalues
    if math.isnan(first.real):
        return "none (kink)"
    if abs(first.imag) > 5e-3:
        real = "" if abs(first.real) < 5e-4 else f"{first.real:.2f} "
        return f"{real}± {first.imag:.2f}i"
    return f"{first.real:.2f}, {second.real:.2f}"


def portrait(
    axes: Axes, loss: str, penalty: str, weight: float, path: np.ndarray
) -> None:
    """The direction of the field in gray, one descent from START on top."""
    line = jnp.linspace(-EXTENT, EXTENT, 13)
    grid = jnp.stack(jnp.meshgrid(line, line), -1)
    field = jax.vmap(jax.vmap(theory.dirac_field(loss, penalty, weight)))(grid)
    flow = np.asarray(field / (jnp.linalg.norm(field, axis=-1, keepdims=True) + 1e-6))
    arrows = *grid.transpose(2, 0, 1), *flow.transpose(2, 0, 1)
    axes.quiver(*arrows, color="0.65", scale=20, width=0.006, pivot="mid")
    axes.plot(*path.T, color="tab:red", linewidth=0.9)
    axes.plot(*START, "o", color="tab:red", markersize=4)
    axes.plot(0, 0, "k+", markersize=9)
    axes.set(xlim=(-EXTENT, EXTENT), ylim=(-EXTENT, EXTENT), aspect="equal")
    axes.set(xticks=(-2, 0, 2), yticks=(-2, 0, 2))


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--h", type=float, default=0.05, help="step of the descent")
    parser.add_argument("--steps", type=int, default=4000)
    flags = parser.parse_args()

    figure = Figure(figsize=(11, 8.4), layout="constrained")
    panels = figure.subplots(len(DRAWN), len(PENALTIES), sharex=True, sharey=True)
    print("| loss | penalty | weight | predicted | measured | radius at the end |")
    print("|---|---|---|---|---|---|")
    for loss in theory.DIRAC_LOSSES:
        for column, (penalty, weight) in enumerate(PENALTIES.items()):
            predicted = theory.dirac_eigenvalues(loss, penalty, weight)
            measured = measured_eigenvalues(loss, penalty, weight)
            if np.isnan(predicted).any():  # autodiff takes the slope of |ψ| at 0 as 0
                measured = np.full(2, np.nan)
            trajectory, radius = descend(loss, penalty, weight, flags.h, flags.steps)
            print(
                f"| {loss} | {penalty} | {weight} | {show(predicted)} "
                f"| {show(measured)} | {radius:.1e} |"
            )
            if loss in DRAWN:
                axes = panels[DRAWN.index(loss), column]
                portrait(axes, loss, penalty, weight, trajectory)
                caption = f"measured {show(measured)}\npredicted {show(predicted)}"
                axes.set_title(caption, size=9)
    for axes, loss in zip(panels[:, 0], DRAWN, strict=True):
        axes.set_ylabel(f"{loss}\n\nψ (discriminator)")
    for axes in panels[-1]:
        axes.set_xlabel("θ (generator)")
    for axes, (penalty, weight) in zip(panels[0], PENALTIES.items(), strict=True):
        header = f"{penalty}, {SYMBOL[penalty]} = {weight}" if weight else "no penalty"
        axes.set_title(f"{header}\n\n{axes.get_title()}", size=9)
    figure.suptitle(
        f"Dirac-GAN: simultaneous gradient descent from (1, 1), step {flags.h}, "
        "and the eigenvalues at (0, 0)"
    )
    save_figure(figure, flags.out / "dirac_gan.png", colors=32)


if __name__ == "__main__":
    main()
