"""What tests share: small GANs, comparisons of trees, commands."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import ganjax
from ganjax import data, parallel

ROOT = Path(__file__).parent.parent
MNIST_DIR = os.environ.get("GANJAX_MNIST_DIR", "")
SMALL: dict[str, Any] = {
    "batch_size": 8,
    "prior.z_dim": 4,
    "generator.hidden": (16,),
    "generator.channels": (8, 4),
    "generator.norm": "batch",  # it has more to go wrong than "none"
    "discriminator.hidden": (16,),
    "discriminator.channels": (4, 8),
}

# Networks of configs/text_to_image.py for images of 8x8 pixels.
SMALL_TEXT_TO_IMAGE: dict[str, Any] = {
    "data.image_shape": (8, 8, 3),
    "generator.channels": (4, 3),
    "generator.hidden": (6,),
    "discriminator.channels": (3, 4),
    "discriminator.hidden": 5,
    "encoder.embedding": 3,
    "encoder.features": 4,
    "prior.z_dim": 4,
}


def small_config(**overrides):
    """configs/mnist.py with networks that compile and run quickly.

    Fields of groups are written with two underscores: `generator__norm="none"`.
    """
    dotted = {name.replace("__", "."): value for name, value in overrides.items()}
    return ganjax.load_config("mnist", SMALL | dotted)


def smallest_config(**overrides):
    """The same, fully connected: it compiles in a fraction of the time."""
    networks = {
        "generator": {"name": "mlp", "hidden": (8,), "norm": "none", "output": "tanh"},
        "discriminator": {"name": "mlp", "hidden": (8,)},
    }
    return small_config(**networks | overrides)


def small_gan(**overrides):
    """A GAN of `small_config`."""
    return ganjax.make_gan(small_config(**overrides))


def small_sgd_gan(**overrides):
    """The same with plain gradient descent.

    Adam's first steps are signs of gradients, which turns rounding into full steps.
    """
    sgd = {"name": "sgd", "learning_rate": 0.1}
    return small_gan(**overrides, g_optimizer=sgd, d_optimizer=sgd)


def parameter_counts(gan):
    """Numbers of parameters of the generator and of the discriminator."""
    state = jax.eval_shape(lambda: ganjax.init_state(gan, jax.random.key(0)))
    return tuple(
        sum(x.size for x in jax.tree.leaves(player.params))
        for player in (state.g, state.d)
    )


def load_folder(folder, shape=(32, 32, 3)):
    """A folder of images as a data set."""
    options = {"name": "image_folder", "manual_dir": str(folder), "image_shape": shape}
    return data.load(data.DataOptions(**options))


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """float64 in the block, in every version of JAX."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


def assert_identical(a, b):
    """Two trees, bit for bit."""

    def unwrap(x):
        is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(x) if is_key else x

    assert jax.tree.structure(a) == jax.tree.structure(b)
    for (path, x), y in zip(
        jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True
    ):
        same = (unwrap(x) == unwrap(y)).all()
        assert same, f"{jax.tree_util.keystr(path)} differs"


def assert_close(actual, expected, rtol, atol):
    """Two trees, number by number."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for (path, x), y in zip(
        jax.tree_util.tree_leaves_with_path(actual),
        jax.tree.leaves(expected),
        strict=True,
    ):
        name = jax.tree_util.keystr(path)
        np.testing.assert_allclose(x, y, rtol, atol, err_msg=name)


def trained(gan, seed=0):
    """A state at step 7 whose averaged generator has other numbers than at first."""
    rng = np.random.default_rng(seed)
    state = ganjax.init_state(gan, jax.random.key(seed))

    def change(path, x):
        if "var" in jax.tree_util.keystr(path):
            return x * rng.uniform(0.5, 1.5, x.shape).astype(np.float32)
        return x + 0.2 * rng.normal(size=x.shape).astype(np.float32)

    g_ema = jax.tree_util.tree_map_with_path(change, state.g_ema)
    return state.replace(g_ema=g_ema, step=jnp.int32(7))


def step_on_one_and_on_two_devices(gan, state, batch, steps=1):
    """The states after training on one batch, on one device and split over two."""
    one, two = state, parallel.replicate(state)
    chunk = parallel.make_train_chunk(gan, 1)
    num, data = len(jax.tree.leaves(batch)[0]), parallel.replicate(batch)
    for _ in range(steps):
        one, _ = ganjax.train_step(gan, one, jax.tree.map(lambda x: x[None], batch))
        rows = parallel.shard_indices(np.arange(num).reshape(1, 1, num), 1)
        two, _ = chunk(two, data, rows, 1)
    return one, two


def relative_error(actual, expected):
    """‖actual − expected‖ / ‖expected‖, over all numbers of two trees."""
    error = optax.tree.sub(actual, expected)
    return float(optax.tree.norm(error) / optax.tree.norm(expected))


def changed(before, after):
    """Whether any number of two trees differs."""
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    return any(bool((x != y).any()) for x, y in pairs)


def run_python(*arguments: object, cwd: Path = ROOT, **env: str):
    """Runs this Python in a process of its own."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, **env},
    )
