"""Does a long training need more memory or time per step at its end?

Command: python -m experiments.long_run [--steps 50000]

Trains small MLPs on noise, with logging, samples and checkpoints, in one process.
Prints a Markdown table of resident memory, and of the seconds that 1,000 steps take,
with all that is written.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import ganjax
from ganjax import train
from ganjax.writers import Writer

PER_ROW = 1000  # steps
SMALL_MLP = {"name": "mlp", "hidden": (16,)}
CONFIG: dict[str, Any] = {
    "generator": {**SMALL_MLP, "norm": "none", "output": "tanh"},
    "discriminator": SMALL_MLP,
    "batch_size": 8,
    "log_every": 10,
    "sample_every": 250,
    "checkpoint_every": 500,
}


def resident() -> float:
    """Resident memory of this process, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status: expected a line VmRSS")


def measure(num_steps: int, workdir: Path) -> list[tuple[int, float, float]]:
    """Step, resident memory and seconds since the start, every 1,000 steps."""
    found = []

    class Recorder(Writer):
        def publish(self, step: int) -> None:
            super().publish(step)
            if step % PER_ROW == 0:
                found.append((step, resident(), time.perf_counter()))

    images = np.random.default_rng(0).integers(0, 256, (500, 28, 28, 1), np.uint8)
    arrays = images, np.zeros(500, int), images, np.zeros(500, int)
    noise = ganjax.make_dataset(*arrays, name="noise", source="rng")
    config = ganjax.load_config("mnist", {**CONFIG, "num_steps": num_steps})
    train.Writer = Recorder  # type: ignore[misc]
    try:
        train.train_and_evaluate(config, workdir, noise)
    finally:
        train.Writer = Writer  # type: ignore[misc]
    return found


def table(found: list[tuple[int, float, float]]) -> str:
    """Markdown: the first rows, some between and the last."""
    lines = ["| step | resident memory, MB | seconds of 1,000 steps |", "|---|---|---|"]
    chosen = sorted({1, len(found) - 1, *range(1, len(found), max(1, len(found) // 5))})
    for i in chosen:
        (step, memory, now), before = found[i], found[i - 1][2]
        lines.append(f"| {step:,} | {memory:.0f} | {now - before:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=50_000)
    with tempfile.TemporaryDirectory() as folder:
        print(table(measure(parser.parse_args().steps, Path(folder))))


if __name__ == "__main__":
    main()
