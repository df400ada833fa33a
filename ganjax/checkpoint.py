"""Checkpoints: the only file that imports Orbax.

Each holds the unreplicated state and, as JSON beside it, the config and the identity of
the data. Writing is asynchronous; errors of a write surface at the next one or at
`close`.
"""

import contextlib
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging
from orbax.checkpoint.checkpoint_managers import preservation_policy

from ganjax import parallel
from ganjax.errors import UserError
from ganjax.gan import Gan, make_gan
from ganjax.state import TrainState, abstract_state

logging.set_verbosity(logging.ERROR)  # Orbax narrates


class Checkpoints:
    """The checkpoints of one work folder, under `workdir/checkpoints/STEP`."""

    def __init__(self, workdir: Path, keep: int = 2, create: bool = True):
        self.folder = (workdir / "checkpoints").absolute()  # Orbax insists
        options = ocp.CheckpointManagerOptions(
            preservation_policy=preservation_policy.LatestN(keep),
            create=create,
        )
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    @property
    def latest(self) -> int | None:
        """The newest step on disk."""
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState, metadata: dict[str, Any]) -> None:
        """Starts writing a checkpoint; returns once the arrays are on the host.

        Raises:
          UserError: the one before could not be written.
        """
        if self.latest == step:
            return
        self.wait()
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                metadata=ocp.args.JsonSave(
                    metadata | {"architecture": architecture(state)}
                ),
            ),
        )

    def drop_after(self, step: int) -> None:
        """Deletes what a run that goes on from `step` will write anew."""
        for later in self._manager.all_steps():
            if later > step:
                self._manager.delete(later)

    def metadata(self) -> dict[str, Any]:
        """What was saved beside the newest state."""
        args = ocp.args.Composite(metadata=ocp.args.JsonRestore())
        return self._restore(args)["metadata"]

    def restore(self, like: TrainState, sharding: jax.sharding.Sharding) -> TrainState:
        """The newest state, placed as `sharding` says; `like` gives shapes and types.

        The number of devices that wrote it doesn't matter.

        Raises:
          UserError: the checkpoint is damaged or of another architecture.
        """

        def describe(x: jax.Array) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

        if self.metadata()["architecture"] != architecture(like):
            raise UserError(
                f"{self.folder / str(self.latest)} is of another architecture than the "
                "config describes: pass another --workdir"
            )
        abstract = jax.tree.map(describe, like)
        args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        return self._restore(args)["state"]

    def _restore(self, args: ocp.args.Composite) -> Any:
        try:
            return self._manager.restore(self.latest, args=args)
        except Exception as error:  # Orbax raises a dozen kinds for a damaged folder
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{self.folder / str(self.latest)} can't be restored, it is damaged: "
                f"delete it, or pass another --workdir ({reason})"
            ) from error

    def wait(self) -> None:
        """Waits for the writes under way.

        Raises:
          UserError: one of them failed.
        """
        try:
            self._manager.wait_until_finished()
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self.folder}: the last checkpoint could not be written ({error}): "
                "make room, or pass another --workdir"
            ) from error

    def close(self) -> None:
        """Waits, and lets go of the folder."""
        self.wait()
        self._manager.close()


def architecture(state: TrainState) -> list[list[int]]:
    """Every shape of a state, to be compared before Orbax tries and fails at length."""
    return [list(x.shape) for x in jax.tree.leaves(state)]


def load_run(workdir: str | Path) -> tuple[Gan, TrainState, dict[str, Any]]:
    """The GAN of a work folder, its newest state, and the metadata saved beside it.

    Metadata are `config`, as nested dictionaries, and `data`, the data set's identity.
    The state is replicated over the local devices.

    Raises:
      UserError: no checkpoint there, or one that can't be restored.
    """
    folder = Path(workdir).expanduser()
    if not any(p.name.isdigit() for p in (folder / "checkpoints").glob("*")):
        raise UserError(f"{folder} holds no checkpoint: train there, or fix --workdir")
    with contextlib.closing(Checkpoints(folder, create=False)) as checkpoints:
        metadata = checkpoints.metadata()
        gan = make_gan(metadata["config"])
        state = checkpoints.restore(abstract_state(gan), parallel.replicated())
    return gan, state, metadata
