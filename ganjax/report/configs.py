"""Configs of runs: what differs between them, and from the nearest that ganjax has."""

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ganjax.config import flatten, load_config, to_json
from ganjax.errors import printable
from ganjax.report.html import Child, element, table
from ganjax.report.parts import Section, missing, run_label
from ganjax.run_folder import RunFolder

# Where data are on a machine; which they are is told by their hash.
PLACES = {"data.data_dir", "data.manual_dir"}
ABSENT = "–"


def config_section(runs: Sequence[RunFolder]) -> Section:
    """Differences between the runs, then of each from the nearest config, then all."""
    content: list[Child] = []
    if len(runs) > 1:
        content += between_runs(runs)
    for run in runs:
        if not run.config:
            content.append(missing(run, "has no readable config.json."))
            continue
        name, differences = nearest_config(run.fields)
        label, where = run_label(runs, run), element("code", f"configs/{name}.py")
        if differences:
            content.append(element("p", label, " differs from ", where, " in:"))
            rows = [
                [f, value(old), value(new)] for f, (old, new) in differences.items()
            ]
            content.append(
                table(
                    ["field", element("code", f"configs/{name}.py"), "this run"], rows
                )
            )
        else:
            content.append(element("p", label, " has the config ", where, "."))
        everything = json.dumps(
            {"config": run.config, "data": run.data}, indent=2, ensure_ascii=False
        )
        content.append(
            element(
                "details",
                element("summary", f"The complete config of {run.name}, and its data"),
                element("pre", everything),
            )
        )
    return Section("config", "Config", content)


def between_runs(runs: Sequence[RunFolder]) -> list[Child]:
    """A table of the fields that are not the same in all runs."""
    fields = [run.fields for run in runs if run.config]
    names = sorted({name for one in fields for name in one} - PLACES)
    different = [n for n in names if any(x.get(n) != fields[0].get(n) for x in fields)]
    if not different:
        return [element("p", "All runs have the same config.")]
    rows: list[list[Child]] = [
        [name, *(value(run.fields.get(name, ABSENT)) for run in runs)]
        for name in different
    ]
    head: list[Child] = ["field", *(run_label(runs, run) for run in runs)]
    return [element("p", "The runs differ in these fields:"), table(head, rows)]


def nearest_config(
    fields: Mapping[str, Any],
) -> tuple[str, dict[str, tuple[Any, Any]]]:
    """The config of ganjax/configs that differs from this one in the fewest fields.

    Returns:
      Its name, and by field its value and that of `fields`. Only what `fields` has
      counts: runs of older versions lack newer fields.
    """
    folder = Path(str(resources.files("ganjax.configs")))
    names = sorted(p.stem for p in folder.glob("*.py") if p.stem != "__init__")
    found = {}
    for name in names:
        other = flatten(to_json(load_config(name)))
        found[name] = {
            field: (other.get(field, ABSENT), new)
            for field, new in sorted(fields.items())
            if field not in PLACES and (field not in other or other[field] != new)
        }
    nearest = min(names, key=lambda name: (len(found[name]), name == "default"))
    return nearest, found[nearest]


def value(x: Any) -> str:
    """A value of a field, in one line."""
    return printable(x if isinstance(x, str) else json.dumps(x))


def environment_section(runs: Sequence[RunFolder]) -> Section:
    """Versions and devices."""
    recorded = [run for run in runs if run.made_with]
    names = dict.fromkeys(name for run in recorded for name in run.made_with)
    rows: list[list[Child]] = [
        [name, *(value(run.made_with.get(name, ABSENT)) for run in recorded)]
        for name in names
    ]
    content: list[Child] = []
    if rows:
        labels = [run_label(runs, run) for run in recorded]
        content.append(table(["", *labels], rows))
    without = "does not say what it was trained with: its version did not record it."
    content += [missing(run, without) for run in runs if not run.made_with]
    return Section("environment", "Environment", content)
