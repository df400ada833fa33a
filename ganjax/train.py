"""Builds a run, restores it, and owns the training loop."""

import contextlib
import importlib.metadata
import itertools
import json
import math
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

import ganjax
from ganjax import data, nans, parallel
from ganjax.checkpoint import Checkpoints, DamagedError
from ganjax.config import diff, flatten, to_json
from ganjax.errors import UserError
from ganjax.evaluate import make_scorer
from ganjax.files import errors_explained, lock_folder, make_folder, write_text
from ganjax.gan import Batch, Gan
from ganjax.gans import GROUPS, make_gan
from ganjax.options import Count, PositiveInt, Range, build, option_names
from ganjax.sampling import sample, sample_grid
from ganjax.state import TrainState, abstract_state, init_state
from ganjax.writers import Diverged, Writer

# Initialization runs once: without optimization it compiles four times as fast.
INIT_COMPILER_OPTIONS = {"cpu": {"xla_backend_optimization_level": 0}}
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
    # What to do when a loss, a gradient or a parameter is not finite: stop, or go back
    # to the last checkpoint and train on with other noise, `max_rollbacks` times.
    on_divergence: Literal["stop", "rollback"] = "stop"
    max_rollbacks: Count = 3
    # Training steps in one device call; 0: by back end.
    steps_per_call: Annotated[int, Range(0, 10_000)] = 0
    # Name the operation that makes the first NaN. Slower: steps run one by one.
    debug_nans: bool = False

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
    config: ConfigDict, workdir: str | Path, dataset: data.Dataset | None = None
) -> TrainState:
    """Trains `config` in `workdir`, resuming what is there.

    Args:
      config: from `load_config`.
      workdir: folder of the run.
      dataset: the training data, e.g. from `make_dataset`; default: `config.data`.

    Returns:
      The final state, replicated over the local devices.

    Raises:
      UserError: an invalid config, or a folder of another run. Existing files are not
        modified.
    """
    workdir = Path(workdir).expanduser()
    print(describe_devices(), flush=True)
    run = build(Run, {name: config[name] for name in option_names(Run)})
    gan = make_gan(config)
    parallel.check_batch_size(run.batch_size)
    with errors_explained(workdir), lock_folder(make_folder(workdir)):
        if dataset is None:
            options = build(data.DataOptions, config.data.to_dict(), "config.data")
            dataset = data.load(options)
        print(f"data: {dataset.describe()}", flush=True)
        metadata = {
            "config": to_json(config),
            "data": dataset.identity.to_dict(),
            "made_with": versions(),
        }
        return train(gan, run, workdir, dataset, metadata)


def train(
    gan: Gan,
    run: Run,
    workdir: Path,
    dataset: data.Dataset,
    metadata: dict[str, Any],
) -> TrainState:
    """The training loop: from the newest checkpoint in `workdir` to the last step."""
    examples = first_examples(gan.examples(dataset), run.num_examples)
    checkpoints = Checkpoints(workdir, run.max_to_keep)
    state = restore_or_init(gan, run, checkpoints, metadata)
    write_text(workdir / "config.json", json.dumps(metadata, indent=2) + "\n")
    step = int(state.step)
    best = BestCheckpoint(workdir, dataset, state) if run.evaluate_every else None

    chunk = run.steps_per_call or parallel.steps_per_call(gan)
    if run.debug_nans:
        chunk, train_chunk = 1, nans.make_train_chunk(gan)
    else:
        train_chunk = parallel.make_train_chunk(gan, chunk)
    train_data = parallel.replicate(examples)
    num_examples = len(jax.tree.leaves(examples)[0])
    real = gan.image(jax.tree.map(lambda x: x[: run.sample_num], examples))
    grid_key = jax.random.fold_in(jax.random.key(run.seed), GRID_TAG)

    def indices(step: int, n: int) -> np.ndarray:
        shape = (n, gan.n_dis, run.batch_size)
        rows = data.batch_indices(run.seed, step, shape, num_examples)
        return parallel.shard_indices(rows, chunk)

    started = time.perf_counter()
    # A call for no steps compiles.
    state, _ = jax.block_until_ready(
        train_chunk(state, train_data, indices(step, 1), 0)
    )
    seconds = time.perf_counter() - started
    print(f"compiled in {seconds:.1f} s; training from step {step}", flush=True)

    def train_from(state: TrainState, step: int) -> TrainState:
        with Writer(workdir, step, run.num_steps, run.batch_size) as writer:

            def save_samples() -> None:
                with writer.paused():
                    image = sample_grid(gan, state, run.sample_num, grid_key, dataset)
                    writer.samples(step, image, real)

            if step == 0 and run.sample_every:
                save_samples()
            while step < run.num_steps and not stop.requested:
                n = min(chunk, run.steps_to_next_event(step))
                state, metrics = train_chunk(state, train_data, indices(step, n), n)
                step += n
                writer.add(step, n, metrics)
                if run.due("log_every", step):
                    writer.publish(step)
                if run.due("sample_every", step):
                    save_samples()
                if best and run.due("evaluate_every", step):
                    with writer.paused():
                        samples = sample(gan, state, num=run.evaluate_num, key=grid_key)
                        writer.scores(step, best.update(samples, state, metadata))
                if run.due("checkpoint_every", step) or stop.requested:
                    with writer.paused():
                        save(checkpoints, state, metadata)
            writer.finish(dataset.describe())
        return state

    with (
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


def versions() -> dict[str, str]:
    """Versions of what determines the result of a training, and the devices."""
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
    devices = jax.local_devices()
    return {
        "ganjax": ganjax.__version__,
        **{name: importlib.metadata.version(name) for name in packages},
        "devices": f"{len(devices)} {devices[0].device_kind}",
    }


def describe_devices() -> str:
    """Versions, and the back end, kind and number of the devices."""
    devices = jax.local_devices()
    kind, plural = devices[0].device_kind, "s" if len(devices) > 1 else ""
    return (
        f"ganjax {ganjax.__version__}, jax {jax.__version__} on "
        f"{jax.default_backend().upper()}: {len(devices)} device{plural} ({kind})"
    )


def first_examples(examples: Batch, num: int) -> Batch:
    """The first `num` examples; all for 0.

    Raises:
      UserError: there are fewer.
    """
    available = len(jax.tree.leaves(examples)[0])
    if num > available:
        raise UserError(f"config.num_examples={num}: expected at most {available}")
    return jax.tree.map(lambda x: x[:num], examples) if num else examples


def restore_or_init(
    gan: Gan, run: Run, checkpoints: Checkpoints, metadata: dict[str, Any]
) -> TrainState:
    """The newest checkpoint of the same config and data, or a new state.

    Raises:
      UserError: the folder holds a run with another config or other data.
    """
    if checkpoints.latest is None:
        init = jax.jit(
            init_state,
            static_argnums=0,
            out_shardings=parallel.replicated_sharding(),
            compiler_options=INIT_COMPILER_OPTIONS.get(jax.default_backend()),
        )
        return init(gan, jax.random.key(run.seed))
    workdir = checkpoints.folder.parent
    old = checkpoints.metadata()
    fields = resume_fields(gan, metadata["config"])
    changes = diff(old["config"], metadata["config"], fields)
    if old["data"]["sha256"] != metadata["data"]["sha256"]:
        changes.append(f"data: {old['data']['source']} -> {metadata['data']['source']}")
    if changes:
        raise UserError(
            f"--workdir={workdir}: expected a run with this config, got another one "
            f"({'; '.join(changes)}): undo the change, or pass another --workdir"
        )
    if checkpoints.latest > run.num_steps:
        raise UserError(
            f"config.num_steps={run.num_steps}: expected at least "
            f"{checkpoints.latest}, the step of {workdir}: raise it, or pass another "
            "--workdir"
        )
    state = checkpoints.restore(abstract_state(gan), parallel.replicated_sharding())
    print(f"resuming from step {int(state.step)} in {checkpoints.folder}", flush=True)
    return state


def roll_back(
    gan: Gan, checkpoints: Checkpoints, attempt: int, error: Diverged
) -> TrainState:
    """The state of the newest checkpoint, with another key for each attempt.

    Raises:
      Diverged: there is no checkpoint yet.
    """
    checkpoints.wait()
    if checkpoints.latest is None:
        raise error
    state = checkpoints.restore(abstract_state(gan), parallel.replicated_sharding())
    return state.replace(key=jax.random.fold_in(state.key, attempt))


def resume_fields(gan: Gan, config: Mapping[str, Any]) -> set[str]:
    """The fields of a config that must not change when a run resumes.

    The data are compared by their hash. The number of steps is among the fields if a
    schedule depends on it.
    """
    fields = {
        "seed",
        "batch_size",
        "num_examples",
        "gan",
        *option_names(type(gan)),
        *GROUPS,
    }
    fields -= gan.RESUMABLE
    if any(field.endswith(".start") for field in flatten(config)):
        fields.add("num_steps")
    return fields


def save(checkpoints: Checkpoints, state: TrainState, metadata: dict[str, Any]) -> None:
    """Checkpoints a state.

    Raises:
      Diverged: it is not finite; nothing was saved.
    """
    if not all_finite(state):
        raise Diverged("a parameter is not finite", int(state.step))
    checkpoints.save(int(state.step), state, metadata)


def all_finite(state: TrainState) -> bool:
    """Whether every number of a state is finite; on the host, where it is written."""
    leaves = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return all(np.isfinite(x).all() for x in jax.device_get(leaves))


class BestCheckpoint:
    """Scores samples during training and keeps the state of the lowest FID in best/."""

    def __init__(self, workdir: Path, dataset: data.Dataset, state: TrainState):
        self._score = make_scorer(dataset)
        self._checkpoints = Checkpoints(workdir / "best", max_to_keep=1)
        self._lowest = math.inf
        if int(state.step) == 0:
            self._checkpoints.delete_after(0)  # left over from a deleted run
        elif self._checkpoints.latest is not None:
            try:
                self._checkpoints.restore(state, parallel.replicated_sharding())
                self._lowest = self._checkpoints.metadata().get("fid", math.inf)
            except DamagedError:
                self._checkpoints.set_aside("the best of later steps will be kept")

    def update(
        self, samples: np.ndarray, state: TrainState, metadata: dict[str, Any]
    ) -> dict[str, float]:
        """The scores of samples of this state, which is saved if it is the best."""
        scores = self._score(samples)
        if scores["fid"] < self._lowest:
            self._lowest = scores["fid"]
            self._checkpoints.delete_after(int(state.step))  # Orbax keeps the newest
            save(self._checkpoints, state, metadata | {"fid": self._lowest})
        return scores

    def close(self) -> None:
        """Waits for pending writes."""
        self._checkpoints.close()


class StopSignal:
    """On SIGTERM or SIGINT the loop saves a checkpoint and ends; a second one exits."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignal":
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                self._before[number] = signal.signal(number, self._handle)
            except ValueError:  # signals can only be handled in the main thread
                break
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
