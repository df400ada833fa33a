"""Does every config compile for accelerators that are not here, and what does it need?

Commands:
  pip install libtpu jax-cuda12-plugin jax-cuda12-pjrt   (of jax's own version)
  JAX_PLATFORMS=cpu python -m experiments.compile_for
  JAX_PLATFORMS=cpu python -m experiments.compile_for --configs dcgan --hlo

Compiles the program that ganjax/parallel.py runs on an accelerator, a loop of 100
training steps, for Colab's TPUs and GPU, a slice of a TPU pod and a host of GPUs.
Nothing runs, and nothing is measured but the seconds of the compiler. All numbers are
of one step on one device:

- GFLOP: matrix products and convolutions in the compiled program; MB: traffic of the
  device's main memory (experiments/hlo_cost.py);
- memory: arguments (state and 60,000 examples, or what is streamed of them) and
  temporary arrays as the compiler allocates them, and the fraction of the device's;
- estimate: the larger of FLOP / peak and bytes / bandwidth, both as published:
  https://cloud.google.com/tpu/docs/v2 and .../v5e, and NVIDIA's data sheets of the T4
  and the H100 SXM. It leaves out the time from one kernel to the next, of which a small
  GAN has hundreds in a step, and the caches of a GPU.

Without a GPU, XLA can't try cuDNN's algorithms, and takes its defaults.
"""

import argparse
import importlib.metadata
import importlib.util
import itertools
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
from ml_collections import ConfigDict

import ganjax
from experiments.compile_targets import TARGETS
from experiments.hlo_cost import Program, Step
from ganjax import parallel
from ganjax.data import DataOptions
from ganjax.data.captions import LENGTH
from ganjax.data.dataset import MEGABYTE, Dataset, Identity
from ganjax.state import abstract_state
from ganjax.stream import block_steps, row_bytes

RESULTS = Path(__file__).parent / "results"
CONFIGS = sorted(
    path.stem
    for path in (Path(__file__).parent.parent / "configs").glob("*.py")
    if path.stem not in ("__init__", "default")
)
CONFIGS += ["loss:hinge", "loss:wgan_gp", "srgan:photos"]
DTYPES = ("float32", "bfloat16")
NUM_EXAMPLES = 60_000
PACKAGES = ("jax", "jaxlib", "libtpu", "jax-cuda12-plugin")


@dataclass(frozen=True)
class Training:
    """A config's program for accelerators, and the shapes of its arguments."""

    gan: ganjax.Gan
    chunk: int
    streamed: bool
    arguments: tuple[Any, ...]  # state, data, n, indices

    def program(self, devices: list[Any] | None = None) -> Any:
        """The pmapped function."""
        return parallel.train_program(self.gan, self.chunk, self.streamed, devices)


def load(path: str, dtype: str, batch: int) -> ConfigDict:
    """A config with this dtype and batch size."""
    config = ganjax.load_config(path, {"dtype": dtype, "batch_size": batch})
    if "history" in config:  # CycleGAN's, which is at least a batch
        config.history = max(config.history, batch)
    return config


def make_training(config: ConfigDict, backend: str, num_devices: int) -> Training:
    """What a training on "gpu" or "tpu" calls; no array is made."""
    # Networks and the length of a call are chosen by the back end.
    with mock.patch.object(jax, "default_backend", lambda: backend):
        gan = ganjax.make_gan(config)
        chunk = parallel.steps_per_call(gan)
    batch = config.batch_size
    local, rest = divmod(batch, num_devices)
    if rest:
        expected = f"a multiple of {num_devices}, the number of devices"
        raise SystemExit(f"error: --batch {batch}: expected {expected}")
    examples = gan.examples(examples_of_any_kind(config))
    size = row_bytes(examples)
    streamed = NUM_EXAMPLES * size > DataOptions.device_budget_mb * MEGABYTE
    rows: tuple[int, ...] = (NUM_EXAMPLES,)
    if streamed:
        steps = block_steps(gan.n_dis * batch * size)
        rows = num_devices, steps * gan.n_dis * local
    data = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((*rows, *x.shape[1:]), x.dtype), examples
    )
    n = jax.ShapeDtypeStruct((), np.int32)
    indices = jax.ShapeDtypeStruct((num_devices, chunk, gan.n_dis, local), np.int32)
    return Training(gan, chunk, streamed, (abstract_state(gan), data, n, indices))


def examples_of_any_kind(config: Any) -> Dataset:
    """Arrays of each name that a GAN may train on, with as few rows as it accepts."""
    rows = config.get("num_classes", 0) or 1
    shape = (rows, *config.data.image_shape)
    image = np.zeros(shape, np.uint8)
    labels = np.arange(rows, dtype=np.int32)
    arrays = {"images": image, "a": image, "b": image, "labels": labels}
    arrays |= {"tokens": np.zeros((rows, 4, LENGTH), np.int32)}
    arrays |= {"notes": np.zeros(shape, np.float32)}
    identity = Identity("zeros", "shapes alone", "", rows, 0, {})
    return Dataset(arrays, {}, identity)


def compile_for(path: str, target: str, dtype: str, batch: int) -> tuple[Any, Step]:
    """The numbers of one program, for the JSON file, and what a step of it does."""
    chip = TARGETS[target]
    devices = chip.devices()
    training = make_training(load(path, dtype, batch), chip.backend, len(devices))
    lowered = training.program(devices).lower(*training.arguments)
    started = time.perf_counter()
    compiled = lowered.compile()
    seconds = time.perf_counter() - started
    memory = compiled.memory_analysis()
    step = Program(compiled.as_text(), training.chunk).step
    total = memory.argument_size_in_bytes + memory.temp_size_in_bytes
    bounds = {
        "FLOP": step.flops / chip.flops[dtype],
        "bytes": step.bytes / chip.bandwidth,
    }
    result = {
        "compile_seconds": round(seconds, 1),
        "flops": round(step.flops),
        "bytes": round(step.bytes),
        "padding": round(step.bytes / step.bytes_unpadded - 1, 3),
        "arguments": memory.argument_size_in_bytes,
        "memory": total,
        "memory_fraction": round(total / chip.memory, 5),
        "estimate_seconds": float(f"{max(bounds.values()):.3g}"),
        "bound_by": max(bounds, key=bounds.__getitem__),
        "kernels": round(step.kernels),
        "products": round(step.products),
        "copies": round(step.num_copies),
        "all_reduces": round(step.ops["all-reduce"] + step.ops["all-reduce-start"]),
        "versions": versions(),
    }
    return result, step


def versions() -> str:
    """Of all that a program depends on."""
    found = {x.name: x.version for x in importlib.metadata.distributions()}
    return ", ".join(f"{x} {found[x]}" for x in PACKAGES if x in found)


COLUMNS = {
    "compile, s": ("compile_seconds", 1, ".0f"),
    "GFLOP": ("flops", 1e9, ",.2f"),
    "MB": ("bytes", 1e6, ",.1f"),
    "memory, MB": ("memory", 1e6, ",.0f"),
    "of memory": ("memory_fraction", 1, ".1%"),
    "estimate, µs": ("estimate_seconds", 1e-6, ",.0f"),
    "bound by": ("bound_by", None, ""),
    "kernels": ("kernels", 1, ",.0f"),
    "copies": ("copies", 1, ",.0f"),
    "all-reduces": ("all_reduces", 1, ".0f"),
}


def row(name: str, result: dict[str, Any]) -> str:
    """One line of the table; the name is config, devices, dtype and batch."""
    cells = name.split()
    for field, unit, form in COLUMNS.values():
        value = result[field]
        cells.append(f"{value / unit:{form}}" if unit else value)
    return "| " + " | ".join(cells) + " |"


def write(path: Path, results: dict[str, Any]) -> None:
    """A JSON file with a line for each program."""
    lines = [f"{json.dumps(name)}: {json.dumps(results[name])}" for name in results]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(sorted(lines)) + "\n}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", nargs="+", default=CONFIGS)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=[*TARGETS])
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES)
    parser.add_argument("--batch", nargs="+", type=int, default=[64, 1024])
    parser.add_argument("--hlo", action="store_true", help="print kinds and copies too")
    parser.add_argument("--out", type=Path, default=RESULTS / "compile_for.json")
    flags = parser.parse_args()
    for module in {TARGETS[name].compiler for name in flags.targets}:
        if importlib.util.find_spec(module) is None:
            sys.exit(f"error: {module} is missing, see the docstring of this script")
    jax.config.update("jax_enable_compilation_cache", False)  # seconds are reported
    titles = ["config", "devices", "dtype", "batch", *COLUMNS]
    print("| " + " | ".join(titles) + " |\n|---|---|---|" + "---:|" * (len(titles) - 3))
    results = json.loads(flags.out.read_text()) if flags.out.exists() else {}
    for case in itertools.product(
        flags.configs, flags.targets, flags.dtypes, flags.batch
    ):
        name = " ".join(map(str, case))
        try:
            results[name], step = compile_for(*case)
        except jax.errors.JaxRuntimeError as error:
            print(f"{name} does not compile: {str(error).splitlines()[0]}", flush=True)
            continue
        write(flags.out, results)
        print(row(name, results[name]), flush=True)
        if flags.hlo:
            kinds = sorted(step.ops.items(), key=lambda item: -item[1])
            print(", ".join(f"{num:,.0f} {kind}" for kind, num in kinds if num >= 1))
            for size, what in step.copies[:5]:
                print(f"  {size / 1e6:.2f} MB: {what}")


if __name__ == "__main__":
    main()
