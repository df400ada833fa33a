"""The update functions: ownership, order, randomness, devices, averages."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from helpers import (
    assert_close,
    assert_identical,
    changed,
    relative_error,
    small_gan,
    small_sgd_gan,
)

import ganjax
from ganjax import parallel
from ganjax.gans.standard import Batch
from ganjax.penalties import r1
from ganjax.steps import G_TAGS, update_keys

BATCHES = np.random.default_rng(0).integers(0, 256, (2, 8, 28, 28, 1), np.uint8)
RATE = 0.1  # of small_sgd_gan
DENSE = {  # networks without norms, for exact relations between parameters
    "generator": {"name": "mlp", "hidden": (8,), "norm": "none"},
    "discriminator": {"name": "mlp", "hidden": (8,)},
}


@pytest.fixture(scope="module")
def gan():
    return small_gan()


def test_d_step_changes_the_discriminator_only(gan, state):
    after, _ = ganjax.d_step(gan, state, BATCHES[0])
    assert_identical(after.replace(d=state.d), state)
    assert changed(state.d.params, after.d.params)
    assert changed(state.d.opt_state, after.d.opt_state)
    assert int(after.d.updates) == 1


def test_g_step_changes_the_generator_its_average_and_the_step_only(gan, state):
    after, _ = ganjax.g_step(gan, state, BATCHES[0])
    before = {"g": state.g, "g_ema": state.g_ema, "step": state.step}
    assert_identical(after.replace(**before), state)
    for field in ("params", "batch_stats", "opt_state"):
        assert changed(getattr(state.g, field), getattr(after.g, field)), field
    assert changed(state.g_ema, after.g_ema)
    assert int(after.step) == int(after.g.updates) == 1


def test_each_player_owns_its_batch_statistics():
    gan = small_gan(discriminator__norm="batch", penalties={})
    state = ganjax.init_state(gan, jax.random.key(0))
    after_d, _ = ganjax.d_step(gan, state, BATCHES[0])
    after_g, _ = ganjax.g_step(gan, state, BATCHES[0])
    assert changed(state.d.batch_stats, after_d.d.batch_stats)
    assert not changed(state.g.batch_stats, after_d.g.batch_stats)
    assert changed(state.g.batch_stats, after_g.g.batch_stats)
    assert not changed(state.d.batch_stats, after_g.d.batch_stats)


def test_train_step_is_k_d_steps_and_one_g_step():
    gan = small_sgd_gan()
    state = ganjax.init_state(gan, jax.random.key(0))
    actual, _ = ganjax.train_step(gan, state, BATCHES)
    expected = state
    for batch in BATCHES:
        expected, _ = ganjax.d_step(gan, expected, batch)
    expected, _ = ganjax.g_step(gan, expected, BATCHES[-1])
    assert int(actual.step) == 1 and int(actual.d.updates) == 2
    trees = [(s.g.params, s.d.params, s.g_ema) for s in (actual, expected)]
    assert_close(*trees, rtol=1e-4, atol=1e-6)


def test_each_discriminator_update_has_new_noise(gan, state):
    """Same state except for the counter of updates: other fakes, other metrics."""
    later = state.replace(d=state.d.replace(updates=state.d.updates + 1))
    _, first = ganjax.d_step(gan, state, BATCHES[0])
    _, second = ganjax.d_step(gan, later, BATCHES[0])
    assert float(first["d_fake"]) != float(second["d_fake"])
    _, again = ganjax.d_step(gan, state, BATCHES[0])
    assert_identical(first, again)


def test_d_step_trains_on_given_samples(gan, state):
    keys = update_keys(state.key, state.g.updates, G_TAGS)
    real = gan.normalize(jnp.asarray(BATCHES[0]))
    fake, _ = gan.generate(state.g.variables, real, keys)
    _, given = ganjax.d_step(gan, state, BATCHES[0], fake)
    _, drawn = ganjax.d_step(gan, state, BATCHES[0])
    assert float(given["d_real"]) != float(drawn["d_real"])  # relative to the fakes
    _, same = ganjax.d_step(gan, state, BATCHES[0], gan.normalize(BATCHES[0]))
    np.testing.assert_allclose(same["d_real"], same["d_fake"], atol=0.2)
    np.testing.assert_allclose(same["d_loss"], np.log(2), atol=1e-6)  # D(x) − D(x)


@pytest.mark.parametrize("loss,classes", [("relativistic", 0), ("non_saturating", 4)])
def test_two_devices_compute_what_one_does(loss, classes):
    """A forgotten pmean, local batch statistics, noise or labels would all show."""
    assert jax.local_device_count() == 2
    gan = small_sgd_gan(loss=loss, num_classes=classes)
    state = ganjax.init_state(gan, jax.random.key(0))
    images = np.random.default_rng(1).integers(0, 256, (32, 28, 28, 1), np.uint8)
    labels = np.arange(32, dtype=np.int32) % (classes or 1)
    data = Batch(images, labels) if classes else images
    indices = np.random.default_rng(2).permutation(32).reshape(2, 2, 8)
    one = state
    for row in indices:
        one, _ = ganjax.train_step(gan, one, jax.tree.map(lambda x, r=row: x[r], data))
    train_chunk = parallel.make_train_chunk(gan, chunk=3)
    two, _ = train_chunk(
        parallel.replicate(state),
        parallel.replicate(data),
        parallel.shard_indices(indices, 3),
        2,
    )
    assert int(two.step) == int(one.step) == 2
    trees = [(s.g.params, s.g.batch_stats, s.g_ema, s.d.params) for s in (two, one)]
    assert_close(*trees, rtol=1e-3, atol=1e-5)


def test_average_halves_old_values_in_a_half_life():
    """8 images per step, half-life 8: e ← e/2 + x/2; the ramp-up allows less at first.

    That holds for parameters and for batch statistics.
    """
    gan = small_gan(ema__half_life=8.0, ema__rampup=1.0)
    state = ganjax.init_state(gan, jax.random.key(0))
    after, _ = ganjax.g_step(gan, state, BATCHES[0])
    assert changed(state.g.batch_stats, after.g.batch_stats)
    middle = jax.tree.map(lambda old, x: (old + x) / 2, state.g_ema, after.g.variables)
    assert_close(after.g_ema, middle, rtol=0, atol=1e-6)
    gan = small_gan(ema__half_life=8.0, ema__rampup=0.0)
    after, _ = ganjax.g_step(gan, state, BATCHES[0])
    assert_identical(after.g_ema, after.g.variables)


def test_penalty_enters_the_discriminator_gradient_with_its_weight():
    """A weight w moves gradient descent by another −rate·w·∇r1, also in a schedule."""
    linear = {"name": "linear", "start": 2.0, "end": 0.0}
    scheduled = small_sgd_gan(**DENSE, penalties={"r1": linear}, num_steps=2)
    constant = small_sgd_gan(**DENSE, penalties={"r1": 3.0})
    state = ganjax.init_state(scheduled, jax.random.key(0))

    def params_after(gan, step):
        at = state.replace(step=jnp.int32(step))  # noise depends on d.updates
        return ganjax.d_step(gan, at, BATCHES[0])[0].d.params

    def penalty(params):
        def d_fn(images):
            return scheduled.discriminator.apply({"params": params}, images)

        real = scheduled.normalize(jnp.asarray(BATCHES[0]))
        return jnp.mean(r1(d_fn, real, real, jax.random.key(0)))

    plain = params_after(scheduled, step=2)
    slope = jax.grad(penalty)(state.d.params)
    for gan, step, weight in ((scheduled, 0, 2), (scheduled, 1, 1), (constant, 0, 3)):
        moved = jax.tree.map(jnp.subtract, params_after(gan, step), plain)
        expected = jax.tree.map(lambda g, w=weight: -RATE * w * g, slope)
        assert relative_error(moved, expected) < 1e-3


def test_uint8_is_scaled_and_float32_taken_as_it_is(gan, state):
    """Pixels and the same images as floats train alike, in every function."""
    floats = gan.normalize(jnp.asarray(BATCHES))
    assert float(floats.min()) == -1 and float(floats.max()) == 1
    for step, batch in (
        (ganjax.d_step, BATCHES[0]),
        (ganjax.g_step, BATCHES[0]),
        (ganjax.train_step, BATCHES),
    ):
        scaled = gan.normalize(jnp.asarray(batch))
        pixels, same = step(gan, state, batch), step(gan, state, scaled)
        trees = [(s.g.params, s.d.params, m) for s, m in (pixels, same)]
        assert_close(*trees, rtol=1e-4, atol=1e-5)


def test_wrong_shapes_are_refused(gan, state):
    for batches, shape in ((BATCHES[:, :, 1:], "8, 27, 28, 1"), (BATCHES[0], "28, ")):
        message = rf"expected images \[B, 28, 28, 1\], got \[{shape}"
        with pytest.raises(ValueError, match=message):
            ganjax.train_step(gan, state, batches)

    class Column(nn.Module):
        @nn.compact
        def __call__(self, x, train=True, labels=None):
            return nn.Dense(1)(x.reshape(len(x), -1))

    column = dataclasses.replace(gan, discriminator=Column())
    state = ganjax.init_state(column, jax.random.key(0))
    with pytest.raises(ValueError, match=r"expected logits \(16,\), got \(16, 1\)"):
        ganjax.d_step(column, state, BATCHES[0])


def test_public_functions_donate_nothing(gan, state):
    ganjax.train_step(gan, state, BATCHES)
    assert np.isfinite(jax.tree.leaves(state.g.params)[0]).all()


def test_simultaneous_updates_start_from_the_same_state_and_samples():
    gan = small_sgd_gan(updates="simultaneous")
    state = ganjax.init_state(gan, jax.random.key(0))
    actual, metrics = ganjax.train_step(gan, state, BATCHES[:1])
    keys = update_keys(state.key, state.g.updates, G_TAGS)
    real = gan.normalize(jnp.asarray(BATCHES[0]))
    fake, _ = gan.generate(state.g.variables, real, keys)
    after_d, d_metrics = ganjax.d_step(gan, state, BATCHES[0], fake)
    after_g, g_metrics = ganjax.g_step(gan, state, BATCHES[0])
    assert_close(
        (actual.g.params, actual.d.params, metrics),
        (after_g.g.params, after_d.d.params, d_metrics | g_metrics),
        rtol=1e-4,
        atol=1e-6,
    )
    # Relativistic losses mirror each other: equal losses mean equal fakes.
    mirrored = float(g_loss_as_d(gan, state))
    assert abs(float(d_metrics["d_loss"]) - mirrored) < 1e-5
    alternating = small_sgd_gan()
    _, d_metrics = ganjax.d_step(alternating, state, BATCHES[0])
    assert abs(float(d_metrics["d_loss"]) - mirrored) > 1e-5


def g_loss_as_d(gan, state):
    """The discriminator's loss on the samples of the generator's update."""
    swapped = dataclasses.replace(gan, loss=gan.loss._replace(g=gan.loss.d))
    return ganjax.g_step(swapped, state, BATCHES[0])[1]["g_loss"]


def test_the_shared_forward_pass_is_compiled_once():
    """Simultaneous updates cost fewer operations than the two steps apart."""
    flops = {}
    for updates in ("simultaneous", "alternating"):
        gan = small_gan(**DENSE, updates=updates, loss="non_saturating", penalties={})
        state = ganjax.init_state(gan, jax.random.key(0))
        step = ganjax.train_step.lower(gan, state, BATCHES[:1]).compile()
        flops[updates] = step.cost_analysis()["flops"]
    z, hidden, pixels = 4, 8, 784
    forward = 2 * 8 * (z * hidden + hidden * pixels)  # of the generator
    saved = flops["alternating"] - flops["simultaneous"]
    assert 0.9 * forward < saved < 2 * forward


def test_chunks_group_steps_without_changing_a_bit():
    gan = small_gan()
    images = parallel.replicate(BATCHES[0])
    indices = np.tile(np.arange(8, dtype=np.int32), (4, 1, 1))
    train_chunk = parallel.make_train_chunk(gan, chunk=4)

    def run(groups):
        state = parallel.replicate(ganjax.init_state(gan, jax.random.key(3)))
        for n in groups:
            rows = parallel.shard_indices(indices[:n], 4)
            state, _ = train_chunk(state, images, rows, n)
        return state

    assert_identical(run([4]), run([1, 0, 2, 1]))
