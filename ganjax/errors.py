"""What a user can fix is a `UserError`: one line that says what, where and how.

Everything else is a bug and keeps its stack trace.
"""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class UserError(Exception):
    """Bad input, with the remedy in its message; `main` prints it and exits with 1."""


def choose(table: Mapping[str, T], name: str, what: str) -> T:
    """`table[name]`, or a UserError that lists the choices.

    >>> choose({"adam": 1, "sgd": 2}, "adan", "optimizer.name")
    Traceback (most recent call last):
    ...
    ganjax.errors.UserError: optimizer.name = 'adan' is unknown; choose from: adam, sgd
    """
    return table[check_known(table, name, what)]


def check_known(known: Collection[str], name: str, what: str) -> str:
    """`name`, or a UserError that lists the known ones."""
    if name not in known:
        choices = ", ".join(sorted(known))
        raise UserError(f"{what} = {name!r} is unknown; choose from: {choices}")
    return name


def at_least(config: Mapping[str, Any], least: Mapping[str, int]) -> None:
    """A UserError that names the first field below its least value.

    >>> at_least({"seed": -1}, {"seed": 0})
    Traceback (most recent call last):
    ...
    ganjax.errors.UserError: config.seed = -1 must be at least 0
    """
    for name, value in least.items():
        if config[name] < value:
            raise UserError(f"config.{name} = {config[name]} must be at least {value}")
