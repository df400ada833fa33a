"""The Dirac-GAN: eigenvalues, and descent that circles, spirals or converges."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ganjax import theory
from ganjax.errors import UserError

pytestmark = pytest.mark.slow

close = partial(np.testing.assert_allclose, rtol=0, atol=2e-6)

# Loss, penalty, weight, and the eigenvalues of arXiv:1801.04406, worked out by hand.
EIGENVALUES = [
    ("minimax", "none", 0.0, (0.5j, -0.5j)),
    ("non_saturating", "none", 0.0, (0.5j, -0.5j)),
    ("relativistic", "none", 0.0, (0.5j, -0.5j)),
    ("wgan", "none", 0.0, (1j, -1j)),
    ("non_saturating", "r1", 0.6, (-0.3 + 0.4j, -0.3 - 0.4j)),
    ("non_saturating", "r2", 0.6, (-0.3 + 0.4j, -0.3 - 0.4j)),
    ("non_saturating", "r1", 1.0, (-0.5, -0.5)),  # the critical γ
    ("non_saturating", "r1", 1.3, (-0.23467, -1.06533)),  # over-damped
    ("non_saturating", "instance_noise", 1.2, (-0.3 + 0.4j, -0.3 - 0.4j)),
    ("non_saturating", "instance_noise", 2.0, (-0.5, -0.5)),  # the critical σ²
    ("relativistic", "r1_r2", 0.3, (-0.3 + 0.4j, -0.3 - 0.4j)),
    ("wgan", "instance_noise", 1.0, (1j, -1j)),  # a linear loss averages noise away
]


@pytest.mark.parametrize("loss, penalty, weight, expected", EIGENVALUES)
def test_dirac_eigenvalues_closed_form(loss, penalty, weight, expected):
    close(theory.dirac_eigenvalues(loss, penalty, weight), expected, atol=1e-5)


@pytest.mark.parametrize("loss", theory.DIRAC_LOSSES)
@pytest.mark.parametrize(
    "penalty", [k for k in theory.DIRAC_PENALTIES if k != "wgan_gp"]
)
def test_dirac_jacobian_has_the_predicted_eigenvalues(loss, penalty, weight=0.3):
    field = theory.dirac_field(loss, penalty, weight)
    close(field(jnp.zeros(2)), 0.0)
    jacobian = jax.jacfwd(field)(jnp.zeros(2))
    # trace and determinant: eigenvalues lose half the digits at a double root
    first, second = theory.dirac_eigenvalues(loss, penalty, weight)
    close(jnp.trace(jacobian), (first + second).real)
    close(jnp.linalg.det(jacobian), (first * second).real)
    if abs(first - second) > 0.1:
        measured = sorted(np.linalg.eigvals(jacobian), key=lambda v: (v.imag, v.real))
        close(measured[::-1], (first, second), atol=1e-5)


def radii(field, start, h, steps):
    """The distance to the equilibrium along `steps` steps of descent. -> [steps]."""
    path = theory.trajectory(field, jnp.array(start), h, steps)
    return jnp.linalg.norm(path[1:], axis=1)


def test_dirac_wgan_gp_has_no_jacobian_and_does_not_converge():
    assert all(np.isnan(theory.dirac_eigenvalues("wgan", "wgan_gp", 0.25)))
    field = theory.dirac_field("wgan", "wgan_gp", 0.25)
    # the jump of dψ/dt across ψ = 0 is 4λ
    across = field(jnp.array([0.0, 1e-6])) - field(jnp.array([0.0, -1e-6]))
    close(across[1], 4 * 0.25, atol=1e-5)
    assert radii(field, [0.1, 0.1], 0.01, 5000)[-1000:].min() > 0.5
    r1 = theory.dirac_field("wgan", "r1", 0.25)
    assert radii(r1, [0.1, 0.1], 0.01, 5000)[-1000:].max() < 0.01


def test_dirac_descent_spirals_out_by_the_predicted_factor():
    grown = radii(theory.dirac_field("minimax"), [1e-3, 0.0], 0.2, 10)
    close(grown[1:] / grown[:-1], 1.004988)


@pytest.mark.parametrize("start", [0.1, 0.6])  # from inside and from outside
def test_dirac_non_saturating_descent_ends_on_its_limit_cycle(start):
    h = 0.05
    field = theory.dirac_field("non_saturating")
    squares = radii(field, [start, 0.0], h, 10_000)[-2000:] ** 2
    close(squares.mean(), 2 * h, atol=0.05 * 2 * h)  # r² = 2h for small h


@pytest.mark.parametrize("penalty, weight", [("none", 0.0), ("r1", 0.6)])
def test_dirac_alternating_steps_have_the_predicted_determinant(penalty, weight):
    """The step's determinant is 1 without a penalty: circles that keep their size."""
    h = 0.2
    field = theory.dirac_field("minimax", penalty, weight)

    def step(point):
        return theory.trajectory(field, point, h, 1, "alternating")[1]

    first, second = theory.dirac_eigenvalues("minimax", penalty, weight)
    close(jnp.linalg.det(jax.jacfwd(step)(jnp.zeros(2))), 1 + h * (first + second).real)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UserError, match="loss='nonsense': expected one of hinge, min"):
        theory.dirac_field("nonsense")
    with pytest.raises(UserError, match="penalty='nonsense': expected one of insta"):
        theory.dirac_eigenvalues("wgan", "nonsense")
