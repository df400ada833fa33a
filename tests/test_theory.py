"""The closed forms, two-sided: an error in either direction fails."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy import stats

from ganjax import theory

X = jnp.linspace(-12.0, 20.0, 4001)


def normal(mean=0.0, std=1.0):
    return stats.norm.logpdf(X, mean, std)


def close(actual, expected, atol=2e-6):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


# ---- The game of 2014 -------------------------------------------------------

GAUSSIANS = [  # μ, JSD and C(G) of N(0, 1) against N(μ, 1)
    (0.0, 0.0, -1.386294),
    (0.5, 0.030311, -1.325672),
    (1.0, 0.111421, -1.163451),
    (2.0, 0.336831, -0.712633),
    (4.0, 0.632720, -0.120854),
    (8.0, 0.693054, -0.000187),
]


@pytest.mark.parametrize("mean", [0.5, 2.0, 8.0])
def test_optimal_discriminator_of_two_gaussians(mean):
    logits = theory.optimal_discriminator_logit(normal(), normal(mean))
    close(logits, mean**2 / 2 - mean * X, atol=1e-4)  # values up to 300 in float32
    discriminator = theory.optimal_discriminator(normal(), normal(mean))
    ratio = jnp.exp(normal()) / (jnp.exp(normal()) + jnp.exp(normal(mean)))
    inside = (X > -8) & (X < 8 + mean)  # farther out the ratio is 0/0 in float32
    close(discriminator[inside], ratio[inside], atol=1e-5)
    close(discriminator[jnp.argmin(jnp.abs(X - mean / 2))], 0.5, atol=1e-2)


def test_equal_densities_leave_one_half():
    close(theory.optimal_discriminator(normal(), normal()), 0.5)


@pytest.mark.parametrize("mean, jsd, criterion", GAUSSIANS)
def test_criterion_of_two_gaussians(mean, jsd, criterion):
    close(theory.js_divergence(normal(), normal(mean), X), jsd)
    close(theory.js_divergence(normal(mean), normal(), X), jsd)
    close(theory.generator_criterion(normal(), normal(mean), X), criterion)
    logits = theory.optimal_discriminator_logit(normal(), normal(mean))
    close(theory.value_function(logits, normal(), normal(mean), X), criterion)


@pytest.mark.parametrize("shift", [-1.0, -0.1, 0.1, 1.0])
def test_every_other_discriminator_has_a_lower_value(shift):
    best = theory.optimal_discriminator_logit(normal(), normal(2.0))
    value = theory.value_function(best + shift, normal(), normal(2.0), X)
    assert value < -0.712633 - 1e-4
    zero = theory.value_function(0 * best, normal(), normal(2.0), X)
    close(zero, -math.log(4))


def test_value_function_is_stationary_at_the_optimum():
    best = theory.optimal_discriminator_logit(normal(), normal(2.0))
    gradient = jax.grad(theory.value_function)(best, normal(), normal(2.0), X)
    close(gradient, 0.0, atol=1e-7)


def test_generator_slopes_when_d_wins():
    losses = {
        "minimax": lambda logit: jax.nn.log_sigmoid(-logit),
        "non_saturating": lambda logit: -jax.nn.log_sigmoid(logit),
    }
    assert losses.keys() == theory.GENERATOR_SLOPES.keys()
    for name, slope in theory.GENERATOR_SLOPES.items():
        for logit in jnp.array([-10.0, -1.0, 0.0, 3.0]):
            close(slope(logit), -jax.grad(losses[name])(logit), atol=1e-6)
    at = jnp.array(-10.0)
    close(theory.GENERATOR_SLOPES["minimax"](at), 4.54e-5, atol=5e-9)
    close(theory.GENERATOR_SLOPES["non_saturating"](at), 0.99995, atol=5e-6)


# ---- Divergences ------------------------------------------------------------


@pytest.mark.parametrize("mean, std", [(0.0, 1.0), (1.5, 1.0), (-1.0, 2.0), (2.0, 0.5)])
def test_kl_of_two_gaussians(mean, std):
    expected = -math.log(std) + (std**2 + mean**2) / 2 - 0.5
    close(theory.kl_divergence(normal(mean, std), normal(), X), expected, atol=1e-5)


def test_kl_is_infinite_where_mass_is_missing_but_not_the_other_way():
    wide, narrow = stats.uniform.logpdf(X, -4, 8), stats.uniform.logpdf(X, 0, 2)
    assert theory.kl_divergence(wide, narrow, X) == jnp.inf
    close(theory.kl_divergence(narrow, wide, X), math.log(4), atol=0.02)


@pytest.mark.parametrize("start", [0.0, 0.25, 0.5, 1.0, 3.0, 7.0])
def test_uniforms_jsd_saturates_and_wasserstein_does_not(start):
    x = jnp.linspace(-1.0, 9.0, 20001)
    p, q = stats.uniform.logpdf(x), stats.uniform.logpdf(x, start)
    # atol: the two jumps of the density, each half a grid step wide
    jsd = min(start, 1.0) * math.log(2)
    close(theory.js_divergence(p, q, x), jsd, atol=1e-3)
    cdfs = stats.uniform.cdf(x), stats.uniform.cdf(x, start)
    close(theory.wasserstein_1d(*cdfs, x), start, atol=1e-5)


def test_jsd_has_no_gradient_on_disjoint_supports_and_wasserstein_has():
    # Gaussians 30 standard deviations apart: disjoint for float32
    def jsd(mean):
        return theory.js_divergence(normal(-10.0, 0.2), normal(mean, 0.2), X)

    def w1(mean):
        q = stats.norm.cdf(X, mean, 0.2)
        return theory.wasserstein_1d(stats.norm.cdf(X, -10.0, 0.2), q, X)

    close(jax.value_and_grad(jsd)(5.0), (math.log(2), 0.0))
    close(jax.value_and_grad(w1)(5.0), (15.0, 1.0), atol=2e-5)


@pytest.mark.parametrize("mean", [row[0] for row in GAUSSIANS])
def test_wasserstein_of_shifted_gaussians(mean):
    cdfs = theory.cdf(normal(), X), theory.cdf(normal(mean), X)
    close(theory.wasserstein_1d(*cdfs, X), mean, atol=1e-5)


@pytest.mark.parametrize("s1, s2", [(1.0, 2.0), (0.5, 0.1), (3.0, 1.0)])
def test_wasserstein_of_scaled_gaussians(s1, s2):
    x = jnp.linspace(-30.0, 30.0, 12001)
    distance = theory.wasserstein_1d(
        stats.norm.cdf(x, scale=s1), stats.norm.cdf(x, scale=s2), x
    )
    close(distance, 0.797885 * abs(s1 - s2), atol=4e-5)


@pytest.mark.parametrize("rate", [0.5, 1.0, 3.0])
def test_wasserstein_of_exponentials(rate):
    x = jnp.linspace(0.0, 50.0, 20001)
    distance = theory.wasserstein_1d(
        stats.expon.cdf(x), stats.expon.cdf(x, scale=1 / rate), x
    )
    close(distance, abs(1 - 1 / rate), atol=1e-5)


def test_wasserstein_of_a_point_and_a_gaussian():
    step = jnp.where(X < 0, 0.0, jnp.where(X > 0, 1.0, 0.5))
    close(theory.wasserstein_1d(step, stats.norm.cdf(X), X), 0.797885, atol=1e-4)


@pytest.mark.parametrize("distance", [0.01, 1.0, 5.0])
def test_parallel_lines(distance):
    # which line a point lies on tells all: JSD as of two masses on two points, which
    # the grid [0, 2] gives the trapezoid weights 1 and 1
    first, second = jnp.array([0.0, -jnp.inf]), jnp.array([-jnp.inf, 0.0])
    close(theory.js_divergence(first, second, jnp.array([0.0, 2.0])), math.log(2))
    heights = np.linspace(0, 1, 7)
    plane = np.hypot(distance, heights[:, None] - heights[None])
    cost, plan = theory.wasserstein_discrete(np.ones(7) / 7, np.ones(7) / 7, plane)
    close(cost, distance, atol=1e-9)
    close(plan, np.eye(7) / 7, atol=1e-9)


def test_wasserstein_of_samples():
    x, y = jnp.array([3.0, 0.0, 1.0]), jnp.array([5.0, 1.0, 3.0])
    close(theory.wasserstein_1d_samples(x, y), 5 / 3)  # sorted, |0-1| + |1-3| + |3-5|
    close(theory.wasserstein_1d_samples(y, x), 5 / 3)
    close(theory.wasserstein_1d_samples(x, x), 0.0)
    close(theory.wasserstein_1d_samples(x, x + 7), 7.0)
    close(theory.wasserstein_1d_samples(jnp.zeros(1), jnp.array([-1.0, 2.0])), 1.5)
    away = y + 0.5  # without ties, where the slope would be ambiguous
    close(jax.grad(theory.wasserstein_1d_samples)(x, away), -jnp.ones(3) / 3)


def test_wasserstein_of_many_samples_is_near_the_closed_form():
    x = jax.random.normal(jax.random.key(0), (20_000,))
    y = 2.0 * jax.random.normal(jax.random.key(1), (10_000,))
    close(theory.wasserstein_1d_samples(x, y), 0.797885, atol=0.03)


def test_wasserstein_of_samples_rejects_columns():
    with pytest.raises(ValueError, match=r"\(3, 1\)"):
        theory.wasserstein_1d_samples(jnp.zeros((3, 1)), jnp.zeros(3))


# ---- Moving plans -----------------------------------------------------------

PILES = [  # p, q, and the known number of plans
    ((2, 2), (2, 2), 3),
    ((1, 1, 1), (1, 1, 1), 6),  # the permutations
    ((2, 2, 2), (2, 2, 2), 21),  # OEIS A002817: 1, 6, 21, 55
    ((3, 3, 3), (3, 3, 3), 55),
    ((1, 3), (2, 0, 2), 2),
    ((4,), (1, 3), 1),
]


@pytest.mark.parametrize("p, q, count", PILES)
def test_the_cheapest_moving_plan_is_the_linear_programme(p, q, count):
    plans = list(theory.moving_plans(p, q))
    assert len(plans) == count == len({plan.tobytes() for plan in plans})
    for plan in plans:
        assert plan.min() >= 0
        assert (tuple(plan.sum(1)), tuple(plan.sum(0))) == (p, q)
    for seed in range(5):
        distance = np.random.default_rng(seed).uniform(size=(len(p), len(q)))
        cost, plan = theory.wasserstein_discrete(p, q, distance)
        close(cost, min((each * distance).sum() for each in plans), atol=1e-9)
        close(cost, (plan * distance).sum(), atol=1e-9)
        close(plan.sum(1), p, atol=1e-9)
        close(plan.sum(0), q, atol=1e-9)


def test_moving_plans_against_a_search_of_all_matrices():
    p, q = (2, 1), (1, 1, 1)
    found = set()
    for cells in itertools.product(range(3), repeat=6):
        plan = np.reshape(cells, (2, 3))
        if tuple(plan.sum(1)) == p and tuple(plan.sum(0)) == q:
            found.add(cells)
    assert {tuple(plan.ravel()) for plan in theory.moving_plans(p, q)} == found


def test_linear_programme_on_the_line_is_the_1d_distance():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=5), rng.normal(size=8)
    cost, _ = theory.wasserstein_discrete(
        np.full(5, 1 / 5), np.full(8, 1 / 8), np.abs(x[:, None] - y)
    )
    close(theory.wasserstein_1d_samples(jnp.array(x), jnp.array(y)), cost)


def test_linear_programme_rejects_what_has_no_plan():
    with pytest.raises(ValueError, match="total"):
        theory.wasserstein_discrete([1.0, 1.0], [1.0], [[0.0], [1.0]])
    with pytest.raises(ValueError, match="masses"):
        theory.wasserstein_discrete([2.0, -1.0], [1.0], [[0.0], [1.0]])
    with pytest.raises(ValueError, match="shapes"):
        theory.wasserstein_discrete([0.5, 0.5], [1.0], [[0.0, 1.0]])
    with pytest.raises(ValueError, match="total"):
        list(theory.moving_plans([1, 2], [1, 1]))


# ---- The Dirac-GAN ----------------------------------------------------------

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

    def step(point, _):
        point = point + h * field(point)
        return point, jnp.linalg.norm(point)

    return jax.lax.scan(step, jnp.array(start), None, length=steps)[1]


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


def test_unknown_names_list_the_known_ones():
    with pytest.raises(KeyError, match="'nonsense' is not one of minimax, non_sat"):
        theory.dirac_field("nonsense")
    with pytest.raises(KeyError, match="'nonsense' is not one of none, r1, r2"):
        theory.dirac_eigenvalues("wgan", "nonsense")
