"""How many seconds from typing a command to an FID, in ganjax and in PyTorch?

Question: what a user waits for is neither a step nor an epoch but good digits. The
clock starts with the process, so that imports, loading of MNIST and compilation count
(nothing compiled earlier is used), and it stops when a generator is in hand: for ganjax
when a checkpoint is complete on disk, its writing included; for the PyTorch script
before it draws its samples, which stops the clock. Neither draws pictures on its way
(ganjax does so once, at the end).

Command: python -m experiments.speedrun --seeds 3   (needs pip install -e '.[torch]')

ganjax is the real command, `python -m ganjax.main`, with the default config; the
contender is the PyTorch script that users find first, as experiments/twins.py has it.
Afterwards one and the same judge scores 10,000 samples of every checkpoint, of ganjax's
averaged generator, against the 10,000 test images. A threshold counts as met at the
first checkpoint that meets it, without interpolation. Medians over the seeds. What the
file of results knows of runs that are not asked for stays in it.
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

THRESHOLDS = (130.0, 61.0, 17.0, 7.0)  # of FID; the script reaches the first
NUM = 10_000  # samples
COLD = {"JAX_ENABLE_COMPILATION_CACHE": "0"}
RESULTS = Path(__file__).parent / "results"
Snapshot = tuple[int, float, np.ndarray]  # step, seconds, samples uint8 [N, H, W, C]
Row = dict[str, float]  # step, seconds, fid, is
RUNS: dict[str, dict[str, Any]] = {
    "ganjax, mnist.py": {
        **{"side": "ganjax", "config": "configs/mnist.py"},
        **{"steps": 8000, "every": 250},
    },
    "PyTorch, mlp_l1.py": {
        **{"side": "torch", "config": "configs/mlp_l1.py"},
        **{"steps": 18_740, "every": 937},
    },
}


# --- the two sides: what to run, and what it left in its folder ---------------------


def ganjax_command(run: dict[str, Any], seed: int, folder: Path) -> list[str]:
    """Training as anyone types it."""
    fields = {"seed": seed, "num_steps": run["steps"], "checkpoint_every": run["every"]}
    fields |= {"keep": 1000, "sample_every": 0}
    flags = [f"--config.{field}={value}" for field, value in fields.items()]
    config = f"--config={run['config']}"
    return ["-m", "ganjax.main", config, *flags, f"--workdir={folder}"]


def ganjax_snapshots(folder: Path, started: float) -> Iterator[Snapshot]:
    """Samples of every checkpoint, and when it was complete."""
    import jax

    from ganjax.checkpoint import load_run
    from ganjax.sampling import sample

    steps = sorted(int(path.name) for path in (folder / "checkpoints").glob("[0-9]*"))
    for step in steps:
        checkpoint = folder / "checkpoints" / str(step)
        written = max(file.stat().st_mtime for file in checkpoint.rglob("*"))
        alone = folder / "alone" / str(step)  # a work folder's newest is what restores
        (alone / "checkpoints").mkdir(parents=True)
        checkpoint.rename(alone / "checkpoints" / str(step))
        gan, state, _ = load_run(alone)
        yield (
            step,
            written - started,
            sample(gan, state, num=NUM, key=jax.random.key(0)),
        )


def torch_command(run: dict[str, Any], seed: int, folder: Path) -> list[str]:
    """The twin's training; it counts its seconds from `started`."""
    options = {"config": run["config"], "steps": run["steps"], "every": run["every"]}
    options |= {"seed": seed, "out": folder, "started": time.time()}
    flags = [f"--{option}={value}" for option, value in options.items()]
    return ["-m", "experiments.twins", *flags]


def torch_snapshots(folder: Path, started: float) -> Iterator[Snapshot]:
    """What the twin wrote."""
    for file in sorted(folder.glob("*.npz"), key=lambda path: int(path.stem)):
        with np.load(file) as arrays:
            yield int(file.stem), float(arrays["seconds"]), arrays["images"]


SIDES: dict[str, tuple[Callable[..., list[str]], Callable[..., Iterator[Snapshot]]]] = {
    "ganjax": (ganjax_command, ganjax_snapshots),
    "torch": (torch_command, torch_snapshots),
}


# --- running, scoring, telling ------------------------------------------------------


def make_judge() -> Callable[[np.ndarray], dict[str, float]]:
    """The scorer of real MNIST, trained before any clock starts."""
    from ganjax import data
    from ganjax.config import load_config
    from ganjax.evaluation import make_scorer

    return make_scorer(data.load(load_config("configs/mnist.py").data))


def run_and_score(run: dict[str, Any], seed: int, judge: Callable) -> list[Row]:
    """One process from its start to its end, and only then its snapshots."""
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
            {"step": step, "seconds": seconds, **judge(images)}
            for step, seconds, images in snapshots(Path(folder), started)
        ]


def seconds_to(rows: list[Row], threshold: float) -> float:
    """Of the first snapshot with such an FID; infinite if there is none.

    >>> seconds_to([{"seconds": 5, "fid": 9.0}, {"seconds": 8, "fid": 3.0}], 7.0)
    8
    """
    return next((r["seconds"] for r in rows if r["fid"] <= threshold), np.inf)


def print_run(name: str, seed: int, rows: list[Row]) -> None:
    """The course of one run."""
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
        if not seeds:  # its turn has not come yet
            continue
        cells = [cell([seconds_to(r, t) for r in seeds], 0) for t in THRESHOLDS]
        cells.append(cell([min(r["fid"] for r in rows) for rows in seeds], 2))
        print("| " + " | ".join([name, *cells]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="instead of each run's own")
    parser.add_argument("--every", type=int, help="steps between snapshots, likewise")
    parser.add_argument("--out", type=Path, default=RESULTS / "speedrun.json")
    flags = parser.parse_args()
    asked = {RUNS[name]["side"] for name in flags.runs}
    if "torch" in asked and importlib.util.find_spec("torch") is None:
        sys.exit("error: PyTorch is missing: pip install -e '.[torch]'")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # leaves GPUs room
    flags.out.parent.mkdir(parents=True, exist_ok=True)

    given = {"steps": flags.steps, "every": flags.every}
    overrides = {name: value for name, value in given.items() if value}
    judge = make_judge()
    kept = json.loads(flags.out.read_text())["runs"] if flags.out.exists() else {}
    results: dict[str, list[list[Row]]] = kept | {name: [] for name in flags.runs}
    for seed in range(flags.seeds):
        for name in flags.runs:
            rows = run_and_score(RUNS[name] | overrides, seed, judge)
            print_run(name, seed, rows)
            results[name].append(rows)
            report = {"thresholds": THRESHOLDS, "num": NUM, "runs": results}
            flags.out.write_text(json.dumps(report, indent=2) + "\n")
    print_summary(results)


if __name__ == "__main__":
    main()
