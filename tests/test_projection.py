"""Projection: least squares against closed forms, known z, and memorized images."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import smallest_config

import ganjax
from ganjax import latent, projection
from ganjax.metrics.projection import projection as projection_metric
from ganjax.metrics.projection import ratio_of_medians
from ganjax.projection import Search, levenberg_marquardt, project


def rms(a, b):
    return np.sqrt(np.mean((a.astype(float) - b) ** 2, axis=(1, 2, 3)))


def test_a_linear_problem_has_the_solution_of_ridge_regression():
    rng = np.random.default_rng(0)
    matrix, b = rng.normal(size=(9, 4)), rng.normal(size=9)
    for weight in (0.0, 2.0):
        path = levenberg_marquardt(
            lambda z: jnp.asarray(matrix) @ z - jnp.asarray(b), jnp.ones(4), weight, 12
        )
        expected = np.linalg.solve(matrix.T @ matrix + weight * np.eye(4), matrix.T @ b)
        np.testing.assert_allclose(path[-1], expected, atol=1e-4)
        np.testing.assert_array_equal(path[0], np.ones(4))


def test_a_curved_valley_is_followed_to_its_end():
    """Rosenbrock's function, whose sum never rises along the path."""

    def residuals(z):
        return jnp.stack([10 * (z[1] - z[0] ** 2), 1 - z[0]])

    path = levenberg_marquardt(residuals, jnp.array([-1.2, 1.0]), 0.0, 60)
    values = np.array([float(jnp.sum(residuals(z) ** 2)) for z in path])
    assert (np.diff(values) <= 0).all() and values[0] > 20
    np.testing.assert_allclose(path[-1], [1.0, 1.0], atol=1e-3)


@pytest.fixture(scope="module", params=[0, 3])
def run(request):
    """A small generator of high contrast, unconditional or conditional."""
    wide = {"name": "mlp", "hidden": (32,), "norm": "none", "output": "tanh"}
    config = smallest_config(generator=wide, num_classes=request.param)
    gan = ganjax.make_gan(config)
    state = ganjax.init_state(gan, jax.random.key(0))
    return gan, state.replace(g_ema=jax.tree.map(lambda x: 3 * x, state.g_ema))


def test_known_z_are_recovered_to_below_one_gray_level(run):
    gan, state = run
    images = ganjax.sample(gan, state, num=40, key=jax.random.key(1))
    search = Search(pool=300, starts=3, steps=25, noise=1.0)
    found = project(gan, state.g_ema, images, jax.random.key(2), search=search)
    assert np.mean(found.rms < 1) >= 0.9
    labels = None if found.labels is None else jnp.asarray(found.labels)

    def decode(z):
        return np.asarray(latent.decode(gan, state.g_ema, jnp.asarray(z), labels))

    # Rounding to whole levels adds at most 0.5.
    np.testing.assert_allclose(rms(decode(found.z), images), found.rms, atol=0.5)
    assert np.median(rms(decode(found.path[:, 0]), images)) > 10  # of the starts
    np.testing.assert_array_equal(found.path[:, -1], found.z)
    if labels is not None:  # found among the labels of the starts
        assert np.mean(found.labels == gan.condition(40)) >= 0.9


def test_given_labels_are_kept():
    gan = ganjax.make_gan(smallest_config(num_classes=3))
    state = ganjax.init_state(gan, jax.random.key(0))
    images = ganjax.sample(gan, state, num=6, key=jax.random.key(1))
    wrong = (gan.condition(6) + 1) % 3
    search = Search(pool=60, starts=2, steps=3)
    found = project(gan, state.g_ema, images, jax.random.key(2), wrong, search)
    np.testing.assert_array_equal(found.labels, wrong)


def test_more_noise_means_more_likely_z(run):
    gan, state = run
    images = ganjax.sample(gan, state, num=8, key=jax.random.key(1))
    norms, errors = [], []
    for noise in (1.0, 3000.0):
        search = Search(pool=100, starts=2, steps=15, noise=noise)
        found = project(gan, state.g_ema, images, jax.random.key(2), search=search)
        norms.append(np.linalg.norm(found.z, axis=1).mean())
        errors.append(found.rms.mean())
    assert norms[1] < 0.7 * norms[0] and errors[0] < errors[1]


def test_blocks_of_images_do_not_change_the_result(monkeypatch):
    gan = ganjax.make_gan(smallest_config())
    state = ganjax.init_state(gan, jax.random.key(0))
    images = ganjax.sample(gan, state, num=7, key=jax.random.key(1))
    search = Search(pool=50, starts=2, steps=5)
    whole = project(gan, state.g_ema, images, jax.random.key(2), search=search)
    monkeypatch.setattr(projection, "IMAGES", 3)
    parts = project(gan, state.g_ema, images, jax.random.key(2), search=search)
    np.testing.assert_allclose(parts.z, whole.z, atol=1e-3)
    assert parts.rms.shape == (7,)


class Lookup(nn.Module):
    """Returns the stored image whose code is nearest to z, with smooth changes."""

    image_shape: tuple[int, ...]

    @nn.compact
    def __call__(self, z, train=True, labels=None):
        codes = self.param("codes", nn.initializers.zeros, (40, 4))
        images = self.param("images", nn.initializers.zeros, (40, 784))
        distances = jnp.sum((z[:, None] - codes[None]) ** 2, axis=-1)
        mixed = nn.softmax(-20 * distances) @ images
        return mixed.reshape(-1, *self.image_shape)


def lookup(stored):
    """A GAN that has memorized 40 images."""
    gan = ganjax.make_gan(smallest_config())
    gan = dataclasses.replace(gan, generator=Lookup((28, 28, 1)))
    codes = jax.random.normal(jax.random.key(3), (40, 4))
    images = jnp.asarray(stored.reshape(40, -1) / 127.5 - 1, jnp.float32)
    return gan, {"params": {"codes": codes, "images": images}}


def test_memorized_images_are_projected_more_closely(mnist):
    images, labels = mnist.train["images"][:240], mnist.train["labels"][:240]
    test = mnist.test["images"][:80], mnist.test["labels"][:80]

    def dataset(rows):
        parts = images[rows], labels[rows], *test
        return ganjax.make_dataset(*parts, name="few", source="a test")

    memorized = lookup(images[:40])
    found = projection_metric(*memorized, dataset(slice(0, 40)), 0, 0)
    assert found.ratio.value < 0.5 and found.ratio.high < 0.8
    assert found.ratio.low <= found.ratio.value
    assert (found.ratio.n_fake, found.ratio.n_real) == (40, 80)
    assert found.reference.value == pytest.approx(1.0, abs=0.25)
    # Others than it has memorized are as new as test images.
    honest = projection_metric(*memorized, dataset(slice(40, 240)), 0, 0)
    assert honest.ratio.low < 1 < honest.ratio.high
    assert honest.ratio.value == pytest.approx(1.0, abs=0.25)
    # Only the images that were trained on count.
    first = projection_metric(*memorized, dataset(slice(0, 80)), 40, 0)
    assert first.ratio.value == pytest.approx(found.ratio.value, rel=1e-3)


def test_the_interval_of_a_ratio_of_medians_is_that_of_repeated_draws():
    rng = np.random.default_rng(1)
    ratios = [
        np.median(rng.gamma(4.0, 3.0, 200)) / np.median(rng.gamma(4.0, 2.0, 100))
        for _ in range(2000)
    ]
    estimate = ratio_of_medians(rng.gamma(4.0, 3.0, 200), rng.gamma(4.0, 2.0, 100))
    half = (estimate.high - estimate.low) / 2
    assert half == pytest.approx(1.96 * np.std(ratios), rel=0.35)
    assert estimate.low < 1.5 < estimate.high
    exact = ratio_of_medians([3.0] * 5, [2.0] * 4)
    assert exact[:5] == (1.5, 1.5, 1.5, 5, 4)
