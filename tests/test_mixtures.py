"""Scores of mixtures against constructed cases; two steps of every setting."""

import jax
import numpy as np
import pytest

from experiments.mixtures import MIXTURES, NUM, SETTINGS, Mixture, draw, score, train

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", MIXTURES)
def test_all_samples_on_one_mode(name):
    mixture = MIXTURES[name]
    samples = np.tile(mixture.means[3], (100, 1))
    assert score(samples, mixture) == (
        1,
        100,
        pytest.approx(np.log(len(mixture.means))),
    )


@pytest.mark.parametrize("name", MIXTURES)
def test_true_samples_are_near_the_ceiling(name):
    """P(within 3σ) = 1 - exp(-9/2) in the plane; KL is about (M - 1) / 2N."""
    mixture = MIXTURES[name]
    num = 20_000
    result = score(np.asarray(draw(mixture, num, jax.random.key(0))), mixture)
    ceiling = 1 - np.exp(-4.5)
    error = np.sqrt(ceiling * (1 - ceiling) / num)
    assert result.modes == len(mixture.means)
    assert result.quality / 100 == pytest.approx(ceiling, abs=4 * error)
    assert 0 < result.kl < 4 * (len(mixture.means) - 1) / (2 * num)


def test_three_sigma_is_outside():
    """The grid has a mode at 0, so that distances are exact."""
    mixture = MIXTURES["grid"]
    edge = 3 * mixture.std
    assert score(np.array([[0.0, edge]]), mixture).modes == 0
    assert score(np.array([[0.0, np.nextafter(edge, 0)]]), mixture).modes == 1


def test_quality_and_kl_by_hand():
    """Five samples: three on a mode, one on its neighbor, one between all."""
    mixture = MIXTURES["ring"]
    samples = np.vstack([mixture.means[[0, 0, 0, 1]], [[0.0, 0.0]]])
    by_hand = 0.75 * np.log(0.75 * 8) + 0.25 * np.log(0.25 * 8)
    assert score(samples, mixture) == (2, 80, pytest.approx(by_hand))


def test_no_sample_of_high_quality():
    samples = np.zeros((4, 2))
    assert score(samples, MIXTURES["ring"]) == (0, 0, pytest.approx(np.log(8)))


def test_training_data_have_variance_one():
    for mixture in MIXTURES.values():
        samples = draw(mixture, 50_000, jax.random.key(0)) / mixture.scale
        np.testing.assert_allclose(samples.std(0), 1, atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_trains(name):
    mixture = Mixture(np.array([[-1.0, 0.0], [1.0, 0.0]]), 0.1)
    samples = jax.jit(lambda key: train(SETTINGS[name], mixture, 2, key))(
        jax.random.key(0)
    )
    assert samples.shape == (NUM, 2)
    assert np.isfinite(samples).all()
