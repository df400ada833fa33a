"""Two virtual devices, strict JAX, shape checks, and the data at hand."""

import functools
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

# Tests compile far more than they compute. Set before JAX is imported, and inherited by
# the commands that tests start.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_debug_key_reuse", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
# JAX does not write this cache atomically: each process of pytest-xdist has its own.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
CACHE = Path.home() / ".cache/ganjax/tests" / WORKER
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)

CHECKED = (
    "augment",
    "gans",
    "losses",
    "models",
    "networks",
    "penalties",
    "priors",
    "steps",
    "transformations",
)
install_import_hook([f"ganjax.{name}" for name in CHECKED], "beartype.beartype")

from helpers import MNIST_DIR  # noqa: E402

import ganjax  # noqa: E402
from ganjax import data, parallel  # noqa: E402
from ganjax.data import DataOptions  # noqa: E402

# Runs of equal GANs, of which tests have many, share one program.
parallel.make_train_chunk = functools.cache(parallel.make_train_chunk)

# Of this process, one per line; Linux alone has it.
MAPS = Path("/proc/self/maps")
# Files that take the longest go first, so that both processes of pytest-xdist end at
# about the same time. While the first waits for MNIST, the second needs none.
FIRST = ("evaluate", "cyclegan", "quality", "crnn_gan", "train", "distributed")
FIRST += ("notebook", "torch_gans", "metrics_suite", "main", "seeds", "compile_for")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of FIRST, then those with the most tests."""
    first = {f"test_{name}.py": i for i, name in enumerate(FIRST)}
    tests = Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[int, int]:
        return first.get(item.path.name, len(FIRST)), -tests[item.path]

    items.sort(key=place)


@pytest.fixture(scope="module", autouse=True)
def forget_programs() -> Iterator[None]:
    """Compiled programs are memory maps, of which Linux allows a process 65,530.

    Beyond that, compilation ends in a segmentation fault. Until there are many, files
    of tests share programs.
    """
    yield
    if not MAPS.exists() or MAPS.read_bytes().count(b"\n") > 20_000:
        parallel.make_train_chunk.cache_clear()
        jax.clear_caches()


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TFDS folder for the tests of this process, with MNIST prepared.

    Preparing takes as long as many tests, so the processes of pytest-xdist share it:
    the first that needs the folder makes it, and all copy it.
    """
    folder = tmp_path_factory.mktemp("tfds")
    if WORKER == "main":
        return folder
    shared = tmp_path_factory.getbasetemp().parent / "prepared"
    done = shared / "done"
    try:
        shared.mkdir()
    except FileExistsError:
        for _ in range(3000):
            if done.exists():
                break
            time.sleep(0.1)
    else:
        data.load(DataOptions(data_dir=str(shared), manual_dir=MNIST_DIR))
        done.touch()
    return shutil.copytree(shared, folder, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def data_place(data_dir: Path) -> dict[str, str]:
    """The fields of a config that say where MNIST is."""
    return {"data.data_dir": str(data_dir), "data.manual_dir": MNIST_DIR}


@pytest.fixture(scope="session")
def mnist(data_dir: Path) -> data.Dataset:
    """Genuine MNIST through TFDS where its files are, else the embedded digits."""
    return data.load(DataOptions(data_dir=str(data_dir), manual_dir=MNIST_DIR))


@pytest.fixture(scope="module")
def state(gan: ganjax.Gan) -> ganjax.TrainState:
    """The state before training of the GAN that a file's fixture `gan` makes."""
    return ganjax.init_state(gan, jax.random.key(0))


@pytest.fixture
def random_digits(monkeypatch: pytest.MonkeyPatch) -> data.Dataset:
    """A data set of 32 random images, which a config names "random"."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (32, 28, 28, 1), np.uint8)
    labels = np.arange(32) % 10
    dataset = data.make_dataset(
        images, labels, images[:20], labels[:20], name="random", source="a test"
    )
    monkeypatch.setitem(data.SOURCES, "random", lambda options: dataset)
    return dataset
