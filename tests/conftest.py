"""Two virtual devices, no random key used twice, small GANs, the data at hand."""

import os
from pathlib import Path

# Tests compile far more than they compute. Set before JAX is imported, and inherited by
# the commands that tests start.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_debug_key_reuse", True)
jax.config.update("jax_compilation_cache_dir", str(Path.home() / ".cache/ganjax/tests"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)

import ganjax  # noqa: E402
from ganjax import data  # noqa: E402

ROOT = Path(__file__).parent.parent
MNIST_DIR = os.environ.get("GANJAX_MNIST_DIR", "")


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One TFDS folder for all tests, prepared by whoever needs it first."""
    return tmp_path_factory.mktemp("tfds")


@pytest.fixture(scope="session")
def data_place(data_dir: Path) -> dict[str, str]:
    """The fields of a config that say where MNIST is."""
    return {"data.data_dir": str(data_dir), "data.manual_dir": MNIST_DIR}


@pytest.fixture(scope="session")
def mnist(data_place: dict[str, str]) -> data.Dataset:
    """Genuine MNIST through TFDS where its files are, else the embedded digits."""
    return data.load(ganjax.load_config(MNIST_CONFIG, data_place).data)


MNIST_CONFIG = str(ROOT / "configs/mnist.py")
SMALL = {
    "batch_size": 8,
    "z_dim": 4,
    "generator.hidden": (16,),
    "generator.channels": (8, 4),
    "generator.norm": "batch",  # which has more to go wrong than none
    "discriminator.hidden": (16,),
    "discriminator.channels": (4, 8),
}


def small_config(**overrides):
    """The default config with networks that compile and run in no time."""
    dotted = {name.replace("__", "."): value for name, value in overrides.items()}
    return ganjax.load_config(MNIST_CONFIG, SMALL | dotted)


def small_gan(**overrides):
    """A GAN of `small_config`."""
    return ganjax.make_gan(small_config(**overrides))


def small_sgd_gan(**overrides):
    """The same under plain gradient descent.

    Adam's first steps are signs of gradients and blow rounding up to its full step.
    """
    sgd = {"name": "sgd", "learning_rate": 0.1}
    return small_gan(**overrides, g_optimizer=sgd, d_optimizer=sgd)


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


def relative_error(actual, expected):
    """‖actual − expected‖ / ‖expected‖, over all numbers of two trees."""
    error = optax.tree.sub(actual, expected)
    return float(optax.tree.norm(error) / optax.tree.norm(expected))
