"""What does it cost to stream training data instead of copying them to the devices?

Command: python -m experiments.streaming [--rounds 10] [--steps 200] [--gigabytes 20]

1. Time: configs/mnist.py is trained with resident data and with the same images read
   from a record file, in alternating rounds of `steps` steps in one process. Prints the
   seconds of each and the ratio, whose median is the answer.
2. Memory: configs/image_folder.py is trained for `memory-steps` steps on a made-up data
   set of `gigabytes`, a record file of 1,000 images that repeats, and on 64 images, in
   processes of their own. Prints the peak resident memory of both.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

import ganjax
from experiments import common
from ganjax import data, parallel
from ganjax.data import Dataset, Identity, Records
from ganjax.data.records import open_records, record_writer
from ganjax.stream import make_batches

REPEATED = 1000  # images in the file of the made-up data set
FEW = 64


def write(path: Path, images: np.ndarray) -> Records:
    """Images as records."""
    with record_writer(path) as put:
        for image in images:
            put(image)
    return open_records(path, images.shape[1:])


# --- time ---------------------------------------------------------------------------


def rounds(config: Any, examples: Any, steps: int, budget_mb: int) -> Iterator[float]:
    """Seconds of every `steps` training steps; the first round compiles."""
    gan = ganjax.make_gan(config)
    chunk = config.steps_per_call or parallel.steps_per_call(gan)
    num = len(examples)

    def order(step: int, n: int) -> np.ndarray:
        shape = (n, gan.n_dis, config.batch_size)
        return data.batch_indices(config.seed, step, shape, num)

    batches = make_batches(examples, num, order, chunk, budget_mb)
    train_chunk = parallel.make_train_chunk(gan, chunk, batches.streamed)
    state = parallel.replicate(ganjax.init_state(gan, jax.random.key(config.seed)))
    step = 0
    while True:
        end, before = step + steps, None
        started = time.perf_counter()
        while step < end:
            call = batches(step, min(chunk, end - step))
            state, metrics = train_chunk(state, *call)
            step += call[2]
            jax.block_until_ready(before)  # as the training loop: one call ahead
            before = metrics
        jax.block_until_ready(state)
        yield time.perf_counter() - started


def compare_times(num_rounds: int, steps: int, place: Path) -> None:
    config = ganjax.load_config("configs/mnist.py")
    images = common.load_data(config).train["images"]
    records = write(place / "mnist.array_record", images)
    resident = rounds(config, images, steps, budget_mb=1024)
    streamed = rounds(config, records, steps, budget_mb=0)
    next(resident), next(streamed)
    print(f"\n| round | resident, s per {steps} steps | streamed | ratio |")
    print("|---:|---:|---:|---:|")
    ratios = []
    for i in range(num_rounds):
        pair = resident, streamed
        seconds = {x: next(x) for x in (pair if i % 2 else pair[::-1])}
        a, b = seconds[resident], seconds[streamed]
        ratios.append(b / a)
        print(f"| {i + 1} | {a:.2f} | {b:.2f} | {b / a:.3f} |", flush=True)
    print(f"\nmedian ratio {np.median(ratios):.3f}")


# --- memory -------------------------------------------------------------------------


def made_up(gigabytes: float, shape: tuple[int, ...], place: Path) -> Dataset:
    """Noise of this size, which repeats; for 0 some images in memory."""
    noise = np.random.default_rng(0).integers(0, 256, (REPEATED, *shape), np.uint8)
    test = {"images": noise[:FEW], "labels": np.zeros(FEW, np.int32)}
    num = int(gigabytes * 2**30 / np.prod(shape)) if gigabytes else FEW
    images: Any = noise[:FEW]
    if gigabytes:
        few = write(place / "noise.array_record", noise)
        images = Records(
            (num, *shape), few.dtype, lambda rows: few.read(rows % REPEATED)
        )
    train = {"images": images, "labels": np.zeros(num, np.int32)}
    # Not `make_dataset`, which would read all of it.
    return Dataset(train, test, Identity("noise", "a file that repeats", "", num, FEW))


def peak_megabytes(gigabytes: float, steps: int, place: Path) -> float:
    """Trains in this process; the peak of its resident memory."""
    settings = {"num_steps": steps, "sample_every": 0, "checkpoint_every": 0}
    config = ganjax.load_config("configs/image_folder.py", settings)
    dataset = made_up(gigabytes, tuple(config.data.image_shape), place)
    ganjax.train_and_evaluate(config, place / "run", dataset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def compare_memory(gigabytes: float, steps: int, place: Path) -> None:
    peaks = []
    for size in (0.0, gigabytes):
        child = json.dumps([size, steps, str(place / f"{size}")])
        command = [sys.executable, "-m", "experiments.streaming", "--child", child]
        result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        peaks.append(float(result.stdout.splitlines()[-1]))
    print("\n| training data | peak memory, MB |\n|---|---:|")
    print(f"| {FEW} images | {peaks[0]:.0f} |")
    print(f"| {gigabytes:g} GB, streamed | {peaks[1]:.0f} |")
    print(f"\ndifference {peaks[1] - peaks[0]:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="0: no timing")
    parser.add_argument("--steps", type=int, default=200, help="in a round")
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--memory-steps", type=int, default=20, help="0: no memory")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.child:
        gigabytes, steps, folder = flags.child
        Path(folder).mkdir()
        print(peak_megabytes(gigabytes, steps, Path(folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        if flags.rounds:
            compare_times(flags.rounds, flags.steps, Path(folder))
        if flags.memory_steps:
            compare_memory(flags.gigabytes, flags.memory_steps, Path(folder))


if __name__ == "__main__":
    main()
