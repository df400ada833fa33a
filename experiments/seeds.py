"""What does training several seeds of a config in one program gain?

Command: python -m experiments.seeds [--config configs/mnist.py] [--numbers 1 2 4]

`train_seeds` stacks the states of several seeds and maps the training program over
them by `jax.vmap`. Each seed sees the data and the noise of its separate run and ends
with the same numbers up to rounding, in a folder of the same form. The program is
compiled once, and a device that one small network leaves idle has more to do. On two
cores, which one network keeps busy, the products become batched and slower.

The command measures images per second of all seeds together, in one program and one
after another, after compilation. Both take turns; the ratio is the median over rounds,
(lowest to highest). Images are random numbers, since no time depends on them. Prints a
Markdown table.

Result on 2 cores of an Intel Xeon:

TABLE
"""

import argparse
import contextlib
import json
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

import ganjax
from experiments.common import markdown_table
from ganjax import data, parallel
from ganjax.checkpoint import Checkpoints
from ganjax.config import to_json
from ganjax.files import write_text
from ganjax.gan import Gan, Metrics
from ganjax.main import use_compilation_cache
from ganjax.meter import Diverged
from ganjax.options import build, option_names
from ganjax.resume import save
from ganjax.sampling import sample_grid
from ganjax.state import TrainState
from ganjax.stream import row_bytes
from ganjax.train import GRID_TAG, Run, count_examples, versions
from ganjax.writers import Writer

Outcome = TrainState | Diverged  # how a run ends
ROUNDS, SECONDS = 12, 0.5  # turns of each contender, and how long one takes at least


def default_stack() -> int:
    """Seeds in one program by default: on a CPU one, since more are slower."""
    return 1 if jax.default_backend() == "cpu" else 8


def can_stack(config: ConfigDict, dataset: data.Dataset) -> bool:
    """Whether `train_seeds` does all that a config asks of the training loop."""
    examples = ganjax.make_gan(config).examples(dataset)
    num = count_examples(examples, config.num_examples)
    resident = num * row_bytes(examples) <= config.data.device_budget_mb * 2**20
    plain = config.on_divergence == "stop" and not config.debug_nans
    return resident and plain and not config.evaluate_every


class Stack:
    """The states of several seeds, trained by one program.

    Args:
      gan: from `make_gan`.
      run: options of the training loop; its seed is not used.
      seeds: of the runs.
      examples: the training data, arrays [N, ...].
    """

    def __init__(self, gan: Gan, run: Run, seeds: list[int], examples: Any):
        self.chunk = run.steps_per_call or parallel.steps_per_call(gan)
        self._run, self._seeds, self._n_dis = run, seeds, gan.n_dis
        self._num = len(jax.tree.leaves(examples)[0])
        self._data = parallel.replicate(examples)
        states = [ganjax.init_state(gan, jax.random.key(seed)) for seed in seeds]
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *states)
        self._states = parallel.replicate(stacked)
        self._train = parallel.make_train_chunk(gan, self.chunk, stacked=True)
        self._part = jax.jit(lambda tree, i: jax.tree.map(lambda x: x[i], tree))

    def __call__(self, step: int, n: int) -> dict[int, Metrics]:
        """Trains `n` steps from `step` on; the metrics of each seed are their sums."""
        shape = (n, self._n_dis, self._run.batch_size)
        rows = [data.batch_indices(s, step, shape, self._num) for s in self._seeds]
        indices = [parallel.shard_indices(x, self.chunk) for x in rows]
        states, metrics = self._train(
            self._states, self._data, np.stack(indices, axis=1), n
        )
        self._states = states
        return {s: self._part(metrics, i) for i, s in enumerate(self._seeds)}

    def state(self, seed: int) -> TrainState:
        """The state of one seed."""
        return self._part(self._states, self._seeds.index(seed))


def train_seeds(
    configs: Mapping[Path, ConfigDict], dataset: data.Dataset
) -> dict[Path, Outcome]:
    """Trains configs that differ in their seed alone, in one program.

    A run whose numbers are not finite ends there, and the others go on. Samples and
    checkpoints are written at the end only.

    Args:
      configs: by the folder of the run.
      dataset: the training data.

    Returns:
      By folder the final state, replicated over the devices, or why there is none.
    """
    config = next(iter(configs.values()))
    run = build(Run, {name: config[name] for name in option_names(Run)})
    gan = ganjax.make_gan(config)
    examples = gan.examples(dataset)
    num = count_examples(examples, run.num_examples)
    examples = jax.tree.map(lambda x: x[:num], examples)
    stack = Stack(gan, run, [c.seed for c in configs.values()], examples)
    outcomes: dict[Path, Outcome] = {}
    with contextlib.ExitStack() as closing:
        writers = {
            path: closing.enter_context(Writer(path, 0, run.num_steps, run.batch_size))
            for path in configs
        }
        step = 0
        while step < run.num_steps and len(outcomes) < len(configs):
            n = min(stack.chunk, run.steps_to_next_event(step))
            metrics = stack(step, n)
            step += n
            for path in configs.keys() - outcomes.keys():
                try:
                    writers[path].add(step, n, metrics[configs[path].seed])
                    if run.due("log_every", step):
                        writers[path].publish(step)
                except Diverged as error:
                    outcomes[path] = error
        for path, one in configs.items():
            write_text(path / "config.json", json.dumps(metadata(one, dataset)) + "\n")
            if path not in outcomes:
                state = stack.state(one.seed)
                outcomes[path] = finish(one, state, writers[path], dataset)
    return {path: outcomes[path] for path in configs}


def finish(
    config: ConfigDict, state: TrainState, writer: Writer, dataset: data.Dataset
) -> Outcome:
    """Writes the checkpoint, samples and curves at the end of a run."""
    gan = ganjax.make_gan(config)
    folder = writer.workdir
    with contextlib.closing(Checkpoints(folder, config.max_to_keep)) as checkpoints:
        checkpoints.delete_after(0)  # of a run that was interrupted
        try:
            save(checkpoints, state, metadata(config, dataset))
        except Diverged as error:
            return error
    key = jax.random.fold_in(jax.random.key(config.seed), GRID_TAG)
    real = jax.tree.map(lambda x: x[: config.sample_num], gan.examples(dataset))
    image = sample_grid(gan, state, config.sample_num, key, dataset)
    writer.samples(config.num_steps, image, gan.image(real))
    writer.finish(dataset.describe())
    return state


def metadata(config: ConfigDict, dataset: data.Dataset) -> dict[str, Any]:
    """What is saved with a state."""
    identity, made_with = dataset.identity.to_dict(), versions()
    return {"config": to_json(config), "data": identity, "made_with": made_with}


# --- measurement --------------------------------------------------------------------


def measure(config: ConfigDict, numbers: list[int]) -> dict[int, np.ndarray]:
    """Images per second of all seeds together, float64 [ROUNDS], by their number.

    0 stands for separate runs, one after another.
    """
    gan = ganjax.make_gan(config)
    run = build(Run, {name: config[name] for name in option_names(Run)})
    shape = (1000, *config.data.image_shape)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    stacks = {n: Stack(gan, run, list(range(n)), images) for n in numbers}
    turns = {n: partial(stack, 0, stack.chunk) for n, stack in stacks.items()}
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
