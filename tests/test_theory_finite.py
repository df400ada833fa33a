"""Proposition 2 on finite spaces, in float64: every identity from both sides."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import double_precision

from ganjax import theory

close = partial(np.testing.assert_allclose, rtol=0, atol=1e-12)
P_DATA = np.array([0.5, 0.3, 0.15, 0.05])
START = np.array([0.05, 0.15, 0.1, 0.7])


@pytest.fixture(autouse=True)
def float64():
    with double_precision():
        yield


def masses(seed, num=4):
    return jnp.asarray(np.random.default_rng(seed).dirichlet(np.ones(num)))


def descend(step, steps, delay=0):
    return theory.generator_path(
        jnp.asarray(P_DATA), jnp.asarray(START), step, steps, delay
    )


def along_simplex(gradient):
    """A gradient without the part that Σ p_g = 1 makes irrelevant."""
    return gradient - jnp.mean(gradient)


@pytest.mark.parametrize("seed", range(5))
def test_criterion_is_the_value_at_the_optimal_discriminator(seed):
    p_data, p_g = masses(seed), masses(seed + 100)
    d = theory.finite_discriminator(p_data, p_g)
    best = theory.finite_value(d, p_data, p_g)
    close(theory.finite_criterion(p_data, p_g), best)
    close(jax.grad(theory.finite_value)(d, p_data, p_g), 0.0)
    for change in (-0.01, 0.01):
        other = theory.finite_value(d + change * d * (1 - d), p_data, p_g)
        assert other < best - 1e-6


def test_criterion_by_hand():
    half = jnp.array([0.5, 0.5])
    close(theory.finite_criterion(half, half), -np.log(4))
    # KL(p || m) + KL(q || m) with the mean m = (5/8, 3/8).
    kl_data = 0.5 * np.log(4 / 5) + 0.5 * np.log(4 / 3)
    kl_g = 0.75 * np.log(6 / 5) + 0.25 * np.log(2 / 3)
    criterion = theory.finite_criterion(half, jnp.array([0.75, 0.25]))
    close(criterion, -np.log(4) + kl_data + kl_g)
    # Disjoint supports: JSD = log 2, so C = 0.
    close(theory.finite_criterion(jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])), 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_gradient_with_d_held_fixed_is_the_gradient_of_the_criterion(seed):
    """The envelope theorem: D's dependence on p_g contributes nothing."""
    p_data, p_g = masses(seed), masses(seed + 100)
    d = theory.finite_discriminator(p_data, p_g)
    used = theory.finite_gradient(d)
    close(used, jax.grad(theory.finite_value, argnums=2)(d, p_data, p_g))
    of_criterion = jax.grad(theory.finite_criterion, argnums=1)(p_data, p_g)
    close(along_simplex(used), along_simplex(of_criterion))
    # Another D gives another direction.
    wrong = theory.finite_gradient(theory.finite_discriminator(p_data, masses(7)))
    assert np.abs(along_simplex(wrong) - along_simplex(of_criterion)).max() > 0.01


@pytest.mark.parametrize("seed", range(20))
def test_value_at_any_discriminator_is_a_tangent_below_the_criterion(seed):
    """C(p) - V(D*(q), p) = Σ (p_data + p) KL(D*(p) || D*(q)), 0 only at p = q."""
    p_data, p, q = masses(seed), masses(seed + 100), masses(seed + 200)
    d_p, d_q = (theory.finite_discriminator(p_data, g) for g in (p, q))
    gap = theory.finite_criterion(p_data, p) - theory.finite_value(d_q, p_data, p)
    kl = d_p * jnp.log(d_p / d_q) + (1 - d_p) * jnp.log((1 - d_p) / (1 - d_q))
    close(gap, jnp.sum((p_data + p) * kl))
    assert gap > 1e-4


@pytest.mark.parametrize("seed", range(20))
def test_criterion_is_convex_along_segments(seed):
    p_data, p, q = masses(seed), masses(seed + 100), masses(seed + 200)

    def along(t):
        return theory.finite_criterion(p_data, (1 - t) * p + t * q)

    for t in (0.25, 0.5, 0.75):
        chord = (1 - t) * along(0.0) + t * along(1.0)
        assert along(t) < chord - 1e-6
        g = (1 - t) * p + t * q
        curvature = jnp.sum((q - p) ** 2 * p_data / (g * (p_data + g)))
        close(jax.grad(jax.grad(along))(t), curvature, atol=1e-9)


STEPS = {
    "projected": (theory.projected_step, 0.02, 2000),
    "mirror, rate 0.1": (theory.mirror_step, 0.1, 400),
    "mirror, rate 1": (theory.mirror_step, 1.0, 40),
}


@pytest.mark.parametrize("name", STEPS)
def test_small_steps_with_d_optimal_reach_the_data_monotonically(name):
    step, rate, steps = STEPS[name]
    path = descend(partial(step, rate=rate), steps)
    close(path.sum(axis=1), 1.0)
    criterion = jax.vmap(partial(theory.finite_criterion, P_DATA))(path)
    close(path[-1], P_DATA, atol=1e-8)
    close(criterion[-1], -np.log(4))
    falling = criterion[:-1] > -np.log(4) + 1e-13  # above rounding
    assert falling[:20].all()
    assert (np.diff(criterion)[falling] < 0).all()


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0])
def test_mirror_descent_keeps_its_bound(rate):
    path = descend(partial(theory.mirror_step, rate=rate), 50)
    criterion = jax.vmap(partial(theory.finite_criterion, P_DATA))(path[1:])
    bound = np.sum(P_DATA * np.log(P_DATA / START)) / (rate * np.arange(1, 51))
    assert (criterion + np.log(4) < bound).all()


@pytest.mark.parametrize("seed", range(5))
def test_mirror_step_of_rate_one_halves_the_error(seed):
    p_data, p_g = masses(seed), masses(seed + 100)
    gradient = theory.finite_gradient(theory.finite_discriminator(p_data, p_g))
    close(theory.mirror_step(p_g, gradient, 1.0), (p_data + p_g) / 2)


def test_projected_step_by_hand():
    p_g, gradient = jnp.array([0.5, 0.3, 0.2]), jnp.array([-1.0, 0.0, 4.0])
    close(theory.projected_step(p_g, gradient, 0.03), [0.56, 0.33, 0.11])
    # A mass that would be negative is 0, and the others still sum to 1.
    close(theory.projected_step(p_g, gradient, 0.1), [0.6, 0.3, -0.2 + 0.3], atol=0.2)
    close(theory.projected_step(p_g, gradient, 0.2), [0.7, 0.3, 0.0])


# --- a discriminator that is behind -------------------------------------------------


@pytest.mark.parametrize("delay", [0, 1, 2, 5])
@pytest.mark.parametrize("fraction", [0.2, 0.6, 0.95, 1.05])
def test_error_close_to_the_data_has_the_predicted_factor(delay, fraction):
    rate = fraction * theory.largest_rate(delay)

    def update(recent):
        """The step of the last delay + 1 values of p_g, as generator_path has it."""
        d = theory.finite_discriminator(P_DATA, recent[0])
        p_g = theory.mirror_step(recent[-1], theory.finite_gradient(d), rate)
        return jnp.concatenate([recent[1:], p_g[None]])

    at_data = jnp.tile(jnp.asarray(P_DATA), (delay + 1, 1))
    close(update(at_data), at_data)
    jacobian = jax.jacfwd(update)(at_data).reshape(at_data.size, at_data.size)
    # Changes of the total mass, which is fixed, are projected out.
    keep = np.kron(np.eye(delay + 1), np.eye(4) - np.outer(P_DATA, np.ones(4)))
    modulus = np.abs(np.linalg.eigvals(np.asarray(jacobian) @ keep)).max()
    close(theory.mirror_factor(rate, delay), modulus, atol=1e-6)
    assert (modulus < 1) == (fraction < 1)


def test_rates_at_which_the_error_stops_shrinking():
    known = {0: 4.0, 1: 2.0, 2: 4 * np.cos(2 * np.pi / 5)}
    for delay, rate in known.items():
        close(theory.largest_rate(delay), rate)
    for delay in range(6):
        close(theory.mirror_factor(theory.largest_rate(delay), delay), 1.0, atol=1e-6)


def test_with_d_one_update_behind_the_same_rate_circles():
    """Rate 2: convergence with D up to date, a cycle of 6 updates with D behind."""
    start = jnp.asarray(P_DATA + 1e-3 * np.array([1.0, -0.5, 0.5, -1.0]))
    step = partial(theory.mirror_step, rate=2.0)

    def distances(delay):
        path = theory.generator_path(jnp.asarray(P_DATA), start, step, 240, delay)
        return np.abs(np.asarray(path) - P_DATA).sum(axis=1)

    close(distances(0)[-1], 0.0)
    behind = distances(1)
    close(behind[-24:].max() / behind[24:48].max(), 1.0, atol=0.02)
    close(behind[24:30], behind[30:36], atol=0.05 * behind.max())
    assert np.ptp(behind[24:30]) > 0.5 * behind.max()


def test_with_d_one_update_behind_small_rates_converge_too():
    path = descend(partial(theory.mirror_step, rate=0.1), 800, delay=1)
    close(path[-1], P_DATA, atol=1e-9)


def test_the_first_update_sees_the_first_discriminator():
    step = partial(theory.mirror_step, rate=1.0)
    path = descend(step, 2, delay=1)
    close(path[0], START)
    close(path[1], (START + P_DATA) / 2)
    # The second one repeats the first factor, p_g(1) / p_g(0).
    again = path[1] ** 2 / path[0]
    close(path[2], again / again.sum())


# --- the change of variables --------------------------------------------------------


def test_masses_of_generated_points():
    """E_z f(G(z)) = E_{p_g} f(x), for a G that is neither one-to-one nor onto."""
    p_z = jnp.array([0.1, 0.2, 0.3, 0.4])
    g = jnp.array([2, 0, 2, 3])
    p_g = theory.finite_pushforward(p_z, g, 5)
    close(p_g, [0.2, 0.0, 0.4, 0.4, 0.0])
    for f in np.random.default_rng(0).normal(size=(5, 5)):
        close(jnp.sum(p_z * f[g]), jnp.sum(p_g * f))
