"""The settings of a sweep: what `--grid` and `--random` of sweep.py say."""

import ast
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganjax.config import flatten
from ganjax.errors import UserError, choose, show

DIGITS = 3  # significant digits of a random number
SCALES = {"uniform": (float, float), "log": (math.log, math.exp)}


@dataclass(frozen=True)
class Interval:
    """Random numbers, uniform on a scale."""

    scale: str  # a key of SCALES
    low: float
    high: float
    integer: bool = False

    def draw(self, rng: np.random.Generator) -> float:
        """A number with few digits, so that a table shows all of it."""
        to, back = SCALES[self.scale]
        x = back(rng.uniform(to(self.low), to(self.high)))
        return round(x) if self.integer else float(f"{x:.{DIGITS}g}")


@dataclass(frozen=True)
class Dimension:
    """Fields of a config that get the same value, and their values."""

    fields: tuple[str, ...]
    values: tuple[Any, ...] | Interval

    @property
    def label(self) -> str:
        """The field; of several, what they have in common.

        >>> Dimension(("g_optimizer.b1", "d_optimizer.b1"), (0.0,)).label
        '*.b1'
        """
        last = {field.split(".")[-1] for field in self.fields}
        several = len(self.fields) > 1
        return (
            f"*.{last.pop()}" if several and len(last) == 1 else "+".join(self.fields)
        )

    def draw(self, rng: np.random.Generator) -> Any:
        """One of the values."""
        if isinstance(self.values, Interval):
            return self.values.draw(rng)
        return self.values[rng.integers(len(self.values))]


@dataclass(frozen=True)
class Setting:
    """One point of a sweep."""

    values: dict[str, Any]  # by the label of the dimension, or by all its fields
    overrides: dict[str, Any]  # by field


def make_settings(
    grid: Sequence[Dimension], random: Sequence[Dimension], trials: int, seed: int
) -> list[Setting]:
    """All points of the grid with each of `trials` draws of the random dimensions.

    Draw i is a pure function of (seed, i): more trials keep the first ones.

    Raises:
      UserError: nothing varies, or a field is given twice.
    """
    fields = [field for dimension in (*grid, *random) for field in dimension.fields]
    for field in fields:
        if fields.count(field) > 1:
            raise UserError(f"config.{field}: expected once in --grid and --random")
    if not fields:
        raise UserError("--grid or --random is missing: expected e.g. --grid n_dis=1,2")
    draws = []
    for i in range(trials if random else 1):
        rng = np.random.default_rng([seed, i])
        draws.append([dimension.draw(rng) for dimension in random])
    points = itertools.product(*(dimension.values for dimension in grid))
    dimensions, settings = [*grid, *random], list[Setting]()
    labels = [dimension.label for dimension in dimensions]
    if len(set(labels)) < len(labels):
        labels = ["+".join(dimension.fields) for dimension in dimensions]
    for point, draw in itertools.product(points, draws):
        values = (*point, *draw)
        setting = Setting(
            dict(zip(labels, values, strict=True)),
            {
                field: value
                for dimension, value in zip(dimensions, values, strict=True)
                for field in dimension.fields
            },
        )
        if setting not in settings:  # of few random values some are drawn twice
            settings.append(setting)
    return settings


def parse_grid(text: str) -> Dimension:
    """The dimension of `FIELD[,FIELD]=VALUE,VALUE,...`.

    >>> parse_grid("generator.hidden=(64,),(128,)").values
    ((64,), (128,))

    Raises:
      UserError: the text is not of this form, or has a value twice.
    """
    fields, values = split_fields(text, "--grid")
    parsed = tuple(parse_value(value) for value in split(values))
    for value in parsed:
        if parsed.count(value) > 1:
            raise UserError(f"--grid={show(text)}: expected each value once")
    return Dimension(fields, parsed)


def parse_random(text: str, config: Any) -> Dimension:
    """The dimension of `FIELD[,FIELD]=SCALE:LOW:HIGH`, or with values as of a grid.

    Numbers are integers if the config has an integer there.

    Raises:
      UserError: the text is not of this form.
    """
    fields, values = split_fields(text, "--random")
    if ":" not in values or values.startswith("{"):
        return Dimension(fields, tuple(parse_value(value) for value in split(values)))
    scale, *bounds = values.split(":")
    where = f"--random={show(text)}"
    choose(SCALES, scale, f"{where}: scale")
    try:
        low, high = map(float, bounds)
    except ValueError as error:
        raise UserError(f"{where}: expected {scale}:LOW:HIGH") from error
    if not -math.inf < low < high < math.inf or (scale == "log" and low <= 0):
        lowest = "0 < " if scale == "log" else ""
        raise UserError(f"{where}: expected {lowest}LOW < HIGH")
    integer = type(flatten(config.to_dict()).get(fields[0])) is int
    return Dimension(fields, Interval(scale, low, high, integer))


def split_fields(text: str, flag: str) -> tuple[tuple[str, ...], str]:
    """Fields and values of `FIELD[,FIELD]=VALUES`."""
    names, _, values = text.partition("=")
    fields = tuple(name.strip().removeprefix("config.") for name in names.split(","))
    if not values or not all(fields):
        raise UserError(f"{flag}={show(text)}: expected FIELD=VALUES")
    if "seed" in fields:
        raise UserError(f"{flag}={show(text)}: expected --seeds for the seed")
    return fields, values


def split(text: str) -> list[str]:
    """What is between commas that are outside of brackets.

    >>> split("(64,),(128, 64)")
    ['(64,)', '(128, 64)']
    """
    parts, depth = [""], 0
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return parts


def parse_value(text: str) -> Any:
    """A Python literal, or the text itself.

    >>> parse_value("1e-4"), parse_value("hinge")
    (0.0001, 'hinge')
    """
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text.strip()
