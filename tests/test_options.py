"""Options as dataclass fields: defaults, conversion, checks and messages."""

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import flax.linen as nn
import pytest
from ml_collections import ConfigDict, FrozenConfigDict

import ganjax
from ganjax.options import (
    Count,
    Fraction,
    NonNegative,
    PositiveInt,
    Range,
    Rate,
    Shape,
    Widths,
    build,
    choice,
    convert,
    given,
    option_names,
    options,
)

TABLE: dict[str, Callable] = {"sine": math.sin, "cosine": math.cos}


@dataclass(frozen=True)
class Ramp:
    name: Literal["linear", "cosine"] = "linear"
    start: NonNegative = 1.0
    end: NonNegative = 0.0


@dataclass(frozen=True)
class Inner:
    wave: Callable = choice(TABLE, "sine")
    rate: Rate = 0.5


@dataclass(frozen=True)
class Outer:
    """A group of each kind of option."""

    required: int
    weight: NonNegative | Ramp = 0.0
    inner: Inner = Inner()
    optional: Inner | None = None
    order: Literal["a", "b"] = "a"
    depth: Count = 2
    widths: Widths = (4, 5)
    pair: tuple[int, str] = (1, "x")
    flag: bool = False
    text: str = ""
    limit: float | None = None
    axis: str | None = given(None)
    hidden: int = dataclasses.field(default=3, init=False)


@dataclass(frozen=True)
class Nested:
    """Groups in groups, with other values than their own defaults."""

    outer: Outer = Outer(1, inner=Inner(math.cos, 0.25), optional=Inner(rate=0.0))


class Network(nn.Module):
    """Flax adds the fields `parent` and `name`."""

    image_shape: tuple[int, ...]
    hidden: Widths = (8,)
    activation: Callable = choice(TABLE, "cosine")
    dtype: str = given("float32")


DEFAULTS = {
    "weight": 0.0,
    "inner": {"wave": "sine", "rate": 0.5},
    "optional": None,
    "order": "a",
    "depth": 2,
    "widths": (4, 5),
    "pair": (1, "x"),
    "flag": False,
    "text": "",
    "limit": None,
}


def build_outer(**changes):
    return build(Outer, {**DEFAULTS, **changes}, "config.outer", required=7)


# -- options ---------------------------------------------------------------------------


def test_options_are_the_fields_with_a_default():
    assert options(Outer) == DEFAULTS
    assert option_names(Outer) == DEFAULTS.keys()
    assert list(options(Outer)) == list(DEFAULTS)  # in the order of the fields


def test_a_field_called_name_is_an_option():
    assert options(Ramp) == {"name": "linear", "start": 1.0, "end": 0.0}
    values = {"name": "cosine", "start": 2.0, "end": 0.0}
    assert build(Ramp, values) == Ramp("cosine", 2.0, 0.0)


def test_groups_keep_the_values_of_their_default_instance():
    expected = {
        **DEFAULTS,
        "inner": {"wave": "cosine", "rate": 0.25},
        "optional": {"wave": "sine", "rate": 0.0},
    }
    assert options(Nested) == {"outer": expected}


def test_options_of_flax_modules():
    assert options(Network) == {"hidden": (8,), "activation": "cosine"}
    values = {"hidden": [3, 2], "activation": "sine"}
    network = build(Network, values, image_shape=(4,), dtype="bfloat16")
    assert network.hidden == (3, 2) and network.activation is math.sin
    assert network.image_shape == (4,) and network.dtype == "bfloat16"
    with pytest.raises(ganjax.UserError, match="'name'"):
        build(Network, {**values, "name": "x"}, image_shape=(4,))


def test_changes_replace_defaults_and_unknown_ones_are_refused():
    changed = options(Outer, depth=9, inner={"wave": "cosine", "rate": 0.0})
    assert changed["depth"] == 9 and changed["inner"]["wave"] == "cosine"
    assert options(Outer) == DEFAULTS  # unchanged
    changed["inner"]["rate"] = 0.1
    assert options(Outer) == DEFAULTS
    message = "Outer='dept': expected one of depth, .*widths"
    with pytest.raises(ganjax.UserError, match=message):
        options(Outer, dept=9)
    for not_an_option in ("required", "axis", "hidden"):
        with pytest.raises(ganjax.UserError):
            options(Outer, **{not_an_option: 1})


def test_options_survive_json():
    read = json.loads(json.dumps(options(Nested)))
    read["outer"]["widths"] = [6]
    outer = {**read["outer"]}
    built = build(Outer, outer, required=1)
    assert built == dataclasses.replace(Nested().outer, widths=(6,))


# -- build -----------------------------------------------------------------------------


def test_defaults_build_the_default():
    assert build_outer() == Outer(7)
    hash(build_outer(widths=[1, 2]))  # lists become tuples


@pytest.mark.parametrize("kind", [dict, ConfigDict, FrozenConfigDict])
def test_any_kind_of_config_builds_the_same(kind):
    values = kind(
        {
            **DEFAULTS,
            "weight": {"name": "cosine", "start": 3.0, "end": 1.0},
            "inner": {"wave": "cosine", "rate": 0.0},
            "optional": {"wave": "cosine", "rate": 0.75},
            "order": "b",
            "widths": (1, 2, 3),
            "limit": -1.5,
        }
    )
    assert build(Outer, values, required=7) == Outer(
        7,
        weight=Ramp("cosine", 3.0, 1.0),
        inner=Inner(math.cos, 0.0),
        optional=Inner(math.cos, 0.75),
        order="b",
        widths=(1, 2, 3),
        limit=-1.5,
    )


def test_locked_configs_with_references_build():
    config = ConfigDict({"scale": 3.0, "ramp": {}})
    config.ramp.start = config.get_ref("scale") * 2.0
    config.ramp.end = config.get_ref("scale")
    config.lock()
    config.scale = 5.0
    assert build(Ramp, config.ramp) == Ramp("linear", 10.0, 5.0)


def test_options_that_are_left_out_have_their_defaults():
    assert build(Outer, {}, required=7) == Outer(7)
    assert build_outer(inner={"wave": "cosine"}).inner == Inner(math.cos, 0.5)
    built = build_outer(weight={"name": "cosine", "start": 2.0})
    assert built.weight == Ramp("cosine", 2.0, 0.0)
    with pytest.raises(TypeError, match="required"):  # a bug of the caller
        build(Outer, {})


def test_unknown_options_are_refused():
    with pytest.raises(ganjax.UserError, match="outer.weight='stat'"):
        build_outer(weight={"stat": 2.0})
    with pytest.raises(ganjax.UserError, match=r"outer.weight.start=-1: .*number >= 0"):
        build_outer(weight={"start": -1})

    with pytest.raises(ganjax.UserError, match="outer='size': expected one of depth, "):
        build_outer(size=1)
    with pytest.raises(ganjax.UserError, match="outer='axis': expected one of"):
        build_outer(axis="batch")
    assert build(Outer, {}, required=7, depth=5).depth == 5  # given instead
    with pytest.raises(ganjax.UserError, match="config='depth'"):
        build(Outer, DEFAULTS, required=7, depth=5)  # given twice


@pytest.mark.parametrize("value", [3, None, "sine", [("wave", "sine")]])
def test_groups_are_mappings(value):
    message = r"^config.outer.inner=.*: expected a group of options$"
    with pytest.raises(ganjax.UserError, match=message):
        build_outer(inner=value)


@pytest.mark.parametrize("value", [3, "sine", True])
def test_optional_groups_are_mappings_or_none(value):
    assert build_outer(optional=None).optional is None
    message = r"^config.outer.optional=.*: expected a group of options$"
    with pytest.raises(ganjax.UserError, match=message):
        build_outer(optional=value)


def test_tables_are_looked_up_when_the_object_is_built(monkeypatch):
    monkeypatch.setitem(TABLE, "tangent", math.tan)
    assert build(Inner, {"wave": "tangent", "rate": 0.0}).wave is math.tan
    monkeypatch.setitem(TABLE, "sine", math.sinh)  # the default is replaced
    assert build(Inner, options(Inner)).wave is math.sinh


# -- checks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"weight": -0.5}, "weight=-0.5: expected a number >= 0"),
        ({"weight": "1"}, "weight='1': expected a number >= 0"),
        ({"weight": None}, "weight=None: expected a number >= 0"),
        ({"weight": 1e39}, "weight=1e+39: expected a number of at most 3.4"),
        ({"limit": -1e39}, "limit=-1e+39: expected a number of at most 3.4"),
        ({"depth": 10**5000}, "depth=an int: expected an integer >= 0"),
        ({"text": ["y\n" * 999]}, "text=['y\\ny\\n"),
        ({"weight": True}, "weight=True: expected a number >= 0"),
        ({"weight": math.nan}, "weight=nan: expected a number >= 0"),
        ({"weight": math.inf}, "weight=inf: expected a number >= 0"),
        ({"limit": -math.inf}, "limit=-inf: expected a number"),
        ({"limit": "x"}, "limit='x': expected a number"),
        ({"depth": -1}, "depth=-1: expected an integer >= 0"),
        ({"depth": 1.0}, "depth=1.0: expected an integer >= 0"),
        ({"depth": False}, "depth=False: expected an integer >= 0"),
        ({"order": "c"}, "order='c': expected one of a, b"),
        ({"order": 1}, "order=1: expected one of a, b"),
        ({"flag": 1}, "flag=1: expected True or False"),
        ({"text": 1}, "text=1: expected a string"),
        ({"text": None}, "text=None: expected a string"),
        ({"widths": 4}, "widths=4: expected a tuple"),
        ({"widths": "45"}, "widths='45': expected a tuple"),
        ({"widths": (4, 0)}, "widths=0: expected an integer >= 1"),
        ({"widths": (4, 2.5)}, "widths=2.5: expected an integer >= 1"),
        ({"pair": (1,)}, r"pair=(1,): expected 2 values"),
        ({"pair": (1, "x", 2)}, r"pair=(1, 'x', 2): expected 2 values"),
        ({"pair": ("x", 1)}, "pair='x': expected an integer"),
        (
            {"inner": {"wave": "sin", "rate": 0.5}},
            "inner.wave='sin': expected one of cosine, sine",
        ),
        (
            {"inner": {"wave": math.sin, "rate": 0.5}},
            f"inner.wave={math.sin!r}: expected one of cosine, sine",
        ),
        (
            {"inner": {"wave": "sine", "rate": 1}},
            "inner.rate=1: expected a number >= 0 and < 1",
        ),
        ({"weight": {"name": "square"}}, "weight.name='square': expected one of"),
    ],
)
def test_bad_values_are_refused_in_one_line(changes, message):
    with pytest.raises(ganjax.UserError) as error:
        build_outer(**changes)
    text = str(error.value)
    assert text.startswith(f"config.outer.{message}") and "\n" not in text


@pytest.mark.parametrize(
    "hint,good,bad",
    [
        (NonNegative, [0, 0.0, 1e-30, 3.4e38], [-1e-30, 3.5e38, 1e300, 10**400, "0"]),
        (Fraction, [0, 1, 0.5], [-0.1, 1.0000001]),
        (Rate, [0, 0.999999999], [1, 1.0, -0.1]),
        (Count, [0, 2**31 - 1], [-1, 0.0, 2**31, 10**5000]),
        (PositiveInt, [1, 2**20], [0, True, 2**20 + 1]),
        (Shape, [(), (2**12, 2**12), [2**20, 16]], [(2**12, 2**12, 2), (0,), 3, None]),
        (Widths, [(), [1, 2], (3,)], [(0,), None, [[1]]]),
        (bool, [True, False], [0, 1, None, "True"]),
        (str, ["", "x"], [b"x", 1]),
        (float | None, [None, -1e10], [math.nan, "x", False]),
    ],
)
def test_bounds_of_the_types(hint, good, bad):
    for value in good:
        converted = convert(value, hint, "x")
        assert converted == (tuple(value) if isinstance(value, list) else value)
    for value in bad:
        with pytest.raises(ganjax.UserError, match="^x="):
            convert(value, hint, "x")


@pytest.mark.parametrize("kind", [dict, ConfigDict, FrozenConfigDict])
def test_groups_are_converted_from_any_kind_of_config(kind):
    values = kind({"name": "cosine", "start": 2.0})
    for hint in (Ramp, Ramp | None, NonNegative | Ramp):
        assert convert(values, hint, "x") == Ramp("cosine", 2.0, 0.0)


def test_numbers_become_floats_and_integers_stay():
    assert type(convert(1, NonNegative, "x")) is float
    assert type(convert(1, float | None, "x")) is float
    assert type(convert(1, NonNegative | Ramp, "x")) is float
    assert type(convert(1, Count, "x")) is int
    assert type(convert([1], tuple[float, ...], "x")[0]) is float


def test_ranges_are_written_as_inequalities():
    assert str(Range(0)) == ">= 0"
    assert str(Range(high=2.5)) == "<= 2.5"
    assert str(Range(0, 1)) == ">= 0 and <= 1"
    assert str(Range(0, below=1)) == ">= 0 and < 1"
