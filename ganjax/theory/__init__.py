"""Closed forms and exact numerics that a GAN can be checked against.

minimax.py      D*, V(D, G), C(G) and the density of G(z) on the line
finite.py       the same on finitely many points, and proposition 2 of arXiv:1406.2661
divergences.py  KL, Jensen-Shannon and Wasserstein-1 on the line
transport.py    Wasserstein-1 between finite distributions by linear programming
games.py        two players: payoff matrices, Nash equilibria, gradient steps
dirac.py        the Dirac-GAN (arXiv:1801.04406)

Densities on the line are given by their logarithms on a grid `x` [N], increasing, not
necessarily even; integrals are trapezoids, so the grid has to cover both supports.
`-inf` is a valid log-density (outside the support) and 0 · log 0 counts as 0.
Everything but the linear program and the equilibria is differentiable `jax.numpy`.
"""

from ganjax.theory.dirac import (
    DIRAC_LOSSES,
    DIRAC_PENALTIES,
    DiracLoss,
    DiracPenalty,
    dirac_eigenvalues,
    dirac_field,
)
from ganjax.theory.divergences import (
    LOG_2,
    cdf,
    expectation,
    js_divergence,
    kl_divergence,
    wasserstein_1d,
    wasserstein_1d_samples,
)
from ganjax.theory.finite import (
    finite_criterion,
    finite_discriminator,
    finite_gradient,
    finite_pushforward,
    finite_value,
    generator_path,
    largest_rate,
    mirror_factor,
    mirror_step,
    projected_step,
)
from ganjax.theory.games import (
    GAMES,
    Game,
    Updates,
    deviation_gains,
    nash_equilibria,
    payoff_field,
    payoffs,
    trajectory,
)
from ganjax.theory.minimax import (
    GENERATOR_SLOPES,
    LOG_4,
    generator_criterion,
    optimal_discriminator,
    optimal_discriminator_logit,
    pushforward_log_density,
    value_function,
)
from ganjax.theory.transport import moving_plans, wasserstein_discrete

__all__ = [
    "DIRAC_LOSSES",
    "DIRAC_PENALTIES",
    "GAMES",
    "GENERATOR_SLOPES",
    "LOG_2",
    "LOG_4",
    "DiracLoss",
    "DiracPenalty",
    "Game",
    "Updates",
    "cdf",
    "deviation_gains",
    "dirac_eigenvalues",
    "dirac_field",
    "expectation",
    "finite_criterion",
    "finite_discriminator",
    "finite_gradient",
    "finite_pushforward",
    "finite_value",
    "generator_criterion",
    "generator_path",
    "js_divergence",
    "kl_divergence",
    "largest_rate",
    "mirror_factor",
    "mirror_step",
    "moving_plans",
    "nash_equilibria",
    "optimal_discriminator",
    "optimal_discriminator_logit",
    "payoff_field",
    "payoffs",
    "projected_step",
    "pushforward_log_density",
    "trajectory",
    "value_function",
    "wasserstein_1d",
    "wasserstein_1d_samples",
    "wasserstein_discrete",
]
