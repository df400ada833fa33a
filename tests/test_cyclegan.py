"""CycleGAN: both losses from the networks' outputs, the history, devices, resuming."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_identical, step_on_one_and_on_two_devices

import ganjax
from ganjax import train
from ganjax.gans.cyclegan import Pair
from ganjax.steps import D_TAGS, G_TAGS, update_keys

RNG = np.random.default_rng(0)
IMAGES = Pair(*RNG.integers(0, 256, (2, 4, 8, 8, 1), np.uint8))
SMALL = {
    "cycle": 10.0,
    "identity": 5.0,
    "generator.features": 2,
    "generator.blocks": 1,
    "discriminator.channels": (3, 4),
    "data.image_shape": (8, 8, 1),
    "batch_size": 4,
    "history": 6,
}


def small_gan(**overrides):
    return ganjax.make_gan(ganjax.load_config("cyclegan", SMALL | overrides))


@pytest.fixture(scope="module")
def gan():
    return small_gan()


def test_losses_are_those_of_the_paper(gan, state):
    """arXiv:1703.10593, equations 1 to 3 with least squares, and section 5.2."""
    batch = gan.normalize(jax.tree.map(jnp.asarray, IMAGES))
    keys = update_keys(state.key, state.g.updates, G_TAGS)
    generated, _ = jax.jit(gan.generate)(state.g.variables, batch, keys)
    (a, b), params = batch, state.g.params

    apply_g, apply_d = jax.jit(gan.generator.apply), jax.jit(gan.discriminator.apply)

    def g(direction, x):
        return apply_g({"params": params[direction]}, x)

    def d(domain, x):
        variables = {"params": state.d.params[domain]}
        return np.asarray(apply_d(variables, x)[0], np.float64)

    fake_a, fake_b = g("ba", b), g("ab", a)
    adversarial = np.mean((d("a", fake_a) - 1) ** 2) + np.mean(
        (d("b", fake_b) - 1) ** 2
    )
    cycle = np.mean(np.abs(g("ba", fake_b) - a)) + np.mean(np.abs(g("ab", fake_a) - b))
    identity = np.mean(np.abs(g("ba", a) - a)) + np.mean(np.abs(g("ab", b) - b))
    players = state.d.variables, batch, generated
    loss, metrics = jax.jit(gan.g_loss)(*players, keys, state.step)
    expected = adversarial / 2 + 10 * cycle + 5 * identity  # ganjax's lsgan halves
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    np.testing.assert_allclose(metrics["cycle"], cycle, rtol=1e-4)
    np.testing.assert_allclose(metrics["identity"], identity, rtol=1e-4)

    keys = update_keys(state.key, state.d.updates, D_TAGS)
    loss, _ = jax.jit(gan.d_loss)(*players, keys, state.step)
    expected = 0.0
    for domain, real, fake in (("a", a, fake_a), ("b", b, fake_b)):
        expected += np.mean((d(domain, real) - 1) ** 2) + np.mean(d(domain, fake) ** 2)
    np.testing.assert_allclose(loss, expected / 4, rtol=1e-4)


def numbered(*numbers):
    """Images whose pixels all have a number, of a and, plus 100, of b."""
    a = np.array(numbers, np.float32).reshape(-1, 1, 1, 1) * np.ones((1, 8, 8, 1), "f")
    return Pair(jnp.asarray(a), jnp.asarray(a + 100))


def numbers(images):
    return np.asarray(images)[:, 0, 0, 0].tolist()


def empty_history(gan):
    return jax.jit(lambda key: gan.init(key)[1]["batch_stats"])(jax.random.key(0))


def test_history_fills_and_then_exchanges_half_of_the_images():
    gan = small_gan()
    stats = empty_history(gan)
    first, second, *keys = jax.random.split(jax.random.key(1), 200)
    shown, stats = gan.exchange(stats, numbered(1, 2, 3), first)
    assert numbers(shown.a) == [1, 2, 3]
    shown, stats = gan.exchange(stats, numbered(4, 5, 6), second)
    assert numbers(shown.a) == [4, 5, 6]
    assert numbers(stats["history"].a) == [1, 2, 3, 4, 5, 6]
    exchange = jax.jit(gan.exchange)
    replaced = 0
    for i, key in enumerate(keys):
        before, new = stats["history"], [7.0 + 3 * i, 8.0 + 3 * i, 9.0 + 3 * i]
        shown, stats = exchange(stats, numbered(*new), key)
        old = [x for x in numbers(shown.a) if x not in new]
        replaced += len(old)
        # An image that is shown leaves the history, and the new one takes its place.
        assert set(old) <= set(numbers(before.a))
        remaining = set(numbers(before.a)) - set(old)
        arrived = set(new) - set(numbers(shown.a))
        assert set(numbers(stats["history"].a)) == remaining | arrived
        np.testing.assert_array_equal(shown.b, np.asarray(shown.a) + 100)
    total = 3 * len(keys)
    # Four standard errors of a fair coin.
    np.testing.assert_allclose(replaced / total, 0.5, atol=2 / total**0.5)


def test_places_of_the_history_that_never_fill_are_never_shown():
    """Three images at a time in a history of five: two places stay empty."""
    gan = dataclasses.replace(small_gan(), history=5)
    stats = empty_history(gan)
    exchange = jax.jit(gan.exchange)
    for key in jax.random.split(jax.random.key(1), 30):
        shown, stats = exchange(stats, numbered(1, 2, 3), key)
        assert set(numbers(shown.a)) <= {1.0, 2.0, 3.0}
    assert sorted(numbers(stats["history"].a))[:2] == [0.0, 0.0]


def test_a_history_smaller_than_the_batch_is_refused(gan):
    stats = {"history": numbered(1, 2), "seen": jnp.zeros(())}
    small = dataclasses.replace(gan, history=2)
    with pytest.raises(ValueError, match="history=2: expected at least the batch size"):
        small.exchange(stats, numbered(1, 2, 3), jax.random.key(0))


@pytest.mark.long
def test_two_devices_do_what_one_does():
    """Plain gradient descent, since Adam turns rounding into full steps."""
    sgd = {"name": "sgd", "learning_rate": 0.01}
    gan = small_gan(g_optimizer=sgd, d_optimizer=sgd, history=4)
    state = ganjax.init_state(gan, jax.random.key(0))
    # The first step fills the history, two exchange with it.
    one, two = step_on_one_and_on_two_devices(gan, state, IMAGES, steps=3)
    assert float(one.d.batch_stats["seen"]) == 4
    assert_close((two.g, two.d), (one.g, one.d), rtol=1e-3, atol=1e-5)


@pytest.fixture
def dataset():
    labels = np.arange(12, dtype=np.int32) % 10
    splits = [
        {
            "a": RNG.integers(0, 256, (12, 8, 8, 1), np.uint8),
            "a_labels": labels,
            "b": RNG.integers(0, 256, (12, 8, 8, 1), np.uint8),
            "b_labels": labels,
        }
        for _ in range(2)
    ]
    return ganjax.data.make_arrays_dataset(*splits, name="noise", source="NumPy")


@pytest.mark.slow
def test_training_resumes_exactly_and_samples_both_directions(
    tmp_path, dataset, capsys
):
    adam = {"name": "adam", "learning_rate": 1e-3}
    quick = {"g_optimizer": adam, "d_optimizer": adam, "sample_num": 8}

    quick |= {"num_steps": 6, "checkpoint_every": 3}
    config = ganjax.load_config("cyclegan", SMALL | quick)
    whole = train.train_and_evaluate(config, tmp_path, dataset)
    shutil.rmtree(tmp_path / "checkpoints/6")
    capsys.readouterr()
    halves = train.train_and_evaluate(config, tmp_path, dataset)
    assert "resuming from step 3" in capsys.readouterr().out
    assert_identical(whole, halves)
    gan, state, _ = ganjax.load_run(tmp_path)
    condition = gan.condition(5, dataset=dataset)
    key = jax.random.key(0)
    samples = ganjax.sample(gan, state, num=5, key=key, condition=condition)
    a = gan.normalize(jnp.asarray(dataset.test["a"][:5]))
    expected = gan.generator.apply({"params": state.g_ema["params"]["ab"]}, a)
    np.testing.assert_allclose(samples.b, gan.export(expected), atol=1)
    grid = gan.image(samples, condition)
    np.testing.assert_array_equal(grid[2:10, 2:10], condition.a[0])
    np.testing.assert_array_equal(grid[2:10, 12:20], samples.b[0])
    with pytest.raises(ValueError, match="expected images to translate"):
        ganjax.sample(gan, state, num=5, key=key)
