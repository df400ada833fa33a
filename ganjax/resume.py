"""The state of a run between two processes: restored, saved, and its best version."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from ml_collections import ConfigDict

from ganjax import distributed, parallel, transfer
from ganjax.checkpoint import Checkpoints, DamagedError
from ganjax.config import diff, flatten, to_json
from ganjax.data import Dataset
from ganjax.errors import UserError
from ganjax.evaluate import make_scorer
from ganjax.gan import Gan
from ganjax.gans import GROUPS
from ganjax.meter import Diverged
from ganjax.optim import Optimizer
from ganjax.options import option_names, options
from ganjax.state import TrainState, abstract_state, init_state, real_numbers

if TYPE_CHECKING:
    from ganjax.train import Run

# What the best checkpoint is chosen by, of those that the features have.
SCORES = ("fid", "fid_random", "fid_onnx", "kid_random", "kid_onnx")
# Initialization runs once: without optimization it compiles four times as fast.
INIT_COMPILER_OPTIONS = {"cpu": {"xla_backend_optimization_level": 0}}


def restore_or_init(
    gan: Gan, run: Run, checkpoints: Checkpoints, metadata: dict[str, Any]
) -> tuple[TrainState, dict[str, Any]]:
    """The newest checkpoint of the same config and data, or a new state.

    Returns:
      The state, and the metadata with where its networks came from.

    Raises:
      UserError: the folder holds a run with another config, other data or networks from
        elsewhere.
    """
    if checkpoints.latest is None:
        init = jax.jit(
            init_state,
            static_argnums=0,
            out_shardings=parallel.replicated_sharding(),
            compiler_options=INIT_COMPILER_OPTIONS.get(jax.default_backend()),
        )
        state = init(gan, jax.random.key(run.seed))
        if run.init_from is None:
            return state, metadata
        state, source = transfer.start(state, run.init_from)
        return parallel.replicate(state), metadata | {"init_from": source}
    workdir = checkpoints.folder.parent
    old = checkpoints.metadata()
    fields = resume_fields(gan, metadata["config"])
    before, now = (with_defaults(gan, x["config"]) for x in (old, metadata))
    changes = diff(before, now, fields)
    if old["data"]["sha256"] != metadata["data"]["sha256"]:
        changes.append(f"data: {old['data']['source']} -> {metadata['data']['source']}")
    if changes:
        raise UserError(
            f"--workdir={workdir}: expected a run with this config, got another one "
            f"({'; '.join(changes)}): undo the change, or pass another --workdir"
        )
    origin = old.get("init_from")
    if run.init_from is not None:
        transfer.check_origin(run.init_from, origin, workdir)
    if checkpoints.latest > run.num_steps:
        raise UserError(
            f"config.num_steps={run.num_steps}: expected at least "
            f"{checkpoints.latest}, the step of {workdir}: raise it, or pass another "
            "--workdir"
        )
    state = checkpoints.restore(abstract_state(gan))
    print(f"resuming from step {int(state.step)} in {checkpoints.folder}", flush=True)
    return state, metadata | ({"init_from": origin} if origin else {})


def with_defaults(gan: Gan, config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with the defaults of the options that it lacks.

    These are options of the GAN, its networks and its optimizers; the config of an
    older version lacks the newer ones.
    """
    kinds: dict[str, type] = dict.fromkeys(("g_optimizer", "d_optimizer"), Optimizer)
    kinds |= {k: type(getattr(gan, k, None)) for k in ("generator", "discriminator")}
    groups = {k: options(kind) for k, kind in kinds.items() if k in config}
    defaults = options(type(gan)) | groups
    complete = dict(config)
    for name, default in to_json(ConfigDict(defaults)).items():
        value = config.get(name, default)
        both = isinstance(value, Mapping) and isinstance(default, Mapping)
        complete[name] = {**default, **value} if both else value
    return complete


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
    state = checkpoints.restore(abstract_state(gan))
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
    return all(np.isfinite(x).all() for x in real_numbers(state))


class BestCheckpoint:
    """Scores samples during training and keeps the state of the best score in best/.

    That is the lowest of the first score, an FID where there are images enough. What
    other `features`, or another number of samples, chose is replaced.
    """

    def __init__(self, workdir: Path, dataset: Dataset, state: TrainState, run: Run):
        first = distributed.is_first()
        self._score = make_scorer(dataset, run.features) if first else None
        self._checkpoints = Checkpoints(workdir / "best", max_to_keep=1)
        self._best: dict[str, float] = {}
        if int(state.step) == 0:
            self._checkpoints.delete_after(0)  # left over from a deleted run
        elif self._checkpoints.latest is not None:
            try:
                self._checkpoints.restore(state)
                saved = self._checkpoints.metadata()
                old = saved["config"]
                same = old.get("features", "auto") == run.features
                if same and old["evaluate_num"] == run.evaluate_num:
                    self._best = {k: saved[k] for k in SCORES if k in saved}
            except DamagedError:
                self._checkpoints.set_aside("the best of later steps will be kept")

    def update(
        self, samples: np.ndarray, state: TrainState, metadata: dict[str, Any]
    ) -> dict[str, float]:
        """The scores of samples of this state, which is saved if it is the best."""
        scores = distributed.from_first(self._score(samples) if self._score else None)
        name = next(name for name in scores if name in SCORES)
        if scores[name] < self._best.get(name, math.inf):
            best = {name: scores[name]}
            # Orbax keeps the newest, and does not replace one of the same step.
            self._checkpoints.delete_after(int(state.step) - 1)
            save(self._checkpoints, state, metadata | best)
            self._best = best
        return scores

    def close(self) -> None:
        """Waits for pending writes."""
        self._checkpoints.close()
