"""What does training several seeds of a config in one program gain?

Command: python -m experiments.seeds_speed [--config configs/mnist.py] [--numbers 1 2 4]

Images per second of all seeds together, in one program (seeds.py) and one after another
as in a sweep of separate runs, after compilation. Both take turns; the ratio is the
median over rounds, (lowest to highest). Images are random numbers, since no time
depends on them. Prints a Markdown table.

Result on 2 cores of an Intel Xeon, which one network keeps busy: nothing. The ratio is
0.91 for one seed of mnist.py, 0.90 for two and 0.79 for four; 0.82, 0.99 and 0.91 for
mlp_l1.py. One seed has the same arithmetic in both, so the batched form of the
operations costs time. docs/sweep.md has the table.
"""

import argparse
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

import ganjax
from experiments.common import markdown_table
from experiments.seeds import Stack
from ganjax import data, parallel
from ganjax.gan import Gan, Metrics
from ganjax.main import use_compilation_cache
from ganjax.options import build, option_names
from ganjax.train import Run

ROUNDS, SECONDS = 12, 0.5  # turns of each contender, and how long one takes at least


def measure(config: ConfigDict, numbers: list[int]) -> dict[int, np.ndarray]:
    """Images per second of all seeds together, float64 [ROUNDS], by their number.

    0 stands for separate runs, one after another.
    """
    gan = ganjax.make_gan(config)
    run = build(Run, {name: config[name] for name in option_names(Run)})
    shape = (1000, *config.data.image_shape)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    stacks = {n: Stack(gan, run, list(range(n)), images) for n in numbers}
    turns: dict[int, Callable[[], Any]] = {
        n: partial(stack, 0, stack.chunk) for n, stack in stacks.items()
    }
    turns[0] = separate_run(gan, run, images)
    calls = {n: 1 for n in turns}
    rates: dict[int, list[float]] = {n: [] for n in turns}
    steps = stacks[numbers[0]].chunk
    for round in range(-2, ROUNDS):  # the first compiles, the second counts calls
        for n, turn in turns.items():
            started = time.perf_counter()
            for _ in range(calls[n]):
                done = turn()
            jax.block_until_ready(done)
            seconds = time.perf_counter() - started
            if round == -1:
                calls[n] = math.ceil(SECONDS / seconds)
            if round >= 0:
                made = calls[n] * steps * config.batch_size * max(n, 1)
                rates[n].append(made / seconds)
    return {n: np.array(values) for n, values in rates.items()}


def separate_run(gan: Gan, run: Run, images: np.ndarray) -> Callable[[], Metrics]:
    """A function that trains one seed for one call of its program."""
    chunk = run.steps_per_call or parallel.steps_per_call(gan)
    train = parallel.make_train_chunk(gan, chunk)
    state = parallel.replicate(ganjax.init_state(gan, jax.random.key(0)))
    examples = parallel.replicate(images)

    def call() -> Metrics:
        nonlocal state
        rows = data.batch_indices(0, 0, (chunk, gan.n_dis, run.batch_size), len(images))
        indices = parallel.shard_indices(rows, chunk)
        state, metrics = train(state, examples, indices, chunk)
        return metrics

    return call


def table(rates: dict[int, np.ndarray]) -> str:
    """Markdown: a row for each number of seeds in one program."""
    rows = []
    for n, values in rates.items():
        if n:
            ratio = values / rates[0]
            spread = f"({ratio.min():.2f} to {ratio.max():.2f})"
            speeds = [f"{np.median(x):,.0f}" for x in (values, rates[0])]
            rows.append([str(n), *speeds, f"{np.median(ratio):.2f} {spread}"])
    titles = ["seeds", ">images/s in one program", ">one after another", ">ratio"]
    return markdown_table(titles, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="configs/mnist.py")
    parser.add_argument("--numbers", type=int, nargs="+", default=[1, 2, 4])
    flags = parser.parse_args()
    use_compilation_cache()
    print(f"{flags.config}, {jax.device_count()} {jax.local_devices()[0].device_kind}")
    print(table(measure(ganjax.load_config(flags.config), flags.numbers)))


if __name__ == "__main__":
    main()
