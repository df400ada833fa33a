"""The training of figure 1 against closed forms, and its measures by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy import stats

from experiments import figure1
from experiments.figure1 import LOG_P_DATA, MEAN, STD, SUPPORT, Curves, X

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def states():
    """The states before and after the warm-up of D, and at the end of training."""
    first, warm, film = jax.jit(figure1.train, static_argnums=0)(500, jax.random.key(0))
    return first, warm, jax.tree.map(lambda x: x[-1], film)


def test_perfect_players_have_no_distance():
    d = jnp.full(X.shape, 0.5)
    error, jsd, w1 = figure1.measure(Curves(LOG_P_DATA, d, X, X))
    assert (error, jsd, w1) == pytest.approx((0, 0, 0), abs=1e-6)


def test_distance_of_shifted_gaussians():
    """W1 of equal Gaussians is their shift; D errs only outside of the support."""
    shifted = stats.norm.logpdf(X, MEAN - 0.5, STD)
    d = jnp.where(SUPPORT, 0.6, 1.0)
    error, jsd, w1 = figure1.measure(Curves(shifted, d, X, X))
    assert error == pytest.approx(0.1)
    assert w1 == pytest.approx(0.5, rel=1e-3)
    # Second order in the shift: JSD is about shift² / (8 STD²).
    assert jsd == pytest.approx(0.5**2 / (8 * STD**2), rel=0.1)


@pytest.mark.slow
def test_warm_up_trains_d_alone_and_separates(states):
    first, warm, _ = states
    assert int(warm.step) == 0
    assert int(warm.d.updates) == figure1.WARM_UP
    same = jax.tree.map(
        lambda a, b: bool((a == b).all()), first.g.params, warm.g.params
    )
    assert all(jax.tree.leaves(same))
    points = figure1.generate(warm, jnp.linspace(-2, 2, 5))
    logits = figure1.DISCRIMINATOR.apply(warm.d.variables, points[:, None])
    assert (logits < 0).all()
    real = jnp.array([[MEAN], [MEAN + STD]])
    assert (figure1.DISCRIMINATOR.apply(warm.d.variables, real) > 2).all()


@pytest.mark.slow
def test_training_moves_p_g_onto_p_data(states):
    first, _, last = states
    before, after = (figure1.measure(figure1.curves(state)) for state in (first, last))
    assert 0.4 < before[1] < np.log(2)
    assert 0 < after[1] < 0.05
    assert before[2] == pytest.approx(1.5, abs=0.1)  # p_g starts around 0
    assert 0 < after[2] < 0.4
