"""The experiments about theory measure what the closed forms predict."""

from functools import partial
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import double_precision

from experiments import change_of_variables, games, predictability, proposition2
from experiments.predictability import BITS, UNITS, Measures, measure
from ganjax import theory

pytestmark = pytest.mark.slow

close = partial(np.testing.assert_allclose, rtol=0, atol=1e-9)


# --- proposition 2 ------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("fraction", [0.1, 0.4, 0.9, 1.05])
def test_factors_measured_on_paths_are_the_predicted_ones(delay, fraction):
    with double_precision():
        rate = fraction * theory.largest_rate(delay)
        measured = proposition2.measured_factor(rate, delay)
    close(measured, theory.mirror_factor(rate, delay), atol=2e-3)


def test_criterion_rises_only_if_d_is_behind():
    with double_precision():
        for descent in proposition2.DESCENTS:
            values = proposition2.excess(descent.path(proposition2.STARTS[0]))
            assert (np.diff(values) > 1e-14).any() == (descent.delay > 0)


# --- games --------------------------------------------------------------------------


@pytest.mark.parametrize("setting", games.SETTINGS, ids=lambda setting: setting.name)
@pytest.mark.parametrize("updates", get_args(theory.Updates))
def test_paths_close_to_an_equilibrium_have_the_predicted_factor(setting, updates):
    with double_precision():
        predicted, measured = setting.factors(updates)
        if not predicted:
            close(setting.path(updates)[-1], setting.equilibrium)
        else:
            close(float(measured), float(predicted), atol=5e-4)


# --- the change of variables --------------------------------------------------------


@pytest.mark.parametrize("name", change_of_variables.GENERATORS)
def test_three_ways_to_an_expectation_agree(name):
    generator = change_of_variables.GENERATORS[name]
    over_z, over_x, over_samples = change_of_variables.expectations(generator, seed=0)
    close(over_x, over_z, atol=1e-5)
    mean, error = (float(part) for part in over_samples.split(" ± "))
    close(mean, over_z, atol=4 * error)


# --- predictability minimization ----------------------------------------------------


def test_measures_of_codes_by_hand():
    factors = np.asarray(BITS, np.float32)
    assert measure(1 - factors[:, ::-1]) == Measures(UNITS, 0.0, 0.0, 1.0)
    copies = np.repeat(factors[:, :1], UNITS, axis=1)
    assert measure(copies) == Measures(1.0, UNITS - 1.0, 1.0, 1 / UNITS)
    # Units s0, s1, s2 and s0 xor s1: every pair is independent, all four are not.
    parity = factors.copy()
    parity[:, 3] = (factors[:, 0] + factors[:, 1]) % 2
    assert measure(parity) == Measures(3.0, 1.0, 0.0, 3 / 4)


def test_mutual_information_by_hand():
    """P(a = 1) = 1/2, P(b = 1) = 1/4 and b implies a."""
    a, b = np.array([1, 1, 0, 0]), np.array([1, 0, 0, 0])
    entropy_b = 2 - 0.75 * np.log2(3)
    close(predictability.entropy(b), entropy_b)
    close(predictability.mutual_information(a, b), 1 + entropy_b - 1.5)
    close(predictability.pairwise(np.stack([a, b], 1), a[:, None])[0, 0], 1.0)


def error_hessian(blind, keep=("Dense_",)):
    """Second derivatives of the error in a code; other parameters are zero."""
    module = predictability.Predictors(blind)
    code = jnp.array([0.1, 0.4, 0.6, 0.8])
    params = module.init(jax.random.key(0), code[None])["params"]
    params = {
        name: layer if name.startswith(keep) else jax.tree.map(jnp.zeros_like, layer)
        for name, layer in params.items()
    }
    return jax.hessian(lambda c: module.apply({"params": params}, c[None])[0])(code)


def test_blind_predictors_see_no_unit():
    close(error_hessian(blind=True), 2 * np.eye(UNITS), atol=1e-6)


def test_a_predictor_sees_all_units_but_its_own():
    # Only the predictor of unit 0, Dense_0 and Dense_1, is not a constant.
    hessian = error_hessian(False, keep=("Dense_0", "Dense_1"))
    close(hessian[0, 0], 2.0, atol=1e-6)
    assert np.abs(hessian[0, 1:]).min() > 1e-3


def test_encoder_and_predictors_have_opposite_losses():
    loss = predictability.ERROR
    real, fake = jnp.array([5.0, 7.0]), jnp.array([0.25, 1.0])
    close(loss.d(real, fake), fake)
    close(loss.g(real, fake), -fake)


@pytest.mark.slow
def test_units_become_independent_and_keep_all_information():
    seeing = predictability.train("linear", False, 300, jax.random.key(0))
    first, last = (measure(np.asarray(seeing[i])) for i in (0, -1))
    assert first.redundancy > 0.3
    close(last[:3], (UNITS, 0.0, 0.0))
    blind = predictability.train("linear", True, 300, jax.random.key(0))
    assert measure(np.asarray(blind[-1])).redundancy > 1.0
