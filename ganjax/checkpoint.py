"""Checkpoints: the only file that imports Orbax.

Each holds the unreplicated state and, as JSON beside it, the config and the identity of
the data. Writing is asynchronous; errors of a write surface at the next one or at
`close`.
"""

import json
import re
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from ganjax.errors import UserError
from ganjax.state import TrainState

FORMAT = 2  # of the state's tree; raised when older checkpoints can't be restored
# How TensorStore reports files that are missing, cut short or altered.
DAMAGE = re.compile(r"DATA_LOSS|NOT_FOUND|OUT_OF_RANGE|FAILED_PRECONDITION")


class Checkpoints:
    """The checkpoints of one run, under `workdir/checkpoints/STEP`."""

    def __init__(self, workdir: Path, max_to_keep: int = 2, create: bool = True):
        self.folder = (workdir / "checkpoints").absolute()  # Orbax needs absolute paths
        options = ocp.CheckpointManagerOptions(
            preservation_policy=preservation_policy.LatestN(max_to_keep),
            create=create,
        )
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    @property
    def latest(self) -> int | None:
        """The newest step on disk."""
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState, metadata: dict[str, Any]) -> None:
        """Starts to write a checkpoint; returns once the arrays are on the host.

        Raises:
          UserError: the previous one could not be written.
        """
        if self.latest == step:
            return
        self.wait()
        metadata = metadata | {"format": FORMAT, "architecture": architecture(state)}
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            metadata=ocp.args.JsonSave(metadata),
        )
        self._manager.save(step, args=args)

    def delete_after(self, step: int) -> None:
        """Deletes the checkpoints after `step`, at which a run will resume."""
        for later in self._manager.all_steps():
            if later > step:
                self._manager.delete(later)

    def metadata(self) -> dict[str, Any]:
        """The metadata of the newest checkpoint.

        Raises:
          UserError: it is damaged or was written by an older version of ganjax.
        """
        args = ocp.args.Composite(metadata=ocp.args.JsonRestore())
        metadata = self._restore(args)["metadata"]
        if metadata.get("format") != FORMAT:
            raise UserError(
                f"{self.folder / str(self.latest)}: expected a checkpoint of format "
                f"{FORMAT}, got {metadata.get('format', 1)} of an older ganjax: pass "
                "another --workdir, or use the version that wrote it"
            )
        return metadata

    def restore(self, like: TrainState, sharding: jax.sharding.Sharding) -> TrainState:
        """The newest state, on any number of devices.

        Args:
          like: a state of the expected shapes and types, or an abstract one.
          sharding: where to place it.

        Raises:
          UserError: the checkpoint is damaged or of another architecture.
        """

        def describe(x: jax.Array) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

        if self.metadata()["architecture"] != architecture(like):
            raise UserError(
                f"{self.folder / str(self.latest)}: expected the architecture of the "
                "config, got another one: pass another --workdir"
            )
        abstract = jax.tree.map(describe, like)
        args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        return self._restore(args)["state"]

    def _restore(self, args: ocp.args.Composite) -> Any:
        """Restores the newest step. Only damaged files are reported as such; any other
        exception is a bug and keeps its traceback."""
        try:
            return self._manager.restore(self.latest, args=args)
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            damaged = isinstance(error, FileNotFoundError | json.JSONDecodeError)
            if not damaged and not DAMAGE.search(reason):
                raise
            raise UserError(
                f"{self.folder / str(self.latest)}: expected a complete checkpoint, "
                f"got damaged files ({reason}): move this folder away to use an older "
                "checkpoint"
            ) from error

    def wait(self) -> None:
        """Waits for pending writes.

        Raises:
          UserError: one of them failed.
        """
        try:
            self._manager.wait_until_finished()
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self.folder}: the last checkpoint could not be written ({error}); "
                "earlier ones are intact"
            ) from error

    def close(self) -> None:
        """Waits for pending writes and releases the folder."""
        self.wait()
        self._manager.close()


def architecture(state: TrainState) -> list[list[int]]:
    """The shape of every array of a state."""
    return [list(x.shape) for x in jax.tree.leaves(state)]
