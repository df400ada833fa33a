"""How fast is ganjax beside PyTorch on this machine?

Question: images per second of the same GANs in both. ganjax runs what its training loop
runs, chunk by chunk with the metrics read one call late; PyTorch runs
experiments/torch_baseline.py, eagerly, compiled, and on a GPU also as a CUDA graph.

Command: python -m experiments.benchmark   (needs pip install -e '.[torch]')

`--batch 64 1024 --dtypes float32 bfloat16` measures these variants of each config; in
PyTorch bfloat16 is its autocast.

After a warm-up all contenders take turns, so that other load on the machine affects all
of them; so does a product of two 2048x2048 matrices, the peak of the machine. Speeds
are medians over the rounds, (lowest to highest). `ratio` is ganjax over the faster
PyTorch, round by round. `GFLOP` is XLA's count for one step with library convolutions,
`of peak` the fraction of the peak in its dtype that ganjax reaches. On a GPU `roofline`
is the fraction of the speed that peak and bandwidth would allow to the compiled step,
whichever bounds it: XLA's instructions are counted as in compile_for.py, the bandwidth
is that of copies of 1 GiB. `cold` is the time from
the end of the imports to the end of the first step, in a process of its own without any
compilation cache; `memory` is the peak of that process: resident, including libraries
and compilers, or on a GPU what the framework had allocated there. Images are random
numbers, since no result depends on them. Results of configs that are not asked for stay
in the file; each names its machine.
"""

import argparse
import importlib.metadata
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from experiments.contenders import (
    CASES,
    COPIED,
    MAKERS,
    SIDE,
    Contender,
    load_case,
    make_copy,
    make_matmul,
    random_images,
)
from ganjax.errors import UserError

RESULTS = Path(__file__).parent / "results"
COLD = {"JAX_ENABLE_COMPILATION_CACHE": "0"}
FRACTIONS = {"cpu": ("of_peak",), "cuda": ("of_peak", "roofline")}
TORCH = {"cpu": ("eager", "compiled"), "cuda": ("eager", "compiled", "graph")}
DTYPES = ("float32", "bfloat16")


def start_cold(case: str, contender: str, device: str) -> dict[str, float] | None:
    """Seconds and megabytes in a process of its own.

    None if the contender can't run here; the reason is printed.
    """
    command = [sys.executable, "-m", "experiments.contenders"]
    done = subprocess.run(
        [*command, case, contender, device],
        env=os.environ | COLD,
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
    print(f"{case}: {contender} can't run here, left out: {reason}", flush=True)
    return None


def measure_rates(
    runs: dict[str, Contender], rounds: int, seconds: float
) -> dict[str, np.ndarray]:
    """Steps per second, float64 [rounds], of contenders that take turns.

    The number of steps in a turn of about `seconds` is found in the warm-up.
    """

    def time_of(run: Contender, steps: int) -> float:
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
    """FLOP of one step, counted by XLA with library convolutions.

    As matrix products they contain products with zeros, which must not count.
    """
    import jax

    from ganjax.gans import make_gan
    from ganjax.state import abstract_state
    from ganjax.steps import train_step

    config = load_case(case)
    config.conv = "library"
    gan = make_gan(config)
    shape = (config.n_dis, config.batch_size, *config.data.image_shape)
    batches = jax.ShapeDtypeStruct(shape, np.uint8)
    # On a CPU, since the count lacks calls of GPU libraries.
    with jax.default_device(jax.devices("cpu")[0]):
        step = train_step.lower(gan, abstract_state(gan), batches).compile()
    return float((step.cost_analysis() or {})["flops"])


def count_compiled(config: ConfigDict) -> dict[str, float]:
    """FLOP and bytes of main memory of a step as XLA compiles it for this device."""
    from experiments.compile_for import make_training
    from experiments.hlo_cost import Program

    training = make_training(config, "gpu", 1)
    compiled = training.program().lower(*training.arguments).compile()
    step = Program(compiled.as_text(), training.chunk).step
    return {"flops": step.flops, "bytes": step.bytes}


def make_runs(
    config: ConfigDict, names: tuple[str, ...], device: str
) -> dict[str, Contender]:
    """The contenders by name, without those that have not all options."""
    images, runs = random_images(config), {}
    for name in names:
        try:
            runs[name] = MAKERS[name][1](config, images, device)
        except UserError as error:
            print(f"{name}: {error}", flush=True)
    return runs


def measure(case: str, device: str, flags: argparse.Namespace) -> dict[str, Any]:
    """All numbers of one config, for the JSON file."""
    from experiments.torch_networks import check_parameters

    config = load_case(case)
    check_parameters(config)
    names = ("ganjax", *TORCH[device])
    cold = {name: start_cold(case, name, device) for name in names if flags.cold}
    runs = make_runs(config, names, device)
    contenders = tuple(runs)
    runs |= {"matmul": make_matmul(config.dtype)}
    if device == "cuda":
        runs |= {"copy": make_copy()}
    rates = measure_rates(runs, flags.rounds, flags.seconds)
    flops, peak = count_flops(case), rates["matmul"] * 2 * SIDE**3
    ours, theirs = rates["ganjax"], [rates[name] for name in contenders[1:]]
    result = {
        "images_per_second": {n: rates[n] * config.batch_size for n in contenders},
        "ratio": ours / np.max(theirs, axis=0),
        "flops_per_step": flops,
        "peak_flops": peak,
        "of_peak": ours * flops / peak,
        "cold": {name: result for name, result in cold.items() if result},
    }
    if device == "cuda":
        compiled = count_compiled(config)
        bandwidth = rates["copy"] * 2 * COPIED
        bounds = compiled["flops"] / peak, compiled["bytes"] / bandwidth
        result |= {
            "compiled": compiled,
            "bandwidth": bandwidth,
            "roofline": ours * np.max(bounds, axis=0),
        }
    return result


def describe() -> dict[str, Any]:
    """Hardware and versions."""
    import torch

    import ganjax
    from experiments.common import describe_machine  # imports JAX

    names = ("jax", "jaxlib", "flax", "optax", "torch", "numpy")
    return {
        **describe_machine(),
        "torch_threads": torch.get_num_threads(),
        "versions": {"ganjax": ganjax.__version__}
        | {name: importlib.metadata.version(name) for name in names},
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
    cells += [cell(result[name], ".1%") for name in FRACTIONS[device]]
    for what in ("seconds", "megabytes") if cold else ():
        starts = [cold.get(name) for name in contenders]
        cells.append(" / ".join(f"{s[what]:,.0f}" if s else "none" for s in starts))
    return "| " + " | ".join([case, *cells]) + " |"


def header(device: str, cold: bool) -> str:
    """The first two lines of the table."""
    titles = ["ganjax, images/s", *(f"PyTorch {mode}" for mode in TORCH[device])]
    titles += [
        "ratio",
        "GFLOP",
        *(name.replace("_", " ") for name in FRACTIONS[device]),
    ]
    titles += ["cold, s", "memory, MB"] if cold else []
    return "| config | " + " | ".join(titles) + " |\n|---|" + "---:|" * len(titles)


def cases(flags: argparse.Namespace) -> list[str]:
    """The names of what to measure."""
    if not flags.batch:
        return flags.configs
    variants = itertools.product(flags.dtypes, flags.batch, flags.configs)
    return [f"{name}/{batch}/{dtype}" for dtype, batch, name in variants]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--batch", nargs="+", type=int, help="instead of each config's")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=["float32"])
    parser.add_argument("--cold", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="a turn's length")
    parser.add_argument("--out", type=Path, default=RESULTS / "benchmark.json")
    flags = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        sys.exit("error: PyTorch is missing: pip install -e '.[torch]'")
    # GPU memory that JAX does not reserve is free for PyTorch.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

    import jax
    import torch

    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: JAX has a GPU, PyTorch has none: install a CUDA build of it")
    flags.out.parent.mkdir(parents=True, exist_ok=True)
    print(header(device, flags.cold), flush=True)
    before = json.loads(flags.out.read_text()) if flags.out.exists() else {}
    results = before.get("configs", {})
    for case in cases(flags):
        # Empty for the cold start; the measurements reuse what it compiles.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
            if flags.cold:
                os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
            result = measure(case, device, flags)
        print(row(case, result, device), flush=True)
        results[case] = {"machine": describe()} | result
        text = json.dumps({"configs": results}, indent=2, default=np.ndarray.tolist)
        flags.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
