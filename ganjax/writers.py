"""What a run tells: progress bar, metrics.jsonl, TensorBoard, pictures, NaN guard."""

import contextlib
import json
import math
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from ganjax import sampling
from ganjax.errors import UserError

# Metric -> TensorBoard tag; other metrics appear under their own names.
TAGS = {
    "d_loss": "Loss/discriminator",
    "g_loss": "Loss/generator",
    "real_loss": "Loss/real",
    "fake_loss": "Loss/fake",
    "distance": "Critic/distance",
    "d_real": "Probability/D(x)",
    "d_fake": "Probability/D(G(z))",
    "images_per_second": "Speed/images_per_second",
}


class Board:
    """A file of TensorBoard events, written without TensorFlow, seconds to import.

    It says that steps after `step` are new: what earlier files of `folder` tell of them
    is dropped, by some versions of TensorBoard only once the same tag is written again.
    """

    def __init__(self, folder: Path, step: int):
        # TensorBoard reads a folder's files in the order of their names.
        name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}"
        self.file = RecordWriter((folder / name).open("xb"))
        self._write(0, file_version="brain.Event:2")
        self._write(step + 1, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        rows = [Summary.Value(tag=t, simple_value=v) for t, v in values.items()]
        self._write(step, summary=Summary(value=rows))

    def image(self, step: int, tag: str, file: Path) -> None:
        picture = Summary.Image(encoded_image_string=file.read_bytes())
        row = Summary.Value(tag=tag, image=picture)
        self._write(step, summary=Summary(value=[row]))

    def _write(self, step: int, **content: Any) -> None:
        event = Event(wall_time=time.time(), step=step, **content)
        self.file.write(event.SerializeToString())
        self.file.flush()


class Writer:
    """Collects the metrics of a run and publishes them every `log_every` steps.

    Reading a metric waits for the device, so metrics are read one call late: while the
    next call runs. The clock counts training only.
    """

    def __init__(self, workdir: Path, step: int, config: ConfigDict):
        from tqdm import tqdm

        self.workdir, self.step, self.start = workdir, step, step
        self.batch_size, self.num_steps = config.batch_size, config.num_steps
        self.jsonl = workdir / "metrics.jsonl"
        kept = [row for row in read_jsonl(self.jsonl) if row["step"] <= step]
        self.jsonl.write_text("".join(json.dumps(row) + "\n" for row in kept))
        for later in (file for at, file in self.frames().items() if at > step):
            later.unlink()  # of a run that got further and was not saved
        self.board = Board(workdir, step)
        self.bar = tqdm(total=self.num_steps, initial=step, unit="step", mininterval=1)
        self.pending: tuple[int, int, dict[str, jax.Array]] | None = None
        self.sums: dict[str, float] = {}
        self.published = step
        self.clock = time.perf_counter()
        self.seconds = self.total = 0.0  # of training: since the last publish, and all

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *exc: object) -> None:
        self.bar.close()
        self.board.file.close()

    def add(self, step: int, n: int, metrics: dict[str, jax.Array]) -> None:
        """Takes the sums of n steps' metrics, ending at `step`; reads the previous."""
        self.flush()
        self.pending = (step, n, metrics)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Around work that is not training: the clock stands still.

        Raises:
          UserError: as `flush`.
        """
        self.flush()
        self.seconds += time.perf_counter() - self.clock
        try:
            yield
        finally:
            self.clock = time.perf_counter()

    def flush(self) -> None:
        """Waits for the device and reads what is pending.

        Raises:
          UserError: a metric is not finite; the run has diverged.
        """
        if self.pending is None:
            return
        (self.step, n, metrics), self.pending = self.pending, None
        for name, value in jax.device_get(metrics).items():
            if not math.isfinite(value):
                raise UserError(diverged(f"{name} is {value}", self.step))
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
        self.bar.update(n)

    def publish(self, step: int) -> None:
        """Writes the mean of every metric since the last call."""
        with self.paused():
            steps, seconds = step - self.published, self.seconds
            self.total += seconds
            row = {name: total / steps for name, total in self.sums.items()}
            row["images_per_second"] = steps * self.batch_size / seconds
            with self.jsonl.open("a") as file:
                file.write(json.dumps({"step": step} | row) + "\n")
            tags = {
                TAGS.get(name, f"Other/{name}"): value for name, value in row.items()
            }
            self.board.scalars(step, tags)
            # Real and fake loss apart: their sum hides which of the two D gets wrong.
            l1 = f", L1 {row['l1']:.3f}" if "l1" in row else ""
            self.bar.set_postfix_str(
                f"{row['images_per_second']:.0f} img/s, loss D {row['d_loss']:.3f} "
                f"(real {row['real_loss']:.3f} fake {row['fake_loss']:.3f}) "
                f"G {row['g_loss']:.3f}{l1}, "
                f"D(x) {row['d_real']:.2f}, D(G(z)) {row['d_fake']:.2f}",
                refresh=False,
            )
            self.published, self.sums, self.seconds = step, {}, 0.0

    def pictures(self, step: int, picture: np.ndarray) -> None:
        """samples/step_XXXXXX.png, samples.png and the TensorBoard image."""
        for name in (f"samples/step_{step:06d}.png", "samples.png"):
            sampling.save_png(self.workdir / name, picture, scale=2)
        self.board.image(step, "samples", self.workdir / "samples.png")

    def real(self, images: np.ndarray) -> None:
        """real.png and its TensorBoard image: what the samples are to look like."""
        picture = sampling.grid(images)
        sampling.save_png(self.workdir / "real.png", picture, scale=2)
        self.board.image(self.step, "real", self.workdir / "real.png")

    def scores(self, step: int, values: dict[str, float]) -> None:
        """Records an evaluation."""
        with self.jsonl.open("a") as file:
            file.write(json.dumps({"step": step} | values) + "\n")
        tags = {f"Evaluation/{name}": value for name, value in values.items()}
        self.board.scalars(step, tags)
        text = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
        self.bar.write(f"step {step}: {text}")

    def frames(self) -> dict[int, Path]:
        """The pictures on disk by step, in that order."""
        files = (self.workdir / "samples").glob("step_*.png")
        return dict(sorted((int(file.stem.split("_")[1]), file) for file in files))

    def finish(self, data: str) -> None:
        """curves.png and progress.gif, and the line that says where everything is."""
        self.flush()
        self.bar.close()
        frames = self.frames()
        if frames:
            sampling.save_gif(self.workdir / "progress.gif", list(frames.values()))
        rows = [row for row in read_jsonl(self.jsonl) if "real_loss" in row]
        if rows:
            plot_curves(self.workdir / "curves.png", rows)
        trained = (self.published - self.start) * self.batch_size
        speed = f", {trained / self.total:.0f} images/s" if trained else ""
        state = "done" if self.step == self.num_steps else "stopped; repeat to resume"
        print(
            f"{state}: step {self.step}/{self.num_steps}{speed}, trained on {data}\n"
            f"{self.workdir}: samples.png real.png curves.png progress.gif samples/ "
            "checkpoints/ metrics.jsonl config.json, and TensorBoard events",
            flush=True,
        )


def make_folder(workdir: Path) -> None:
    """Creates the work folder and checks that it can be written to."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        probe = workdir / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"{workdir} can't be written to ({error.strerror}): pass another --workdir"
        ) from error


def diverged(what: str, step: int) -> str:
    """The advice that goes with a diverged run."""
    return (
        f"training diverged: {what} by step {step}; nothing of it was saved. The last "
        "checkpoint is intact: lower the learning rates or raise the penalty, and pass "
        "a new --workdir"
    )


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Rows of a metrics file; a row cut off by a crash is dropped."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def plot_curves(path: Path, rows: list[dict[str, Any]]) -> None:
    """Real and fake loss on one axis: near log 2 D is fooled, near 0 it has won.

    With relativistic losses and critics the two coincide: only their difference counts.
    A critic has a third panel: its estimate of the Wasserstein distance.
    """
    from matplotlib.figure import Figure

    step = [row["step"] for row in rows]
    critic = "distance" in rows[0]
    figure = Figure(figsize=(15 if critic else 10, 4), layout="constrained")
    axes = figure.subplots(1, 2 + critic)
    left, right = axes[:2]
    if critic:
        axes[2].plot(step, [row["distance"] for row in rows], linewidth=1)
        axes[2].set(title="critic's Wasserstein distance, up to a factor")
        axes[2].set(xlabel="step", ylim=(min(0, *(r["distance"] for r in rows)), None))
    for name, label in (("real_loss", "real"), ("fake_loss", "fake")):
        left.plot(step, [row[name] for row in rows], label=label, linewidth=1)
    total = [row["real_loss"] + row["fake_loss"] for row in rows]
    left.plot(step, total, label="real + fake", linewidth=1, color="gray")
    for value, label in ((math.log(2), "log 2: D is fooled"), (math.log(4), "log 4")):
        left.axhline(value, color="black", linewidth=0.8, linestyle="--")
        left.text(step[-1], value, label, ha="right", va="bottom", fontsize=8)
    left.set(title="discriminator, as cross-entropy", xlabel="step", ylabel="nats")
    left.set_ylim(0, max(1.6, min(4.0, 1.1 * max(total))))
    for name, label in (("d_real", "D(x)"), ("d_fake", "D(G(z))")):
        right.plot(step, [row[name] for row in rows], label=label, linewidth=1)
    right.axhline(0.5, color="black", linewidth=0.8, linestyle="--")
    right.set(title="probability of being real", xlabel="step", ylim=(0, 1))
    for axis in (left, right):
        axis.legend(loc="lower right", fontsize=8)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
