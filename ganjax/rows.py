"""Rows of metrics.jsonl, of which a long run has 100,000."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ganjax.errors import printable

T = TypeVar("T")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """All rows of `iterate_jsonl`."""
    return list(iterate_jsonl(path))


def iterate_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a JSON-lines file: an integer "step" and finite numbers.

    Other rows, such as an incomplete one left by a crash, are counted and dropped.
    """
    if not path.exists():
        return
    damaged = 0
    with path.open("rb") as file:
        for line in file:
            row = _parse_row(line)
            if row is None:
                damaged += 1
            else:
                yield row
    if damaged:
        print(f"{printable(path)}: skipped {damaged} damaged rows", file=sys.stderr)


def evenly_spaced(items: Sequence[T], num: int) -> list[T]:
    """At most `num` items, with the first and the last.

    >>> evenly_spaced(range(11), 3)
    [0, 5, 10]
    """
    if len(items) <= num:
        return list(items)
    return [items[i * (len(items) - 1) // (num - 1)] for i in range(num)]


def averaged(rows: list[dict[str, float]], num: int) -> list[dict[str, float]]:
    """Means of consecutive rows, at most `num` of them."""
    size = -(-len(rows) // num)
    groups = [rows[i : i + size] for i in range(0, len(rows), size)]
    return [
        {name: sum(row[name] for row in group) / len(group) for name in group[0]}
        for group in groups
    ]


def _parse_row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or type(row.get("step")) is not int:
        return None
    numbers = all(type(x) in (int, float) for x in row.values())
    return row if numbers and all(map(_is_finite, row.values())) else None


def _is_finite(number: float) -> bool:
    return abs(number) <= sys.float_info.max  # math.isfinite(10**400) is an error
