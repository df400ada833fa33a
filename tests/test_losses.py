"""Losses against numbers worked out by hand, gradients against finite differences."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from ganjax.losses import LOSSES, diagnostics, with_label_smoothing, with_weights

REAL, FAKE = np.array([2.0, -1.0]), np.array([0.5, -3.0])
LOGITS = jnp.asarray(REAL), jnp.asarray(FAKE)


def log_sigmoid(x):
    return np.log(1 / (1 + np.exp(-x)))


D = {
    "minimax": -log_sigmoid(REAL) - log_sigmoid(-FAKE),
    "non_saturating": -log_sigmoid(REAL) - log_sigmoid(-FAKE),
    "lsgan": np.array([0.5 * 1.0 + 0.5 * 0.25, 0.5 * 4.0 + 0.5 * 9.0]),
    "wgan": np.array([-1.5, -2.0]),
    "hinge": np.array([0.0 + 1.5, 2.0 + 0.0]),
    "relativistic": -log_sigmoid(REAL - FAKE),
}
G = {
    "minimax": log_sigmoid(-FAKE),
    "non_saturating": -log_sigmoid(FAKE),
    "lsgan": np.array([0.125, 8.0]),
    "wgan": np.array([-0.5, 3.0]),
    "hinge": np.array([-0.5, 3.0]),
    "relativistic": -log_sigmoid(FAKE - REAL),
}


def test_every_loss_is_tested():
    assert set(LOSSES) == set(D) == set(G)


@pytest.mark.parametrize("name", LOSSES)
def test_values(name):
    np.testing.assert_allclose(LOSSES[name].d(*LOGITS), D[name], rtol=1e-6)
    np.testing.assert_allclose(LOSSES[name].g(*LOGITS), G[name], rtol=1e-6)


def on_jax_arrays(loss, *logits):
    """check_grads evaluates functions on NumPy arrays."""
    return loss(*map(jnp.asarray, logits))


@pytest.mark.parametrize("name", LOSSES)
def test_gradients(name):
    for loss in (LOSSES[name].d, LOSSES[name].g):
        on_arrays = partial(on_jax_arrays, loss)
        check_grads(on_arrays, LOGITS, order=1, modes=["rev"], rtol=1e-2, atol=1e-2)


def test_saturating_loss_has_small_gradients_where_d_is_sure():
    """At logit −10 the gradients are −σ(l) and −(1 − σ(l)): 4.54e-5 against .99995."""
    zero, logit = jnp.zeros(1), jnp.full(1, -10.0)
    slope = {
        name: jax.grad(lambda r, f, n=name: LOSSES[n].g(r, f).sum(), 1)(zero, logit)
        for name in ("minimax", "non_saturating")
    }
    np.testing.assert_allclose(slope["minimax"], -4.539787e-5, rtol=1e-4)
    np.testing.assert_allclose(slope["non_saturating"], -0.9999546, rtol=1e-6)


@pytest.mark.parametrize("name", ["minimax", "non_saturating", "relativistic"])
def test_extreme_logits_stay_finite(name):
    far = jnp.array([1e4, -1e4])
    for loss in (LOSSES[name].d, LOSSES[name].g):
        assert np.isfinite(loss(far, -far)).all()


def test_equilibrium():
    """Where D is at chance: log 4 for the loss of 2014, log 2 for the relativistic."""
    zero = jnp.zeros(3)
    np.testing.assert_allclose(LOSSES["minimax"].d(zero, zero), np.log(4), rtol=1e-6)
    relativistic = LOSSES["relativistic"]
    np.testing.assert_allclose(relativistic.d(zero, zero), np.log(2), rtol=1e-6)
    np.testing.assert_allclose(relativistic.g(zero, zero), np.log(2), rtol=1e-6)


def test_weights_of_the_real_and_fake_term():
    """.9 real + .1 fake of the cross-entropy, by hand."""
    expected = -0.9 * log_sigmoid(REAL) - 0.1 * log_sigmoid(-FAKE)
    loss = with_weights(LOSSES["non_saturating"], 0.9, 0.1)
    np.testing.assert_allclose(loss.d(*LOGITS), expected, rtol=1e-6)
    np.testing.assert_allclose(loss.g(*LOGITS), G["non_saturating"], rtol=1e-6)


def test_one_sided_smoothing():
    """Target 0.9 for real images, 0 for generated ones."""
    expected = -0.9 * log_sigmoid(REAL) - 0.1 * log_sigmoid(-REAL) - log_sigmoid(-FAKE)
    loss = with_label_smoothing(LOSSES["non_saturating"], 0.1)
    np.testing.assert_allclose(loss.d(*LOGITS), expected, rtol=1e-6)


def test_accuracy_of_d_counts_the_logits_on_the_right_side():
    """Three logits of real and three of generated images, some on the wrong side."""
    three, four = jnp.array([2.0, -1.0, 3.0]), jnp.array([0.5, -3.0, -1.0])
    for name, expected in {
        "non_saturating": 2 / 3,  # at 0: 2 and 3, −3 and −1
        "lsgan": 2 / 3,  # at 0.5: 2 and 3, −3 and −1; 0.5 itself is undecided
        # From the mean of the other side: 2, −1, 3 from −3.5 / 3; 0.5, −3, −1 from 4/3
        "wgan": 1.0,
        "relativistic": 1.0,
    }.items():
        accuracy = diagnostics(LOSSES[name], three, four)["d_accuracy"]
        np.testing.assert_allclose(accuracy, expected, rtol=1e-6, err_msg=name)
