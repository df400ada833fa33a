"""Does a training that is killed at any moment end as if it had not been killed?

Command: python -m experiments.kill [--kills 30] [--seed 0]

A short training of configs/mnist.py is killed by SIGKILL at a random moment of the time
that an undisturbed one takes, which includes imports, compilation, checkpoints and
figures. The same command is then repeated until it ends. Every second training is
evaluated on the way and keeps the best checkpoint. Compared with the undisturbed run
are the final and the best state, bit for bit, the rows of metrics.jsonl and the scalars
of TensorBoard; temporary files must be gone. Prints a Markdown table.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import ganjax
from ganjax.writers import read_jsonl

ROOT = Path(__file__).parent.parent
OPTIONS = {
    "batch_size": 8,
    "prior.z_dim": 4,
    "generator.hidden": "16,",
    "generator.channels": "8,4",
    "discriminator.hidden": "16,",
    "discriminator.channels": "4,8",
    "num_steps": 300,
    "log_every": 10,
    "sample_every": 20,
    "checkpoint_every": 20,
    "evaluate_num": 100,
}
MAX_STARTS = 5  # of a command that fails to end


def command(workdir: Path, data_dir: Path, options: dict[str, Any]) -> list[str]:
    """The command line of a training."""
    fields = {**OPTIONS, "data.data_dir": data_dir, **options}
    flags = [f"--config.{name}={value}" for name, value in fields.items()]
    main = [sys.executable, "-m", "ganjax.main", "--config=configs/mnist.py", *flags]
    return [*main, f"--workdir={workdir}"]


def start(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """A process whose output is appended to a file."""
    with log.open("ab") as file:
        return subprocess.Popen(
            arguments, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
        )


def run_killed(arguments: list[str], log: Path, seconds: float) -> tuple[str, int]:
    """Kills a training after some seconds and repeats it until it ends.

    Returns:
      What was killed, and the number of further starts; 0 if none ended without error.
    """
    process = start(arguments, log)
    try:
        process.wait(seconds)
        phase = "nothing: it had ended"
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        phase = "training" if "training from step" in log.read_text() else "the start"
    workdir = Path(arguments[-1].removeprefix("--workdir="))
    if temporary_files(workdir):
        phase += ", writing files"
    for starts in range(1, MAX_STARTS + 1):
        if start(arguments, log).wait() == 0:
            return phase, starts
    return phase, 0


def temporary_files(workdir: Path) -> list[Path]:
    """Files and folders that are not yet in their place."""
    hidden = [path for path in workdir.rglob(".*") if path.name != ".lock"]
    return [*hidden, *workdir.rglob("*orbax-checkpoint-tmp*")]


def same_states(a: Path, b: Path) -> bool:
    """Whether the newest states of two runs are equal, bit for bit."""

    def content(workdir: Path) -> list[bytes]:
        state = ganjax.load_run(workdir)[1]
        state = state.replace(key=jax.random.key_data(state.key))
        return [np.asarray(x).tobytes() for x in jax.tree.leaves(state)]

    return content(a) == content(b)


def rows(workdir: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without times."""
    found = read_jsonl(workdir / "metrics.jsonl")
    return [{k: x for k, x in r.items() if k != "images_per_second"} for r in found]


def scalars(workdir: Path) -> dict[str, list[int]]:
    """The steps of every scalar that TensorBoard shows."""
    events = EventAccumulator(str(workdir), {"scalars": 0}).Reload()
    return {
        tag: [e.step for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }


def differences(workdir: Path, undisturbed: Path) -> list[str]:
    """What is not as in the undisturbed run."""
    best = (undisturbed / "best").exists()
    checks = {
        "final state": same_states(workdir, undisturbed),
        "best state": not best or same_states(workdir / "best", undisturbed / "best"),
        "metrics.jsonl": rows(workdir) == rows(undisturbed),
        "TensorBoard": scalars(workdir) == scalars(undisturbed),
        "temporary files": not temporary_files(workdir),
    }
    return [name for name, same in checks.items() if not same]


def study(kills: int, seed: int, folder: Path) -> Counter[tuple[str, str]]:
    """The number of kills by what was killed and by what differs in the end."""
    rng = np.random.default_rng(seed)
    counts: Counter[tuple[str, str]] = Counter()
    kinds = {"plain": {}, "evaluated": {"evaluate_every": 40}}
    durations = {}
    for kind, options in kinds.items():
        # Twice: data and programs are cached by the first.
        for name in ("first", "undisturbed"):
            arguments = command(folder / f"{kind}-{name}", folder / "data", options)
            started = time.perf_counter()
            if start(arguments, folder / f"{kind}.log").wait():
                sys.exit((folder / f"{kind}.log").read_text())
            durations[kind] = time.perf_counter() - started
    for number in range(kills):
        kind = list(kinds)[number % 2]
        workdir, log = folder / str(number), folder / f"{number}.log"
        seconds = rng.uniform(0, durations[kind])
        arguments = command(workdir, folder / "data", kinds[kind])
        phase, starts = run_killed(arguments, log, seconds)
        found = differences(workdir, folder / f"{kind}-undisturbed") if starts else []
        outcome = ", ".join(found) or ("nothing" if starts else "it does not resume")
        print(f"kill {number + 1} of {kind} at {seconds:.1f} s: {phase}; {outcome}")
        counts[phase, outcome] += 1
    return counts


def table(counts: Counter[tuple[str, str]]) -> str:
    """Markdown."""
    lines = ["| killed | differs in the end | kills |", "|---|---|---:|"]
    lines += [f"| {a} | {b} | {n} |" for (a, b), n in sorted(counts.items())]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(table(study(flags.kills, flags.seed, Path(folder))))


if __name__ == "__main__":
    main()
