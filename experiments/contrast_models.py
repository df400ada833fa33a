"""The three models of contrast.py: training, sampling, scores and lower bounds."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import ganjax
from experiments import common
from experiments.ddpm import Ddpm
from experiments.diffusion import make_sampler
from experiments.vae import Vae, fit_pixel_table
from ganjax import metrics
from ganjax.data import Dataset, batch_indices
from ganjax.features import load_extractor
from ganjax.gans.standard import Standard
from ganjax.images import denormalize, normalize
from ganjax.metrics.fid import fid, frechet_distance
from ganjax.metrics.parzen import parzen
from ganjax.metrics.prdc import prdc
from ganjax.optim import Ema
from ganjax.sampling import sample_block

CONFIG = "configs/mnist.py"
NUM, BLOCK = 10_000, 500  # samples, and how many are made at once
SHOWN = 14  # samples in a row of the figure
DDIM_STEPS = (1, 2, 5, 10, 25, 50, 100, 250)
TABLE_STEPS = (10, 50)  # of them, in the table
PASSES = 20  # over the test images, for the bound of the diffusion model
CHUNK = 10  # training steps in one device call
Row = dict[str, Any]  # results for one seed, of JSON types
Images = dict[str, np.ndarray]  # uint8 [N, 28, 28, 1] by name


class Recipe(NamedTuple):
    """How a VAE or a diffusion model is trained."""

    num_steps: int
    learning_rate: float
    batch_size: int = 64
    ema: Ema = Ema(50_000.0)


VAE = Vae(), Recipe(20_000, 2e-3)
DDPM = Ddpm(), Recipe(8_000, 2e-3)


# --- training and evaluation --------------------------------------------------------


def train(
    model: Vae | Ddpm, recipe: Recipe, images: np.ndarray, seed: int
) -> tuple[Any, float]:
    """Trains on images uint8 [N, 28, 28, 1].

    Returns:
      The averaged parameters, and seconds: those of the median call, times the calls.
    """
    num_steps, peak, batch_size, ema = recipe
    warmup = min(200, num_steps // 10)
    rate = optax.warmup_cosine_decay_schedule(0.0, peak, warmup, num_steps)
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
            return params, opt_state, ema.update(average, params, start + i, batch_size)

        return jax.lax.fori_loop(0, CHUNK, step, state)

    params = jax.jit(model.init)(init_key)
    state = params, optimizer.init(params), jax.tree.map(jnp.copy, params)
    seconds = []
    for start in range(0, num_steps, CHUNK):
        rows = batch_indices(seed, start, (CHUNK, 1, batch_size), len(images))[:, 0]
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


def mean_of_blocks(values: Callable[..., jax.Array], *arrays: np.ndarray) -> float:
    """The mean of `values(*rows, key)` over the rows of arrays [N, ...]."""
    means = []
    for start in range(0, len(arrays[0]), BLOCK):
        rows = [jnp.asarray(array[start : start + BLOCK]) for array in arrays]
        means.append(jnp.mean(values(*rows, jax.random.key(start))))
    return float(np.mean(means))


class Scorer:
    """The metrics of samples, as `--mode=evaluate` computes them."""

    SUITE = (fid, prdc, parzen)

    def __init__(self, dataset: Dataset):
        self.extractor = load_extractor(dataset)
        self.real = metrics.extract_real(self.extractor, dataset.train, dataset.test)
        self.references = metrics.reference_values(self.real, NUM, self.SUITE)

    def score(self, images: np.ndarray) -> dict[str, Any]:
        """Value and reference of each metric by its name."""
        fake = metrics.extract(self.extractor, images)
        estimates = metrics.score(fake, self.real, self.SUITE)
        return metrics.make_results(estimates, self.references)

    def fid(self, images: np.ndarray) -> float:
        """FID to the test images."""
        fake = metrics.extract(self.extractor, images)
        return frechet_distance(fake.features, self.real.test.features)


def first_digits(dataset: Dataset) -> np.ndarray:
    """The first test image of each class, uint8 [10, 28, 28, 1]."""
    rows = [np.argmax(dataset.test["labels"] == digit) for digit in range(10)]
    return dataset.test["images"][rows]


def squared_error(a: np.ndarray, b: np.ndarray) -> float:
    """Summed over the pixels in [0, 1], mean over images uint8 [N, ...]."""
    gaps = (a.astype(np.float64) - b) / 255
    return float(np.mean(np.sum(gaps.reshape(len(a), -1) ** 2, 1)))


# --- the three models ---------------------------------------------------------------


def run_gan(dataset: Dataset, seed: int, workdir: Path) -> tuple[Row, Images]:
    """Trains and scores the GAN, unless that is done."""
    overrides = {"seed": seed}
    row: Row = {"metrics": common.train_and_score(CONFIG, overrides, workdir, NUM)}
    gan, state, _ = ganjax.load_run(workdir)

    def sample(key: jax.Array) -> Any:
        return sample_block(gan, state.g_ema, key, BLOCK, None)

    images, row["seconds"] = draw(sample)
    row["training"] = common.training_seconds(CONFIG, overrides)
    digits = normalize(jnp.asarray(first_digits(dataset)), (-1.0, 1.0))
    nearest = denormalize(nearest_points(gan, state.g_ema, digits), (-1.0, 1.0))
    row["error"] = squared_error(np.asarray(nearest), first_digits(dataset))
    return row, {"GAN": images[:SHOWN], "nearest": np.asarray(nearest)}


def nearest_points(
    gan: Standard, g: Any, targets: jax.Array, starts: int = 8, steps: int = 500
) -> jax.Array:
    """The images in the generator's range that are closest to targets [N, ...].

    Adam on z for the squared error, from several z of the prior; the best is returned.
    """
    optimizer = optax.adam(0.05)
    wanted = jnp.tile(targets, (starts, 1, 1, 1))
    first = gan.prior.sample(jax.random.key(0), len(wanted))

    def errors(z: jax.Array) -> tuple[jax.Array, Any]:
        images: Any = gan.generator.apply(g, z, train=False)
        squares = jnp.sum((images - wanted) ** 2, (1, 2, 3))
        return jnp.sum(squares), (squares, images)

    def step(_: int, carry: Any) -> Any:
        z, opt_state = carry
        gradient = jax.grad(errors, has_aux=True)(z)[0]
        updates, opt_state = optimizer.update(gradient, opt_state)
        return optax.apply_updates(z, updates), opt_state

    @jax.jit
    def search(z: jax.Array) -> Any:
        z, _ = jax.lax.fori_loop(0, steps, step, (z, optimizer.init(z)))
        return errors(z)[1]

    squares, images = search(first)
    best = jnp.argmin(squares.reshape(starts, -1), 0)
    return images.reshape(starts, *targets.shape)[best, jnp.arange(len(targets))]


def run_vae(dataset: Dataset, scorer: Scorer, seed: int) -> tuple[Row, Images]:
    """A row of the table, and images to show by name."""
    model, recipe = VAE
    train_images, test = dataset.train["images"], dataset.test["images"]
    params, training = train(model, recipe, train_images, seed)
    images, seconds = draw(jax.jit(partial(model.sample, params, num=BLOCK)))
    row = {"training": training, "seconds": seconds, "metrics": scorer.score(images)}

    key = jax.random.key(seed)
    some = jnp.asarray(train_images[:NUM])
    table = fit_pixel_table(some, model.autoencode(params, some, key)[1])
    pixel_elbo = jax.jit(partial(model.pixel_elbo, params, table))
    row["nats"] = mean_of_blocks(pixel_elbo, test)
    row["binarized"] = -mean_of_blocks(jax.jit(partial(model.loss, params)), test)
    digits = first_digits(dataset)
    nearest = np.asarray(model.reconstruct(params, jnp.asarray(digits)))
    row["error"] = squared_error(nearest, digits)
    return row, {"VAE": images[:SHOWN], "nearest": nearest}


def run_ddpm(dataset: Dataset, scorer: Scorer, seed: int) -> tuple[Row, Images]:
    """A row of the table with FID and seconds for every sampler, and images to show."""
    model, recipe = DDPM
    params, training = train(model, recipe, dataset.train["images"], seed)
    row: Row = {"training": training, "samplers": {}}
    shown: Images = {}
    sample = jax.jit(partial(model.sample, num=BLOCK))
    for num, eta in (*((num, 0.0) for num in DDIM_STEPS), (model.num_steps, 1.0)):
        sampler = make_sampler(model.schedule, num, eta)
        images, seconds = draw(partial(sample, params, sampler))
        name = f"{num} ancestral" if eta else f"{num} DDIM"
        row["samplers"][name] = {"seconds": seconds, "fid": scorer.fid(images)}
        if num in TABLE_STEPS or eta:
            row["samplers"][name]["metrics"] = scorer.score(images)
        shown[name] = images[:SHOWN]
        print(f"{name}: FID {row['samplers'][name]['fid']:.2f}", flush=True)

    # Every time for equally many test images, PASSES times over.
    test = dataset.test["images"]
    size = PASSES * len(test)
    times = np.arange(size, dtype=np.int32) % model.num_steps + 1
    times = np.random.default_rng(seed).permutation(times).reshape(PASSES, -1)
    bound = jax.jit(partial(model.bound, params))
    row["nats"] = -float(np.mean([mean_of_blocks(bound, test, t) for t in times]))
    return row, shown
