"""Checkpoints: the only file that imports Orbax.

Each holds the unreplicated state and, as JSON beside it, the config, the identity of
the data, and checksums of every array and of the JSON itself, which are verified on
restoring. Writing is asynchronous; errors of a write surface at the next one or at
`close`.
"""

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from ganjax.damage import (
    array_checksums,
    is_damage,
    json_checksum,
    paths,
    summary,
    system_error,
    tracebacks_ignored,
)
from ganjax.distributed import barrier, global_sharding, is_first, to_global, to_local
from ganjax.errors import UserError
from ganjax.files import remedy, unused
from ganjax.state import TrainState

T = TypeVar("T")

FORMAT = 2  # of the state's tree; raised when older checkpoints can't be restored


class DamagedError(UserError):
    """No checkpoint of a folder is intact."""


class Checkpoints:
    """The checkpoints of one run, under `workdir/checkpoints/STEP`.

    Steps whose files are damaged are passed over: the newest step is the newest that
    could be read so far.

    Args:
      workdir: folder of the run.
      max_to_keep: number of newest checkpoints that are kept.
      create: false only reads: no file is made, moved or deleted.
    """

    def __init__(self, workdir: Path, max_to_keep: int = 2, create: bool = True):
        self.folder = (workdir / "checkpoints").absolute()  # Orbax needs absolute paths
        self._writes = create
        self._damaged: dict[int, Exception] = {}
        options = ocp.CheckpointManagerOptions(
            preservation_policy=preservation_policy.LatestN(max_to_keep),
            create=create,
            cleanup_tmp_directories=create,  # left by a killed process
            # Two managers may save the same step at once.
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                barrier_sync_key_prefix="-".join(self.folder.parts[-3:-1])
            ),
        )
        self._tracebacks = tracebacks_ignored()
        self._tracebacks.__enter__()
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    @property
    def latest(self) -> int | None:
        """The newest step on disk that is not known to be damaged."""
        steps = set(self._manager.all_steps()) - self._damaged.keys()
        return max(steps, default=None)

    def save(self, step: int, state: TrainState, metadata: dict[str, Any]) -> None:
        """Starts to write a checkpoint; returns once the arrays are on the host.

        Raises:
          UserError: the previous one could not be written.
        """
        if self.latest == step:
            return
        self.wait()
        metadata = metadata | {
            "format": FORMAT,
            "architecture": architecture(state),
            "arrays": array_checksums(state),
        }
        metadata["checksum"] = json_checksum(metadata)
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(to_global(state)),
            metadata=ocp.args.JsonSave(metadata),
        )
        with self._write_errors():
            self._manager.save(step, args=args)

    def delete_after(self, step: int) -> None:
        """Deletes the checkpoints after `step`, at which a run will resume."""
        self.wait()  # a step that is being written can't be deleted
        for later in self._manager.all_steps():
            if later > step:
                self._manager.delete(later)

    def metadata(self) -> dict[str, Any]:
        """The metadata of the newest checkpoint.

        Raises:
          DamagedError: none is intact.
          UserError: it was written by an older version of ganjax.
        """
        return self._newest(self._metadata)

    def restore(self, like: TrainState) -> TrainState:
        """The newest state, replicated over the local devices.

        Any number of devices and processes may have written it.

        Warns of newer steps that are damaged. If this run writes checkpoints, they are
        moved to `checkpoints-damaged`, but only once another one has been restored.

        Args:
          like: a state of the expected shapes and types, or an abstract one.

        Raises:
          DamagedError: none is intact.
          UserError: the checkpoint is of another architecture.
        """

        sharding = global_sharding()

        def describe(x: jax.Array) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

        args = ocp.args.StandardRestore(jax.tree.map(describe, like))

        def read(step: int) -> TrainState:
            metadata = self._metadata(step)
            expected = metadata.get("arrays")
            same = expected is None or expected.keys() == paths(like).keys()
            if not same or metadata["architecture"] != architecture(like):
                raise UserError(
                    f"{self.folder / str(step)}: expected the architecture of the "
                    "config, got another one: pass another --workdir"
                )
            composite = ocp.args.Composite(state=args)
            state = to_local(self._manager.restore(step, args=composite)["state"])
            for path, checksum in array_checksums(state).items():
                if expected is not None and expected[path] != checksum:
                    raise ValueError(f"wrong checksum of {path}")
            return state

        state = self._newest(read)
        self.set_aside(f"using step {self.latest}")
        return state

    def set_aside(self, instead: str) -> None:
        """Warns of damaged checkpoints and, in a run that writes, moves them away.

        `instead` says what is used.
        """
        for step, error in sorted(self._damaged.items()):
            folder = self.folder / str(step)
            line = f"warning: {folder} is damaged ({summary(error)}): {instead}"
            if self._writes and is_first():
                place = unused(self.folder.with_name("checkpoints-damaged"), str(step))
                place.parent.mkdir(exist_ok=True)
                folder.rename(place)
                line += f"; the damaged files are now in {place}"
            if is_first():
                print(line, file=sys.stderr, flush=True)
        if self._writes and self._damaged:
            barrier("set_aside")  # all processes see the same folder again
            self._damaged.clear()
            self._manager.reload()

    def _newest(self, read: Callable[[int], T]) -> T:
        """What `read` returns for the newest step that it can read.

        Whatever keeps it from reading one checkpoint but not an older one is damage. If
        none is left, an exception that does not look like damage is a bug and keeps its
        traceback.
        """
        while (step := self.latest) is not None:
            try:
                with tracebacks_ignored():
                    return read(step)
            except (UserError, MemoryError, PermissionError, RuntimeError):
                raise
            except Exception as error:  # Orbax raises many types, also plain Exception
                self._damaged[step] = error
        newest = max(self._damaged)
        reason = self._damaged[newest]
        if not is_damage(reason):
            raise reason
        raise DamagedError(
            f"{self.folder / str(newest)}: expected a complete checkpoint, got damaged "
            f"files ({summary(reason)}), and no older one is intact: nothing was moved "
            "or deleted; restore the folder from a copy, or pass another --workdir"
        ) from reason

    def _metadata(self, step: int) -> dict[str, Any]:
        args = ocp.args.Composite(metadata=ocp.args.JsonRestore())
        metadata = self._manager.restore(step, args=args)["metadata"]
        # Checkpoints of versions that did not compute checksums have neither.
        if "checksum" in metadata or "arrays" in metadata:
            if metadata.get("checksum") != json_checksum(metadata):
                raise ValueError("wrong checksum of the metadata")
        if metadata.get("format") != FORMAT:
            raise UserError(
                f"{self.folder / str(step)}: expected a checkpoint of format "
                f"{FORMAT}, got {metadata.get('format', 1)} of an older ganjax: pass "
                "another --workdir, or use the version that wrote it"
            )
        return metadata

    def wait(self) -> None:
        """Waits for pending writes.

        Raises:
          UserError: one of them failed.
        """
        with self._write_errors():
            self._manager.wait_until_finished()

    @contextlib.contextmanager
    def _write_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            warnings.filterwarnings("ignore", "coroutine .* was never awaited")
            number, reason = system_error(error)
            raise UserError(
                f"{self.folder}: a checkpoint could not be written: {reason}"
                f"{remedy(number)}"
            ) from error

    def close(self) -> None:
        """Waits for pending writes and releases the folder."""
        self.wait()
        self._manager.close()
        self._tracebacks.__exit__(None, None, None)


def architecture(state: TrainState) -> list[list[int]]:
    """The shape of every array of a state."""
    return [list(x.shape) for x in jax.tree.leaves(state)]
