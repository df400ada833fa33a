"""The measured numbers of a config: rows of the tables in experiments/results."""

import re
from pathlib import Path
from typing import NamedTuple

from docs.site.links import ROOT

RESULTS = ROOT / "experiments/results"


class Table(NamedTuple):
    """A Markdown table; a row is the list of its cells."""

    file: Path
    header: list[str]
    rule: list[str]  # "---" or "---:" for each column
    rows: list[list[str]]

    def markdown(self) -> str:
        """The columns that are not empty."""
        filled = [i for i in range(len(self.header)) if any(r[i] for r in self.rows)]
        lines = [self.header, self.rule, *self.rows]
        return "\n".join(f"| {' | '.join(r[i] for i in filled)} |" for r in lines)

    def script(self) -> str | None:
        """The experiment that writes the file, if its code has the name."""
        for script in sorted((ROOT / "experiments").glob("*.py")):
            if f'"{self.file.name}"' in script.read_text():
                return script.stem
        return None


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def read_tables(file: Path) -> list[Table]:
    """All tables of a Markdown file."""
    tables = []
    for block in re.findall(r"(?:^\|.*\n?)+", file.read_text(), re.M):
        header, rule, *rows = map(cells, block.splitlines())
        tables.append(Table(file, header, rule, rows))
    return tables


def rows_of(table: Table, config: str) -> list[list[str]]:
    """The rows of a config, e.g. `mnist.py`, and of its variants, `mnist.py:NAME`.

    Rows without a name belong to those above them; rows of real images to all.
    """
    if table.file.stem == f"{Path(config).stem}_table":
        return table.rows
    kept, own = [], False
    for row in table.rows:
        name = row[0].strip("`*")
        if name:
            own = name.split(":")[0] == config
        if own or name.startswith("real"):
            kept.append(row)
    return kept if any(row[0].strip("`").startswith(config) for row in kept) else []


def tables_of(config: str) -> list[Table]:
    """The tables that have rows of a config, with only these."""
    tables = [t for file in sorted(RESULTS.glob("*.md")) for t in read_tables(file)]
    return [t._replace(rows=rows) for t in tables if (rows := rows_of(t, config))]
