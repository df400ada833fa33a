"""How do a GAN, a VAE and a diffusion model compare under one set of metrics?

Command: python -m experiments.contrast [--seeds 2] [--runs runs]

MNIST, networks of similar size, and about the same seconds of training for each: the
GAN of configs/mnist.py, a VAE of the same networks (vae.py) and a DDPM with a small
U-Net (diffusion.py), each averaged over its last steps. 10,000 samples against the
10,000 test images; mean ± sample standard deviation over seeds. Seconds are medians of
single calls, without compilation. Likelihood models have a lower bound of the test
images' log-likelihood; a GAN has no likelihood, and its Parzen estimate is none.

A model and seed that is done is not repeated. Prints a table and writes contrast.md,
contrast.png (FID against denoising steps) and contrast_samples.png.

Result: see results/contrast.md.
"""

import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import ganjax
from experiments import common
from experiments.diffusion import Diffusion
from experiments.vae import Vae, fit_pixel_table
from ganjax import files, metrics
from ganjax.data import Dataset, batch_indices
from ganjax.evaluate import load_classifier
from ganjax.gans.standard import Standard
from ganjax.images import denormalize, grid, normalize
from ganjax.metrics.fid import fid, frechet_distance
from ganjax.metrics.parzen import parzen
from ganjax.metrics.prdc import prdc
from ganjax.optim import Ema
from ganjax.sampling import sample_block

CONFIG = "configs/mnist.py"
NUM, BLOCK = 10_000, 500  # samples, and how many at once
SHOWN = 14  # samples in a row of the figure
DDIM_STEPS = (1, 2, 5, 10, 25, 50, 100, 250)
CHUNK = 10  # training steps in one device call
Row = dict[str, Any]  # a row of the table, for one seed


class Recipe(NamedTuple):
    """How a VAE or a diffusion model is trained."""

    num_steps: int
    learning_rate: float
    batch_size: int = 64
    ema: Ema = Ema(50_000.0)


VAE = Vae(), Recipe(20_000, 2e-3)
DIFFUSION = Diffusion(), Recipe(8_000, 2e-3)


# --- training and sampling ----------------------------------------------------------


def train(
    model: Vae | Diffusion, recipe: Recipe, images: np.ndarray, seed: int
) -> tuple[Any, float]:
    """Trains on images uint8 [N, 28, 28, 1].

    Returns:
      The averaged parameters, and seconds: those of the median call, times the calls.
    """
    rate = optax.warmup_cosine_decay_schedule(
        0.0, recipe.learning_rate, 200, recipe.num_steps
    )
    optimizer = optax.adam(rate)
    examples = jnp.asarray(images)
    init_key, key = jax.random.split(jax.random.key(seed))

    @partial(jax.jit, donate_argnums=0)
    def train_chunk(state: Any, rows: jax.Array, start: jax.Array) -> Any:
        def step(i: jax.Array, state: Any) -> Any:
            params, opt_state, average = state
            step_key = jax.random.fold_in(key, start + i)
            gradient = jax.grad(model.loss)(params, examples[rows[i]], step_key)
            updates, opt_state = optimizer.update(gradient, opt_state, params)
            params = optax.apply_updates(params, updates)
            size = recipe.batch_size
            average = recipe.ema.update(average, params, start + i, size)
            return params, opt_state, average

        return jax.lax.fori_loop(0, CHUNK, step, state)

    params = jax.jit(model.init)(init_key)
    state = params, optimizer.init(params), jax.tree.map(jnp.copy, params)
    seconds = []
    for start in range(0, recipe.num_steps, CHUNK):
        shape = (CHUNK, 1, recipe.batch_size)
        rows = batch_indices(seed, start, shape, len(images))[:, 0]
        started = time.perf_counter()
        state = jax.block_until_ready(train_chunk(state, rows, jnp.int32(start)))
        seconds.append(time.perf_counter() - started)
    return state[2], float(np.median(seconds)) * len(seconds)


def draw(sample: Callable[[jax.Array], jax.Array]) -> tuple[np.ndarray, float]:
    """NUM samples of `key -> uint8 [BLOCK, ...]`, and seconds, as in `train`."""
    blocks, seconds = [], []
    for i in range(NUM // BLOCK):
        started = time.perf_counter()
        blocks.append(np.asarray(sample(jax.random.key(i))))
        seconds.append(time.perf_counter() - started)
    return np.concatenate(blocks), float(np.median(seconds)) * len(seconds)


class Scorer:
    """The metrics of samples, as `--mode=evaluate` computes them."""

    SUITE = (fid, prdc, parzen)

    def __init__(self, dataset: Dataset):
        self.classifier = load_classifier(dataset)
        self.real = metrics.extract_real(self.classifier, dataset.train, dataset.test)
        self.references = metrics.reference_values(self.real, NUM, self.SUITE)

    def score(self, images: np.ndarray) -> dict[str, Any]:
        """Value and reference of each metric by its name."""
        fake = metrics.extract(self.classifier, images)
        estimates = metrics.score(fake, self.real, self.SUITE)
        return metrics.make_results(estimates, self.references)

    def fid(self, images: np.ndarray) -> float:
        fake = metrics.extract(self.classifier, images)
        return frechet_distance(fake.features, self.real.test.features)


# --- the three models ---------------------------------------------------------------


def nearest_points(
    gan: Standard, g: Any, targets: jax.Array, starts: int = 8, steps: int = 500
) -> jax.Array:
    """The images in the generator's range that are closest to targets [N, ...].

    Adam on z for the squared error, from several z of the prior; the best is returned.
    """
    optimizer = optax.adam(0.05)
    z = gan.prior.sample(jax.random.key(0), starts * len(targets))
    wanted = jnp.tile(targets, (starts, 1, 1, 1))

    def errors(z: jax.Array) -> tuple[jax.Array, jax.Array]:
        images: Any = gan.generator.apply(g, z, train=False)
        squares = jnp.sum((images - wanted) ** 2, (1, 2, 3))
        return jnp.sum(squares), (squares, images)

    @jax.jit
    def search(z: jax.Array) -> tuple[jax.Array, jax.Array]:
        def step(_: int, carry: Any) -> Any:
            z, opt_state = carry
            gradient = jax.grad(errors, has_aux=True)(z)[0]
            updates, opt_state = optimizer.update(gradient, opt_state)
            return optax.apply_updates(z, updates), opt_state

        z, _ = jax.lax.fori_loop(0, steps, step, (z, optimizer.init(z)))
        return errors(z)[1]

    squares, images = search(z)
    best = jnp.argmin(squares.reshape(starts, -1), 0)
    return images.reshape(starts, *targets.shape)[best, jnp.arange(len(targets))]


def run_gan(seed: int, workdir: Path) -> Row:
    """Trains and scores the GAN, unless that is done."""
    overrides = {"seed": seed}
    row = {"metrics": common.train_and_score(CONFIG, overrides, workdir, NUM)}
    gan, state, _ = ganjax.load_run(workdir)
    sample = partial(sample_block, gan, state.g_ema, num=BLOCK, condition=None)
    row["seconds"] = draw(sample)[1]
    return row | {"training": common.training_seconds(CONFIG, overrides)}


def run_vae(dataset: Dataset, scorer: Scorer, seed: int) -> tuple[Row, dict[str, Any]]:
    """A row of the table; images of the figure by name."""
    model, recipe = VAE
    train_images, test = dataset.train["images"], jnp.asarray(dataset.test["images"])
    params, training = train(model, recipe, train_images, seed)
    images, seconds = draw(jax.jit(partial(model.sample, params, num=BLOCK)))
    row = {"training": training, "seconds": seconds, "metrics": scorer.score(images)}

    keys = iter(jax.random.split(jax.random.key(seed), 1 + 2 * len(test)))
    sample = jnp.asarray(train_images[:NUM])
    table = fit_pixel_table(sample, model.autoencode(params, sample, next(keys))[1])
    blocks = jnp.split(test, len(test) // BLOCK)
    pixel_elbo, loss = jax.jit(model.pixel_elbo), jax.jit(model.loss)
    values = [pixel_elbo(params, table, x, next(keys)) for x in blocks]
    row["nats"] = float(jnp.mean(jnp.stack(values)))
    losses = [loss(params, x, next(keys)) for x in blocks]
    row["binarized"] = -float(jnp.mean(jnp.stack(losses)))
    digits = jnp.asarray(test_digits(dataset))
    shown = {"VAE": images[:SHOWN], "nearest": model.reconstruct(params, digits)}
    return row, shown
