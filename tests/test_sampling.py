"""Samples: their noise, their classes, their grids and files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import small_config

import ganjax
from ganjax import images, sampling


def test_grid_of_a_conditional_gan_has_a_row_per_class():
    gan = ganjax.make_gan(small_config(num_classes=4))
    state = ganjax.init_state(gan, jax.random.key(0))
    picture = sampling.sample_grid(gan, state, 12, jax.random.key(1))
    labels = np.repeat(np.arange(4), 3)
    rows = ganjax.sample(gan, state, num=12, key=jax.random.key(1), condition=labels)
    np.testing.assert_array_equal(picture, images.grid(rows, columns=3))


def test_a_folder_with_more_images_is_not_mixed(tmp_path):
    gan = ganjax.make_gan(small_config())
    state = ganjax.init_state(gan, jax.random.key(0))
    for num in (3, 3, 4):  # each replaces those of before
        sampling.export(gan, state, tmp_path, sampling.Request(num, jax.random.key(1)))
    assert len(list(tmp_path.glob("*.png"))) == 4
    with pytest.raises(ganjax.UserError, match="without other samples"):
        sampling.export(gan, state, tmp_path, sampling.Request(2, jax.random.key(1)))


def test_sample_scale_multiplies_z():
    """A scale of s gives G(s z), and 0 one image for each class."""
    mlp = {"generator": {"name": "mlp", "hidden": (16,), "norm": "batch"}}
    gans = {
        s: ganjax.make_gan(small_config(**mlp, num_classes=2, sample_scale=s))
        for s in (0.0, 0.5)
    }
    state = ganjax.init_state(gans[0.5], jax.random.key(0))
    key, labels = jax.random.key(1), jnp.arange(6) % 2
    gan = gans[0.5]
    z = gan.prior.sample(jax.random.fold_in(key, 0), 6)
    floats = gan.generator.apply(state.g_ema, 0.5 * z, train=False, labels=labels)
    samples = ganjax.sample(gan, state, num=6, key=key, condition=labels)
    np.testing.assert_allclose(samples.astype(int), gan.export(floats), atol=1)
    assert len(np.unique(samples, axis=0)) == 6
    still = ganjax.sample(gans[0.0], state, num=6, key=key, condition=labels).astype(
        int
    )
    np.testing.assert_allclose(still, still[labels], atol=1)
    assert np.abs(still[0] - still[1]).max() > 1


def test_images_side_by_side_are_aligned_at_the_top_on_white():
    left, right = np.zeros((2, 3, 1), np.uint8), np.full((1, 2, 1), 7, np.uint8)
    expected = [[0, 0, 0, 255, 7, 7], [0, 0, 0, 255, 255, 255]]
    both = images.side_by_side(left, right, gap=1)
    np.testing.assert_array_equal(both[..., 0], expected)
