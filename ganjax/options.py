"""Options as dataclass fields: the field owns the default, the comment and the check.

`options(cls)` lists the options of a dataclass with their defaults, as a config holds
them. `build(cls, values)` makes an instance from a config and checks every value
against the type of its field:

    int, float, str, bool, tuple[...]  values of that type; floats are finite
    Literal["a", "b"]                  one of these
    Annotated[float, Range(0)]         bounds; see NonNegative and the other aliases
    Number                             a number, or a schedule over the run (optim.py)
    Callable = choice(TABLE, "name")   by name; the field holds the function itself
    another dataclass                  a group of options

To add an option, add a field to the dataclass that uses it.
"""

import dataclasses
import math
import sys
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from ml_collections import ConfigDict

from ganjax.errors import UserError, choose

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Range:
    """Bounds of a number: low <= x <= high and x < below."""

    low: float = -math.inf
    high: float = math.inf
    below: float = math.inf

    def __contains__(self, x: float) -> bool:
        return self.low <= x <= self.high and x < self.below

    def __str__(self) -> str:
        bounds = {">=": self.low, "<=": self.high, "<": self.below}
        given = (f"{k} {v:g}" for k, v in bounds.items() if abs(v) < math.inf)
        return " and ".join(given)


NonNegative = Annotated[float, Range(0)]
Fraction = Annotated[float, Range(0, 1)]
Rate = Annotated[float, Range(0, below=1)]  # of dropout
Count = Annotated[int, Range(0)]
PositiveInt = Annotated[int, Range(1)]
Widths = tuple[PositiveInt, ...]


def choice(table: Mapping[str, Any], default: str) -> Any:
    """A field that holds `table[name]` and that a config gives by name."""
    return dataclasses.field(
        default=table[default], metadata={"table": table, "default": default}
    )


def given(default: Any) -> Any:
    """A field that no config sets; whoever builds the object does."""
    return dataclasses.field(default=default, metadata={"given": True})


def option_names(cls: type) -> set[str]:
    """The names of a dataclass's options: its fields with a default."""
    return {field.name for field in _option_fields(cls)}


def options(cls: type, **changes: Any) -> dict[str, Any]:
    """The options of a dataclass by name, with defaults or the changes to them.

    A group of options is a nested dictionary.

    >>> @dataclasses.dataclass
    ... class Ema:
    ...     half_life: NonNegative = 10.0
    >>> options(Ema), options(Ema, half_life=5.0)
    ({'half_life': 10.0}, {'half_life': 5.0})
    """
    defaults = {f.name: _as_config(f, f.default) for f in _option_fields(cls)}
    for name in changes:
        choose(defaults, name, f"option of {cls.__name__}")
    return defaults | changes


def build(
    cls: type[T],
    values: Mapping[str, Any] | ConfigDict,
    where: str = "config",
    **extra: Any,
) -> T:
    """An instance of a dataclass from the values of its options.

    Args:
      cls: the dataclass.
      values: by name, from a config; those that are left out have their defaults.
      where: the name of this group, for error messages.
      extra: values of fields that are not taken from the config.

    Raises:
      UserError: an unknown option, a wrong type, or a value out of range.

    >>> @dataclasses.dataclass
    ... class Ema:
    ...     half_life: NonNegative = 10.0
    >>> build(Ema, {"half_life": -1}, "config.ema")
    Traceback (most recent call last):
    ...
    ganjax.errors.UserError: config.ema.half_life=-1: expected a number >= 0
    """
    if isinstance(values, ConfigDict):  # which is no Mapping
        values = values.to_dict()
    if not isinstance(values, Mapping):
        raise UserError(f"{where}={values!r}: expected a group of options")
    known = option_names(cls) - extra.keys()
    hints = typing.get_type_hints(cls, include_extras=True)
    metadata = {f.name: f.metadata for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in values:
        choose(dict.fromkeys(known), name, f"option of {where}")
    converted = {}
    for name, value in values.items():
        field = f"{where}.{name}"
        if "table" in metadata[name]:
            converted[name] = choose(metadata[name]["table"], value, field)
        else:
            converted[name] = convert(value, hints[name], field)
    return cls(**extra | converted)


def convert(value: Any, hint: Any, field: str) -> Any:
    """A config's value as the type of its field.

    Raises:
      UserError: it is not of that type.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _convert_annotated(value, arguments, field)
    if origin is Literal:
        choose(dict.fromkeys(arguments), value, field)
    elif origin in (typing.Union, types.UnionType):
        return _convert_union(value, arguments, field)
    elif origin is tuple:
        return _convert_tuple(value, arguments, field)
    elif isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return build(hint, value, field)
    elif hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        finite = number and abs(value) <= sys.float_info.max
        _expect(finite, value, "a number", field)
        return float(value)
    elif hint is int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        _expect(whole, value, "an integer", field)
    else:
        names = {bool: "True or False", str: "a string"}
        _expect(isinstance(value, hint), value, names.get(hint, str(hint)), field)
    return value


def _convert_annotated(value: Any, arguments: tuple[Any, ...], field: str) -> Any:
    kind, *ranges = arguments
    name = {int: "an integer", float: "a number"}.get(kind, "numbers")
    for bounds in (r for r in ranges if isinstance(r, Range)):
        try:
            inside = convert(value, kind, field) in bounds
        except UserError:
            inside = False
        _expect(inside, value, f"{name} {bounds}", field)
    return convert(value, kind, field)


def _convert_union(value: Any, arguments: tuple[Any, ...], field: str) -> Any:
    """None, a group of options, or a value of the one type that is neither."""
    if value is None and types.NoneType in arguments:
        return value
    if isinstance(value, ConfigDict):
        value = value.to_dict()
    groups: list[Any] = [a for a in arguments if dataclasses.is_dataclass(a)]
    if groups and isinstance(value, Mapping):
        return convert(value, groups[0], field)
    plain = [a for a in arguments if a not in groups and a is not types.NoneType]
    return convert(value, (plain or groups)[0], field)


def _convert_tuple(
    value: Any, arguments: tuple[Any, ...], field: str
) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise UserError(f"{field}={value!r}: expected a tuple")
    if arguments[-1] is not Ellipsis and len(value) != len(arguments):
        raise UserError(f"{field}={value!r}: expected {len(arguments)} values")
    kinds = (
        [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
    )
    return tuple(convert(v, k, field) for v, k in zip(value, kinds, strict=True))


def _expect(right: bool, value: Any, expected: str, field: str) -> None:
    if not right:
        raise UserError(f"{field}={value!r}: expected {expected}")


def _option_fields(cls: type) -> list[dataclasses.Field[Any]]:
    """The fields with a default, without the `parent` and `name` of Flax modules."""
    fields = dataclasses.fields(cls)
    is_module = any(field.name == "parent" for field in fields)
    skipped = {"parent", "name"} if is_module else set()
    return [
        field
        for field in fields
        if field.init
        and field.default is not dataclasses.MISSING
        and field.name not in skipped
        and "given" not in field.metadata
    ]


def _as_config(field: dataclasses.Field[Any], value: Any) -> Any:
    """The value of a field as a config holds it: a name, a dictionary or the value."""
    if "table" in field.metadata:
        if value is field.default:
            return field.metadata["default"]
        return next(k for k, v in field.metadata["table"].items() if v is value)
    if dataclasses.is_dataclass(value):
        nested = _option_fields(type(value))
        return {f.name: _as_config(f, getattr(value, f.name)) for f in nested}
    return value
