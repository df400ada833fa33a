"""What a program that XLA compiled does in one training step.

XLA's `cost_analysis` counts the body of a loop once, however often it runs, and traffic
inside of the chip like that of its main memory. Here a body counts as often as it runs,
and bytes are those of main memory.
"""

import collections
import itertools
import math
import re
from dataclasses import dataclass, field

from experiments.hlo import LITERALS, Computation, Op, Size, dimensions, parse, sizes

# Instructions that name arrays, or wait for them, and move nothing.
FREE = {"tuple", "get-tuple-element", "bitcast", "after-all", "while", "conditional"}
FREE |= {"call", "opt-barrier", "partition-id", "replica-id"} | LITERALS
SLICES = {"slice", "dynamic-slice", "gather"}
COPIES = {"copy", "transpose", "reverse", "concatenate", "pad"}
LIBRARY = r'custom_call_target="__(cublas|cudnn)\$'
CONTRACTED = r"lhs_contracting_dim(?:ension)?s\W+([\d,\"]*)[\]}]"


def is_product(op: Op) -> bool:
    """Whether an instruction is a matrix product or a convolution."""
    library = op.kind == "custom-call" and re.search(LIBRARY, op.attributes)
    return op.kind in ("dot", "convolution") or bool(library)


def product_flops(op: Op, computation: Computation) -> float:
    """Two for each product of two numbers, unless one is padding of the window."""
    out = dimensions(op.type)
    lhs, rhs = (dimensions(computation[name].type) for name in op.operands[:2])
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", op.attributes)
    if not labels:
        found = re.search(CONTRACTED, op.attributes)
        contracted = re.findall(r"\d+", found[1]) if found else []
        return 2.0 * math.prod(out) * math.prod(lhs[int(i)] for i in contracted)
    if "convBackwardInput" in op.attributes:
        lhs, out = out, lhs
    elif "convBackwardFilter" in op.attributes:
        rhs, out = out, rhs
    image, kernel, result = (
        dict(zip(names, shape, strict=True))
        for names, shape in zip(labels.groups(), (lhs, rhs, out), strict=True)
    )
    window = re.search(r"window=\{([^}]*)\}", op.attributes)
    fields = dict(part.split("=") for part in window[1].split()) if window else {}
    total = 2.0 * result["b"] * result["f"] * kernel["i"]
    for axis in (name for name in kernel if name.isdigit()):

        def number(name: str, default: str, axis: str = axis) -> int:
            values = fields[name].split("x") if name in fields else []
            return int((values[int(axis)] if values else default).split("_")[0])

        stride, low = number("stride", "1"), number("pad", "0")
        spread, taps = number("lhs_dilate", "1"), number("rhs_dilate", "1")
        last = (image[axis] - 1) * spread
        places = (
            i * stride + k * taps - low
            for i, k in itertools.product(range(result[axis]), range(kernel[axis]))
        )
        total *= sum(0 <= place <= last and place % spread == 0 for place in places)
    return total


@dataclass
class Step:
    """What one training step does on one device."""

    flops: float = 0.0  # of matrix products and convolutions
    bytes: float = 0.0  # from and to main memory, with padding
    bytes_unpadded: float = 0.0
    products: float = 0.0  # matrix products and convolutions
    # Instructions by kind, without those inside of fusions; "scalar": of one number.
    ops: collections.defaultdict[str, float] = field(
        default_factory=lambda: collections.defaultdict(float)
    )
    copies: list[tuple[float, str]] = field(default_factory=list)  # bytes, type

    @property
    def kernels(self) -> float:
        """Instructions other than scalar ones and transfers in the background."""
        others = {"scalar", "copy-start", "slice-start"}
        return sum(num for kind, num in self.ops.items() if kind not in others)

    @property
    def num_copies(self) -> float:
        """Instructions that rearrange an array and compute nothing."""
        return sum(self.ops[kind] for kind in COPIES)

    def add_product(self, op: Op, computation: Computation, times: float) -> None:
        """Counts a matrix product or convolution that runs so many times."""
        self.products += times
        self.flops += times * product_flops(op, computation)


class Program:
    """A compiled program: a loop of `chunk` training steps."""

    def __init__(self, text: str, chunk: int):
        self.computations, entry = parse(text)
        self.chunk = chunk
        self.step = Step()
        self.walk(entry, 1 / chunk)
        self.step.copies.sort(reverse=True)

    def walk(self, name: str, times: float) -> None:
        """Adds what a computation does that runs so many times in a step."""
        computation = self.computations[name]
        for op in computation.values():
            if op.kind == "while":
                (condition,), (body,) = op.called("condition"), op.called("body")
                self.walk(body, times * self.iterations(op, condition))
            for attribute in ("to_apply", "branch_computations", "calls"):
                for inner in op.called(attribute):
                    if op.kind in ("call", "conditional"):
                        self.walk(inner, times)
                    elif op.kind == "fusion" or op.kind.endswith("-start"):
                        self.walk_fusion(inner, times)
            if is_product(op):
                self.step.add_product(op, computation, times)
            if op.kind in FREE or op.kind.endswith("-done"):
                continue
            scalar = all(size.numbers == 1 for size in sizes(op.type))
            self.step.ops["scalar" if scalar else op.kind] += times
            moved = self.traffic(op, computation)
            self.step.bytes += times * sum(size.padded for size in moved)
            self.step.bytes_unpadded += times * sum(size.unpadded for size in moved)
            if op.kind in COPIES:
                size = sum(part.padded for part in sizes(op.type))
                self.step.copies.append((times * size, f"{op.kind} {op.type}"))

    def iterations(self, loop: Op, condition: str) -> float:
        """Of a loop: its attributes or its condition have the end as a constant, but
        for the loop over the steps of the call, whose number is an argument."""
        if known := re.search(r'known_trip_count":\{"n":"(\d+)"', loop.attributes):
            return int(known[1])
        ends = [
            int(op.operands[0])
            for op in self.computations[condition].values()
            if op.kind == "constant" and op.operands[0].isdigit()
        ]
        return ends[0] if len(ends) == 1 else self.chunk

    def walk_fusion(self, name: str, times: float) -> None:
        """Adds the products in a fusion, whose other instructions are one kernel."""
        computation = self.computations[name]
        for op in computation.values():
            if is_product(op):
                self.step.add_product(op, computation, times)
            for inner in op.called("calls"):
                self.walk_fusion(inner, times)

    def traffic(self, op: Op, computation: Computation) -> list[Size]:
        """What an instruction reads from main memory, and what it writes there."""
        written = self.written(op, computation)
        moved = [
            inner if inner.padded < outer.padded else outer
            for inner, outer in zip(written, sizes(op.type), strict=False)
            if not outer.on_chip
        ]
        if op.kind == "slice-start":  # its type is ((operand), slice, ...)
            whole, part = list(sizes(op.type))[:2]
            return [part] * (2 - whole.on_chip - part.on_chip)
        if op.kind.endswith("-start"):  # its type has the operands too
            return moved
        for i, operand in enumerate(op.operands):
            whole = list(sizes(computation[operand].type))
            if len(whole) == 1 and not whole[0].on_chip:
                moved += self.read(op, i, whole)
        return moved

    def written(self, op: Op, computation: Computation) -> list[Size]:
        """The arrays that an instruction writes: of an update in place, the update."""
        if op.kind == "dynamic-update-slice":
            return list(sizes(computation[op.operands[1]].type))
        if op.kind == "bitcast" and op.operands[0] in computation:
            return self.written(computation[op.operands[0]], computation)
        if op.kind == "tuple":
            parts = [self.written(computation[x], computation) for x in op.operands]
            return list(itertools.chain(*parts))
        if op.kind == "fusion":
            inner = self.computations[op.called("calls")[0]]
            return self.written(next(x for x in inner.values() if x.root), inner)
        arrays = list(sizes(op.type))
        # A library's second result is its scratch memory, of which it may use nothing.
        return arrays[:1] if is_product(op) else arrays

    def read(self, op: Op, index: int, whole: list[Size]) -> list[Size]:
        """What an instruction reads of its operand: of slices, these alone."""
        if op.kind in SLICES and index == 0:
            return list(sizes(op.type))
        if op.kind == "dynamic-update-slice" and index == 0:
            return []
        if op.kind != "fusion":
            return whole
        inner = self.computations[op.called("calls")[0]]
        (name,) = (
            x.name
            for x in inner.values()
            if x.kind == "parameter" and x.operands[0] == str(index)
        )
        return self.read_inside(inner, name, whole)

    def read_inside(
        self, computation: Computation, name: str, whole: list[Size]
    ) -> list[Size]:
        """What the users of an array in a fusion read of it, at most all."""
        total: list[Size] = []
        for user in computation.values():
            if user.kind in LITERALS or name not in user.operands:
                continue
            if user.kind == "bitcast":
                total += self.read_inside(computation, user.name, whole)
            else:
                total += self.read(user, user.operands.index(name), whole)
        return total if sum(x.padded for x in total) < whole[0].padded else whole
