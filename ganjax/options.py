"""Options as dataclass fields: the field owns the default, the comment and the check.

`options(cls)` lists the options of a dataclass with their defaults, as a config holds
them. `build(cls, values)` makes an instance from a config and checks every value
against the type of its field:

    int, float, str, bool, tuple[...]  values of that type; floats are finite in float32
    Literal["a", "b"]                  one of these
    Annotated[float, Range(0)]         bounds; see NonNegative and the other aliases
    Number                             a number, or a schedule over the run (optim.py)
    Callable = choice(TABLE, "name")   by name; the field holds the function itself
    another dataclass                  a group of options

To add an option, add a field to the dataclass that uses it.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from ml_collections import ConfigDict

from ganjax.errors import OptionsError, UserError, choose, show

T = TypeVar("T")
KINDS = {
    bool: "True or False",
    float: "a number",
    int: "an integer",
    str: "a string",
    tuple: "a tuple",
}
MAX_FLOAT = 3.4028234e38  # of float32; larger numbers would become infinite
MAX_INT = 2**31 - 1  # of int32


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
        given = (f"{k} {v}" for k, v in bounds.items() if abs(v) < math.inf)
        return " and ".join(given)


@dataclasses.dataclass(frozen=True)
class MaxProduct:
    """Upper bound of the product of the values of a tuple."""

    limit: int

    def __contains__(self, values: tuple[int, ...]) -> bool:
        return math.prod(values) <= self.limit

    def __str__(self) -> str:
        return f"with a product <= {self.limit}"


NonNegative = Annotated[float, Range(0)]
Fraction = Annotated[float, Range(0, 1)]
Rate = Annotated[float, Range(0, below=1)]  # of dropout
Count = Annotated[int, Range(0, MAX_INT)]  # of steps or examples
MAX_SIZE = 2**20
Size = Annotated[int, Range(0, MAX_SIZE)]
PositiveInt = Annotated[int, Range(1, MAX_SIZE)]  # a width, a batch size
Widths = tuple[PositiveInt, ...]
# What is traced one by one: layers, updates in a step, a kernel's rows and columns.
Repeats = Annotated[int, Range(1, 100)]
Depth = Annotated[int, Range(0, 100)]
KernelSize = Annotated[int, Range(1, 32)]
Shape = Annotated[Widths, MaxProduct(2**24)]  # of an example, without the batch


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
    values = group(values, where)
    known = option_names(cls) - extra.keys()
    for name in values:
        choose(dict.fromkeys(known), name, f"option of {where}")
    converted = _convert_options(cls, values, where)
    try:
        return cls(**extra | converted)
    except OptionsError as error:
        raise UserError(f"{where}={show(values)}: {error}") from error


def check(cls: type, values: Mapping[str, Any], where: str = "config") -> None:
    """Checks the options of a dataclass in a group that has other values, too.

    Raises:
      UserError: a wrong type, or a value out of range.
      KeyError: an option is missing.
    """
    _convert_options(cls, {name: values[name] for name in option_names(cls)}, where)


def _convert_options(
    cls: type, values: Mapping[str, Any], where: str
) -> dict[str, Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    metadata = {f.name: f.metadata for f in dataclasses.fields(cls)}
    converted = {}
    for name, value in values.items():
        field = f"{where}.{name}"
        if "table" in metadata[name]:
            converted[name] = choose(metadata[name]["table"], value, field)
        else:
            converted[name] = convert(value, hints[name], field)
    return converted


def group(values: Any, where: str) -> dict[str, Any]:
    """A group of options as a plain dictionary.

    Raises:
      UserError: it is no group.
    """
    if isinstance(values, ConfigDict):  # which is no Mapping
        return values.to_dict()
    if not isinstance(values, Mapping):
        raise UserError(f"{where}={show(values)}: expected a group of options")
    return dict(values)


def convert(value: Any, hint: Any, field: str) -> Any:
    """A config's value as the type of its field.

    Raises:
      UserError: it is not of that type.
    """
    if isinstance(value, ConfigDict):  # which is no Mapping
        value = value.to_dict()
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
    else:
        _expect(_is(value, hint), value, KINDS.get(hint, str(hint)), field)
        if hint is float:
            limit = f"a number of at most {MAX_FLOAT}"
            _expect(abs(value) <= MAX_FLOAT, value, limit, field)
            return float(value)
    return value


def _is(value: Any, kind: type) -> bool:
    """Whether a value is of a simple type: True is no integer, NaN no number."""
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float) and abs(value) < math.inf
    return isinstance(value, kind)


def _convert_annotated(value: Any, arguments: tuple[Any, ...], field: str) -> Any:
    kind, bounds = arguments
    if kind in KINDS:  # one message for the type and the bounds
        inside = _is(value, kind) and value in bounds
        _expect(inside, value, f"{KINDS[kind]} {bounds}", field)
    value = convert(value, kind, field)
    _expect(value in bounds, value, f"values {bounds}", field)
    return value


def _convert_union(value: Any, arguments: tuple[Any, ...], field: str) -> Any:
    """None, a group of options, or a value of the one type that is neither."""
    if value is None and types.NoneType in arguments:
        return value
    groups: list[Any] = [a for a in arguments if dataclasses.is_dataclass(a)]
    if groups and isinstance(value, Mapping):
        return convert(value, groups[0], field)
    plain = [a for a in arguments if a not in groups and a is not types.NoneType]
    return convert(value, (plain or groups)[0], field)


def _convert_tuple(
    value: Any, arguments: tuple[Any, ...], field: str
) -> tuple[Any, ...]:
    _expect(isinstance(value, list | tuple), value, KINDS[tuple], field)
    if arguments[-1] is not Ellipsis:
        right = len(value) == len(arguments)
        _expect(right, value, f"{len(arguments)} values", field)
    kinds = (
        [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
    )
    return tuple(convert(v, k, field) for v, k in zip(value, kinds, strict=True))


def _expect(right: bool, value: Any, expected: str, field: str) -> None:
    if not right:
        raise UserError(f"{field}={show(value)}: expected {expected}")


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
