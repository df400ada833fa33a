"""How many seconds from starting the command to an FID, in ganjax and in PyTorch?

Question: what a user waits for are good digits, not steps. The clock starts with the
process, so imports, loading of MNIST and compilation count, without any compilation
cache. It stops when a generator is available: for ganjax when a checkpoint is complete
on disk, including its writing; for the PyTorch script before it draws its samples,
during which the clock is stopped. Neither draws sample grids during training (ganjax
does so once, at the end).

Command: python -m experiments.speedrun --seeds 3   (needs pip install -e '.[torch]')

ganjax is the command `python -m ganjax.main` with configs/mnist.py; the other side is
the widely read PyTorch script of configs/mlp_l1.py, by experiments/torch_baseline.py.
Afterwards one scorer evaluates 10,000 samples of every checkpoint, of ganjax's averaged
generator, against the 10,000 test images. A threshold is met at the first checkpoint
that meets it, without interpolation. Numbers are medians over the seeds. Results of
runs that are not asked for stay in the file.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

THRESHOLDS = (130.0, 61.0, 17.0, 7.0)  # of FID; the PyTorch script reaches the first
NUM = 10_000  # samples
COLD = {"JAX_ENABLE_COMPILATION_CACHE": "0"}
RESULTS = Path(__file__).parent / "results"
Snapshot = tuple[int, float, np.ndarray]  # step, seconds, samples uint8 [N, H, W, C]
Scorer = Callable[[np.ndarray], dict[str, float]]
Row = dict[str, float]  # step, seconds, fid, is
RUNS: dict[str, dict[str, Any]] = {
    "ganjax, mnist.py": {
        "side": "ganjax",
        "config": "configs/mnist.py",
        "steps": 8000,
        "every": 250,
    },
    "PyTorch, mlp_l1.py": {
        "side": "torch",
        "config": "configs/mlp_l1.py",
        "steps": 18_740,
        "every": 937,
    },
}


# --- the two sides: the command, and the samples of its run -------------------------


def ganjax_command(run: dict[str, Any], seed: int, folder: Path) -> list[str]:
    """Training by the command line."""
    fields = {
        "seed": seed,
        "num_steps": run["steps"],
        "checkpoint_every": run["every"],
        "max_to_keep": 1000,
        "sample_every": 0,
    }
    flags = [f"--config.{field}={value}" for field, value in fields.items()]
    config = f"--config={run['config']}"
    return ["-m", "ganjax.main", config, *flags, f"--workdir={folder}"]


def ganjax_snapshots(folder: Path, started: float) -> Iterator[Snapshot]:
    """Samples of every checkpoint, and the time at which it was complete."""
    import jax

    import ganjax

    steps = sorted(int(path.name) for path in (folder / "checkpoints").glob("[0-9]*"))
    for step in steps:
        checkpoint = folder / "checkpoints" / str(step)
        written = max(file.stat().st_mtime for file in checkpoint.rglob("*"))
        alone = folder / "alone" / str(step)  # load_run restores the newest of a folder
        (alone / "checkpoints").mkdir(parents=True)
        checkpoint.rename(alone / "checkpoints" / str(step))
        gan, state, _ = ganjax.load_run(alone)
        samples = ganjax.sample(gan, state, num=NUM, key=jax.random.key(0))
        yield step, written - started, samples


def torch_command(run: dict[str, Any], seed: int, folder: Path) -> list[str]:
    """Training in PyTorch, which counts its seconds from `started`."""
    options = {
        "config": run["config"],
        "steps": run["steps"],
        "every": run["every"],
        "seed": seed,
        "out": folder,
        "started": time.time(),
    }
    flags = [f"--{option}={value}" for option, value in options.items()]
    return ["-m", "experiments.torch_baseline", *flags]


def torch_snapshots(folder: Path, started: float) -> Iterator[Snapshot]:
    """The samples that the PyTorch script wrote."""
    for file in sorted(folder.glob("*.npz"), key=lambda path: int(path.stem)):
        with np.load(file) as arrays:
            yield int(file.stem), float(arrays["seconds"]), arrays["images"]


SIDES: dict[str, tuple[Callable[..., list[str]], Callable[..., Iterator[Snapshot]]]] = {
    "ganjax": (ganjax_command, ganjax_snapshots),
    "torch": (torch_command, torch_snapshots),
}


# --- running and scoring ------------------------------------------------------------


def mnist_scorer() -> Scorer:
    """The scorer for MNIST, whose classifier is trained before any clock starts."""
    from ganjax import data
    from ganjax.evaluate import make_scorer

    return make_scorer(data.load(data.DataOptions()))


def run_and_score(run: dict[str, Any], seed: int, scorer: Scorer) -> list[Row]:
    """Runs one process to its end, then scores its snapshots."""
    command, snapshots = SIDES[run["side"]]
    with tempfile.TemporaryDirectory() as folder:
        started = time.time()
        done = subprocess.run(
            [sys.executable, *command(run, seed, Path(folder))],
            env=os.environ | COLD,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            sys.exit(f"error: {' '.join(done.args)}\n{done.stderr[-2000:]}")
        return [
            {"step": step, "seconds": seconds, **scorer(images)}
            for step, seconds, images in snapshots(Path(folder), started)
        ]


def seconds_to(rows: list[Row], threshold: float) -> float:
    """Seconds until the first snapshot with this FID; infinite if there is none.

    >>> seconds_to([{"seconds": 5, "fid": 9.0}, {"seconds": 8, "fid": 3.0}], 7.0)
    8
    """
    return next((r["seconds"] for r in rows if r["fid"] <= threshold), np.inf)


def print_run(name: str, seed: int, rows: list[Row]) -> None:
    """The snapshots of one run as a table."""
    print(f"\n{name}, seed {seed}\n\n| step | seconds | FID | IS |")
    print("|---:|---:|---:|---:|")
    for r in rows:
        cells = f"{r['step']:,} | {r['seconds']:.1f} | {r['fid']:.2f} | {r['is']:.2f}"
        print(f"| {cells} |", flush=True)


def print_summary(results: dict[str, list[list[Row]]]) -> None:
    """Seconds to each threshold: the median over seeds, (lowest to highest)."""
    titles = [f"FID ≤ {threshold:g}" for threshold in THRESHOLDS]
    print("\n| seconds to | " + " | ".join(titles) + " | lowest FID |")
    print("|---|" + "---:|" * (len(titles) + 1))

    def cell(values: list[float], digits: int) -> str:
        low, middle, high = (f(values) for f in (np.min, np.median, np.max))
        if np.isinf(low):
            return "not met"
        show = (f"{x:.{digits}f}" if np.isfinite(x) else "∞" for x in (low, high))
        main = f"{middle:.{digits}f}" if np.isfinite(middle) else "∞"
        return f"{main} ({' to '.join(show)})"

    for name, seeds in results.items():
        if not seeds:  # not run yet
            continue
        cells = [cell([seconds_to(r, t) for r in seeds], 0) for t in THRESHOLDS]
        cells.append(cell([min(r["fid"] for r in rows) for rows in seeds], 2))
        print("| " + " | ".join([name, *cells]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="instead of each run's own")
    parser.add_argument("--every", type=int, help="steps between snapshots")
    parser.add_argument("--out", type=Path, default=RESULTS / "speedrun.json")
    flags = parser.parse_args()
    asked = {RUNS[name]["side"] for name in flags.runs}
    if "torch" in asked and importlib.util.find_spec("torch") is None:
        sys.exit("error: PyTorch is missing: pip install -e '.[torch]'")
    # GPU memory that JAX does not reserve is free for PyTorch.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    flags.out.parent.mkdir(parents=True, exist_ok=True)

    given = {"steps": flags.steps, "every": flags.every}
    overrides = {name: value for name, value in given.items() if value}
    scorer = mnist_scorer()
    kept = json.loads(flags.out.read_text())["runs"] if flags.out.exists() else {}
    results: dict[str, list[list[Row]]] = kept | {name: [] for name in flags.runs}
    for seed in range(flags.seeds):
        for name in flags.runs:
            rows = run_and_score(RUNS[name] | overrides, seed, scorer)
            print_run(name, seed, rows)
            results[name].append(rows)
            report = {"thresholds": THRESHOLDS, "num": NUM, "runs": results}
            flags.out.write_text(json.dumps(report, indent=2) + "\n")
    print_summary(results)


if __name__ == "__main__":
    main()
