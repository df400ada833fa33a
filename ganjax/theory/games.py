"""Games of two players: payoff matrices, Nash equilibria, gradient steps."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

Strategy: TypeAlias = npt.NDArray[np.float64]  # a probability for every action
Updates: TypeAlias = Literal["simultaneous", "alternating"]


class Game(NamedTuple):
    """Payoffs [N, M]: the row player has N actions, the column player M."""

    row: npt.NDArray[np.float64]
    column: npt.NDArray[np.float64]


GAMES: Mapping[str, Game] = {
    # Heads or tails. The row player wins if the pennies match: a zero-sum game.
    "matching_pennies": Game(
        row=np.array([[1.0, -1.0], [-1.0, 1.0]]),
        column=np.array([[-1.0, 1.0], [1.0, -1.0]]),
    ),
    # Cooperate or defect, with the payoffs of Axelrod 1984: 5 > 3 > 1 > 0.
    "prisoners_dilemma": Game(
        row=np.array([[3.0, 0.0], [5.0, 1.0]]),
        column=np.array([[3.0, 5.0], [0.0, 1.0]]),
    ),
}


def payoffs(game: Game, x: Strategy, y: Strategy) -> Strategy:
    """Both players' expected payoffs [2] under mixed strategies x [N] and y [M]."""
    return np.array([x @ game.row @ y, x @ game.column @ y])


def deviation_gains(game: Game, x: Strategy, y: Strategy) -> Strategy:
    """What each player gains by a best response to the other, [2] >= 0.

    Both are 0 if and only if (x, y) is a Nash equilibrium.
    """
    best = np.array([np.max(game.row @ y), np.max(x @ game.column)])
    return best - payoffs(game, x, y)


def nash_equilibria(game: Game) -> list[tuple[Strategy, Strategy]]:
    """All Nash equilibria of a non-degenerate game, by enumeration of supports.

    In an equilibrium each player's strategy makes all actions that the other one uses
    equally good, and both use equally many (Nisan et al. 2007, chapter 3).
    """
    n, m = game.row.shape
    equilibria = []
    for rows, columns in _supports(n, m):
        x = _indifferent(game.column[np.ix_(rows, columns)].T, rows, n)
        y = _indifferent(game.row[np.ix_(rows, columns)], columns, m)
        if x is None or y is None or min(x.min(), y.min()) < 0:
            continue
        if deviation_gains(game, x, y).max() < 1e-9:
            equilibria.append((x, y))
    return equilibria


def _supports(n: int, m: int) -> Iterator[tuple[list[int], list[int]]]:
    for size in range(1, min(n, m) + 1):
        for rows in itertools.combinations(range(n), size):
            for columns in itertools.combinations(range(m), size):
                yield list(rows), list(columns)


def _indifferent(
    payoff: npt.NDArray[np.float64], support: list[int], size: int
) -> Strategy | None:
    """Weights [size] on `support` for which all rows of `payoff` have one value."""
    k = len(support)
    system = np.block([[payoff, -np.ones((k, 1))], [np.ones(k), np.zeros(1)]])
    if abs(np.linalg.det(system)) < 1e-12:
        return None
    strategy = np.zeros(size)
    strategy[support] = np.linalg.solve(system, np.eye(k + 1)[k])[:k]
    return strategy


# --- gradient steps -----------------------------------------------------------------


def payoff_field(game: Game) -> Callable[[jax.Array], jax.Array]:
    """The gradients of both players' payoffs in a 2x2 game, [p, q] -> [2].

    p and q are the probabilities of the first action. Each player's gradient is that of
    its own payoff in its own probability (Singh, Kearns and Mansour 2000).
    """
    row, column = jnp.asarray(game.row), jnp.asarray(game.column)
    difference = jnp.array([1.0, -1.0])

    def field(point: jax.Array) -> jax.Array:
        p, q = point
        x, y = jnp.stack([p, 1 - p]), jnp.stack([q, 1 - q])
        return jnp.stack([difference @ row @ y, x @ column @ difference])

    return field


def trajectory(
    field: Callable[[jax.Array], jax.Array],
    start: jax.Array,
    rate: float,
    steps: int,
    updates: Updates = "simultaneous",
    project: Callable[[jax.Array], jax.Array] = lambda point: point,
) -> jax.Array:
    """The points before the first and after each step of two players. -> [steps+1, 2].

    Args:
      field: the direction in which each player moves its own number, [2] -> [2].
      start: both players' numbers [2].
      rate: step size.
      steps: number of steps; in each, both players move once.
      updates: "simultaneous": both move from the same point. "alternating": the second
        player moves first, and the first one sees where to, as in Algorithm 1.
      project: maps a point outside of the players' sets back, [2] -> [2].
    """
    movers = jnp.ones((1, 2)) if updates == "simultaneous" else jnp.eye(2)[::-1]

    def step(point: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        for mover in movers:
            point = project(point + rate * mover * field(point))
        return point, point

    _, path = jax.lax.scan(step, start, length=steps)
    return jnp.concatenate([start[None], path])
