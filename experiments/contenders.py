"""What benchmark.py compares: ganjax and PyTorch on the same configs, matrix products.

Command: python -m experiments.contenders CASE CONTENDER DEVICE

Prints seconds until the first step is done, and peak memory, of one contender.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from ganjax import data
from ganjax.config import load_config
from ganjax.options import build, option_names

Contender = Callable[[int], None]  # runs that many steps
# The network of loss.py with 5x5 kernels and more channels. The first convolution of
# the Keras tutorial with this network has stride 1, which neither side has here, since
# every layer of ganjax changes the resolution.
DCGAN = {
    "prior.z_dim": 100,
    "ema.half_life": 0.0,
    "generator.hidden": (),
    "discriminator.hidden": (),
    "generator.channels": (256, 128),
    "discriminator.channels": (64, 128),
    "generator.kernel": 5,
    "discriminator.kernel": 5,
    "discriminator.norm": "none",
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "mlp_l1": ("configs/mlp_l1.py", {}),
    "mnist": ("configs/mnist.py", {}),
    "dcgan": ("configs/dcgan.py", {}),
    "dcgan_5x5": ("configs/loss.py:non_saturating", DCGAN),
}
SIDE = 2048  # of the matrices
COPIED = 2**30  # bytes
PRODUCTS = 10  # in one call, so that the cost of the call does not matter


def load_case(name: str) -> ConfigDict:
    """The config of a case without a last step, as in `mnist` or `mnist/1024/bfloat16`.

    Batch size and dtype are the config's own unless given.
    """
    case, *given = name.split("/")
    path, overrides = CASES[case]
    changes = {"num_steps": 10**9}
    if given:
        changes |= {"batch_size": int(given[0]), "dtype": given[1]}
    return load_config(path, overrides | changes)


def random_images(config: ConfigDict) -> np.ndarray:
    """As many images as MNIST has, uint8 [N, H, W, C]."""
    shape = (60_000, *config.data.image_shape)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


# --- contenders ---------------------------------------------------------------------


def make_ganjax(config: ConfigDict, images: np.ndarray, device: str) -> Contender:
    """The loop of `ganjax.train.train_and_evaluate`, without events."""
    import jax

    from ganjax import parallel
    from ganjax.gans import make_gan
    from ganjax.state import init_state
    from ganjax.train import Run

    gan = make_gan(config)
    options = build(Run, {name: config[name] for name in option_names(Run)})
    chunk = options.steps_per_call or parallel.steps_per_call(gan)
    train_chunk = parallel.make_train_chunk(gan, chunk)
    train_data = parallel.replicate(images)
    state = parallel.replicate(init_state(gan, jax.random.key(options.seed)))
    step = 0

    def run(steps: int) -> None:
        nonlocal state, step
        end, pending = step + steps, None
        while step < end:
            n = min(chunk, end - step, options.steps_to_next_event(step))
            shape = (n, gan.n_dis, options.batch_size)
            rows = data.batch_indices(options.seed, step, shape, len(images))
            rows = parallel.shard_indices(rows, chunk)
            state, metrics = train_chunk(state, train_data, rows, n)
            jax.device_get(pending)  # as the loop's writer does
            step, pending = step + n, metrics
        jax.block_until_ready((state, pending))

    return run


def make_torch(
    mode: str, config: ConfigDict, images: np.ndarray, device: str
) -> Contender:
    """Training in PyTorch in one of its modes."""
    from experiments.torch_baseline import TorchGan

    return TorchGan(config, images, mode, device).run


def make_matmul(dtype: str) -> Contender:
    """A chain of matrix products; a step is one product."""
    import jax

    matrix = jax.random.normal(jax.random.key(0), (SIDE, SIDE)) / SIDE**0.5
    matrix = result = matrix.astype(dtype)

    @partial(jax.jit, keep_unused=True)  # a call waits for the one before
    def multiply(before: jax.Array, matrix: jax.Array) -> jax.Array:
        return reduce(lambda x, _: x @ matrix, range(PRODUCTS), matrix)

    def run(steps: int) -> None:
        nonlocal result
        for _ in range(-(-steps // PRODUCTS)):
            result = multiply(result, matrix)
        jax.block_until_ready(result)

    return run


def make_copy() -> Contender:
    """Writes of as many bytes as were read; a step is one copy of `COPIED` bytes."""
    import jax
    import jax.numpy as jnp

    array = jnp.zeros(COPIED // 4, jnp.float32)
    add = jax.jit(lambda x: x + 1, donate_argnums=0)

    def run(steps: int) -> None:
        nonlocal array
        for _ in range(steps):
            array = add(array)
        jax.block_until_ready(array)

    return run


# Name -> the module to import before the clock starts, and how to make it.
MAKERS: dict[str, tuple[str, Callable[..., Contender]]] = {
    "ganjax": ("ganjax.train", make_ganjax),
    "eager": ("experiments.torch_baseline", partial(make_torch, "eager")),
    "compiled": ("experiments.torch_baseline", partial(make_torch, "compiled")),
    "graph": ("experiments.torch_baseline", partial(make_torch, "graph")),
}


# --- a cold start -------------------------------------------------------------------


def main(case: str, contender: str, device: str) -> None:
    """Prints seconds until the first step is done, and peak memory, as JSON."""
    module, make = MAKERS[contender]
    importlib.import_module(module)
    config = load_case(case)
    images = random_images(config)
    started = time.perf_counter()
    run = make(config, images, device)
    run(1)
    seconds = time.perf_counter() - started
    run(20)
    print(json.dumps({"seconds": seconds, "megabytes": peak(contender, device)}))


def peak(contender: str, device: str) -> float:
    """Megabytes: of the process on a CPU, of what the framework allocated on a GPU."""
    if device == "cpu":  # ru_maxrss would include the memory of the parent at the fork
        status = Path("/proc/self/status")  # only on Linux
        text = status.read_text() if status.exists() else "VmHWM: nan"
        return float(text.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    if contender == "ganjax":
        import jax

        return jax.local_devices()[0].memory_stats()["peak_bytes_in_use"] / 1e6
    import torch

    return torch.cuda.max_memory_allocated() / 1e6


if __name__ == "__main__":
    main(*sys.argv[1:])
