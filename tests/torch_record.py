"""Comparisons with PyTorch: initial parameters, movements, and what PyTorch computed.

Movements are kept as projections, for where PyTorch is not installed.
"""

import json
from pathlib import Path
from zlib import crc32

import numpy as np
import optax
from flax.traverse_util import flatten_dict

from ganjax.files import write_text

FOLDER = Path(__file__).parent


def initial(path, shape, draw):
    """The initial value of a parameter or of a statistic."""
    *_, kind = name = "/".join(path).split("/")
    # Logits about 1, where the hinge loss has its kink.
    mean = float(name[0].startswith("Logit"))
    normal = np.random.default_rng([draw, crc32("/".join(name).encode())]).normal
    return {
        "kernel": lambda: normal(size=shape) * (2 / np.prod(shape[:-1])) ** 0.5,
        "bias": lambda: mean + normal(size=shape) / 10,
        "scale": lambda: 1 + normal(size=shape) / 10,
        "mean": lambda: np.zeros(shape),
        "var": lambda: np.ones(shape),
        "u": lambda: normal(size=shape),  # of spectral normalization
        "sigma": lambda: np.ones(shape),
        "embedding": lambda: normal(size=shape),
    }[kind]()


def moved(before, after):
    """The movement of every parameter by name."""
    old, new = (flatten_dict(tree, sep="/") for tree in (before, after))
    return {name: np.float64(new[name]) - np.float64(old[name]) for name in old}


def movements(first, last):
    """Of both players."""
    return {p: moved(getattr(first, p).params, getattr(last, p).params) for p in "gd"}


def summarize(movement):
    """The norm of a movement, and each parameter's on 4 random directions."""
    projections = {name: project(name, x) for name, x in movement.items()}
    return {"norm": rounded(optax.tree.norm(movement)), "projections": projections}


def project(name, x):
    rng = np.random.default_rng(crc32(name.encode()))
    signs = rng.integers(0, 2, (4, x.size), np.int8) * 2.0 - 1
    return [rounded(number) for number in signs @ x.ravel()]


def rounded(number):
    return float(f"{number:.7g}")


def distance(summary, expected):
    """An estimate of ‖movement − expected movement‖ / ‖expected movement‖.

    The mean square of a product with random signs is the square of the norm.
    """
    a, b = summary["projections"], expected["projections"]
    assert a.keys() == b.keys()
    squares = [np.mean(np.subtract(a[name], b[name]) ** 2) for name in b]
    norms = abs(summary["norm"] / expected["norm"] - 1)
    return max(sum(squares) ** 0.5 / expected["norm"], norms)


def distance_to_record(first, last, recorded):
    """The larger distance of both players' movements to those recorded."""
    ours = movements(first, last)
    return largest_distance({p: summarize(ours[p]) for p in "gd"}, recorded)


def largest_distance(summaries, expected):
    """The larger distance of both players."""
    return max(distance(summaries[p], expected[p]) for p in "gd")


def read_record(file):
    """The summaries of every draw by case; `file` is a name in this folder."""
    path = FOLDER / file
    return json.loads(path.read_text()) if path.exists() else {}


def write_record(file, cases, case, draws):
    """Replaces the record of one of the cases."""
    record = read_record(file) | {case: draws}
    lines = [f"{json.dumps(k)}: {json.dumps(record[k])}" for k in cases if k in record]
    write_text(FOLDER / file, "{\n" + ",\n".join(lines) + "\n}\n")
