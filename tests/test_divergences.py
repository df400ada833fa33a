"""Transport plans, disjoint supports and trained critics against known distances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ganjax
from experiments import divergences
from experiments.divergences import CONSTRAINTS, one_sided

pytestmark = pytest.mark.slow


def test_linear_program_finds_the_cheapest_of_all_plans():
    cost, plan, costs = divergences.cheapest_plan()
    assert len(costs) == 87
    assert cost == pytest.approx(min(costs)) == pytest.approx(6.0)
    np.testing.assert_allclose(plan.sum(1), divergences.P, atol=1e-9)
    np.testing.assert_allclose(plan.sum(0), divergences.Q, atol=1e-9)


@pytest.mark.parametrize("shift", [1.5, 3.0])
def test_disjoint_uniforms(shift):
    jsd, w1 = divergences.uniforms_apart(jnp.array(shift))
    assert float(jsd) == pytest.approx(np.log(2), rel=1e-4)
    assert float(w1) == pytest.approx(shift, rel=1e-3)


@pytest.mark.parametrize("slope,expected", [(3.0, 4.0), (-3.0, 4.0), (0.5, 0.0)])
def test_one_sided_penalty_of_a_linear_critic(slope, expected):
    x = jnp.linspace(-1, 1, 6)[:, None]
    penalty = one_sided(lambda x: slope * x[:, 0], x, x + 1, jax.random.key(0))
    np.testing.assert_allclose(penalty, np.full(6, expected), rtol=1e-5)


def test_one_sided_penalty_is_between_real_and_fake():
    """f' = 2x on [1, 2] gives penalties between (2 - 1)² and (4 - 1)²."""
    real, fake = jnp.full((100, 1), 1.0), jnp.full((100, 1), 2.0)
    penalty = one_sided(lambda x: x[:, 0] ** 2, real, fake, jax.random.key(0))
    assert 1 <= penalty.min() < 1.5
    assert 8 < penalty.max() <= 9


def test_weight_clipping_bounds_every_weight():
    gan = divergences.make_gan(CONSTRAINTS["weight clipping"], 20)
    state = ganjax.init_state(gan, jax.random.key(0))
    assert max(float(abs(x).max()) for x in jax.tree.leaves(state.d.params)) > 0.1
    for key in jax.random.split(jax.random.key(1), 20):
        real, fake = jax.random.normal(key, (2, 32, 1))
        state, _ = ganjax.d_step(gan, state, real, generated=fake + 1)
    largest = max(float(abs(x).max()) for x in jax.tree.leaves(state.d.params))
    assert largest == pytest.approx(0.1)


@pytest.mark.slow
def test_critic_bounds_the_distance_from_below():
    """N(0, 1) and N(2, 1): W1 is 2, and a critic of slope 1 reaches it."""
    constraint = CONSTRAINTS["one-sided penalty"]
    mean, std = jnp.array(2.0), jnp.array(1.0)
    train = jax.jit(divergences.train_critic, static_argnums=(0, 1))
    gap, slope = train(constraint, 1000, mean, std, jax.random.key(0))
    assert float(slope) == pytest.approx(1.17, abs=0.05)
    assert float(gap / slope) == pytest.approx(1.88, abs=0.06)
