"""Diffusion against closed forms: Bayes' rule, Gaussian data, the variational bound."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from experiments import diffusion
from experiments.ddpm import Ddpm

# --- the process --------------------------------------------------------------------

T = 50
SCHEDULE = diffusion.cosine_schedule(T)
ALPHA_BAR = np.asarray(SCHEDULE.signal, np.float64) ** 2


def test_schedule_adds_the_noise_of_its_betas():
    schedule = diffusion.make_schedule(np.array([0.1, 0.5]))
    np.testing.assert_allclose(schedule.signal**2, [1, 0.9, 0.45], rtol=1e-6)
    np.testing.assert_allclose(schedule.noise**2, [0, 0.1, 0.55], rtol=1e-6)
    # arXiv:2102.09672, equation 17, at half the time
    half = math.cos((0.5 + 0.008) / 1.008 * math.pi / 2) ** 2
    half /= math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    np.testing.assert_allclose(SCHEDULE.signal[T // 2] ** 2, half, rtol=1e-5)


@pytest.mark.parametrize("t,s", [(7, 6), (40, 12), (1, 0)])
def test_posterior_is_bayes_rule(t, s):
    """q(x_s | x_t, x_0) on a grid of x_s, from the two forward densities."""
    x0, xt = 0.3, -0.7
    ratio = ALPHA_BAR[t] / ALPHA_BAR[s]
    center, spread = math.sqrt(ALPHA_BAR[s]) * x0, math.sqrt(1 - ALPHA_BAR[s])
    q = diffusion.posterior(
        SCHEDULE,
        jnp.full((1, 1), x0),
        jnp.full((1, 1), xt),
        jnp.array([t]),
        jnp.array([s]),
    )
    if s == 0:  # x_0 itself
        np.testing.assert_allclose([q.mean[0, 0], q.variance[0, 0]], [x0, 0], atol=1e-6)
        return
    grid = np.linspace(-6, 6, 200_001)
    density = norm.pdf(grid, center, spread)
    density *= norm.pdf(xt, math.sqrt(ratio) * grid, math.sqrt(1 - ratio))
    density /= density.sum()
    mean = (density * grid).sum()
    variance = (density * (grid - mean) ** 2).sum()
    np.testing.assert_allclose(q.mean[0, 0], mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(q.variance[0, 0], variance, rtol=1e-3)


def test_ddim_with_eta_1_and_all_steps_is_ddpm():
    """arXiv:2006.11239, equations 7 and 11, and `posterior` at the predicted x_0."""
    t = jnp.arange(1, T)  # at T the cosine schedule's signal is 5e-5: ill-conditioned
    xt, eps = jax.random.normal(jax.random.key(0), (2, T - 1, 3))
    p = diffusion.reverse(SCHEDULE, eps, xt, (t, t - 1), jnp.float32(1.0))
    alpha = (ALPHA_BAR[1:-1] / ALPHA_BAR[:-2])[:, None]
    now, before = ALPHA_BAR[1:-1, None], ALPHA_BAR[:-2, None]
    mean = (xt - (1 - alpha) / np.sqrt(1 - now) * eps) / np.sqrt(alpha)
    variance = (1 - before) / (1 - now) * (1 - alpha)
    np.testing.assert_allclose(p.mean, mean, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(p.variance, variance, rtol=2e-3, atol=1e-7)
    x0 = diffusion.denoise(SCHEDULE, xt, t, eps)
    q = diffusion.posterior(SCHEDULE, x0, xt, t, t - 1)
    np.testing.assert_allclose(p.mean, q.mean, rtol=1e-4, atol=2e-4)
    np.testing.assert_array_equal(p.variance, q.variance)


def test_ddim_without_noise_moves_along_one_x0_and_eps():
    """With the true ε a step of any length gives x_s of the same x_0 and ε."""
    x0, eps = jax.random.normal(jax.random.key(0), (2, 3, 4))
    t, s = jnp.array([30, 20, 9]), jnp.array([3, 19, 0])
    xt = diffusion.diffuse(SCHEDULE, x0, t, eps)
    p = diffusion.reverse(SCHEDULE, eps, xt, (t, s), jnp.float32(0.0))
    expected = diffusion.diffuse(SCHEDULE, x0, s, eps)
    np.testing.assert_allclose(p.mean, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(p.variance, np.zeros((3, 1)))


def test_sampling_times_go_from_t_to_0():
    sampler = diffusion.make_sampler(SCHEDULE, 4, eta=0.5)
    np.testing.assert_array_equal(sampler.times, [50, 38, 25, 12] + [0] * 47)
    assert sampler.eta == 0.5
    every = diffusion.make_sampler(SCHEDULE, T, eta=1.0)
    np.testing.assert_array_equal(every.times, np.arange(T, -1, -1))


# --- Gaussian data, for which the best predictor is known ----------------------------

MEAN = np.array([0.5, -1.0])
COVARIANCE = np.array([[0.5, 0.3], [0.3, 0.4]])


def best_predictor(schedule):
    """E[ε | x_t] = n (s² C + n² I)^-1 (x_t - s m) for x_0 ~ N(m, C)."""
    signal, noise = (np.asarray(x, np.float64) for x in schedule)
    precisions = np.linalg.inv(
        signal[:, None, None] ** 2 * COVARIANCE + noise[:, None, None] ** 2 * np.eye(2)
    )
    matrices = jnp.float32(noise[:, None, None] * precisions)
    centers = jnp.float32(signal[:, None] * MEAN)

    def predict(xt, t):
        return jnp.einsum("bij,bj->bi", matrices[t], xt - centers[t])

    return predict


def test_ddim_of_gaussian_data_has_their_mean_and_covariance():
    """The map from x_T to x_0 is affine: its moments are exact up to T steps' error."""
    schedule = diffusion.cosine_schedule(1000)
    predict = best_predictor(schedule)
    sampler = diffusion.make_sampler(schedule, 1000, eta=0.0)

    @jax.jit
    def generate(xT):
        return diffusion.generate(predict, schedule, sampler, xT, jax.random.key(0))

    origin, *columns = generate(jnp.array([[0.0, 0], [1, 0], [0, 1]]))
    linear = np.stack(columns, -1) - np.asarray(origin)[:, None]
    np.testing.assert_allclose(origin, MEAN, atol=5e-3)
    np.testing.assert_allclose(linear @ linear.T, COVARIANCE, atol=5e-3)


def test_ancestral_samples_of_gaussian_data_have_their_mean_and_covariance():
    schedule = diffusion.cosine_schedule(200)
    predict = best_predictor(schedule)
    sampler = diffusion.make_sampler(schedule, 200, eta=1.0)
    start, key = jax.random.split(jax.random.key(0))
    xT = jax.random.normal(start, (40_000, 2))
    generate = jax.jit(diffusion.generate, static_argnums=0)
    x0 = generate(predict, schedule, sampler, xT, key)
    np.testing.assert_allclose(np.mean(x0, 0), MEAN, atol=0.015)
    np.testing.assert_allclose(np.cov(x0, rowvar=False), COVARIANCE, atol=0.015)


@pytest.mark.parametrize("t", [3, 25, 45])
def test_training_loss_is_least_at_the_best_predictor(t):
    """1-D data N(m, v): mean loss signal² v / (signal² v + noise²), and slope 0.

    The loss of an affine predictor is quadratic in x_0 and ε: five points of
    Gauss-Hermite quadrature in each give its mean exactly.
    """
    m, v = 0.4, 0.3
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    weights = weights / weights.sum()
    x0, eps = (a.reshape(-1, 1) for a in np.meshgrid(m + v**0.5 * nodes, nodes))
    weight = jnp.float32(np.outer(weights, weights).T.ravel())
    times = jnp.full(len(x0), t)
    signal, noise = math.sqrt(ALPHA_BAR[t]), math.sqrt(1 - ALPHA_BAR[t])
    total = signal**2 * v + noise**2
    best = jnp.float32([noise / total, -noise * signal * m / total])

    def mean_loss(coefficients):
        def predict(xt, t):
            return coefficients[0] * xt + coefficients[1]

        arrays = jnp.float32(x0), times, jnp.float32(eps)
        return weight @ diffusion.squared_errors(predict, SCHEDULE, *arrays)

    value, slope = jax.value_and_grad(mean_loss)(best)
    np.testing.assert_allclose(value, signal**2 * v / total, rtol=1e-4)
    np.testing.assert_allclose(slope, [0, 0], atol=1e-5)
    # A predictor that is off by a constant c has a loss that is larger by c².
    other = mean_loss(best + jnp.array([0.0, 0.1]))
    np.testing.assert_allclose(other - value, 0.01, rtol=1e-3)


# --- the variational bound ----------------------------------------------------------


def test_pixel_probabilities_are_those_of_a_rounded_gaussian():
    u = np.arange(256)
    for mean, scale in [(-1.0, 0.01), (0.2, 0.05), (3.0, 0.5), (0.9, 2.0)]:
        values = diffusion.pixel_log_prob(jnp.uint8(u), jnp.float32(mean), scale)
        np.testing.assert_allclose(np.exp(values).sum(), 1, rtol=1e-5)
        low = (np.where(u == 0, -np.inf, (2 * u - 1) / 255 - 1) - mean) / scale
        high = (np.where(u == 255, np.inf, (2 * u + 1) / 255 - 1) - mean) / scale
        near = np.abs(low + high) / 2 < 6
        low, high = np.where(low + high > 0, [-high, -low], [low, high])
        expected = np.log(norm.cdf(high[near]) - norm.cdf(low[near]))
        np.testing.assert_allclose(values[near], expected, rtol=1e-3)


def test_bound_is_the_sum_of_its_terms_in_one_dimension():
    """Two steps, one pixel, a constant predictor: every KL from its textbook form."""
    beta = np.array([0.2, 0.6])
    schedule = diffusion.make_schedule(beta)
    u, eps, constant = 200, [0.5, -1.2], 0.3
    images = jnp.full((1, 1, 1, 1), u, jnp.uint8)
    x0 = 2 * u / 255 - 1

    def predict(xt, t):
        return jnp.full(xt.shape, constant)

    terms = [
        diffusion.bound_terms(
            predict,
            schedule,
            images,
            jnp.array([t]),
            jnp.full((1, 1, 1, 1), eps[t - 1]),
        )[0]
        for t in (1, 2)
    ]
    bar1, bar2 = 0.8, 0.32
    x1 = math.sqrt(bar1) * x0 + math.sqrt(1 - bar1) * eps[0]
    decoded = (x1 - math.sqrt(1 - bar1) * constant) / math.sqrt(bar1)
    edges = (np.array([u + 0.5, u - 0.5]) / 127.5 - 1 - decoded) / math.sqrt(beta[0])
    decoder = -math.log(norm.cdf(edges[0]) - norm.cdf(edges[1]))
    # Both reverse steps are Gaussians of variance (1 - bar1) / (1 - bar2) beta_2.
    x2 = math.sqrt(bar2) * x0 + math.sqrt(1 - bar2) * eps[1]
    slope = math.sqrt(bar1) * beta[1] / (1 - bar2)
    gap = slope * (x0 - (x2 - math.sqrt(1 - bar2) * constant) / math.sqrt(bar2))
    kl = gap**2 / (2 * (1 - bar1) / (1 - bar2) * beta[1])
    np.testing.assert_allclose(terms, [decoder, kl], rtol=1e-4)
    # KL(N(sqrt(bar2) x0, 1 - bar2) || N(0, 1))
    prior = 0.5 * (bar2 * x0**2 - bar2 - math.log(1 - bar2))
    np.testing.assert_allclose(diffusion.prior_kl(schedule, images), [prior], rtol=1e-4)


def test_bound_of_a_model_is_the_sum_over_all_times():
    """Its estimates at all T times have the mean of the sum of the terms."""
    model = Ddpm(num_steps=8)
    images = jnp.tile(
        jax.random.bits(jax.random.key(1), (1, 28, 28, 1), jnp.uint8), (8, 1, 1, 1)
    )
    params = jax.jit(model.init)(jax.random.key(0))
    t, key = jnp.arange(1, 9), jax.random.key(2)
    estimates = jax.jit(model.bound)(params, images, t, key)
    eps = jax.random.normal(jax.random.clone(key), images.shape)
    terms = jax.jit(
        lambda params: diffusion.bound_terms(
            model.predictor(params), model.schedule, images, t, eps
        )
    )(params)
    total = terms.sum() + diffusion.prior_kl(model.schedule, images[:1])[0]
    np.testing.assert_allclose(estimates.mean(), total, rtol=1e-5)


# --- the model ----------------------------------------------------------------------


class Constant:
    """A network that returns the same output for every input."""

    def __init__(self, output):
        self.output = output

    def apply(self, params, x, t):
        return self.output


def test_predictor_turns_the_output_of_the_network_into_eps():
    """From the true v, ε; with clipping the ε of x_0 clipped to [-1, 1]."""
    x0, eps = jax.random.normal(jax.random.key(0), (2, 3, 28, 28, 1))
    schedule, t = Ddpm(num_steps=T).schedule, jnp.array([1, 20, 45])
    signal, noise = schedule.at(t, x0)
    xt = diffusion.diffuse(schedule, x0, t, eps)
    model = Ddpm(num_steps=T, network=Constant(signal * eps - noise * x0))
    free = model.predictor({}, clip=False)(xt, t)
    np.testing.assert_allclose(free, eps, rtol=1e-4, atol=1e-5)
    clipped = model.predictor({})(xt, t)
    expected = np.clip(x0, -1, 1)
    implied = diffusion.denoise(schedule, xt, t, clipped)
    np.testing.assert_allclose(implied, expected, rtol=1e-4, atol=1e-4)


def test_random_times_are_uniform_and_spread():
    """One in each quarter of 1..8, so two values are possible for each."""
    keys = jax.random.split(jax.random.key(0), 1000)
    times = np.asarray(jax.vmap(lambda key: Ddpm(8).random_times(key, 4))(keys))
    np.testing.assert_array_equal((times - 1) // 2, np.tile(np.arange(4), (1000, 1)))
    np.testing.assert_allclose((times % 2 == 0).mean(0), np.full(4, 0.5), atol=0.05)
