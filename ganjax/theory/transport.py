"""Wasserstein-1 between finite distributions: a linear program, or every plan."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt


def wasserstein_discrete(
    p: npt.ArrayLike, q: npt.ArrayLike, distance: npt.ArrayLike
) -> tuple[float, npt.NDArray[np.float64]]:
    """The cheapest plan that moves p onto q, by linear programming.

    Minimizes Σ plan·distance over plans >= 0 whose rows sum to p and columns to q.

    Args:
      p: [N] masses, non-negative.
      q: [M] masses, non-negative, of the same total.
      distance: [N, M], the cost of moving a unit of mass from i to j.

    Returns:
      The least cost (W1 if p sums to 1) and one plan [N, M] that attains it.

    Raises:
      ValueError: shapes that disagree, negative masses, or totals that differ.
    """
    from scipy.optimize import linprog

    p, q, distance = (np.asarray(a, np.float64) for a in (p, q, distance))
    if distance.shape != (*p.shape, *q.shape) or p.ndim != 1:
        shapes = f"{p.shape}, {q.shape} and {distance.shape}"
        raise ValueError(f"shapes: expected [N], [M] and [N, M], got {shapes}")
    if p.min() < 0 or q.min() < 0 or not np.isclose(p.sum(), q.sum()):
        raise ValueError(f"masses: expected >= 0 with one total, got {p} and {q}")
    n, m = distance.shape
    rows = np.kron(np.eye(n), np.ones(m))  # rows @ plan.ravel() = plan.sum(1)
    columns = np.kron(np.ones(n), np.eye(m))
    result = linprog(
        distance.ravel(),
        A_eq=np.concatenate([rows, columns]),
        b_eq=np.concatenate([p, q * (p.sum() / q.sum())]),
    )
    return float(result.fun), result.x.reshape(n, m)


def moving_plans(
    p: Sequence[int], q: Sequence[int]
) -> Iterator[npt.NDArray[np.integer]]:
    """Every plan [N, M] that moves whole units from piles p [N] onto piles q [M].

    The corners of the linear program are whole numbers when the masses are, so the
    cheapest of these is the optimum. Their number explodes: for tiny piles only.
    Errors: ValueError if the totals differ.
    """
    if sum(p) != sum(q):
        raise ValueError(f"piles: expected one total, got {p} and {q}")
    if not p:
        yield np.zeros((0, len(q)), int)
        return
    for row in itertools.product(*(range(min(p[0], room) + 1) for room in q)):
        if sum(row) == p[0]:
            left = [room - moved for room, moved in zip(q, row, strict=True)]
            for rest in moving_plans(p[1:], left):
                yield np.vstack([np.array(row, int), rest])
