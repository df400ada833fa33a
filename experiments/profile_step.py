"""Where does the time of a training step go?

Command: python -m experiments.profile_step [--config configs/mnist.py] [--num 20]

Runs `ganjax.train_step` under `jax.profiler` and adds up the time of every operation,
named by the network, layer and primitive that it was compiled from, and by the
derivative: `jvp` for forward passes, `transpose(jvp)` for backward ones, twice where a
penalty is differentiated. Fractions are of the sum over all operations, which exceeds
the time of the step where operations run in parallel.
"""

import argparse
import collections
import gzip
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

import ganjax

# In the name of every operation.
PREFIX = r"jit\((run|train_step)\)/|while/body/closed_call/"


def trace(config_path: str, steps: int) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Events of the profiler, and the source of each compiled operation."""
    config = ganjax.load_config(config_path)
    gan = ganjax.make_gan(config)
    state = ganjax.init_state(gan, jax.random.key(config.seed))
    shape = (config.n_dis, config.batch_size, *config.data.image_shape)
    batches: Any = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    if config.num_classes:
        batches = ganjax.Batch(batches, np.zeros(shape[:2], np.int32))

    @jax.jit
    def run(state: ganjax.TrainState) -> ganjax.TrainState:
        def step(_: int, state: ganjax.TrainState) -> ganjax.TrainState:
            return ganjax.train_step(gan, state, batches)[0]

        return jax.lax.fori_loop(0, steps, step, state)

    program = run.lower(state).compile()
    origin = re.findall(r'%([\w.\-]+) = .*?op_name="([^"]*)"', str(program.as_text()))
    state = jax.block_until_ready(program(state))
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(program(state))
        (file,) = Path(folder).rglob("*.trace.json.gz")
        events = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
    return events, dict(origin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="configs/mnist.py")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--num", type=int, default=20, help="rows of the table")
    flags = parser.parse_args()

    events, origin = trace(flags.config, flags.steps)
    total: collections.Counter[str] = collections.Counter()
    for event in events:
        if event.get("ph") == "X" and event["name"] in origin:  # a complete event
            name = re.sub(PREFIX, "", origin[event["name"]])
            total[name] += event["dur"] / flags.steps
    print("| µs per step | fraction | operation |\n|---:|---:|---|")
    for name, time in total.most_common(flags.num):
        print(f"| {time:,.0f} | {time / total.total():.1%} | `{name}` |")


if __name__ == "__main__":
    main()
