"""What a run records: progress bar, metrics.jsonl, TensorBoard events and images."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from ganjax.files import errors_named, remove_scratch, write_file
from ganjax.images import save_gif, save_png, side_by_side
from ganjax.meter import Meter
from ganjax.rows import averaged, evenly_spaced, iterate_jsonl
from ganjax.rows import read_jsonl as read_jsonl
from ganjax.run_folder import sample_files
from ganjax.symptoms import Watch

# Metric -> TensorBoard tag; other metrics appear under their own names.
TAGS = {
    "d_loss": "Loss/discriminator",
    "g_loss": "Loss/generator",
    "real_loss": "Loss/real",
    "fake_loss": "Loss/fake",
    "distance": "Critic/distance",
    "d_real": "Probability/D(x)",
    "d_fake": "Probability/D(G(z))",
    "d_accuracy": "Probability/accuracy of D",
    "images_per_second": "Speed/images_per_second",
}
# Metric -> name and format in the progress bar.
BAR = {
    "images_per_second": ("img/s", ".0f"),
    "d_loss": ("loss D", ".3f"),
    "real_loss": ("real", ".3f"),
    "fake_loss": ("fake", ".3f"),
    "g_loss": ("loss G", ".3f"),
    "l1": ("L1", ".3f"),
    "l2": ("L2", ".3f"),
    "d_real": ("D(x)", ".2f"),
    "d_fake": ("D(G(z))", ".2f"),
}


# What curves.png shows, of how many points, and the frames of progress.gif.
PLOTTED = ("step", "real_loss", "fake_loss", "d_real", "d_fake", "distance")
MAX_POINTS = 1000
MAX_FRAMES = 300


class TensorBoardWriter:
    """One file of TensorBoard events, written without importing TensorFlow.

    Events of steps after `step` in earlier files are superseded: TensorBoard drops
    them, in some versions only once their tag is written again.
    """

    def __init__(self, folder: Path, step: int):
        # TensorBoard reads the files of a folder in the order of their names.
        name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}"
        self._path = folder / name
        self._file = RecordWriter(self._path.open("xb"))
        self._write(0, file_version="brain.Event:2")
        self._write(step + 1, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes scalars by tag."""
        rows = [Summary.Value(tag=t, simple_value=v) for t, v in values.items()]
        self._write(step, summary=Summary(value=rows))

    def image(self, step: int, tag: str, file: Path) -> None:
        """Writes an image file."""
        image = Summary.Image(encoded_image_string=file.read_bytes())
        self._write(step, summary=Summary(value=[Summary.Value(tag=tag, image=image)]))

    def close(self) -> None:
        with errors_named(self._path):
            self._file.close()

    def _write(self, step: int, **content: Any) -> None:
        event = Event(wall_time=time.time(), step=step, **content)
        with errors_named(self._path):
            self._file.write(event.SerializeToString())
            self._file.flush()


class Writer(Meter):
    """Also records them, with samples and scores: what the first process does.

    What was recorded in `workdir` after `step` is removed.
    """

    def __init__(self, workdir: Path, step: int, num_steps: int, batch_size: int):
        from tqdm import tqdm

        super().__init__(workdir, step, num_steps, batch_size)
        for folder in (workdir, workdir / "samples"):
            remove_scratch(folder)
        self.jsonl = workdir / "metrics.jsonl"
        write_file(self.jsonl, self._copy_rows)
        for frame_step, file in sample_files(workdir).items():
            if frame_step > step:
                file.unlink()
        self.board = TensorBoardWriter(workdir, step)
        self.bar = tqdm(total=num_steps, initial=step, unit="step", mininterval=1)
        self._watch = Watch(step)
        self._clock = time.perf_counter()

    def _copy_rows(self, file: IO[bytes]) -> None:
        """Writes the rows up to this step, one at a time: there may be 100,000."""
        for row in iterate_jsonl(self.jsonl):
            if row["step"] <= self.first_step:
                file.write(json.dumps(row).encode() + b"\n")

    def __exit__(self, *exc: object) -> None:
        self.bar.close()
        self.board.close()

    def flush(self) -> None:
        step = self.step
        super().flush()
        self.bar.update(self.step - step)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """As of a `Meter`.

        Raises:
          FileNotFoundError: the folder was deleted. Who writes next would make another.
        """
        self.jsonl.stat()
        with super().paused():
            yield

    def publish(self, step: int) -> None:
        """Records the mean of every metric since the last call."""
        with self.paused():
            steps = step - self._published
            row = {name: total / steps for name, total in self._sums.items()}
            row["images_per_second"] = steps * self.batch_size / self._seconds
            self._append(step, row)
            self._warn(step, row)
            self.board.scalars(
                step, {TAGS.get(k, f"Other/{k}"): value for k, value in row.items()}
            )
            shown = [
                f"{name} {row[metric]:{form}}"
                for metric, (name, form) in BAR.items()
                if metric in row
            ]
            self.bar.set_postfix_str(", ".join(shown), refresh=False)
        super().publish(step)

    def scores(self, step: int, values: Mapping[str, float]) -> None:
        """Records the scores of an evaluation."""
        self._append(step, values)
        self._warn(step, values)
        self.board.scalars(step, {f"Evaluation/{k}": v for k, v in values.items()})
        text = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
        self.bar.write(f"step {step}: {text}")

    def samples(self, step: int, image: np.ndarray, real: np.ndarray) -> None:
        """Writes samples, and beside them training data to compare with.

        As samples/step_XXXXXX.png, samples.png, comparison.png (real data on the left)
        and TensorBoard images.
        """
        width = max(6, len(str(self.num_steps)))  # names sort by step
        for name in (f"samples/step_{step:0{width}d}.png", "samples.png"):
            save_png(self.workdir / name, image, scale=2)
        save_png(self.workdir / "comparison.png", side_by_side(real, image), scale=2)
        for name in ("samples", "comparison"):
            self.board.image(step, name, self.workdir / f"{name}.png")

    def finish(self, data: str) -> None:
        """Writes curves.png and progress.gif and prints where everything is."""
        from ganjax.plots import plot_curves

        self.flush()
        self.bar.close()
        frames = list(sample_files(self.workdir).values())
        if frames:
            save_gif(self.workdir / "progress.gif", evenly_spaced(frames, MAX_FRAMES))
        rows = [
            {name: row[name] for name in PLOTTED if name in row}
            for row in iterate_jsonl(self.jsonl)
            if "real_loss" in row
        ]
        if rows:
            plot_curves(self.workdir / "curves.png", averaged(rows, MAX_POINTS))
        images = (self._published - self.first_step) * self.batch_size
        speed = f", {images / self._total_seconds:.0f} images/s" if images else ""
        done = self.step == self.num_steps
        state = "done" if done else "stopped; the same command resumes"
        print(
            f"{state}: step {self.step}/{self.num_steps}{speed}, trained on {data}\n"
            f"{self.workdir}: samples.png comparison.png curves.png progress.gif "
            "samples/ checkpoints/ metrics.jsonl config.json, and TensorBoard events",
            flush=True,
        )

    def _warn(self, step: int, row: Mapping[str, float]) -> None:
        for message in self._watch.look(step, row):
            self.bar.write(f"warning: {message}")

    def _append(self, step: int, values: Mapping[str, float]) -> None:
        with errors_named(self.jsonl), self.jsonl.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
