"""Matrix games: equilibria known by hand, and gradient steps with exact invariants."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import double_precision

from ganjax import theory
from ganjax.theory import Game

close = partial(np.testing.assert_allclose, rtol=0, atol=1e-9)
PENNIES = theory.GAMES["matching_pennies"]
PRISONERS = theory.GAMES["prisoners_dilemma"]
BATTLE = Game(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 2.0]]))
ROCK_PAPER_SCISSORS = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])


@pytest.fixture(autouse=True)
def float64():
    with double_precision():
        yield


# --- equilibria ---------------------------------------------------------------------

HALF = [0.5, 0.5]
EQUILIBRIA = {
    "matching pennies": (PENNIES, [(HALF, HALF)]),
    "prisoner's dilemma": (PRISONERS, [([0, 1], [0, 1])]),
    "battle of the sexes": (
        BATTLE,
        [([1, 0], [1, 0]), ([0, 1], [0, 1]), ([2 / 3, 1 / 3], [1 / 3, 2 / 3])],
    ),
    "rock, paper, scissors": (
        Game(ROCK_PAPER_SCISSORS, -ROCK_PAPER_SCISSORS),
        [([1 / 3] * 3, [1 / 3] * 3)],
    ),
    # The third row is dominated and never used.
    "3 x 2": (
        Game(
            np.vstack([PENNIES.row, [-2.0, -2.0]]),
            np.vstack([PENNIES.column, [0.0, 0.0]]),
        ),
        [([0.5, 0.5, 0.0], HALF)],
    ),
}


@pytest.mark.parametrize("name", EQUILIBRIA)
def test_nash_equilibria(name):
    game, expected = EQUILIBRIA[name]
    found = theory.nash_equilibria(game)
    assert len(found) == len(expected)
    for (x, y), (x_expected, y_expected) in zip(found, expected, strict=True):
        close(x, x_expected)
        close(y, y_expected)
        close(theory.deviation_gains(game, x, y), 0.0)


@pytest.mark.parametrize("seed", range(10))
def test_equilibria_of_random_games_are_odd_in_number_and_have_no_better_response(seed):
    """Wilson 1971: a non-degenerate game has an odd number of equilibria."""
    rng = np.random.default_rng(seed)
    game = Game(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)))
    found = theory.nash_equilibria(game)
    assert len(found) % 2 == 1
    for x, y in found:
        close([x.sum(), y.sum()], 1.0)
        assert min(x.min(), y.min()) >= 0
        mine, theirs = theory.payoffs(game, x, y)
        for other in np.eye(3):
            assert other @ game.row @ y <= mine + 1e-9
        for other in np.eye(4):
            assert x @ game.column @ other <= theirs + 1e-9


def test_payoffs_and_gains_by_hand():
    cooperate, defect = np.eye(2)
    close(theory.payoffs(PRISONERS, cooperate, cooperate), [3, 3])
    close(theory.payoffs(PRISONERS, defect, cooperate), [5, 0])
    close(theory.payoffs(PRISONERS, defect, defect), [1, 1])
    close(theory.deviation_gains(PRISONERS, cooperate, cooperate), [2, 2])
    close(theory.deviation_gains(PRISONERS, defect, cooperate), [0, 1])
    close(theory.deviation_gains(PRISONERS, defect, defect), [0, 0])
    # Against 80% heads the row player should always play heads: from 0 to 0.6.
    mixed = np.array([0.8, 0.2])
    close(theory.deviation_gains(PENNIES, np.array(HALF), mixed), [0.6, 0])


# --- gradient steps -----------------------------------------------------------------


def clip(point):
    return jnp.clip(point, 0.0, 1.0)


def test_field_is_the_gradient_of_each_player_s_own_payoff():
    # Matching pennies: (2p - 1)(2q - 1) and its negative.
    close(theory.payoff_field(PENNIES)(jnp.array([0.7, 0.6])), [0.4, -0.8])
    # Prisoner's dilemma: -(1 + q) and -(1 + p), defection always pays.
    close(theory.payoff_field(PRISONERS)(jnp.array([0.7, 0.6])), [-1.6, -1.7])
    close(theory.payoff_field(PENNIES)(jnp.array(HALF)), 0.0)


@pytest.mark.parametrize("rate", [0.01, 0.1])
def test_matching_pennies_spirals_out_by_the_predicted_factor(rate):
    field = theory.payoff_field(PENNIES)
    path = theory.trajectory(field, jnp.array([0.51, 0.5]), rate, 20)
    radii = jnp.linalg.norm(path - 0.5, axis=1)
    close(radii[1:] / radii[:-1], np.sqrt(1 + 16 * rate**2))


@pytest.mark.parametrize("rate", [0.01, 0.1])
def test_matching_pennies_with_alternating_steps_stays_on_an_ellipse(rate):
    """u² + v² - 4·rate·u·v is constant, with u = p - 1/2 and v = q - 1/2."""
    field = theory.payoff_field(PENNIES)
    start = jnp.array([0.6, 0.5])
    path = theory.trajectory(field, start, rate, 10_000, "alternating") - 0.5
    u, v = path.T
    close(u**2 + v**2 - 4 * rate * u * v, 0.01)
    radii = np.linalg.norm(path, axis=1)
    close(radii.max(), 0.1 / np.sqrt(1 - 2 * rate), atol=1e-5)
    close(radii.min(), 0.1 / np.sqrt(1 + 2 * rate), atol=1e-5)
    close(path.mean(axis=0), 0.0, atol=1e-3)


@pytest.mark.parametrize("updates", ["simultaneous", "alternating"])
def test_prisoner_s_dilemma_ends_at_defection(updates):
    field = theory.payoff_field(PRISONERS)
    path = theory.trajectory(field, jnp.array([0.9, 0.6]), 0.01, 120, updates, clip)
    close(path[0], [0.9, 0.6])
    close(path[-1], 0.0)
    assert (np.diff(path, axis=0) <= 0).all()
    assert path[20].min() > 0.2  # not at once


def test_alternating_steps_by_hand():
    """The second player moves first, and the first one sees where to."""

    def field(point):
        return jnp.array([point[1], -point[0]])

    start = jnp.array([1.0, 0.0])
    close(theory.trajectory(field, start, 0.5, 1)[1], [1.0, -0.5])
    moved = theory.trajectory(field, start, 0.5, 1, "alternating")[1]
    close(moved, [0.75, -0.5])
