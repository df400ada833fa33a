"""StarGAN: losses from the networks' outputs, penalty, domains, devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, step_on_one_and_on_two_devices

import ganjax
from ganjax.gans.standard import Batch
from ganjax.steps import D_TAGS, G_TAGS, update_keys

RNG = np.random.default_rng(0)
BATCH = Batch(
    RNG.integers(0, 256, (4, 8, 8, 3), np.uint8), np.array([0, 2, 1, 2], np.int32)
)
SMALL = {
    "generator.features": 2,
    "generator.blocks": 1,
    "discriminator.channels": (3, 4),
    "data.image_shape": (8, 8, 3),
    "num_domains": 3,
    "batch_size": 4,
    "n_dis": 1,
}


def small_gan(**overrides):
    return ganjax.make_gan(ganjax.load_config("stargan", SMALL | overrides))


@pytest.fixture(scope="module")
def gan():
    return small_gan()


def log_softmax(logits, labels):
    logits = np.asarray(logits, np.float64)
    return (logits - np.log(np.exp(logits).sum(1, keepdims=True)))[
        np.arange(len(labels)), labels
    ]


def test_losses_are_those_of_the_paper(gan, state):
    """arXiv:1711.09020, equations 2, 3, 4 and 8."""
    batch = gan.normalize(jax.tree.map(jnp.asarray, BATCH))
    keys = update_keys(state.key, state.g.updates, G_TAGS)
    generated, _ = jax.jit(gan.generate)(state.g.variables, batch, keys)
    x, own = batch
    apply_g, apply_d = jax.jit(gan.generator.apply), jax.jit(gan.discriminator.apply)
    targets = np.asarray(generated.targets)

    def g(images, domains):
        maps = np.zeros((4, 8, 8, 3), np.float32)
        maps[np.arange(4), :, :, np.asarray(domains)] = 1
        inputs = jnp.concatenate([images, jnp.asarray(maps)], -1)
        return apply_g({"params": state.g.params}, inputs)

    def d(images):
        patches, domains = apply_d({"params": state.d.params}, images)
        return np.asarray(patches).mean((1, 2)), domains

    np.testing.assert_allclose(generated.fakes, g(x, targets), rtol=1e-5, atol=1e-6)
    back = g(generated.fakes, own)
    scores, domains = d(generated.fakes)
    expected = -scores.mean() - log_softmax(domains, targets).mean()
    expected += 10 * np.abs(back - x).mean()
    players = state.d.variables, batch, generated
    loss, metrics = jax.jit(gan.g_loss)(*players, keys, state.step)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    np.testing.assert_allclose(metrics["g_loss"], -scores.mean(), rtol=1e-4)

    keys = update_keys(state.key, state.d.updates, D_TAGS)
    loss, (_, metrics) = jax.jit(gan.d_loss)(*players, keys, state.step)
    real, real_domains = d(x)
    expected = scores.mean() - real.mean() - log_softmax(real_domains, own).mean()
    np.testing.assert_allclose(loss, expected + 10 * metrics["wgan_gp"], rtol=1e-4)
    assert metrics["wgan_gp"] > 0


def test_targets_are_uniform(gan, state):
    """Four standard errors of 3,000 draws from three domains."""
    batch = Batch(jnp.zeros((3000, 8, 8, 3)), jnp.zeros(3000, jnp.int32))
    keys = update_keys(state.key, state.g.updates, G_TAGS)
    targets = jax.jit(gan.generate)(state.g.variables, batch, keys)[0].targets
    shares = np.bincount(np.asarray(targets), minlength=3) / 3000
    np.testing.assert_allclose(shares, 1 / 3, atol=4 * (2 / 9 / 3000) ** 0.5)


@pytest.mark.long
def test_two_devices_do_what_one_does():
    """R1 in place of the interpolating penalty, whose draws depend on the device."""
    sgd = {"name": "sgd", "learning_rate": 0.01}
    penalties = {"penalties.wgan_gp": 0.0, "penalties.r1": 1.0}
    gan = small_gan(g_optimizer=sgd, d_optimizer=sgd, **penalties)
    state = ganjax.init_state(gan, jax.random.key(0))
    one, two = step_on_one_and_on_two_devices(gan, state, BATCH)
    assert_close((two.g, two.d), (one.g, one.d), rtol=1e-3, atol=1e-5)


def test_samples_are_the_inputs_in_the_domains_asked_for(gan, state):
    key, domains = jax.random.key(0), np.array([2, 1, 0, 1], np.int32)
    condition = Batch(BATCH.images, domains)
    samples = ganjax.sample(gan, state, num=4, key=key, condition=condition)
    x = gan.normalize(jnp.asarray(BATCH.images))
    expected = gan.translate(state.g_ema, x, jnp.asarray(domains))
    np.testing.assert_allclose(samples, gan.export(expected), atol=1)
    with pytest.raises(ValueError, match=r"expected arrays \(\(4, 8, 8, 3\), \(4,\)\)"):
        ganjax.sample(gan, state, num=4, key=key, condition=Batch(x, domains[:3]))


def test_a_grid_has_a_row_per_image_and_a_column_per_domain(gan):
    arrays = {"images": BATCH.images, "labels": BATCH.labels}
    dataset = ganjax.data.make_arrays_dataset(arrays, arrays, name="x", source="y")
    condition = gan.condition(6, grid=True, dataset=dataset)
    assert condition.labels.tolist() == [0, 1, 2, 0, 1, 2]
    samples = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones(
        (1, 8, 8, 3), np.uint8
    )
    grid = gan.image(samples, condition)
    for row in range(2):
        top = 2 + 10 * row
        np.testing.assert_array_equal(grid[top : top + 8, 2:10], BATCH.images[row])
        for domain in range(3):
            left = 2 + 10 * (1 + domain)
            assert (grid[top : top + 8, left : left + 8] == 3 * row + domain).all()
