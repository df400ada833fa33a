"""The VAE against closed forms, and the parts of the comparison of three models."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import small_gan
from scipy.stats import multivariate_normal

from experiments import contrast, contrast_models, vae
from ganjax.images import normalize
from ganjax.optim import Ema

# --- VAE ----------------------------------------------------------------------------


def test_elbo_of_a_linear_vae_is_the_likelihood_of_probabilistic_pca():
    """x = W z + m + noise: arXiv:1312.6114's bound is tight at the exact posterior.

    The columns of W are orthogonal, so that the posterior's covariance is diagonal, and
    log p(x|z) is quadratic in z: its mean over q is the one over the 2 Z points
    ±sqrt(Z) e_i.
    """
    rng = np.random.default_rng(0)
    size, z_dim, sigma = 7, 3, 0.4
    basis, _ = np.linalg.qr(rng.normal(size=(size, z_dim)))
    weights, center = basis * [2.0, 1.0, 0.3], rng.normal(size=size)
    x = rng.normal(size=(5, size)) * 1.5
    precision = (weights**2).sum(0) + sigma**2
    mean = (x - center) @ weights / precision
    variance = np.broadcast_to(sigma**2 / precision, mean.shape)
    q = vae.Posterior(jnp.float32(mean), jnp.float32(np.log(variance)))

    def log_likelihood(z):
        gap = jnp.float32(x - center) - z @ jnp.float32(weights.T)
        normalizer = size * math.log(sigma * math.sqrt(2 * math.pi))
        return -0.5 * jnp.sum((gap / sigma) ** 2, -1) - normalizer

    points = math.sqrt(z_dim) * np.concatenate([np.eye(z_dim), -np.eye(z_dim)])
    noises = [jnp.float32(np.tile(point, (5, 1))) for point in points]
    bounds = [vae.elbo(log_likelihood(vae.draw(q, noise)), q) for noise in noises]
    covariance = weights @ weights.T + sigma**2 * np.eye(size)
    exact = multivariate_normal(center, covariance).logpdf(x)
    np.testing.assert_allclose(np.mean(bounds, 0), exact, rtol=1e-6, atol=1e-4)


def test_kl_to_the_prior_is_that_of_one_dimensional_gaussians():
    q = vae.Posterior(jnp.array([[1.0, 0.0]]), jnp.log(jnp.array([[4.0, 1.0]])))
    # KL(N(1, 4) || N(0, 1)) = (4 + 1 - 1 - log 4) / 2, and 0
    np.testing.assert_allclose(vae.kl_to_prior(q), [2 - math.log(2)], rtol=1e-6)


def test_bernoulli_likelihood_is_the_mean_over_binarized_images():
    x, logits = np.array([0.2, 0.9, 1.0]), np.array([-1.0, 0.5, 2.0])
    p = 1 / (1 + np.exp(-logits))
    expected = 0.0
    for b in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(b, x, 1 - x))
        expected += weight * np.sum(np.where(b, np.log(p), np.log(1 - p)))
    value = vae.bernoulli_log_likelihood(
        jnp.float32(x)[None], jnp.float32(logits)[None]
    )
    np.testing.assert_allclose(value, [expected], rtol=1e-6)


def test_pixel_table_has_the_frequencies_of_each_bin():
    """Four pixels in the lowest bin, two in the highest; one pseudo-count per bin."""
    images = jnp.array([[0, 0, 0, 7, 255, 255]], jnp.uint8)
    logits = jnp.array([[-9.0, -8.0, -7.9, -20.0, 9.0, 7.99]])
    table = vae.fit_pixel_table(images, logits)
    np.testing.assert_allclose(np.exp(table).sum(1), np.ones(vae.BINS), rtol=1e-5)
    pseudo = 1 / 256
    by_hand = [(3 + pseudo) / 5, (1 + pseudo) / 5, pseudo / 5, (2 + pseudo) / 3]
    entries = table[jnp.array([0, 0, 0, -1]), jnp.array([0, 7, 1, 255])]
    np.testing.assert_allclose(np.exp(entries), by_hand, rtol=1e-5)
    np.testing.assert_allclose(np.exp(table[30]), np.full(256, pseudo), rtol=1e-5)
    value = vae.table_log_likelihood(table, images, logits)
    expected = 3 * np.log(by_hand[0]) + np.log(by_hand[1]) + 2 * np.log(by_hand[3])
    np.testing.assert_allclose(value, [expected], rtol=1e-5)


def test_vae_loss_is_its_parts():
    """Reconstruction and KL of the same draw, computed from encode and decode."""
    model = vae.Vae(z_dim=3)
    images = jax.random.bits(jax.random.key(1), (4, 28, 28, 1), jnp.uint8)
    params = jax.jit(model.init)(jax.random.key(0))
    loss = jax.jit(model.loss)(params, images, jax.random.key(2))
    q = jax.jit(model.encode)(params, images)
    z = q.mean + jnp.exp(q.log_variance / 2) * jax.random.normal(
        jax.random.key(2), (4, 3)
    )
    logits = jax.jit(model.decode)(params, z)
    p = np.asarray(jax.nn.sigmoid(logits), np.float64)
    x = np.asarray(images) / 255
    likelihood = (x * np.log(p) + (1 - x) * np.log(1 - p)).sum((1, 2, 3))
    variance = np.exp(np.asarray(q.log_variance, np.float64))
    kl = 0.5 * (variance + np.asarray(q.mean) ** 2 - 1 - np.log(variance)).sum(1)
    np.testing.assert_allclose(loss, (kl - likelihood).mean(), rtol=1e-4)


# --- the comparison -----------------------------------------------------------------


class MeanPixel:
    """A model with one parameter, whose best value is the mean of all pixels."""

    def init(self, key):
        return jnp.float32(0.0)

    def loss(self, params, images, key):
        return jnp.mean((normalize(images, (0.0, 1.0)) - params) ** 2)


def test_training_finds_the_minimum_and_averages_over_steps():
    images = np.random.default_rng(0).integers(0, 256, (50, 28, 28, 1), np.uint8)
    recipe = contrast_models.Recipe(600, 0.02, batch_size=10)
    params, seconds = contrast_models.train(MeanPixel(), recipe, images, seed=0)
    np.testing.assert_allclose(params, images.mean() / 255, atol=1e-3)
    assert seconds > 0
    # An average over all steps still contains the start, 0.
    slow = recipe._replace(ema=Ema(half_life=1e9, rampup=1.0))
    average, _ = contrast_models.train(MeanPixel(), slow, images, seed=0)
    assert 0.5 < average / params < 0.99


def test_nearest_point_of_a_generated_image_is_that_image():
    gan = small_gan(generator__norm="none", prior__z_dim=2)
    g, _ = jax.jit(gan.init)(jax.random.key(3))
    targets = gan.sample(g, jax.random.key(1), 3)
    found = contrast_models.nearest_points(gan, g, targets, starts=6, steps=300)
    gaps = jnp.sum((found - targets) ** 2, (1, 2, 3))
    far = jnp.sum((targets - targets[::-1]) ** 2, (1, 2, 3))[0]
    assert gaps.max() < 1e-2 * far, (gaps, far)


def test_squared_error_is_summed_over_pixels_and_averaged_over_images():
    a = np.zeros((2, 2, 2, 1), np.uint8)
    b = a.copy()
    b[0, 0, 0], b[1] = 255, 51  # 1², and four times (1/5)²
    assert contrast_models.squared_error(a, b) == pytest.approx((1 + 0.16) / 2)


def test_means_of_blocks_use_all_rows(monkeypatch):
    monkeypatch.setattr(contrast_models, "BLOCK", 2)
    mean = contrast_models.mean_of_blocks(
        lambda x, y, key: x * y, np.arange(6.0), np.arange(6.0)
    )
    assert mean == pytest.approx(55 / 6)


def test_finished_models_are_not_run_again(tmp_path):
    calls = []

    def run():
        calls.append(1)
        return {"seconds": float(len(calls))}, {"VAE": np.full((1, 2), len(calls))}

    for identity, expected in (({"seed": 0}, 1), ({"seed": 0}, 1), ({"seed": 1}, 2)):
        row, images = contrast.run_once(tmp_path, identity, run)
        assert row == {"seconds": expected} and images["VAE"].tolist() == [
            [expected] * 2
        ]
    assert len(calls) == 2


def example_rows():
    """Two seeds; every metric is 10 and 12, its reference 2."""

    def metrics(value):
        return {name: {"value": value, "reference": 2.0} for name in contrast.COLUMNS}

    rows = {"GAN": [], "VAE": [], "DDPM": []}
    for value in (10.0, 12.0):
        row = {"training": 100.0, "seconds": 1.0, "metrics": metrics(value)}
        rows["GAN"].append(row)
        rows["VAE"].append(row | {"nats": -543.4 - value, "binarized": -90.0 - value})
        samplers = {
            "1 DDIM": {"seconds": 2.0, "fid": 300.0 + value},
            "10 DDIM": {"seconds": 3.0, "fid": value, "metrics": metrics(value)},
            "20 ancestral": {"seconds": 4.0, "fid": value, "metrics": metrics(value)},
        }
        ddpm = {"training": 90.0, "nats": -784 * math.log(2) * value / 10}
        rows["DDPM"].append(ddpm | {"samplers": samplers})
    return rows


def test_table_has_a_row_per_model_and_bounds_where_there_are_any():
    lines = contrast.table(example_rows()).splitlines()
    scores = "11.0 ± 1.4 | 11.000 ± 1.414 | 11.000 ± 1.414 | 11 ± 1"
    none = " |  |  |  |"
    assert lines[2] == f"| GAN | 100 ± 0 | 1.00 ± 0.00 | {scores}{none}"
    bounds = "-554.4 ± 1.4 | 1.020 ± 0.003 | -101.0 ± 1.4"
    assert lines[3] == f"| VAE | 100 ± 0 | 1.00 ± 0.00 | {scores} | {bounds} |"
    assert lines[4] == f"| DDPM, 10 DDIM | 90 ± 0 | 3.00 ± 0.00 | {scores}{none}"
    assert lines[5].startswith(
        f"| DDPM, 20 ancestral | 90 ± 0 | 4.00 ± 0.00 | {scores}"
    )
    assert lines[5].endswith("| -597.8 ± 76.9 | 1.100 ± 0.141 |  |")
    assert lines[6] == f"| *real images* |  |  | 2.0 | 2.000 | 2.000 | 2{none}"
    assert len(lines) == 7


def test_step_table_has_a_row_per_sampler():
    lines = contrast.step_table(example_rows()).splitlines()
    assert lines[2] == "| 1 DDIM | 311.0 ± 1.4 | 2.0 ± 0.0 |"
    assert lines[4] == "| 20 ancestral | 11.0 ± 1.4 | 4.0 ± 0.0 |"
    assert len(lines) == 5
