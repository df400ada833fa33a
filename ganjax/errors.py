"""`UserError`: bad input, reported in one line as `field=value: expected X`.

Everything else is a bug and keeps its traceback.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class UserError(Exception):
    """Bad input. The message says what, where and how to fix it."""


class OptionsError(ValueError):
    """Options of one group that exclude each other; `options.build` names the group."""


def show(value: Any) -> str:
    """A value in at most 100 characters of one line, for messages.

    >>> show("x" * 1000)[-5:], show(10**5000)
    ('xx...', 'an int')
    """
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python does not write integers of over 4,300 digits
        return f"an {type(value).__name__}"
    return text if len(text) <= 100 else f"{text[:97]}..."


def printable(text: object) -> str:
    r"""Text in one line that any stream can write.

    >>> printable("a\nb\udcff")
    'a\\nb\\udcff'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def choose(table: Mapping[str, T], name: Any, field: str) -> T:
    """`table[name]`, or a UserError that lists the known names.

    >>> choose({"adam": 1, "sgd": 2}, "adan", "optimizer.name")
    Traceback (most recent call last):
    ...
    ganjax.errors.UserError: optimizer.name='adan': expected one of adam, sgd
    """
    if not isinstance(name, str) or name not in table:
        known = ", ".join(sorted(table))
        raise UserError(f"{field}={show(name)}: expected one of {known}")
    return table[name]
