"""The text of XLA's programs, HLO, as objects.

Computations of instructions such as `%name = f32[64,128]{1,0:T(8,128)S(1)} fusion(%a,
%b), calls=%f`, where T(8,128) pads the last two dimensions to multiples of 8 and 128,
and S(1) is memory on the chip instead of its main memory. In programs before their
optimization names have no %, and arrays have neither padding nor place.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

ARRAY = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\](?:\{([^{}]*)\})?")
LITERALS = {"parameter", "constant"}


@dataclass(frozen=True)
class Op:
    """One instruction."""

    name: str
    type: str
    kind: str
    operands: tuple[str, ...]  # names; of a parameter or constant its number
    attributes: str
    root: bool

    def called(self, attribute: str) -> list[str]:
        """The computations that an attribute names."""
        found = re.search(
            rf"\b{attribute}=(?:\{{([^}}]*)\}}|%?([\w.\-]+))", self.attributes
        )
        return names(found[1] or found[2]) if found else []


Computation = dict[str, Op]


def names(text: str) -> list[str]:
    """A list of names, each with or without its %."""
    text = re.sub(r"/\*.*?\*/", "", text)
    return [part.strip().removeprefix("%") for part in text.split(",") if part.strip()]


def closing(text: str) -> int:
    """The position after the parenthesis that closes the first character."""
    depth = 0
    for i, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return i + 1
    raise ValueError("unbalanced parentheses")


def parse(text: str) -> tuple[dict[str, Computation], str]:
    """Computations by name, and the name of the entry."""
    computations: dict[str, Computation] = {}
    current: Computation = {}
    entry = ""
    for line in text.splitlines():
        if head := re.match(r"(ENTRY )?%?([\w.\-]+) .*\{$", line):
            current = computations[head[2]] = {}
            entry = head[2] if head[1] else entry
        elif found := re.match(r"\s+(ROOT )?%?([\w.\-]+) = (.*)", line):
            root, name, rest = found.groups()
            end = closing(rest) if rest[0] == "(" else rest.index(" ")
            kind, _, after = rest[end + 1 :].partition("(")
            stop = closing("(" + after) - 2
            inside = after[:stop]
            operands = [inside] if kind in LITERALS else names(inside)
            attributes = re.sub(r"metadata=\{[^}]*\}", "", after[stop + 1 :])
            args = tuple(operands), attributes, bool(root)
            current[name] = Op(name, rest[:end], kind, *args)
    return computations, entry


def dimensions(type_text: str) -> list[int]:
    """The shape of an array's type."""
    found = ARRAY.search(type_text)
    return [int(n) for n in found[2].split(",") if n] if found else []


@dataclass(frozen=True)
class Size:
    """Of an array, in bytes."""

    numbers: int
    padded: float
    unpadded: float
    on_chip: bool


def sizes(type_text: str) -> Iterator[Size]:
    """The size of each array of a type."""
    for kind, dims, layout in ARRAY.findall(type_text):
        bits = re.search(r"\d+$", kind)
        width = max(int(bits[0]) // 8, 1) if bits else 1
        shape = [int(n) for n in dims.split(",") if n]
        order, _, tiling = layout.partition(":")
        physical = [shape[int(i)] for i in reversed(order.split(",")) if i]
        if tile := re.search(r"T\(([\d,]+)\)", tiling):
            units = [int(n) for n in tile[1].split(",")]
            physical = [1] * (len(units) - len(physical)) + physical
            for i, unit in enumerate(units, len(physical) - len(units)):
                physical[i] = -(-physical[i] // unit) * unit
        unpadded = math.prod(shape) * width
        padded = math.prod(physical) * width if physical else unpadded
        yield Size(math.prod(shape), padded, unpadded, "S(" in tiling)
