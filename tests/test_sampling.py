"""Samples: their noise, their classes, their grids."""

import jax
import numpy as np
import pytest
from conftest import small_config

import ganjax
from ganjax import sampling
from ganjax.steps import to_uint8


def test_a_grid_of_a_conditional_gan_has_a_row_for_each_class():
    gan = ganjax.make_gan(small_config(num_classes=4))
    state = ganjax.init_state(gan, jax.random.key(0))
    picture = sampling.sample_grid(gan, state, 12, jax.random.key(1))
    labels = np.repeat(np.arange(4), 3)
    rows = ganjax.sample(gan, state, num=12, key=jax.random.key(1), labels=labels)
    np.testing.assert_array_equal(picture, sampling.grid(rows, columns=3))


def test_any_first_rounds_of_labels_have_as_many_of_each_class():
    gan = ganjax.make_gan(small_config(num_classes=4))
    labels = sampling.balanced_labels(gan, 23)
    for num in (4, 12, 20):
        np.testing.assert_array_equal(np.bincount(labels[:num]), [num // 4] * 4)
    assert len(labels) == 23 and (labels[:4] != labels[4:8]).any()


def test_a_folder_of_more_pictures_is_not_mixed(tmp_path):
    gan = ganjax.make_gan(small_config())
    state = ganjax.init_state(gan, jax.random.key(0))
    for num in (3, 3, 4):  # again, and more: each replaces those before
        sampling.export(gan, state, tmp_path, num, jax.random.key(1))
    assert len(list(tmp_path.glob("*.png"))) == 4
    with pytest.raises(ganjax.UserError, match="holds more pictures"):
        sampling.export(gan, state, tmp_path, 2, jax.random.key(1))


def test_samples_are_of_noise_at_its_scale():
    """A scale of s is G(s z); 0 is one image for each class."""
    mlp = {"generator": {"name": "mlp", "hidden": (16,), "norm": "batch"}}
    gans = {
        s: ganjax.make_gan(small_config(**mlp, num_classes=2, sample_scale=s))
        for s in (0.0, 0.5)
    }
    state = ganjax.init_state(gans[0.5], jax.random.key(0))
    key, labels = jax.random.key(1), np.arange(6) % 2
    gan = gans[0.5]
    z = gan.prior(jax.random.fold_in(key, 0), (6, gan.z_dim))
    floats = gan.generator.apply(state.g_ema, 0.5 * z, train=False, labels=labels)
    images = ganjax.sample(gan, state, num=6, key=key, labels=labels)
    np.testing.assert_allclose(images.astype(int), to_uint8(gan, floats), atol=1)
    assert len(np.unique(images, axis=0)) == 6
    still = ganjax.sample(gans[0.0], state, num=6, key=key, labels=labels).astype(int)
    np.testing.assert_allclose(still, still[labels], atol=1)
    assert np.abs(still[0] - still[1]).max() > 1
