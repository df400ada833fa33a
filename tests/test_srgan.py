"""SRGAN: losses, enlarging, several outputs, devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, changed, step_on_one_and_on_two_devices
from PIL import Image

import ganjax
from ganjax.images import shrink_pixels
from ganjax.metrics.super_resolution import interpolate
from ganjax.models.resampling import shrink
from ganjax.models.super_resolution import SuperResolution, enlarge
from ganjax.steps import G_TAGS, update_keys

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8)
SMALL = {
    "generator.features": 3,
    "generator.blocks": 1,
    "discriminator.channels": (3, 4),
    "discriminator.hidden": (5,),
    "data.image_shape": (8, 8, 1),
    "batch_size": 4,
}


def small_gan(**overrides):
    return ganjax.make_gan(ganjax.load_config("srgan", SMALL | overrides))


def trained(gan):
    """A state in which the generator's last layer, which starts at 0, is not 0."""
    state = ganjax.init_state(gan, jax.random.key(0))

    def add_noise(p):
        return p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape)

    params = jax.tree.map(add_noise, state.g.params)
    ema = {"params": params, "batch_stats": {}}
    return state.replace(g=state.g.replace(params=params), g_ema=ema)


def test_an_untrained_generator_is_bicubic_interpolation():
    module = SuperResolution(factor=4, features=3, blocks=1)
    low = np.random.default_rng(0).integers(80, 170, (2, 5, 6, 1), np.uint8)
    x = low.astype(np.float32)
    key, z = jax.random.key(1), jnp.zeros((2, 5, 6, 0))
    y, _ = module.init_with_output(key, jnp.asarray(x), z)
    np.testing.assert_array_equal(enlarge(jnp.asarray(x), 4), y)
    pillow = interpolate(low, 4, Image.Resampling.BICUBIC)
    # Pillow rounds after each of its two passes. No pixel leaves [0, 255].
    np.testing.assert_allclose(y, pillow, atol=1.5)


@pytest.mark.slow
def test_evaluation_during_training_enlarges_test_images(random_digits, tmp_path):
    changes = {"data.image_shape": (28, 28, 1), "data.name": "random", "num_steps": 2}
    changes |= {"features": "random", "evaluate_every": 2, "evaluate_num": 26}
    config = ganjax.load_config("srgan", SMALL | changes | {"sample_num": 4})
    ganjax.train_and_evaluate(config, tmp_path)
    _, _, metadata = ganjax.load_run(tmp_path / "best")
    assert metadata["kid_random"] < 1


def test_shrinking_undoes_repetition():
    x = jax.random.normal(jax.random.key(0), (2, 2, 3, 1))
    repeated = np.asarray(x).repeat(4, 1).repeat(4, 2)
    np.testing.assert_allclose(
        shrink(jnp.asarray(repeated), 4), x, rtol=1e-5, atol=1e-6
    )


def test_shrinking_takes_the_mean_of_squares():
    image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    # The mean of 0, 1, 4, 5 is 2.5, which rounds to the even 2.
    assert shrink_pixels(image, 2)[0, :, :, 0].tolist() == [[2, 4], [10, 12]]


def test_generator_loss_is_the_weighted_sum_of_its_terms():
    weights = {"adversarial": 0.3, "l1": 2.0, "l2": 5.0}
    gan = small_gan(**weights)
    state = trained(gan)
    batch = gan.normalize(jnp.asarray(IMAGES))
    keys = update_keys(state.key, state.g.updates, G_TAGS)
    generated, _ = gan.generate(state.g.variables, batch, keys)
    low = np.asarray(batch).reshape(4, 2, 4, 2, 4, 1).mean((2, 4))
    z = jnp.zeros((4, 2, 2, 0))
    expected = gan.enlarge(state.g.variables, jnp.asarray(low), z)
    np.testing.assert_allclose(generated, expected, rtol=1e-4, atol=1e-5)
    real, fake = (
        np.asarray(gan.discriminator.apply({"params": state.d.params}, x), np.float64)
        for x in (batch, generated)
    )
    gap = np.asarray(generated - batch, np.float64)
    expected = 0.3 * np.log1p(np.exp(real - fake)).mean()
    expected += 2 * np.abs(gap).mean() + 5 * (gap**2).mean()
    loss, _ = gan.g_loss(state.d.variables, batch, generated, keys, state.step)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_noise_gives_several_outputs_of_one_input():
    low = shrink_pixels(IMAGES[:1], 4).repeat(3, 0)
    for channels in (0, 2):
        gan = small_gan(z_channels=channels)
        key = jax.random.key(0)
        images = ganjax.sample(gan, trained(gan), num=3, key=key, condition=low)
        assert (images[0] == images[1]).all() == (channels == 0)


def test_two_devices_do_what_one_does():
    sgd = {"name": "sgd", "learning_rate": 0.01}
    gan = small_gan(g_optimizer=sgd, d_optimizer=sgd, z_channels=2)
    state = trained(gan)
    one, two = step_on_one_and_on_two_devices(gan, state, IMAGES)
    assert_close((two.g, two.d), (one.g, one.d), rtol=1e-3, atol=1e-5)


def test_factors_that_do_not_fit_are_refused():
    for factor in (3, 16):
        with pytest.raises(
            ganjax.UserError, match=f"factor={factor}: expected a power"
        ):
            small_gan(factor=factor)


def test_statistics_of_spectral_normalization_are_kept():
    norm = {"discriminator.norm": "spectral", "penalties.r1_r2": 0.0}
    gan = small_gan(**norm)
    state = trained(gan)
    after, _ = ganjax.d_step(gan, state, IMAGES)
    assert changed(state.d.batch_stats, after.d.batch_stats)
