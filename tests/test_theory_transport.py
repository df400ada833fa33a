"""The linear program against all moving plans and the distance on the line."""

import itertools
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from ganjax import theory

close = partial(np.testing.assert_allclose, rtol=0, atol=2e-6)

PILES = [  # p, q, and the known number of plans
    ((2, 2), (2, 2), 3),
    ((1, 1, 1), (1, 1, 1), 6),  # the permutations
    ((2, 2, 2), (2, 2, 2), 21),  # OEIS A002817: 1, 6, 21, 55
    ((3, 3, 3), (3, 3, 3), 55),
    ((1, 3), (2, 0, 2), 2),
    ((4,), (1, 3), 1),
]


@pytest.mark.parametrize("p, q, count", PILES)
def test_the_cheapest_moving_plan_is_the_linear_program(p, q, count):
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


def test_linear_program_on_the_line_is_the_1d_distance():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=5), rng.normal(size=8)
    cost, _ = theory.wasserstein_discrete(
        np.full(5, 1 / 5), np.full(8, 1 / 8), np.abs(x[:, None] - y)
    )
    close(theory.wasserstein_1d_samples(jnp.array(x), jnp.array(y)), cost)


def test_linear_program_rejects_masses_without_a_plan():
    with pytest.raises(ValueError, match="total"):
        theory.wasserstein_discrete([1.0, 1.0], [1.0], [[0.0], [1.0]])
    with pytest.raises(ValueError, match="masses"):
        theory.wasserstein_discrete([2.0, -1.0], [1.0], [[0.0], [1.0]])
    with pytest.raises(ValueError, match="shapes"):
        theory.wasserstein_discrete([0.5, 0.5], [1.0], [[0.0, 1.0]])
    with pytest.raises(ValueError, match="total"):
        list(theory.moving_plans([1, 2], [1, 1]))
