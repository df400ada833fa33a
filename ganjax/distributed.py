"""Several processes on JAX's distributed runtime, for example one on each host.

All run the same program and feed their own devices; the first alone writes and prints.
In a single process these functions do nothing.
"""

import contextlib
import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from ganjax.errors import UserError

T = TypeVar("T")

JAX = (0, 10)  # 0.7 can't compare arrays of random keys across processes
HEARTBEAT = 30  # seconds of silence after which a process counts as lost


def initialize(
    coordinator: str, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Joins the processes of a job; to be called before any device is used.

    Args:
      coordinator: HOST:PORT of the first process, or "auto", where JAX knows the
        cluster's own variables: Slurm, Open MPI, Kubernetes, Cloud TPU.
      num_processes: of the job; by default $JAX_NUM_PROCESSES, or with "auto" what the
        cluster says.
      process_id: of this process, from 0; by default $JAX_PROCESS_ID, or the same.

    Raises:
      UserError: a missing or impossible number, an old version of JAX, or no job.
    """
    address = None if coordinator == "auto" else coordinator
    if num_processes is None:
        num_processes = environment_number("JAX_NUM_PROCESSES")
    if process_id is None:
        process_id = environment_number("JAX_PROCESS_ID")
    if address is not None:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise UserError(f"--coordinator={coordinator}: expected HOST:PORT or auto")
        if num_processes is None or process_id is None:
            raise UserError(
                f"--coordinator={coordinator}: expected --num_processes and "
                "--process_id, too"
            )
        if not 0 <= process_id < num_processes:
            raise UserError(
                f"--process_id={process_id}: expected at least 0 and less than "
                f"--num_processes={num_processes}"
            )
    if jax.__version_info__ < JAX:
        raise UserError(
            f"--coordinator={coordinator}: expected jax {'.'.join(map(str, JAX))} or "
            f"newer, got {jax.__version__}"
        )
    # It would handle SIGTERM; see StopSignal.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            address,
            num_processes,
            process_id,
            heartbeat_timeout_seconds=HEARTBEAT,
        )
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"--coordinator={coordinator}: no job: {reason}") from error


def environment_number(name: str) -> int | None:
    """The number in a variable of the environment; None without one.

    Raises:
      UserError: it is not a number.
    """
    text = os.environ.get(name, "")
    if text and not text.isdecimal():
        raise UserError(f"${name}={text}: expected a number")
    return int(text) if text else None


def is_first() -> bool:
    """Whether this process writes files and prints."""
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Waits until all processes are here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


@contextlib.contextmanager
def quiet_unless_first() -> Iterator[None]:
    """Drops what the other processes print in the block, but not their errors."""
    quiet = contextlib.nullcontext() if is_first() else contextlib.redirect_stdout(None)
    with quiet:
        yield


def first_before_others(load: Callable[[], T]) -> T:
    """The result of `load`, whose files the first process may write for all."""
    if is_first():
        result = load()
        barrier("first_before_others")
        return result
    barrier("first_before_others")
    return load()


def from_first(value: Any) -> Any:
    """The first process' value, which JSON can hold; that of the others is ignored."""
    if jax.process_count() == 1:
        return value
    text = np.frombuffer(json.dumps(value).encode(), np.uint8) if is_first() else None
    length = 0 if text is None else len(text)
    length = int(multihost_utils.broadcast_one_to_all(np.int32(length)))
    text = np.zeros(length, np.uint8) if text is None else text
    received = multihost_utils.broadcast_one_to_all(text)
    return json.loads(np.asarray(received).tobytes())


def check_same(text: str, what: str) -> None:
    """Checks that all processes have the same text.

    Raises:
      UserError: they don't.
    """
    if jax.process_count() == 1:
        return
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
    everyone = multihost_utils.process_allgather(digest)
    others = [i for i, row in enumerate(everyone) if (row != everyone[0]).any()]
    if others:
        raise UserError(
            f"{what}: expected the same in all processes, differs in {others} from 0"
        )


# -- the state: replicated over the local devices, but over all in a checkpoint --------


def to_global(tree: PyTree) -> PyTree:
    """Replicated over the devices of all processes, from a copy in each of them."""
    return _convert(multihost_utils.host_local_array_to_global_array, tree)


def to_local(tree: PyTree) -> PyTree:
    """Replicated over the local devices; the reverse of `to_global`."""
    return _convert(multihost_utils.global_array_to_host_local_array, tree)


def global_sharding() -> NamedSharding:
    """A copy on every device of all processes."""
    devices = [d for i in range(jax.process_count()) for d in jax.local_devices(i)]
    return NamedSharding(Mesh(np.array(devices), ("batch",)), PartitionSpec())


def _convert(fn: Callable[..., Any], tree: PyTree) -> PyTree:
    if jax.process_count() == 1:
        return tree
    sharding = global_sharding()
    return fn(tree, sharding.mesh, sharding.spec)


class StopSignal:
    """On SIGTERM or SIGINT the loop saves a checkpoint and ends; a second one exits.

    Of several processes one has to receive it; all end after the same step. Clusters
    send SIGTERM before they take a machine away.
    """

    def __init__(self) -> None:
        self._received = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignal":
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                self._before[number] = signal.signal(number, self._handle)
            except ValueError:  # signals can only be handled in the main thread
                break
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._received:
            raise KeyboardInterrupt
        self._received = True

    def requested(self) -> bool:
        """Whether any process received one; all have to ask after the same step."""
        if jax.process_count() == 1:
            return self._received
        everyone = multihost_utils.process_allgather(np.uint8(self._received))
        return bool(everyone.any())

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def exit_now(code: int) -> None:
    """Ends one process of several, which would otherwise wait for the others.

    They notice, and end, too.
    """
    if jax.distributed.is_initialized():
        os._exit(code)
