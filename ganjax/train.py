"""Builds a run and owns the training loop."""

import contextlib
import itertools
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import numpy as np
from ml_collections import ConfigDict

from ganjax import data, distributed, nans, parallel
from ganjax.checkpoint import Checkpoints
from ganjax.config import to_json
from ganjax.distributed import StopSignal, is_first
from ganjax.errors import UserError
from ganjax.features import Features
from ganjax.files import errors_explained, lock_folder, make_folder, write_text
from ganjax.gan import Batch, Gan
from ganjax.gans import make_gan
from ganjax.machine import describe_devices, versions
from ganjax.meter import Diverged, Meter
from ganjax.options import Count, PositiveInt, Range, build, given, option_names
from ganjax.resume import BestCheckpoint, restore_or_init, roll_back, save
from ganjax.sampling import sample, sample_grid
from ganjax.state import TrainState
from ganjax.stream import make_batches
from ganjax.writers import Writer

GRID_TAG = 1_000_003  # folded into the seed: every grid has the same noise


@dataclass(frozen=True)
class Run:
    """Options of the training loop, top-level fields of a config.

    The cadences (`*_every`) are in steps; what they ask for is also done at the end.
    0 means only at the end, of evaluations never.
    """

    seed: Annotated[int, Range(0, 2**32 - 1)] = 0  # of parameters, noise and data order
    num_steps: Count = 3000  # generator updates
    batch_size: PositiveInt = 64  # images, over all devices together
    num_examples: Count = 0  # train on the first this many examples; 0: on all
    log_every: Count = 10
    sample_every: Count = 250
    sample_num: PositiveInt = 64  # images in a grid
    checkpoint_every: Count = 500
    max_to_keep: PositiveInt = 2  # newest checkpoints that are kept
    evaluate_every: Count = 0  # scores; the checkpoint of the lowest FID is in best/
    evaluate_num: Annotated[int, Range(20, 2**20)] = 10_000  # samples of an evaluation
    features: Features = "auto"  # of scores: see ganjax/features.py
    # What to do when a loss, a gradient or a parameter is not finite: stop, or go back
    # to the last checkpoint and train on with other noise, `max_rollbacks` times.
    on_divergence: Literal["stop", "rollback"] = "stop"
    max_rollbacks: Count = 3
    # Training steps in one device call; 0: by back end.
    steps_per_call: Annotated[int, Range(0, 10_000)] = 0
    # Name the operation that makes the first NaN. Slower: steps run one by one.
    debug_nans: bool = False
    # Where the networks of a new run come from: a place, and so no option. What was
    # there is in the metadata.
    init_from: str | Path | None = given(None)

    def due(self, cadence: str, step: int) -> bool:
        """Whether a cadence falls on this step."""
        every = getattr(self, cadence)
        return step == self.num_steps or (every > 0 and step % every == 0)

    def steps_to_next_event(self, step: int) -> int:
        """Training steps until something else has to be done."""
        cadences = ("log_every", "sample_every", "evaluate_every", "checkpoint_every")
        every = [getattr(self, c) for c in cadences if getattr(self, c)]
        return min([*(step - step % e + e for e in every), self.num_steps]) - step


def train_and_evaluate(
    config: ConfigDict,
    workdir: str | Path,
    dataset: data.Dataset | None = None,
    init_from: str | Path | None = None,
) -> TrainState:
    """Trains `config` in `workdir`, resuming what is there.

    Args:
      config: from `load_config`.
      workdir: folder of the run.
      dataset: the training data, e.g. from `make_dataset`; default: `config.data`.
      init_from: folder of another run, or name of a pretrained generator, from whose
        networks a new run starts; see transfer.py.

    Returns:
      The final state, replicated over the local devices.

    Raises:
      UserError: an invalid config, or a folder of another run. Existing files are not
        modified.
    """
    workdir = Path(workdir).expanduser()
    with contextlib.ExitStack() as stack:
        stack.enter_context(errors_explained(workdir))
        stack.enter_context(distributed.quiet_unless_first())
        print(describe_devices(), flush=True)
        values = {name: config[name] for name in option_names(Run)}
        run = build(Run, values, init_from=init_from)
        gan = make_gan(config)
        parallel.check_batch_size(run.batch_size)
        if is_first():
            stack.enter_context(lock_folder(make_folder(workdir)))
        options = build(data.DataOptions, config.data.to_dict(), "config.data")
        if dataset is None:
            dataset = distributed.first_before_others(lambda: data.load(options))
        print(f"data: {dataset.describe()}", flush=True)
        metadata = run_metadata(config, dataset)
        # The data may be in another place on each machine.
        same = metadata["config"] | {"data": dataset.identity.sha256}
        same["init_from"] = str(init_from)
        distributed.check_same(json.dumps(same), "config, data and --init_from")
        return train(gan, run, workdir, dataset, metadata, options.device_budget_mb)


def train(
    gan: Gan,
    run: Run,
    workdir: Path,
    dataset: data.Dataset,
    metadata: dict[str, Any],
    budget_mb: int,
) -> TrainState:
    """The training loop: from the newest checkpoint in `workdir` to the last step."""
    examples = examples_of(gan, dataset)
    num_examples = count_examples(examples, run.num_examples)
    checkpoints = Checkpoints(workdir, run.max_to_keep)
    state, metadata = restore_or_init(gan, run, checkpoints, metadata)
    if is_first():
        write_text(workdir / "config.json", json.dumps(metadata, indent=2) + "\n")
    step = int(state.step)
    best = BestCheckpoint(workdir, dataset, state, run) if run.evaluate_every else None

    chunk = run.steps_per_call or parallel.steps_per_call(gan)
    make_chunk: Any = parallel.make_train_chunk
    if run.debug_nans:
        chunk, make_chunk = 1, nans.make_train_chunk
    num_real = min(run.sample_num, num_examples)
    real = gan.image(jax.tree.map(lambda x: x[:num_real], examples))
    grid_key = jax.random.fold_in(jax.random.key(run.seed), GRID_TAG)

    def order(step: int, n: int) -> np.ndarray:
        shape = (n, gan.n_dis, run.batch_size)
        rows = data.batch_indices(run.seed, step, shape, num_examples)
        return parallel.local_columns(rows)

    batches = make_batches(examples, num_examples, order, chunk, budget_mb)
    train_chunk = make_chunk(gan, chunk, batches.streamed)
    started = time.perf_counter()
    # A call for no steps compiles.
    state, _ = jax.block_until_ready(train_chunk(state, *batches(step, 1)[:2], 0))
    seconds = time.perf_counter() - started
    print(f"compiled in {seconds:.1f} s; training from step {step}", flush=True)

    def train_from(state: TrainState, step: int) -> TrainState:
        make_writer = Writer if is_first() else Meter
        with make_writer(workdir, step, run.num_steps, run.batch_size) as writer:

            def save_samples() -> None:
                with writer.paused():
                    image = sample_grid(gan, state, run.sample_num, grid_key, dataset)
                    writer.samples(step, image, real)

            if step == 0 and run.sample_every:
                save_samples()
            stopping = False
            while step < run.num_steps and not stopping:
                n = min(chunk, run.steps_to_next_event(step))
                train_data, indices, n = batches(step, n)
                state, metrics = train_chunk(state, train_data, indices, n)
                step += n
                stopping = stop.requested()
                writer.add(step, n, metrics)
                if run.due("log_every", step):
                    writer.publish(step)
                if run.due("sample_every", step):
                    save_samples()
                if best and run.due("evaluate_every", step):
                    with writer.paused():
                        num = run.evaluate_num
                        asked = gan.condition(num, dataset=dataset)
                        samples = sample(
                            gan, state, num=num, key=grid_key, condition=asked
                        )
                        writer.scores(step, best.update(samples, state, metadata))
                if run.due("checkpoint_every", step) or stopping:
                    with writer.paused():
                        save(checkpoints, state, metadata)
            writer.finish(dataset.describe())
        return state

    with (
        contextlib.closing(batches),
        contextlib.closing(checkpoints),  # waits for pending writes, also after errors
        contextlib.closing(best) if best else contextlib.nullcontext(),
        StopSignal() as stop,
    ):
        for attempt in itertools.count(1):
            try:
                return train_from(state, step)
            except Diverged as error:
                if run.on_divergence == "stop" or attempt > run.max_rollbacks:
                    raise
                state = roll_back(gan, checkpoints, attempt, error)
                step = int(state.step)
                print(
                    f"{error.what}: back to step {step}, with other noise "
                    f"({attempt} of {run.max_rollbacks} times)",
                    flush=True,
                )
    raise AssertionError("unreachable")  # for the type checker


# --- parts of the loop --------------------------------------------------------------


def run_metadata(config: ConfigDict, dataset: data.Dataset) -> dict[str, Any]:
    """What is saved with every state of a run."""
    identity = dataset.identity.to_dict()
    return {"config": to_json(config), "data": identity, "made_with": versions()}


def examples_of(gan: Gan, dataset: data.Dataset) -> Batch:
    """What the GAN trains on.

    Raises:
      UserError: the data set does not have it.
    """
    try:
        return gan.examples(dataset)
    except KeyError as error:
        raise UserError(
            f"config.data.name={dataset.identity.name!r}: expected data with {error}, "
            f"got {', '.join(dataset.train)}"
        ) from error


def count_examples(examples: Batch, num: int) -> int:
    """How many examples to train on: `num`; all for 0.

    Raises:
      UserError: there are fewer, or none.
    """
    available = len(jax.tree.leaves(examples)[0])
    if not available:
        raise UserError("data: expected at least one training example, got none")
    if num > available:
        raise UserError(f"config.num_examples={num}: expected at most {available}")
    return num or available
