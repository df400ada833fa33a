"""Does a training that is killed at any moment end as if it had not been killed?

Command: python -m experiments.kill [--kills 30] [--seed 0]

A short training of configs/mnist.py is killed by SIGKILL in each of several phases in
turn: imports, compilation, steps, each kind of checkpoint and of figure. The moment
within the phase is random. The same command is then repeated until it ends. Some
trainings are evaluated on the way and keep the best checkpoint. Compared with the
undisturbed run are the final and the best state, bit for bit, the rows of metrics.jsonl
and the scalars of TensorBoard; temporary files must be gone. Prints a Markdown table.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
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
POLL = 0.002  # seconds
Reached = Callable[[Path, str], bool]  # by the work folder and the output so far
# When a phase begins, and how many seconds it takes at most: a kill comes between.
PHASES: dict[str, tuple[Reached, float]] = {
    "the best checkpoint": (lambda run, _: writes(run / "best/checkpoints"), 0.1),
    "a checkpoint": (lambda run, _: writes(run / "checkpoints"), 0.1),
    "samples": (lambda run, _: writes(run / "samples"), 0.01),
    "the last checkpoint": (
        lambda run, _: writes(run / "checkpoints", f"{OPTIONS['num_steps']}*"),
        0.1,
    ),
    "the last figures": (lambda run, _: writes(run, ".curves.png-*"), 0.05),
    "imports": (lambda *_: True, 2.0),
    "compilation": (lambda _, output: "data:" in output, 1.0),
    "steps": (lambda _, output: "training from step" in output, 1.0),
}


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


def writes(folder: Path, pattern: str = "*") -> bool:
    """Whether a file or a checkpoint of that name is being written in a folder."""
    names = [path.name for path in folder.glob(pattern)]
    return any(name.startswith(".") or "tmp" in name for name in names)


def run_killed(
    arguments: list[str], log: Path, phase: str, rng: np.random.Generator
) -> tuple[str, int]:
    """Kills a training in a phase and repeats it until it ends.

    Returns:
      What was killed, and the number of further starts; 0 if none ended without error.
    """
    reached, longest = PHASES[phase]
    workdir = Path(arguments[-1].removeprefix("--workdir="))
    process = start(arguments, log)
    while process.poll() is None and not reached(workdir, log.read_text()):
        time.sleep(POLL)
    try:
        process.wait(rng.uniform(0, longest))
        phase = "nothing: it had ended"
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
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
    for kind, options in kinds.items():
        # Twice: data and programs are cached by the first.
        for name in ("first", "undisturbed"):
            arguments = command(folder / f"{kind}-{name}", folder / "data", options)
            if start(arguments, folder / f"{kind}.log").wait():
                sys.exit((folder / f"{kind}.log").read_text())
    for number in range(kills):
        phase = list(PHASES)[number % len(PHASES)]
        turn = number // len(PHASES)
        evaluated = phase == "the best checkpoint" or turn % 2
        kind = "evaluated" if evaluated else "plain"
        workdir, log = folder / str(number), folder / f"{number}.log"
        arguments = command(workdir, folder / "data", kinds[kind])
        killed, starts = run_killed(arguments, log, phase, rng)
        found = differences(workdir, folder / f"{kind}-undisturbed") if starts else []
        outcome = ", ".join(found) or ("nothing" if starts else "it does not resume")
        print(f"kill {number + 1} of {kind}: {killed}; {outcome}", flush=True)
        counts[killed, outcome] += 1
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
