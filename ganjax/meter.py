"""The metrics of a run between two records of them, and its end when they go wrong."""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import jax
import numpy as np

from ganjax.errors import UserError


class Diverged(UserError):
    """Training has made a number that is not finite; `what` and when."""

    def __init__(self, what: str, step: int):
        self.what = f"training diverged: {what} by step {step}"
        super().__init__(
            f"{self.what}. This state was not saved and the last checkpoint is intact: "
            "lower the learning rates or raise the penalty, and pass a new --workdir, "
            "or go on with --config.on_divergence=rollback"
        )


class Meter:
    """Sums the metrics of a run and stops it when they are not finite; records nothing.

    Reading a metric waits for the device, so the metrics of a call are read while the
    next call runs. The clock counts training only.

    Args:
      workdir: the run's folder.
      step: the step at which training starts.
      num_steps: the last step.
      batch_size: images per step.
    """

    def __init__(self, workdir: Path, step: int, num_steps: int, batch_size: int):
        self.workdir, self.step, self.first_step = workdir, step, step
        self.num_steps, self.batch_size = num_steps, batch_size
        self._pending: tuple[int, int, dict[str, jax.Array]] | None = None
        self._sums: dict[str, float] = {}
        self._published = step
        self._clock = time.perf_counter()
        self._seconds = self._total_seconds = 0.0  # of training: since publish; in all

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def add(self, step: int, n: int, metrics: dict[str, jax.Array]) -> None:
        """Takes the sums of the metrics of n steps that end at `step`.

        Raises:
          Diverged: a metric of an earlier call is not finite.
        """
        self.flush()
        self._pending = (step, n, metrics)

    def flush(self) -> None:
        """Reads the metrics of the last call, which waits for the device.

        Raises:
          Diverged: a metric is not finite.
        """
        if self._pending is None:
            return
        (self.step, n, metrics), self._pending = self._pending, None
        values = {k: float(x) for k, x in jax.device_get(metrics).items()}
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            found = [
                f"{name} {values[name] / n:.3g}"
                for name in ("d_grad_norm", "g_grad_norm")
                if name in values
            ]
            name = min(bad, key=lambda name: (not name.endswith("loss"), name))
            norms = f" ({', '.join(found)})" if found else ""
            raise Diverged(f"{name} is {values[name]}{norms}", self.step)
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Excludes the enclosed block from the timing; flushes first."""
        self.flush()
        self._seconds += time.perf_counter() - self._clock
        try:
            yield
        finally:
            self._clock = time.perf_counter()

    def publish(self, step: int) -> None:
        """Starts new sums."""
        self.flush()
        self._total_seconds += self._seconds
        self._published, self._sums, self._seconds = step, {}, 0.0

    def scores(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def samples(self, step: int, image: np.ndarray, real: np.ndarray) -> None:
        """Nothing."""

    def finish(self, data: str) -> None:
        """Waits for the last call."""
        self.flush()
