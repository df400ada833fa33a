"""Optimizers, what surrounds them, schedules over a run, and their configs."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import small_config

import ganjax
from ganjax.optim import OPTIMIZERS, Schedule, make_optimizer, resolve_schedules


def step(spec, params, grads):
    tx = make_optimizer(spec, "config.x").transformation()
    updates, _ = tx.update(grads, tx.init(params), params)
    return params + updates


def test_limits_decay_and_clipping_around_an_optimizer():
    params, grads = jnp.array([3.0, -0.2]), jnp.array([3.0, 4.0])
    sgd = {"name": "sgd", "learning_rate": 0.1}
    np.testing.assert_allclose(step(sgd, params, grads), [2.7, -0.6], rtol=1e-6)
    # L2 enters the gradient: g + λp.
    decayed = step(sgd | {"weight_decay": 0.5}, params, grads)
    np.testing.assert_allclose(decayed, [2.55, -0.59], rtol=1e-6)
    # A norm of 5 is cut to 1.
    cut = step(sgd | {"max_grad_norm": 1.0}, params, grads)
    np.testing.assert_allclose(cut, [2.94, -0.28], rtol=1e-6)
    # Every number of the gradient is cut to ±0.5.
    cut = step(sgd | {"max_grad_value": 0.5}, params, -grads)
    np.testing.assert_allclose(cut, [3.05, -0.15], rtol=1e-6)
    # The limit is of the loss's gradient, as in PyTorch; decay comes on top.
    both = step(sgd | {"max_grad_norm": 1.0, "weight_decay": 0.5}, params, grads)
    np.testing.assert_allclose(both, [2.79, -0.27], rtol=1e-6)
    # Weights end inside ±0.25, wherever they were.
    clipped = step(sgd | {"clip_weights": 0.25}, params, grads)
    np.testing.assert_allclose(clipped, [0.25, -0.25], rtol=1e-6)


SCHEDULES = [  # values at 0, 1/4, 1/2 and the end of a run of 8 steps, and after it
    ({"name": "linear", "start": 1.0}, [1.0, 0.75, 0.5, 0.0, 0.0]),
    (
        {"name": "exponential", "start": 1.0, "end": 0.0625},
        [1, 0.5, 0.25, 0.0625, 0.0625],
    ),
    ({"name": "cosine", "start": 2.0}, [2.0, 1.7071068, 1.0, 0.0, 0.0]),
    ({"name": "linear", "start": 4.0, "warmup": 0.5}, [0.0, 2.0, 4.0, 0.0, 0.0]),
]


@pytest.mark.parametrize("spec,values", SCHEDULES)
def test_schedules_follow_the_length_of_the_run(spec, values):
    for num_steps in (8, 800):
        schedule = Schedule(**spec, num_steps=num_steps)
        steps = [fraction * num_steps for fraction in (0, 0.25, 0.5, 1, 2)]
        actual = [float(schedule(jnp.int32(s))) for s in steps]
        np.testing.assert_allclose(actual, values, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("config", ["mnist_best", "stacked_mnist"])
def test_a_shorter_run_has_its_whole_schedule(config):
    for num_steps in (1000, 10):
        gan = ganjax.make_gan(ganjax.load_config(config, {"num_steps": num_steps}))
        (penalty,) = gan.penalties
        ends = penalty.weight(jnp.int32(0)), penalty.weight(jnp.int32(num_steps))
        np.testing.assert_allclose(ends[1] / ends[0], 0.1, rtol=1e-5)


def test_resolving_reaches_every_schedule():
    config = {"a": {"b": {"start": 1.0}, "c": 2}, "d": {"start": 0.5}}
    expected = {"a": {"b": {"start": 1.0, "num_steps": 7}, "c": 2}}
    expected["d"] = {"start": 0.5, "num_steps": 7}
    assert resolve_schedules(config, 7) == expected


def test_schedules_of_both_players_end_together():
    """A rate over 4 steps, of one update each and of two."""
    rate = {"name": "linear", "start": 1.0, "num_steps": 4}
    spec = {"name": "sgd", "learning_rate": rate}
    for updates, expected in ((1, [1, 0.75, 0.5]), (2, [1, 1, 0.75, 0.75, 0.5, 0.5])):
        tx = make_optimizer(spec, "config.x", updates).transformation()
        state, moves = tx.init(jnp.zeros(1)), []
        for _ in expected:
            move, state = tx.update(jnp.ones(1), state)
            moves.append(-float(move[0]))
        np.testing.assert_allclose(moves, expected, rtol=1e-6)
    gan = ganjax.make_gan(small_config(n_dis=2, d_optimizer=spec, num_steps=4))
    tx = gan.d_optimizer.transformation()
    state = tx.init(jnp.zeros(1))
    for expected in (1, 1, 0.75):
        move, state = tx.update(jnp.ones(1), state)
        np.testing.assert_allclose(move, [-expected], rtol=1e-6)


def test_momentum_can_be_a_schedule():
    """Constant gradient 1, momentum 1 then 0: moves of 1, 1 + 0.5 · 1, 1."""
    momentum = {"name": "linear", "start": 1.0, "num_steps": 2}
    spec = {"name": "sgd", "learning_rate": 1.0, "momentum": momentum}
    tx = make_optimizer(spec, "config.x").transformation()
    state, moves = tx.init(jnp.zeros(1)), []
    for _ in range(3):
        move, state = tx.update(jnp.ones(1), state)
        moves.append(-float(move[0]))
    np.testing.assert_allclose(moves, [1.0, 1.5, 1.0], rtol=1e-6)


@pytest.mark.parametrize(
    "change,message",
    [
        ({"beta": 0.5}, "config.x: .*unexpected keyword argument 'beta'"),
        ({"name": "adan"}, "config.x.name='adan': expected one of adam, rmsprop, sgd"),
        ({"learning_rate": 0.0}, "config.x.learning_rate=0.0: expected a number > 0"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0: expected a number >= 0"),
        ({"learning_rate": {"name": "zigzag"}}, "rate.name='zigzag': expected one of"),
        ({"learning_rate": {"start": -1.0}}, "start=-1.0: expected a number >= 0"),
        ({"weight_decay": "x"}, "weight_decay='x': expected a number"),
        (
            {"learning_rate": {"name": "exponential", "start": 1.0}},
            "expected positive numbers for an exponential schedule",
        ),
    ],
)
def test_bad_optimizers_are_refused(change, message):
    spec = {"name": "adam", "learning_rate": 1.0, "b1": 0.9} | change
    with pytest.raises(ganjax.UserError, match=message):
        make_optimizer(spec, "config.x")


def test_a_replaced_optimizer_makes_another_gan(monkeypatch):
    before = ganjax.make_gan(small_config())
    with monkeypatch.context() as notebook:
        notebook.setitem(OPTIMIZERS, "adam", optax.lion)
        config = small_config(g_optimizer={"name": "adam", "learning_rate": 1e-3})
        assert ganjax.make_gan(config).g_optimizer.make is optax.lion
    assert ganjax.make_gan(small_config()) == before
