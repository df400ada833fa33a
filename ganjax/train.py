"""Builds everything, restores, and owns the loop."""

import contextlib
import json
import math
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

import ganjax
from ganjax import data, parallel
from ganjax.checkpoint import Checkpoints
from ganjax.config import difference, plain
from ganjax.errors import UserError, at_least
from ganjax.evaluation import make_scorer
from ganjax.gan import Gan, make_gan
from ganjax.sampling import sample, sample_grid
from ganjax.state import TrainState, abstract_state, init_state
from ganjax.writers import Writer, diverged, make_folder

# The initialisation runs once: without optimisation it compiles four times as fast.
ONCE = {"cpu": {"xla_backend_optimization_level": 0}}
GRID_NOISE = 1_000_003  # folded into the seed: the same noise in every grid
# Least values of the fields that `make_gan` does not read.
LEAST = {"seed": 0, "num_steps": 0, "steps_per_call": 0, "keep": 1}
LEAST |= {"sample_num": 1, "evaluate_num": 20}


def train_and_evaluate(config: ConfigDict, workdir: str | Path) -> TrainState:
    """Trains `config` in `workdir`, resuming what is there.

    Returns:
      The final state, replicated over the local devices.

    Raises:
      UserError: whatever the user can fix; nothing that existed is lost.
    """
    workdir = Path(workdir).expanduser()
    print(describe_devices(), flush=True)
    gan = make_gan(config)
    at_least(config, LEAST)
    if config.seed >= 2**32:  # JAX would take the remainder
        raise UserError(f"config.seed = {config.seed} must be below 2**32")
    parallel.check_batch_size(config.batch_size)
    make_folder(workdir)
    dataset = data.load(config.data)
    print(f"data: {dataset.describe()}", flush=True)
    metadata = {"config": plain(config), "data": dataset.identity}
    checkpoints = Checkpoints(workdir, config.keep)
    state = restore_or_init(gan, config, checkpoints, metadata)
    (workdir / "config.json").write_text(json.dumps(metadata, indent=2) + "\n")

    chunk = steps_per_call(config, gan)
    train_chunk = parallel.make_train_chunk(gan, chunk)
    labels = training_labels(gan, dataset)
    train_data = parallel.replicate((dataset.images, labels))
    score = make_scorer(dataset) if config.evaluate_every else None
    best, lowest = None, math.inf
    if score:
        best = Checkpoints(workdir / "best", keep=1)
        if int(state.step) == 0:
            best.drop_after(0)  # of a run that has gone
        elif best.latest is not None:
            lowest = best.metadata().get("fid", math.inf)
    key = jax.random.fold_in(jax.random.key(config.seed), GRID_NOISE)

    def indices(step: int, n: int) -> np.ndarray:
        shape = (n, config.n_dis, config.batch_size)
        rows = data.batch_indices(config.seed, step, shape, len(dataset.images))
        return parallel.shard_indices(rows, chunk)

    started, step = time.perf_counter(), int(state.step)
    state, _ = jax.block_until_ready(
        train_chunk(state, train_data, indices(step, 1), 0)
    )
    now = time.perf_counter()
    print(
        f"compiled in {now - started:.1f} s; training from step {step} "
        f"{now - ganjax.STARTED:.1f} s after the start",
        flush=True,
    )

    with (
        contextlib.closing(checkpoints),  # a write under way outlives any error here
        contextlib.closing(best) if best else contextlib.nullcontext(),
        Writer(workdir, step, config) as writer,
        StopSignal() as stop,
    ):
        if step == 0 and config.sample_every:
            with writer.paused():
                writer.real(dataset.images[: config.sample_num])
                writer.pictures(step, sample_grid(gan, state, config.sample_num, key))
        while step < config.num_steps and not stop.requested:
            n = min(chunk, steps_to_next_event(config, step))
            state, metrics = train_chunk(state, train_data, indices(step, n), n)
            step += n
            writer.add(step, n, metrics)
            if due(config, "log_every", step):
                writer.publish(step)
            if due(config, "sample_every", step):
                with writer.paused():
                    picture = sample_grid(gan, state, config.sample_num, key)
                    writer.pictures(step, picture)
            if score and best and due(config, "evaluate_every", step):
                with writer.paused():
                    images = sample(gan, state, num=config.evaluate_num, key=key)
                    scores = score(images)
                    writer.scores(step, scores)
                if scores["fid"] < lowest:
                    lowest = scores["fid"]
                    best.drop_after(step)  # only the newest is kept
                    save(best, writer, state, metadata | {"fid": lowest})
            if due(config, "checkpoint_every", step) or stop.requested:
                save(checkpoints, writer, state, metadata)
        checkpoints.wait()
        if best:
            best.wait()
        writer.finish(dataset.describe())
    return state


# --- what the loop is made of -------------------------------------------------------


def describe_devices() -> str:
    """Back end, kind and number of the devices: many train on a CPU unknowingly."""
    devices = jax.local_devices()
    kind, plural = devices[0].device_kind, "s" if len(devices) > 1 else ""
    return (
        f"ganjax {ganjax.__version__}, jax {jax.__version__} on "
        f"{jax.default_backend().upper()}: {len(devices)} device{plural} ({kind})"
    )


def restore_or_init(
    gan: Gan, config: ConfigDict, checkpoints: Checkpoints, metadata: dict[str, Any]
) -> TrainState:
    """The newest checkpoint of the same config and data, or a fresh state.

    Raises:
      UserError: the work folder holds a run of other mathematics or on other data.
    """
    if checkpoints.latest is None:
        init = jax.jit(
            init_state,
            static_argnums=0,
            out_shardings=parallel.replicated(),
            compiler_options=ONCE.get(jax.default_backend()),
        )
        return init(gan, jax.random.key(config.seed))
    old = checkpoints.metadata()
    changes = difference(old["config"], metadata["config"])
    if old["data"]["sha256"] != metadata["data"]["sha256"]:
        changes.append(f"data: {old['data']['source']} -> {metadata['data']['source']}")
    if changes:
        raise UserError(
            f"{checkpoints.folder.parent} holds a run with another config, not resumed "
            f"({'; '.join(changes)}): undo the change, or pass another --workdir"
        )
    if checkpoints.latest > config.num_steps:
        raise UserError(
            f"{checkpoints.folder.parent} is at step {checkpoints.latest} already: "
            f"raise config.num_steps = {config.num_steps}, or pass another --workdir"
        )
    state = checkpoints.restore(abstract_state(gan), parallel.replicated())
    print(f"resuming from step {int(state.step)} in {checkpoints.folder}", flush=True)
    return state


def training_labels(gan: Gan, dataset: data.Dataset) -> np.ndarray | None:
    """The labels that a conditional GAN trains on, None for any other.

    Raises:
      UserError: the data's classes are not those of the config.
    """
    if not gan.num_classes:
        return None
    labels, name = dataset.labels, dataset.identity["name"]
    if labels.ndim > 1 or labels.max() + 1 != gan.num_classes:
        have = f"{labels.shape[1]} a picture" if labels.ndim > 1 else labels.max() + 1
        raise UserError(
            f"config.num_classes = {gan.num_classes}, but {name} has labels: {have}"
        )
    return labels


def steps_per_call(config: ConfigDict, gan: Gan) -> int:
    """Training steps in one device call, chosen by back end unless the config says.

    Accelerators want long calls. So do matrix products on a CPU, if short enough for a
    lively progress bar; but library convolutions crawl inside a loop there.
    """
    if config.steps_per_call:
        return config.steps_per_call
    if jax.default_backend() != "cpu":
        return 100
    # Flax runs both networks to initialise them.
    program = jax.make_jaxpr(lambda key: init_state(gan, key))(jax.random.key(0))
    return 1 if "conv_general_dilated" in str(program) else 10


CADENCES = ("log_every", "sample_every", "evaluate_every", "checkpoint_every")


def due(config: ConfigDict, cadence: str, step: int) -> bool:
    """Whether a cadence falls on this step; all do on the last one."""
    every = config[cadence]
    return step == config.num_steps or (every > 0 and step % every == 0)


def steps_to_next_event(config: ConfigDict, step: int) -> int:
    """How far to run before something besides training has to happen."""
    ends = [step - step % config[c] + config[c] for c in CADENCES if config[c] > 0]
    return min([*ends, config.num_steps]) - step


def save(
    checkpoints: Checkpoints,
    writer: Writer,
    state: TrainState,
    metadata: dict[str, Any],
) -> None:
    """Checkpoints a state, but never one that is not finite."""
    with writer.paused():
        if not all_finite(state):
            raise UserError(diverged("a parameter is not finite", int(state.step)))
        checkpoints.save(int(state.step), state, metadata)


def all_finite(state: TrainState) -> bool:
    """Whether every number of a state is finite; on the host, where it is written."""
    leaves = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return all(np.isfinite(x).all() for x in jax.device_get(leaves))


class StopSignal:
    """SIGTERM and Ctrl-C ask for a checkpoint and an orderly end; twice insists."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignal":
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                self._before[number] = signal.signal(number, self._handle)
            except ValueError:  # only the main thread may; elsewhere there are none
                break
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
