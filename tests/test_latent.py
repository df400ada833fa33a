"""Paths, mixed classes and directions in the space of z."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import smallest_config

import ganjax
from ganjax import latent
from ganjax.latent import Points, lerp, one_hot, slerp


def small_run(**overrides):
    """A GAN and its state, with images of enough contrast to tell z apart."""
    gan = ganjax.make_gan(smallest_config(**overrides))
    state = ganjax.init_state(gan, jax.random.key(0))
    g_ema = jax.tree.map(lambda x: 3 * x, state.g_ema)
    return gan, state.replace(g_ema=g_ema)


def points_of(gan, key, num):
    labels = gan.condition(num)
    return Points(latent.draw(gan, key, num), one_hot(gan, labels))


@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize("path", [slerp, lerp])
def test_ends_of_a_walk_are_the_samples(num_classes, path):
    gan, state = small_run(num_classes=num_classes, sample_scale=0.7)
    key = jax.random.key(1)
    samples = ganjax.sample(gan, state, num=5, key=key)
    walk = latent.walk(gan, state.g_ema, points_of(gan, key, 5), 4, path)
    assert walk.shape == (5, 5, 28, 28, 1)
    np.testing.assert_array_equal(walk[:, 0], samples)
    np.testing.assert_array_equal(walk[:, -1], np.roll(samples, -1, axis=0))
    between = np.abs(walk[:, 2].astype(int) - walk[:, 0]).max((1, 2, 3))
    assert between.min() > 20  # it moves


def test_z_of_more_than_a_block_are_those_of_the_samples(monkeypatch):
    gan, state = small_run()
    for module in (latent, ganjax.sampling):
        monkeypatch.setattr(module, "BLOCK", 4)
    key = jax.random.key(2)
    samples = ganjax.sample(gan, state, num=10, key=key)
    z = latent.draw(gan, key, 10)
    images = np.concatenate(
        [latent.decode(gan, state.g_ema, z[i : i + 4]) for i in (0, 4, 6)]
    )[[*range(8), 10, 11]]
    np.testing.assert_allclose(images.astype(int), samples, atol=1)
    assert len(np.unique(samples, axis=0)) == 10


def test_slerp_of_gaussians_keeps_their_norm_and_lerp_does_not():
    a, b = jax.random.normal(jax.random.key(0), (2, 100, 400))
    norms = np.linalg.norm(np.stack([a, b]), axis=-1)
    for t in (0.25, 0.5, 0.75):
        norm = np.linalg.norm(slerp(a, b, t), axis=1)
        np.testing.assert_allclose(norm, (1 - t) * norms[0] + t * norms[1], rtol=1e-4)
        assert np.abs(norm / 20 - 1).max() < 0.1
    middle = np.linalg.norm(lerp(a, b, 0.5), axis=1)
    assert np.abs(middle / (20 * 0.5**0.5) - 1).max() < 0.12


def test_slerp_has_equal_angles_and_exact_ends():
    a, b = jnp.array([[2.0, 0.0]]), jnp.array([[0.0, 2.0]])
    third = slerp(a, b, 1 / 3)
    expected = [[2 * np.cos(np.pi / 6), 2 * np.sin(np.pi / 6)]]
    np.testing.assert_allclose(third, expected, rtol=1e-6)
    z = jax.random.normal(jax.random.key(0), (2, 50, 7))
    np.testing.assert_array_equal(slerp(z[0], z[1], 0.0), z[0])
    np.testing.assert_array_equal(slerp(z[0], z[1], 1.0), z[1])


@pytest.mark.parametrize("b", [[1.0, 2.0], [2.0, 4.0], [-1.0, -2.0], [0.0, 0.0]])
def test_slerp_of_parallel_vectors_is_a_line(b):
    a = jnp.array([[1.0, 2.0]])
    got = slerp(a, jnp.array([b]), 0.25)
    np.testing.assert_allclose(got, 0.75 * a + 0.25 * jnp.array([b]), rtol=1e-6)


def test_mixed_classes_are_means_of_embeddings():
    gan, state = small_run(num_classes=3)
    weights = np.float32([[0, 0, 1], [0.5, 0.5, 0], [0.2, 0.3, 0.5]])
    mixed, g = latent.mix_classes(gan, state.g_ema, weights)
    table = np.asarray(state.g_ema["params"]["WithLabel_0"]["Embed_0"]["embedding"])
    z = jax.random.normal(jax.random.key(1), (3, 4))
    got = mixed.decode(g, z, jnp.arange(3))
    # The dense layer on z and embedding, by hand.
    params = jax.tree.map(np.asarray, state.g_ema["params"])
    x = np.concatenate([z, weights @ table], axis=1)
    hidden = x @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]
    hidden = np.asarray(gan.generator.activation(jnp.asarray(hidden)))
    last = hidden @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"]
    expected = np.tanh(last).reshape(3, 28, 28, 1)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert np.ptp(expected) > 1


def test_morph_goes_through_the_classes_of_one_z():
    gan, state = small_run(num_classes=3)
    key = jax.random.key(4)
    z = latent.draw(gan, key, 2)
    legs = latent.morph(gan, state.g_ema, z, np.array([2, 0]), 3)
    assert legs.shape == (2, 4, 2, 28, 28, 1)
    for leg, (first, last) in enumerate([(2, 0), (0, 2)]):
        for place, label in ((0, first), (-1, last)):
            labels = np.full(2, label)
            images = ganjax.sample(gan, state, num=2, key=key, condition=labels)
            np.testing.assert_array_equal(legs[leg, place], images)


def test_generators_without_a_label_embedding_have_no_mixtures():
    gan, state = small_run()
    with pytest.raises(ganjax.UserError, match="expected one label embedding"):
        latent.mix_classes(gan, state.g_ema, np.ones((1, 3), np.float32))


@pytest.mark.parametrize("num_classes", [0, 3])
def test_directions_are_singular_vectors_of_the_first_layer(num_classes):
    gan, state = small_run(num_classes=num_classes, prior__z_dim=5)
    found = latent.directions(gan, state.g_ema)
    kernel = np.asarray(state.g_ema["params"]["Dense_0"]["kernel"])[:5]
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(5), atol=1e-5)
    left, strengths, _ = np.linalg.svd(kernel)
    np.testing.assert_allclose(found.strengths, strengths, rtol=1e-5)
    signs = np.sign(np.sum(found.vectors * left.T, axis=1))
    np.testing.assert_allclose(found.vectors, left.T * signs[:, None], atol=1e-5)
    assert (np.abs(found.vectors).max(1) == found.vectors.max(1)).all()
    # What a strength means: how far a unit along a direction moves the layer.
    moved = np.linalg.norm(found.vectors @ kernel, axis=1)
    np.testing.assert_allclose(moved, found.strengths, rtol=1e-4)


def test_a_first_layer_narrower_than_z_has_directions_without_effect():
    narrow = {"name": "mlp", "hidden": (3,), "norm": "none", "output": "tanh"}
    gan, state = small_run(generator=narrow, prior__z_dim=6)
    found = latent.directions(gan, state.g_ema)
    assert found.strengths.shape == (6,) and (found.strengths[3:] == 0).all()
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(6), atol=1e-5)


def test_directions_of_stylegan_are_those_of_its_mapping_network():
    options = {"name": "stylegan", "channels": (4, 4), "w_dim": 7}
    gan, state = small_run(generator=options, prior__z_dim=5)
    found = latent.directions(gan, state.g_ema)
    layer = state.g_ema["params"]["mapping"]["EqualDense_0"]["kernel"]
    kernel = 0.01 * np.asarray(layer) / np.sqrt(5)
    moved = np.linalg.norm(found.vectors @ kernel, axis=1)
    np.testing.assert_allclose(moved, found.strengths, rtol=1e-4)
    assert moved[0] > 1.1 * moved[-1] > 0


def test_generators_that_do_not_start_densely_have_no_directions():
    gan, state = small_run()
    other = {"params": {"Conv_0": state.g_ema["params"]["Dense_0"]}}
    with pytest.raises(ganjax.UserError, match="expected a dense layer of z"):
        latent.directions(gan, other)


def test_a_scale_of_zero_makes_one_image():
    gan, state = small_run()
    still = dataclasses.replace(gan, sample_scale=0.0)
    images = ganjax.sample(still, state, num=6, key=jax.random.key(0))
    np.testing.assert_array_equal(images, images[:1].repeat(6, axis=0))
    moving = ganjax.sample(gan, state, num=6, key=jax.random.key(0))
    assert len(np.unique(moving, axis=0)) == 6
