"""`UserError`: bad input, reported in one line as `field=value: expected X`.

Everything else is a bug and keeps its traceback.
"""

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


class UserError(Exception):
    """Bad input. The message says what, where and how to fix it."""


def choose(table: Mapping[str, T], name: str, field: str) -> T:
    """`table[name]`, or a UserError that lists the known names.

    >>> choose({"adam": 1, "sgd": 2}, "adan", "optimizer.name")
    Traceback (most recent call last):
    ...
    ganjax.errors.UserError: optimizer.name='adan': expected one of adam, sgd
    """
    if not isinstance(name, str) or name not in table:
        raise UserError(f"{field}={name!r}: expected one of {', '.join(sorted(table))}")
    return table[name]
