"""How fast is ganjax beside PyTorch on this machine?

Question: images a second of the same GANs in both. ganjax runs as its training loop
runs it, chunk by chunk with the metrics read one call late; PyTorch runs the twins of
experiments/twins.py, eagerly, compiled, and on a GPU also as a CUDA graph.

Command: python -m experiments.benchmark   (needs pip install -e '.[torch]')

After a warm-up all contenders take turns, so that whatever else slows the machine down
slows all of them; so does a product of two 2048x2048 matrices, the peak of the machine.
Speeds are medians over the rounds, (lowest to highest). `ratio` is ganjax over the
faster PyTorch, round by round. `GFLOP` is XLA's count for one step with convolutions of
the library, `of peak` the share of the float32 peak that ganjax makes of it. `cold` is
the time from the end of the imports to the end of the first step, in a process of its
own without any compilation cache; `memory` is what that process had at most: resident,
libraries and compilers included, or on a GPU what the framework had allocated there.
Images are random numbers: nothing here depends on what they show. What the file of
results knows of configs that are not asked for stays in it; each names its machine.
"""

import argparse
import functools
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from ganjax import data
from ganjax.config import load_config

Run = Callable[[int], None]  # so many steps, done when it returns
# "DCGAN" is the network of loss.py with 5x5 kernels and more channels. The Keras
# tutorial that made it popular has a first convolution of stride 1, which neither side
# has here: every layer of ours changes the resolution.
DCGAN = {"z_dim": 100, "ema_half_life": 0.0}
DCGAN |= {"generator.hidden": (), "discriminator.hidden": ()}
DCGAN |= {"generator.channels": (256, 128), "discriminator.channels": (64, 128)}
DCGAN |= {"generator.kernel": 5, "discriminator.kernel": 5}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "mlp_l1": ("configs/mlp_l1.py", {}),
    "mnist": ("configs/mnist.py", {}),
    "dcgan": ("configs/dcgan.py", {}),
    "dcgan_5x5": ("configs/loss.py:non_saturating", DCGAN),
}
RESULTS = Path(__file__).parent / "results"
COLD = {"JAX_ENABLE_COMPILATION_CACHE": "0"}
TORCH = {"cpu": ("eager", "compiled"), "cuda": ("eager", "compiled", "graph")}
DTYPES = {"cpu": ("float32",), "cuda": ("float32", "bfloat16")}
SIDE = 2048  # of the matrices
PRODUCTS = 10  # one after the other in a call, so that calling costs nothing


def load_case(name: str) -> ConfigDict:
    path, overrides = CASES[name]
    return load_config(path, overrides | {"num_steps": 10**9})  # no last step


def random_images(config: ConfigDict) -> np.ndarray:
    """As many as MNIST has, uint8 [N, H, W, C]."""
    shape = (60_000, *config.data.image_shape)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


# --- contenders ---------------------------------------------------------------------


def make_ganjax(config: ConfigDict, images: np.ndarray, device: str) -> Run:
    """The inside of the loop of `ganjax.train.train_and_evaluate`."""
    import jax

    from ganjax import parallel
    from ganjax.gan import make_gan
    from ganjax.state import init_state
    from ganjax.train import steps_per_call, steps_to_next_event

    gan = make_gan(config)
    chunk = steps_per_call(config, gan)
    train_chunk = parallel.make_train_chunk(gan, chunk)
    train_data = parallel.replicate((images, None))
    state = parallel.replicate(init_state(gan, jax.random.key(config.seed)))
    step = 0

    def run(steps: int) -> None:
        nonlocal state, step
        end, pending = step + steps, None
        while step < end:
            n = min(chunk, end - step, steps_to_next_event(config, step))
            shape = (n, config.n_dis, config.batch_size)
            rows = data.batch_indices(config.seed, step, shape, len(images))
            rows = parallel.shard_indices(rows, chunk)
            state, metrics = train_chunk(state, train_data, rows, n)
            jax.device_get(pending)  # as the writer does
            step, pending = step + n, metrics
        jax.block_until_ready((state, pending))

    return run


def make_torch(mode: str, config: ConfigDict, images: np.ndarray, device: str) -> Run:
    from experiments.twins import Twin

    return Twin(config, images, mode, device).run


def make_matmul(dtype: str) -> Run:
    """A chain of matrix products; a step is one product."""
    import jax

    matrix = jax.random.normal(jax.random.key(0), (SIDE, SIDE)) / SIDE**0.5
    matrix = result = matrix.astype(dtype)

    @functools.partial(jax.jit, keep_unused=True)  # one call waits for the other
    def multiply(before: jax.Array, matrix: jax.Array) -> jax.Array:
        return functools.reduce(lambda x, _: x @ matrix, range(PRODUCTS), matrix)

    def run(steps: int) -> None:
        nonlocal result
        for _ in range(-(-steps // PRODUCTS)):
            result = multiply(result, matrix)
        jax.block_until_ready(result)

    return run


MAKERS: dict[str, tuple[str, Callable[..., Run]]] = {  # what each imports, and does
    "ganjax": ("ganjax.train", make_ganjax),
    "eager": ("experiments.twins", functools.partial(make_torch, "eager")),
    "compiled": ("experiments.twins", functools.partial(make_torch, "compiled")),
    "graph": ("experiments.twins", functools.partial(make_torch, "graph")),
}


# --- one process for each contender, from a cold start ------------------------------


def child(case: str, contender: str, device: str) -> None:
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
    if device == "cpu":  # ru_maxrss would count what the parent held at the fork
        status = Path("/proc/self/status")  # of Linux alone
        text = status.read_text() if status.exists() else "VmHWM: nan"
        return float(text.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    if contender == "ganjax":
        import jax

        return jax.local_devices()[0].memory_stats()["peak_bytes_in_use"] / 1e6
    import torch

    return torch.cuda.max_memory_allocated() / 1e6


def start_cold(case: str, contender: str, device: str) -> dict[str, float] | None:
    """What `child` printed; None, with the reason, if the contender can't run here."""
    command = [sys.executable, "-m", "experiments.benchmark", "--child"]
    command += [case, contender, device]
    done = subprocess.run(
        command, env=os.environ | COLD, capture_output=True, text=True
    )
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
    print(f"{case}: {contender} can't run here, left out: {reason}", flush=True)
    return None


# --- the race -----------------------------------------------------------------------


def race(runs: dict[str, Run], rounds: int, seconds: float) -> dict[str, np.ndarray]:
    """Steps a second, float64 [rounds], of contenders that take turns.

    In the warm-up each learns how many steps fill its turn, and always does as many.
    """

    def time_of(run: Run, steps: int) -> float:
        started = time.perf_counter()
        run(steps)
        return time.perf_counter() - started

    turns = {}
    for name, run in runs.items():
        run(10)
        turns[name] = 10 * max(1, round(seconds / time_of(run, 10)))
    rates = {name: np.zeros(rounds) for name in runs}
    for i in range(rounds):
        for name, run in runs.items():
            rates[name][i] = turns[name] / time_of(run, turns[name])
    return rates


def count_flops(case: str) -> float:
    """Of one step, by XLA, where our convolutions' products with zeros don't count."""
    import jax

    from ganjax.gan import make_gan
    from ganjax.state import abstract_state
    from ganjax.steps import train_step

    config = load_case(case)
    config.conv = "library"
    gan = make_gan(config)
    shape = (config.n_dis, config.batch_size, *config.data.image_shape)
    batches = jax.ShapeDtypeStruct(shape, np.uint8)
    with jax.default_device(jax.devices("cpu")[0]):  # a GPU's own calls have no count
        step = train_step.lower(gan, abstract_state(gan), batches).compile()
    return step.cost_analysis()["flops"]


def measure(case: str, device: str, flags: argparse.Namespace) -> dict[str, Any]:
    """All numbers of one config, as they go into the JSON file."""
    from experiments.twins import check_parameters

    config = load_case(case)
    check_parameters(config)
    cold = {name: start_cold(case, name, device) for name in ("ganjax", *TORCH[device])}
    cold = {name: result for name, result in cold.items() if result}
    images = random_images(config)
    runs = {name: MAKERS[name][1](config, images, device) for name in cold}
    runs |= {dtype: make_matmul(dtype) for dtype in DTYPES[device]}
    rates, flops = race(runs, flags.rounds, flags.seconds), count_flops(case)
    peaks = {dtype: rates[dtype] * 2 * SIDE**3 for dtype in DTYPES[device]}
    ours, theirs = rates["ganjax"], [rates[name] for name in cold if name != "ganjax"]
    return {
        "images_per_second": {name: rates[name] * config.batch_size for name in cold},
        "ratio": ours / np.max(theirs, axis=0),
        "flops_per_step": flops,
        "peak_flops": peaks,
        "of_peak": {dtype: ours * flops / peak for dtype, peak in peaks.items()},
        "cold": cold,
    }


def describe() -> dict[str, Any]:
    """Hardware, and the versions of everything that matters."""
    import jax
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":")[1].strip() for line in lines if "model name" in line]
    names = ("ganjax", "jax", "jaxlib", "flax", "optax", "torch", "numpy")
    return {
        "cpu": (models or [platform.processor()])[0],
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "device": jax.local_devices()[0].device_kind,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in names},
    }


def row(case: str, result: dict[str, Any], device: str) -> str:
    """One line of the table."""

    def cell(values: np.ndarray | None, form: str) -> str:
        if values is None:
            return "none"
        low, middle, high = (f(values) for f in (np.min, np.median, np.max))
        return f"{middle:{form}} ({low:{form}} to {high:{form}})"

    contenders, cold = ("ganjax", *TORCH[device]), result["cold"]
    cells = [cell(result["images_per_second"].get(n), ",.0f") for n in contenders]
    cells += [cell(result["ratio"], ".2f"), f"{result['flops_per_step'] / 1e9:.2f}"]
    cells += [cell(share, ".1%") for share in result["of_peak"].values()]
    for what in ("seconds", "megabytes"):
        starts = [cold.get(name) for name in contenders]
        cells.append(" / ".join(f"{s[what]:,.0f}" if s else "none" for s in starts))
    return "| " + " | ".join([case, *cells]) + " |"


def header(device: str) -> str:
    titles = ["ganjax, images/s", *(f"PyTorch {mode}" for mode in TORCH[device])]
    titles += ["ratio", "GFLOP", *(f"of {dtype} peak" for dtype in DTYPES[device])]
    titles += ["cold, s", "memory, MB"]
    return "| config | " + " | ".join(titles) + " |\n|---|" + "---:|" * len(titles)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="a turn's length")
    parser.add_argument("--out", type=Path, default=RESULTS / "benchmark.json")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        sys.exit("error: PyTorch is missing: pip install -e '.[torch]'")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # both need memory
    if flags.child:
        return child(*flags.child)

    import jax
    import torch

    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: JAX has a GPU, PyTorch has none: install a CUDA build of it")
    flags.out.parent.mkdir(parents=True, exist_ok=True)
    print(header(device), flush=True)
    before = json.loads(flags.out.read_text()) if flags.out.exists() else {}
    results = before.get("configs", {})
    for case in flags.configs:
        # Empty for the cold start; what it compiles serves the race, too.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
            result = measure(case, device, flags)
        print(row(case, result, device), flush=True)
        results[case] = {"machine": describe()} | result
        text = json.dumps({"configs": results}, indent=2, default=np.ndarray.tolist)
        flags.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
