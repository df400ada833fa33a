"""What the files of a run hold, as far as they are there and can be read.

For reports: no checkpoint is read, and no file is taken for granted.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganjax.config import flatten
from ganjax.errors import UserError, printable
from ganjax.rows import read_jsonl

MAX_BYTES = 2**25  # of a JSON file


@dataclass(frozen=True, eq=False)
class RunFolder:
    """The files of one run. What is missing is empty."""

    path: Path
    name: str  # distinguishes the runs of a report
    config: dict[str, Any]
    data: dict[str, Any]  # identity of the training data
    made_with: dict[str, Any]  # versions and devices
    rows: list[dict[str, Any]]  # of metrics.jsonl
    metrics: dict[str, dict[str, Any]]  # of metrics.json, see `valid_metric`

    @property
    def step(self) -> int:
        """The last step that was recorded."""
        return max((row["step"] for row in self.rows), default=0)

    @property
    def fields(self) -> dict[str, Any]:
        """The config with dotted names."""
        return flatten(self.config)

    def series(self, name: str) -> list[dict[str, Any]]:
        """The rows that have a metric, reduced to it and the step."""
        return [
            {"step": row["step"], name: row[name]} for row in self.rows if name in row
        ]


def read_run_folders(folders: Sequence[Path]) -> list[RunFolder]:
    """The runs in these folders, each with a name of its own.

    Raises:
      UserError: a folder without a run, or the same folder twice.
    """
    resolved = [folder.resolve() for folder in folders]
    for folder, path in zip(folders, resolved, strict=True):
        if not any((path / f).is_file() for f in ("config.json", "metrics.jsonl")):
            raise UserError(f"--workdir={folder}: expected the folder of a run")
        if resolved.count(path) > 1:
            raise UserError(f"--workdir={folder}: expected each folder once")
    return [
        read_run_folder(folder, name)
        for folder, name in zip(folders, short_names(resolved), strict=True)
    ]


def read_run_folder(folder: Path, name: str) -> RunFolder:
    """The run in a folder."""
    about = read_mapping(folder / "config.json")
    metrics = read_mapping(folder / "metrics.json")
    config, data, made_with = (
        value if isinstance(value := about.get(field), dict) else {}
        for field in ("config", "data", "made_with")
    )
    return RunFolder(
        folder,
        name,
        config,
        data,
        made_with,
        read_jsonl(folder / "metrics.jsonl"),
        {name: entry for name, entry in metrics.items() if valid_metric(entry)},
    )


def short_names(paths: Sequence[Path]) -> list[str]:
    """As many of the last parts of each path as distinguish it from the others.

    >>> short_names([Path("/runs/a/mnist"), Path("/runs/b/mnist")])
    ['a/mnist', 'b/mnist']
    """
    longest = max(len(path.parts) for path in paths)
    for length in range(1, longest + 1):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return [printable(name) for name in names]


def read_mapping(file: Path) -> dict[str, Any]:
    """A JSON object; {} if there is no such file or it holds something else."""
    try:
        if not file.is_file() or file.stat().st_size > MAX_BYTES:
            return {}
        value = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def valid_metric(entry: Any) -> bool:
    """Whether an entry of metrics.json is as `metrics.make_results` writes it."""
    if not isinstance(entry, Mapping):
        return False
    interval = entry.get("ci95")
    if not isinstance(interval, list) or len(interval) != 2:
        return False
    numbers = [entry.get("value"), entry.get("reference"), *interval]
    counts = [entry.get(f"n_{kind}") for kind in ("real", "fake", "reference")]
    texts = [entry.get(field) for field in ("protocol", "features")]
    return (
        all(type(x) in (int, float) for x in numbers)
        and math.isfinite(float(numbers[0]))
        and all(type(x) is int for x in counts)
        and all(type(x) is str for x in texts)
    )


def sample_files(workdir: Path) -> dict[int, Path]:
    """The files of samples by step, in that order."""
    files = (workdir / "samples").glob("step_*.png")
    steps = [(file.stem.removeprefix("step_"), file) for file in files]
    return dict(sorted((int(s), f) for s, f in steps if s.isdecimal()))
