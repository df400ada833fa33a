"""Trains several seeds of a config in one program.

The states of the seeds are stacked, and the training program is mapped over them by
`jax.vmap`. Each seed sees the data and the noise of its separate run and ends with the
same numbers up to rounding, in a folder of the same form. seeds_speed.py measures what
it gains.
"""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

import ganjax
from ganjax import data, parallel
from ganjax.checkpoint import Checkpoints
from ganjax.files import write_text
from ganjax.gan import Gan, Metrics
from ganjax.meter import Diverged
from ganjax.options import build, option_names
from ganjax.resume import save
from ganjax.sampling import sample_grid
from ganjax.state import TrainState
from ganjax.stream import row_bytes
from ganjax.train import GRID_TAG, Run, count_examples, run_metadata
from ganjax.writers import Writer

Outcome = TrainState | Diverged  # how a run ends


def default_stack() -> int:
    """Seeds in one program by default: one on CPUs, where more gain nothing."""
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
        # The key of a state is the one it was made from, which must be used once.
        states = [
            ganjax.init_state(gan, jax.random.key(s)).replace(key=jax.random.key(s))
            for s in seeds
        ]
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *states)
        self._states = parallel.replicate(stacked)
        self._train = parallel.make_train_chunk(gan, self.chunk, stacked=True)
        self._part = jax.jit(lambda tree, i: jax.tree.map(lambda x: x[i], tree))

    def compile(self) -> None:
        """Compiles the program, by a call for no steps."""
        indices = self._indices(0, 1)
        self._states, _ = self._train(self._states, self._data, indices, 0)
        jax.block_until_ready(self._states)

    def __call__(self, step: int, n: int) -> dict[int, Metrics]:
        """Trains `n` steps from `step` on; the metrics of each seed are their sums."""
        indices = self._indices(step, n)
        self._states, metrics = self._train(self._states, self._data, indices, n)
        return {s: self._part(metrics, i) for i, s in enumerate(self._seeds)}

    def _indices(self, step: int, n: int) -> np.ndarray:
        """As `parallel.shard_indices`, [devices, seeds, ...]."""
        shape = (n, self._n_dis, self._run.batch_size)
        rows = [data.batch_indices(s, step, shape, self._num) for s in self._seeds]
        return np.stack([parallel.shard_indices(x, self.chunk) for x in rows], axis=1)

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
    stack.compile()
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
            for path in [p for p in configs if p not in outcomes]:
                try:
                    writers[path].add(step, n, metrics[configs[path].seed])
                    if run.due("log_every", step):
                        writers[path].publish(step)
                except Diverged as error:
                    outcomes[path] = error
        for path, one in configs.items():
            write_text(
                path / "config.json", json.dumps(run_metadata(one, dataset)) + "\n"
            )
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
            save(checkpoints, state, run_metadata(config, dataset))
        except Diverged as error:
            return error
    key = jax.random.fold_in(jax.random.key(config.seed), GRID_TAG)
    real = jax.tree.map(lambda x: x[: config.sample_num], gan.examples(dataset))
    image = sample_grid(gan, state, config.sample_num, key, dataset)
    writer.samples(config.num_steps, image, gan.image(real))
    writer.finish(dataset.describe())
    return state
