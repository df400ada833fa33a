"""Denoising diffusion: DDPM (arXiv:2006.11239), and DDIM sampling (arXiv:2010.02502).

Noise is added in T steps: x_t = signal_t x_0 + noise_t ε with signal_t² + noise_t² = 1,
from the data, t = 0, to about N(0, I), t = T. (The papers write √ᾱ_t for signal_t.) A
network predicts ε from x_t and t (ddpm.py). Everything else is in closed form, and the
functions below take the prediction as a function: `predict(x_t, t) -> ε`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import log_ndtr

from ganjax.images import normalize

Predict = Callable[[jax.Array, jax.Array], jax.Array]  # x_t [B, ...], t int [B] -> ε
RANGE = (-1.0, 1.0)  # what the pixel values 0 and 255 become


class Schedule(NamedTuple):
    """float32 [T + 1] each; 1 and 0 at t = 0."""

    signal: jax.Array
    noise: jax.Array

    @property
    def num_steps(self) -> int:
        """T."""
        return len(self.signal) - 1

    def at(self, t: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """signal_t and noise_t for t int [B], as arrays [B, 1, ...] that fit x."""
        shape = (-1, *(1,) * (x.ndim - 1))
        return self.signal[t].reshape(shape), self.noise[t].reshape(shape)


class Gaussian(NamedTuple):
    """An isotropic Gaussian for each image."""

    mean: jax.Array  # [B, ...]
    variance: jax.Array  # [B, 1, ...]


# --- the process of adding noise ----------------------------------------------------


def cosine_schedule(num_steps: int) -> Schedule:
    """arXiv:2102.09672, equation 17, with β_t <= 0.999."""
    t = np.linspace(0.0, 1.0, num_steps + 1)
    alpha_bar = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    return make_schedule(np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], 0.999))


def make_schedule(beta: np.ndarray) -> Schedule:
    """The schedule of β_1 to β_T, the variances of the noise that the steps add."""
    alpha_bar = np.cumprod(np.concatenate([[1.0], 1 - beta]))
    signal, noise = np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)
    return Schedule(jnp.asarray(signal, jnp.float32), jnp.asarray(noise, jnp.float32))


def diffuse(schedule: Schedule, x0: jax.Array, t: jax.Array, eps: jax.Array) -> Any:
    """x_t for t int [B]: arXiv:2006.11239, equation 4."""
    signal, noise = schedule.at(t, x0)
    return signal * x0 + noise * eps


def denoise(schedule: Schedule, xt: jax.Array, t: jax.Array, eps: jax.Array) -> Any:
    """The x_0 that x_t and ε imply: the inverse of `diffuse`."""
    signal, noise = schedule.at(t, xt)
    return (xt - noise * eps) / signal


def squared_errors(
    predict: Predict, schedule: Schedule, x0: jax.Array, t: jax.Array, eps: jax.Array
) -> jax.Array:
    """Mean over pixels of (ε - prediction)², [B]: arXiv:2006.11239, equation 14."""
    error = predict(diffuse(schedule, x0, t, eps), t) - eps
    return jnp.mean(error**2, tuple(range(1, x0.ndim)))


def posterior(
    schedule: Schedule, x0: jax.Array, xt: jax.Array, t: jax.Array, s: jax.Array
) -> Gaussian:
    """q(x_s | x_t, x_0) for s < t; with s = t - 1 arXiv:2006.11239, equation 7."""
    signal_t, noise_t = schedule.at(t, xt)
    signal_s, noise_s = schedule.at(s, xt)
    ratio = signal_t / signal_s
    added = noise_t**2 - ratio**2 * noise_s**2  # variance of the noise after time s
    mean = (ratio * noise_s**2 * xt + signal_s * added * x0) / noise_t**2
    return Gaussian(mean, added * noise_s**2 / noise_t**2)


# --- the reverse process ------------------------------------------------------------


def reverse(
    schedule: Schedule, eps: jax.Array, xt: jax.Array, times: Any, eta: jax.Array
) -> Gaussian:
    """p(x_s | x_t) of the model for times (t, s): arXiv:2010.02502, equation 12.

    Without noise (DDIM) for eta = 0. For eta = 1 it is `posterior` at the predicted
    x_0, which for s = t - 1 is the ancestral sampling of DDPM.
    """
    t, s = times
    x0 = denoise(schedule, xt, t, eps)
    variance = eta**2 * posterior(schedule, x0, xt, t, s).variance
    signal, noise = schedule.at(s, xt)
    # Rounding may make this slightly negative where it is 0.
    rest = jnp.sqrt(jnp.maximum(noise**2 - variance, 0.0))
    return Gaussian(signal * x0 + rest * eps, variance)


class Sampler(NamedTuple):
    """What one program can sample with: any times, and any noise."""

    times: jax.Array  # int32 [T + 1]: T = t_0 > ... > t_K = 0, then zeros
    eta: jax.Array  # float32 []


def make_sampler(schedule: Schedule, num: int, eta: float) -> Sampler:
    """`num` steps from T to 0, of about equal length."""
    times = np.zeros(schedule.num_steps + 1, np.int32)
    times[: num + 1] = np.round(np.linspace(schedule.num_steps, 0, num + 1))
    return Sampler(jnp.asarray(times), jnp.float32(eta))


def generate(
    predict: Predict, schedule: Schedule, sampler: Sampler, xT: Any, key: jax.Array
) -> jax.Array:
    """x_0 from x_T."""

    def step(i: jax.Array, x: jax.Array) -> jax.Array:
        t, s = (jnp.full(len(x), sampler.times[i + j]) for j in (0, 1))
        p = reverse(schedule, predict(x, t), x, (t, s), sampler.eta)
        noise = jax.random.normal(jax.random.fold_in(key, i), x.shape)
        return p.mean + jnp.sqrt(p.variance) * noise

    x0: jax.Array = lax.fori_loop(0, jnp.sum(sampler.times > 0), step, xT)
    return x0


# --- the variational bound ----------------------------------------------------------


def pixel_log_prob(u: jax.Array, mean: jax.Array, scale: jax.Array) -> jax.Array:
    """log P(u) of 8-bit pixels under a rounded Gaussian, in nats, shape as u.

    The density is integrated over the interval, 2/255 wide, of what rounds to u; those
    of 0 and 255 extend to infinity: arXiv:2006.11239, equation 13.

    Args:
      u: uint8 [...].
      mean: float32, on the range [-1, 1].
      scale: float32 > 0, a standard deviation.
    """
    low = (normalize(u, RANGE) - 1 / 255 - mean) / scale
    high = low + 2 / 255 / scale
    low, high = jnp.where(u == 0, -jnp.inf, low), jnp.where(u == 255, jnp.inf, high)
    # By symmetry the same in the lower tail, where log CDFs keep their precision.
    flip = low + high > 0
    low, high = jnp.where(flip, -high, low), jnp.where(flip, -low, high)
    bottom, top = log_ndtr(low), log_ndtr(high)
    return top + jnp.log(-jnp.expm1(bottom - top))


def bound_terms(
    predict: Predict, schedule: Schedule, images: jax.Array, t: jax.Array, eps: Any
) -> jax.Array:
    """One term of the bound of -log p(x_0) per image, in nats, float32 [B].

    KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) for t > 1, where both have the same
    variance, and -log p(x_0 | x_1) for t = 1: arXiv:2006.11239, equation 5. The bound
    is the sum over t of the means over ε, and `prior_kl`.

    Args:
      predict: the predictor of ε.
      schedule: of T steps.
      images: uint8 [B, ...].
      t: int [B] in 1..T.
      eps: standard normal, float32 [B, ...].
    """
    x0, s = normalize(images, RANGE), t - 1
    xt = diffuse(schedule, x0, t, eps)
    q = posterior(schedule, x0, xt, t, s)
    p = reverse(schedule, predict(xt, t), xt, (t, s), jnp.float32(1.0))
    first = s.reshape(q.variance.shape) == 0
    kl = (q.mean - p.mean) ** 2 / (2 * jnp.where(first, 1.0, q.variance))
    decoder = -pixel_log_prob(images, p.mean, schedule.noise[1])  # DDPM's σ_1² = β_1
    return jnp.sum(jnp.where(first, decoder, kl), tuple(range(1, x0.ndim)))


def prior_kl(schedule: Schedule, images: jax.Array) -> jax.Array:
    """KL(q(x_T | x_0) || N(0, I)) of images uint8 [B, ...] in nats, float32 [B]."""
    signal, noise = schedule.signal[-1], schedule.noise[-1]
    means = signal * normalize(images, RANGE)
    terms = means**2 + noise**2 - 1 - 2 * jnp.log(noise)
    return 0.5 * jnp.sum(terms, tuple(range(1, images.ndim)))
